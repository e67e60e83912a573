"""The `ingress` of a Sidecar, bound and captured (spec SC-4 to SC-9)."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.compiler import Compiled, Reach
from meshd.plan import (
    UNLIMITED,
    ByEds,
    Endpoint,
    HttpChain,
    IpAddress,
    OriginalDestination,
    ProxyPlan,
    TcpChain,
    UnixAddress,
)
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.resource import Resource
from meshd.resources.server_tls import ServerTLSSettings
from meshd.resources.sidecar import IstioEgressListener, IstioIngressListener, SidecarPort
from meshd.resources.workload_group import TCPHealthCheckConfig
from tests.builders import (
    a_destination_rule,
    a_gateway,
    a_mesh_config,
    a_port,
    a_server,
    a_service_entry,
    a_sidecar,
    a_workload_entry,
)
from tests.compiler.plans import cluster, codes, compiled, endpoints, listener, table
from tests.compiler.test_inbound import CAPTURE, MESH_ALPNS, a_local, chains_of, pool, with_identity
from tests.compiler.test_probes import MEMBER, a_group

NO_CAPTURE = Reach()
FILES = {"server_certificate": "/etc/tls/cert.pem", "private_key": "/etc/tls/key.pem"}


def an_entry(number: int = 9080, protocol: str = "HTTP", **given: Any) -> IstioIngressListener:
    return IstioIngressListener(port=SidecarPort(number=number, protocol=protocol, name="web"), **given)


def found(*entries: IstioIngressListener | Resource, reach: Reach = NO_CAPTURE, **more: Any) -> Compiled:
    ingress = tuple(each for each in entries if isinstance(each, IstioIngressListener))
    others = [each for each in entries if not isinstance(each, IstioIngressListener)]
    sidecar = a_sidecar("default", "*/*", ingress=ingress, **more.pop("sidecar", {}))
    return compiled(sidecar, *others, reach=reach, **more)


def planned(*entries: IstioIngressListener | Resource, **more: Any) -> ProxyPlan:
    result = found(*entries, **more)
    assert not codes(result), [str(problem) for problem in result.problems]
    (plan,) = result.plans
    return plan


def inbound_listeners(plan: ProxyPlan) -> list[str]:
    return [each.name for each in plan.listeners if each.side == "inbound"]


def an_address(ip: str, port: int) -> tuple[Endpoint, ...]:
    return (Endpoint(address=IpAddress(ip=ip), port=port),)


# --- bound ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("SC-4", "SC-5", "SC-7")
def test_without_capture_an_entry_is_bound_to_the_instances_address_and_leads_to_loopback():
    plan = planned(an_entry())

    assert inbound_listeners(plan) == ["10.0.0.1_9080"]
    (chain,) = listener(plan, "10.0.0.1_9080").chains
    assert isinstance(chain, HttpChain)
    assert (chain.route_table, chain.side, chain.match.destination_port) == ("inbound|9080||", "inbound", None)
    assert cluster(plan, "inbound|9080||").discovery == ByEds()
    assert endpoints(plan, "inbound|9080||") == an_address("127.0.0.1", 9080)
    assert table(plan, "inbound|9080||").virtual_hosts[0].domains == ("*",)


@pytest.mark.spec("SC-5")
@pytest.mark.parametrize(
    ("bind", "address", "name"),
    [
        (None, "app.example", "0.0.0.0_9080"),
        ("10.1.1.1", "10.0.0.1", "10.1.1.1_9080"),
        ("FD00::1", "10.0.0.1", "fd00::1_9080"),
    ],
)
def test_it_is_bound_where_it_says_or_else_where_the_instance_is_if_that_is_known(bind, address, name):
    plan = planned(an_entry(bind=bind, default_endpoint="127.0.0.1:8080"), address=address)

    assert inbound_listeners(plan) == [name]


@pytest.mark.spec("SC-7")
@pytest.mark.parametrize(
    ("default", "place"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("0.0.0.0:8080", ("10.0.0.1", 8080)),
        ("[::]:8080", ("fd00::1", 8080)),
    ],
)
def test_where_the_application_listens(default, place):
    six = a_workload_entry("six", "fd00::1", annotations={"meshd.io/host": "vm-1"})
    plan = planned(an_entry(default_endpoint=default), six, address="10.0.0.1", annotations={"meshd.io/host": "vm-1"})

    assert endpoints(plan, "inbound|9080||") == an_address(*place)


@pytest.mark.spec("SC-7")
def test_a_wildcard_of_a_family_that_the_host_has_not_is_its_address_all_the_same():
    plan = planned(an_entry(default_endpoint="[::]:8080"))

    assert endpoints(plan, "inbound|9080||") == an_address("10.0.0.1", 8080)


@pytest.mark.spec("SC-7")
@pytest.mark.parametrize("path", ["/run/app.sock", "@app"])
def test_the_application_may_listen_on_a_socket(path):
    plan = planned(an_entry(default_endpoint=f"unix://{path}"))

    assert endpoints(plan, "inbound|9080||") == (Endpoint(address=UnixAddress(path=path), port=0),)


@pytest.mark.spec("SC-6", "W-SC-CAPTURE")
def test_where_nothing_is_captured_an_entry_that_wants_it_is_bound_and_says_so():
    result = found(an_entry(capture_mode="IPTABLES"))

    assert codes(result) == ["W-SC-CAPTURE"]
    assert inbound_listeners(result.plans[0]) == ["10.0.0.1_9080"]


@pytest.mark.spec("W-SC-LOOP")
@pytest.mark.parametrize(
    "given",
    [
        {"bind": "127.0.0.1"},
        {"bind": "0.0.0.0"},
        {"default_endpoint": "0.0.0.0:9080"},
        {"bind": "10.0.0.1", "default_endpoint": "0.0.0.0:9080"},
    ],
)
def test_a_listener_never_calls_itself(given):
    result = found(an_entry(**given))

    assert codes(result) == ["W-SC-LOOP"]
    assert inbound_listeners(result.plans[0]) == []


# --- captured -------------------------------------------------------------------------------------------------


@pytest.mark.spec("SC-4")
def test_any_entry_replaces_what_the_services_would_have():
    plan = planned(an_entry(8080), a_local("reviews", a_port(9080)), reach=CAPTURE)

    assert chains_of(plan, 8080)
    assert chains_of(plan, 9080) == []


@pytest.mark.spec("SC-6", "SC-7")
def test_a_captured_entry_is_a_chain_and_leads_to_where_the_connection_was_going():
    plan = planned(an_entry(capture_mode="IPTABLES"), reach=CAPTURE)

    assert inbound_listeners(plan) == ["virtualInbound"]
    assert cluster(plan, "inbound|9080||").discovery == OriginalDestination()


@pytest.mark.spec("SC-7")
def test_or_to_its_default_endpoint():
    plan = planned(an_entry(default_endpoint="127.0.0.1:8080"), reach=CAPTURE)

    assert endpoints(plan, "inbound|9080||") == an_address("127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("default", "sources"),
    [
        (None, ("127.0.0.6", "::1")),
        ("0.0.0.0:8080", ("127.0.0.6", "::1")),
        ("127.0.0.1:8080", ()),
        ("[::1]:8080", ()),
        ("unix:///run/app.sock", ()),
    ],
)
def test_only_what_goes_to_an_address_that_is_captured_must_be_told_from_others(default, sources):
    plan = planned(an_entry(default_endpoint=default), reach=CAPTURE)

    assert cluster(plan, "inbound|9080||").sources == sources


def test_a_bound_listener_calls_as_anybody_does():
    assert cluster(planned(an_entry()), "inbound|9080||").sources == ()


@pytest.mark.spec("SC-6")
def test_an_entry_that_wants_no_capture_is_bound_though_the_host_captures():
    plan = planned(an_entry(capture_mode="NONE"), reach=CAPTURE)

    assert inbound_listeners(plan) == ["10.0.0.1_9080", "virtualInbound"]
    assert endpoints(plan, "inbound|9080||") == an_address("127.0.0.1", 9080)


# --- TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.spec("SC-8")
@pytest.mark.parametrize(
    ("mode", "ca", "required"),
    [("SIMPLE", None, False), ("MUTUAL", "/etc/tls/ca.pem", True), ("OPTIONAL_MUTUAL", "/etc/tls/ca.pem", False)],
)
@pytest.mark.parametrize("reach", [NO_CAPTURE, CAPTURE])
def test_https_that_ends_here_is_http_and_nothing_else_comes_in(mode, ca, required, reach):
    tls = ServerTLSSettings(mode=mode, ca_certificates=ca, **FILES)
    plan = planned(an_entry(9443, "HTTPS", tls=tls), with_identity(), reach=reach)

    captured = reach is CAPTURE
    (chain,) = chains_of(plan, 9443) if captured else listener(plan, "10.0.0.1_9443").chains
    assert isinstance(chain, HttpChain)
    assert (chain.match.transport, chain.match.alpn) == ("tls", ())
    assert chain.tls.certificates == ("file-cert:/etc/tls/cert.pem~/etc/tls/key.pem",)
    assert chain.tls.validation == (f"file-root:{ca}" if ca else None)
    assert chain.tls.requires_client_certificate == required
    assert chain.tls.alpn == ("h2", "http/1.1")
    assert set(chain.tls.certificates) <= {secret.name for secret in plan.secrets}
    assert cluster(plan, "inbound|9443||").http.protocol == "http1"


@pytest.mark.spec("SC-8")
def test_tls_that_ends_here_is_tcp():
    plan = planned(an_entry(9443, "TLS", tls=ServerTLSSettings(mode="SIMPLE", **FILES)))

    (chain,) = listener(plan, "10.0.0.1_9443").chains
    assert isinstance(chain, TcpChain)
    assert chain.tls.alpn == ()


@pytest.mark.spec("SC-8")
def test_plain_text_that_an_entry_refuses_is_not_let_past_it():
    plan = planned(an_entry(9443, "HTTPS", tls=ServerTLSSettings(mode="SIMPLE", **FILES)), reach=CAPTURE)

    assert [chain.match.transport for chain in chains_of(plan, None)] == ["tls", "raw_buffer"]


def test_a_bound_entry_ends_the_meshs_tls_too():
    plan = planned(an_entry(), with_identity())

    mutual, plain = listener(plan, "10.0.0.1_9080").chains
    assert (mutual.match.alpn, mutual.tls.validation) == (MESH_ALPNS, "ROOTCA")
    assert (plain.match.transport, plain.tls) == ("raw_buffer", None)
    assert {secret.name for secret in plan.secrets} == {"default", "ROOTCA"}


def test_https_that_does_not_end_here_is_passed_on_as_it_comes():
    (chain,) = listener(planned(an_entry(9443, "HTTPS")), "10.0.0.1_9443").chains

    assert isinstance(chain, TcpChain)
    assert chain.tls is None


# --- connection pools -----------------------------------------------------------------------------------------


@pytest.mark.spec("SC-9")
def test_the_pool_of_the_port_then_that_of_the_sidecar_then_that_of_the_rule():
    rule = a_destination_rule(traffic_policy=TrafficPolicy(connection_pool=pool(1, http1_max_pending_requests=5)))

    def connections(entry: IstioIngressListener, **sidecar: Any) -> tuple[int, int]:
        plan = planned(entry, a_local(), rule, sidecar=sidecar, reach=CAPTURE)
        limits = cluster(plan, "inbound|9080||").circuit_breakers
        return limits.max_connections, limits.max_pending_requests

    assert connections(an_entry()) == (1, 5)
    assert connections(an_entry(), inbound_connection_pool=pool(2)) == (2, UNLIMITED)
    assert connections(an_entry(connection_pool=pool(3)), inbound_connection_pool=pool(2)) == (3, UNLIMITED)


# --- probed workloads -----------------------------------------------------------------------------------------


@pytest.mark.spec("W-17")
def test_the_port_is_of_the_only_workload_of_the_host():
    group = a_group(tcp_socket=TCPHealthCheckConfig(port=9080))

    plan = planned(an_entry(), group, a_mesh_config(auto_mtls=False), annotations=MEMBER)

    (place,) = endpoints(plan, "inbound|9080||")
    assert place.workload == "default/vm-1"


@pytest.mark.spec("W-17")
def test_of_several_it_is_of_whoever_answers_it_for_a_service():
    group = a_group(tcp_socket=TCPHealthCheckConfig(port=9080))
    second = a_workload_entry("second", "10.0.0.1", annotations=MEMBER)

    plan = planned(an_entry(), group, second, a_mesh_config(auto_mtls=False), annotations=MEMBER)

    (place,) = endpoints(plan, "inbound|9080||")
    assert place.workload == "", "no service says whose port it is"


# --- beside what applications are offered ----------------------------------------------------------------------


@pytest.mark.spec("SC-5", "SC-11")
def test_one_address_is_not_for_both_directions():
    """The port of the HTTP proxy, an egress listener, and the loopback address at which the application answers."""
    entries = (an_entry(9080), an_entry(9090, bind="127.0.0.1", default_endpoint="127.0.0.1:9999"))
    egress = tuple(
        IstioEgressListener(hosts=("*/*",), port=SidecarPort(number=number, protocol="HTTP", name="http"))
        for number in (9080, 9090, 9095)
    )
    services = [a_service_entry(f"s{number}", ports=(a_port(number),)) for number in (9080, 9090, 9095)]

    result = found(*entries, *services, sidecar={"egress": egress}, reach=Reach(http_proxy_port=9999))

    (plan,) = result.plans
    assert [each.name for each in plan.listeners] == ["10.0.0.1_9080", "127.0.0.1_9090", "127.0.0.1_9095"]
    assert [table.name for table in plan.route_tables] == ["9095", "inbound|9080||", "inbound|9090||"]
    assert codes(result) == ["W-SC-PORT-TAKEN"] * 3


def test_two_proxies_of_one_host_do_not_share_an_address_in_silence():
    edge = a_workload_entry("edge", "10.0.0.1", labels={"istio": "ingressgateway"})
    front = a_gateway("front", a_server(9080, bind="10.0.0.1"), a_server(9081))

    result = found(an_entry(9080), edge, front)

    (problem,) = result.problems
    assert (problem.code, problem.at.file) == ("W-SC-PORT-TAKEN", "gateway-front.yaml")
    assert {plan.proxy for plan in result.plans} == {"sidecar", "gateway"}
