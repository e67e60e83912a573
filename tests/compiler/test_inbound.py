"""How others reach the services of a host whose connections are captured (spec section 10, D-45, W-7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.plan import (
    UNLIMITED,
    ByEds,
    Endpoint,
    HttpChain,
    IpAddress,
    Listener,
    OriginalDestination,
    ProxyPlan,
    RetryBudget,
    TcpChain,
    WeightedCluster,
)
from meshd.resources.destination import PortSelector
from meshd.resources.destination_rule import LabelSelector, PortTrafficPolicy, TrafficPolicy
from meshd.resources.destination_rule import RetryBudget as AskedBudget
from meshd.resources.mesh_config import Identity
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.traffic_policy import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    HTTPSettings,
    LoadBalancerSettings,
    OutlierDetection,
    TCPSettings,
)
from meshd.resources.workload_group import TCPHealthCheckConfig
from tests.builders import (
    a_destination_rule,
    a_mesh,
    a_mesh_config,
    a_port,
    a_service_entry,
    a_sidecar,
    a_workload_entry,
    an_endpoint,
)
from tests.compiler.plans import HOST, cluster, codes, compiled, forwarded, listener, table
from tests.compiler.test_probes import MEMBER, a_group

CAPTURE = Reach(capture="nftables")
MESH_ALPNS = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
HERE = an_endpoint("10.0.0.1")


def a_local(name: str = "reviews", *ports: Any, **given: Any):
    """A service with an instance on this host; port 9080 HTTP unless told."""
    return a_service_entry(name, ports=ports or (a_port(9080),), **{"endpoints": (HERE,), **given})


def captured(*resources: Resource, **more: Any) -> ProxyPlan:
    result = compiled(*resources, reach=CAPTURE, **more)
    assert not codes(result), [str(problem) for problem in result.problems]
    (plan,) = result.plans
    return plan


def virtual(plan: ProxyPlan) -> Listener:
    return listener(plan, "virtualInbound")


def chains_of(plan: ProxyPlan, number: int | None) -> list[HttpChain | TcpChain]:
    return [chain for chain in virtual(plan).chains if chain.match.destination_port == number]


def with_identity() -> Resource:
    return a_mesh_config(identity=Identity())


# --- which ports ----------------------------------------------------------------------------------------------


def test_each_port_of_a_service_that_is_answered_here_has_a_chain_and_a_cluster():
    plan = captured(a_local("reviews", a_port(80, target_port=9080), a_port(9000, "tcp", protocol="TCP")))

    (http,), (tcp,) = chains_of(plan, 9080), chains_of(plan, 9000)
    assert isinstance(http, HttpChain)
    assert (http.route_table, http.side, http.keep_timeout_header) == ("inbound|9080||", "inbound", False)
    assert isinstance(tcp, TcpChain)
    assert tcp.destinations == (WeightedCluster(cluster="inbound|9000||"),)
    for name in ("inbound|9080||", "inbound|9000||"):
        assert cluster(plan, name).discovery == OriginalDestination()


def test_services_that_run_elsewhere_have_no_part_in_it():
    plan = captured(a_local(endpoints=(an_endpoint("10.0.0.9"),)))

    assert [each.name for each in plan.clusters if each.name.startswith("inbound|")] == []


def test_an_instance_may_answer_at_a_port_of_its_own():
    plan = captured(a_local(endpoints=(an_endpoint("10.0.0.1", ports={"http": 9999}),)))

    assert chains_of(plan, 9999)
    assert not chains_of(plan, 9080)


def test_an_address_is_the_hosts_however_it_is_written():
    six = a_workload_entry("six", "fd00::1", annotations={"meshd.io/host": "vm-1"})

    plan = captured(a_local(endpoints=(an_endpoint("FD00:0:0:0::1"), an_endpoint("fd00::9"))), six)

    assert chains_of(plan, 9080)


def test_workloads_that_are_selected_are_instances_too():
    service = a_service_entry("reviews", ports=(a_port(9080),), workload_selector=_selector(app="reviews"))

    assert chains_of(captured(service, metadata_labels={"app": "reviews"}), 9080)


def _selector(**labels: str):
    return WorkloadSelector(labels=labels)


def test_what_a_gateway_of_this_host_answers_is_the_gateways():
    edge = a_service_entry("edge", ports=(a_port(8080),), workload_selector=_selector(istio="ingressgateway"))
    gateway = a_workload_entry("edge", "10.0.0.1", metadata_labels={"istio": "ingressgateway"})

    plans = {plan.proxy: plan for plan in compiled(edge, gateway, reach=CAPTURE).plans}

    assert chains_of(plans["sidecar"], 8080) == []


def test_a_socket_is_reached_by_nobody_from_elsewhere():
    service = a_service_entry("reviews", workload_selector=_selector(app="reviews"))

    plan = captured(service, address="unix:///run/app.sock", metadata_labels={"app": "reviews"})

    assert len(virtual(plan).chains) == 2, "the trap and what is nobody's"


@pytest.mark.spec("SC-16")
def test_without_capture_and_without_ingress_there_is_no_inbound_side():
    (plan,) = compiled(a_local()).plans

    assert [each.name for each in plan.listeners] == ["127.0.0.1_15080"]


@pytest.mark.spec("W-INBOUND-PROTOCOL")
def test_two_services_on_one_port_speak_what_the_first_says():
    first = a_local("first", a_port(9080, "grpc", protocol="GRPC"))
    result = compiled(first, a_local("second", a_port(9080)), reach=CAPTURE)

    assert codes(result) == ["W-INBOUND-PROTOCOL"]
    assert "second.shop speaks HTTP at port 9080" in result.problems[0].message
    assert cluster(result.plans[0], "inbound|9080||").http.protocol == "http2"


def test_the_first_is_the_older_one():
    older = a_local("second", a_port(9080), creation_timestamp="2020-01-01T00:00:00Z")

    result = compiled(a_local("first", a_port(9080, "grpc", protocol="GRPC")), older, reach=CAPTURE)

    assert cluster(result.plans[0], "inbound|9080||").http.protocol == "http1"


def test_two_that_speak_the_same_share_the_port_in_peace():
    assert len(chains_of(captured(a_local("first"), a_local("second")), 9080)) == 1


def test_a_port_of_the_capture_itself_is_taken():
    result = compiled(a_local("reviews", a_port(15006)), reach=CAPTURE)

    assert "W-SC-PORT-TAKEN" in codes(result)
    assert len([c for c in virtual(result.plans[0]).chains if c.match.destination_port == 15006]) == 1


# --- what becomes of requests ---------------------------------------------------------------------------------


def test_a_request_that_arrived_has_one_way_and_no_timeout():
    (host,) = table(captured(a_local()), "inbound|9080||").virtual_hosts
    (route,) = host.routes

    assert (host.name, host.domains, route.name) == ("inbound|http|9080", ("*",), "default")
    forward = forwarded(route)
    assert forward.destinations == (WeightedCluster(cluster="inbound|9080||"),)
    assert forward.timeout is None


@pytest.mark.parametrize(("protocol", "tries"), [("HTTP", 2), ("HTTP2", 2), ("GRPC", None), ("GRPC-WEB", None)])
def test_a_request_that_the_application_cannot_have_seen_is_tried_again_but_for_grpc(protocol, tries):
    plan = captured(a_local("reviews", a_port(9080, "api", protocol=protocol)))

    retries = forwarded(table(plan, "inbound|9080||").virtual_hosts[0].routes[0]).retries
    assert (retries.attempts if retries else None) == tries
    assert retries is None or retries.retry_on == ("reset-before-request",)


def test_the_listener_traps_connections_to_itself_and_passes_on_what_is_nobodys():
    plan = captured(a_local())

    inbound = virtual(plan)
    assert (inbound.bind.ip, inbound.bind.port, inbound.side, inbound.captures) == ("0.0.0.0", 15006, "inbound", True)
    (trap,) = chains_of(plan, 15006)
    assert trap.destinations == ()
    (rest,) = chains_of(plan, None)
    assert rest.destinations == (WeightedCluster(cluster="InboundPassthroughCluster"),)
    assert cluster(plan, "InboundPassthroughCluster").discovery == OriginalDestination()


def test_what_is_passed_on_comes_from_where_the_capture_knows_it():
    plan = captured(a_local())

    for name in ("inbound|9080||", "InboundPassthroughCluster"):
        assert cluster(plan, name).sources == ("127.0.0.6", "::1")


def test_the_port_of_the_capture_is_the_meshs_to_choose():
    assert virtual(captured(a_mesh_config(proxy_inbound_port=16006))).bind.port == 16006


def test_each_family_of_addresses_of_the_host_is_captured():
    plan = captured(a_workload_entry("six", "fd00::1", annotations={"meshd.io/host": "vm-1"}))

    assert listener(plan, "virtualInbound_ipv6").bind.ip == "::"


# --- mutual TLS -----------------------------------------------------------------------------------------------


@pytest.mark.spec("W-7")
def test_members_of_the_mesh_are_known_by_their_certificate_and_others_taken_in_plain_text():
    plan = captured(a_local(), with_identity())

    mutual, plain = chains_of(plan, 9080)
    assert (mutual.match.transport, mutual.match.alpn) == ("tls", MESH_ALPNS)
    tls = mutual.tls
    assert (tls.certificates, tls.validation, tls.requires_client_certificate) == (("default",), "ROOTCA", True)
    assert (tls.trust_domain, tls.alpn) == ("cluster.local", ("h2", "http/1.1"))
    assert (plain.match.transport, plain.match.alpn, plain.tls) == ("raw_buffer", (), None)
    assert {secret.name for secret in plan.secrets} == {"default", "ROOTCA"}


def test_tls_of_others_is_the_applications_own_where_it_speaks_no_http():
    mutual, others, plain = chains_of(
        captured(a_local("db", a_port(5432, "tcp", protocol="TCP")), with_identity()), 5432
    )

    assert (mutual.match.alpn, mutual.tls.alpn) == (MESH_ALPNS, ("istio",))
    assert (others.match.transport, others.match.alpn, others.tls) == ("tls", (), None)
    assert plain.match.transport == "raw_buffer"


def test_what_is_nobodys_is_told_apart_the_same_way_so_that_it_takes_nothing_that_a_port_refuses():
    mutual, others, plain = chains_of(captured(a_local(), with_identity()), None)

    assert (mutual.match.alpn, mutual.tls.validation) == (MESH_ALPNS, "ROOTCA")
    assert (others.match.transport, others.tls) == ("tls", None)
    assert plain.match.transport == "raw_buffer"


def test_without_any_certificate_nothing_is_inspected():
    plan = captured(a_local("db", a_port(5432, "tcp", protocol="TCP")))

    assert all(chain.match.transport is None for chain in virtual(plan).chains)
    assert plan.secrets == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"service_account": "reviews"},
        {"labels": {"security.istio.io/tlsMode": "istio"}},
    ],
)
@pytest.mark.spec("W-7")
def test_a_host_has_a_certificate_when_clients_open_tls_to_it_of_themselves(asked):
    def chains(**mesh: Any):
        return chains_of(captured(a_local(endpoints=(an_endpoint("10.0.0.1", **asked),)), a_mesh_config(**mesh)), 9080)

    assert len(chains()) == 2
    assert len(chains(auto_mtls=False)) == 1


def test_a_host_has_a_certificate_when_a_rule_sends_clients_to_it_with_theirs():
    tls = TrafficPolicy(tls=ClientTLSSettings(mode="ISTIO_MUTUAL"))
    block = TrafficPolicy(port_level_settings=(_block(9080, tls=ClientTLSSettings(mode="ISTIO_MUTUAL")),))

    for policy in (tls, block):
        plan = captured(a_local(), a_destination_rule("reviews", traffic_policy=policy))
        assert len(chains_of(plan, 9080)) == 2


def _block(number: int, **given: Any) -> PortTrafficPolicy:
    return PortTrafficPolicy(port=PortSelector(number=number), **given)


def test_a_service_account_elsewhere_says_nothing_of_this_host():
    plan = captured(a_local(), a_local("other", endpoints=(an_endpoint("10.0.0.9", service_account="other"),)))

    assert len(chains_of(plan, 9080)) == 1


@pytest.mark.parametrize(("number", "protocol"), [(3306, "TCP"), (9306, "MYSQL"), (27017, "MONGO")])
def test_where_the_server_speaks_first_no_client_is_waited_for(number, protocol):
    plan = captured(a_local("db", a_port(number, "db", protocol=protocol)), with_identity())

    (chain,) = chains_of(plan, number)
    assert chain.match.transport is None
    assert number in virtual(plan).server_first


def test_unless_its_clients_open_the_meshs_tls():
    peer = an_endpoint("10.0.0.1", service_account="db")
    plan = captured(a_local("db", a_port(3306, "db", protocol="MYSQL"), endpoints=(peer,)))

    assert len(chains_of(plan, 3306)) == 3
    assert virtual(plan).server_first == (21, 25, 110, 143, 587)


# --- connection pools (D-45) ----------------------------------------------------------------------------------


def pool(connections: int = 7, **http: Any) -> ConnectionPoolSettings:
    tcp = TCPSettings(max_connections=connections, connect_timeout=timedelta(seconds=3))
    return ConnectionPoolSettings(tcp=tcp, http=HTTPSettings(**http) if http else None)


@pytest.mark.spec("D-45")
def test_the_pool_of_a_rule_and_its_retry_budget_act_on_the_servers_side_too_and_nothing_else_of_it():
    policy = TrafficPolicy(
        connection_pool=pool(http1_max_pending_requests=5),
        retry_budget=AskedBudget(percent=10.0),
        outlier_detection=OutlierDetection(),
        load_balancer=LoadBalancerSettings(simple="RANDOM"),
    )
    inbound = cluster(captured(a_local(), a_destination_rule(traffic_policy=policy)), "inbound|9080||")

    assert inbound.circuit_breakers.max_connections == 7
    assert inbound.circuit_breakers.max_pending_requests == 5
    assert inbound.connect_timeout == timedelta(seconds=3)
    assert inbound.retry_budget == RetryBudget(percent=10.0)
    assert inbound.outlier_detection is None


@pytest.mark.spec("D-45")
def test_the_block_of_the_services_port_is_what_counts():
    policy = TrafficPolicy(
        connection_pool=pool(7), port_level_settings=(_block(80, connection_pool=pool(3)), _block(9080))
    )
    service = a_local("reviews", a_port(80, target_port=9080))

    inbound = cluster(captured(service, a_destination_rule(traffic_policy=policy)), "inbound|9080||")

    assert inbound.circuit_breakers.max_connections == 3


@pytest.mark.spec("D-45")
def test_a_rule_for_selected_clients_has_no_part_in_it():
    rule = a_destination_rule(
        traffic_policy=TrafficPolicy(connection_pool=pool()), workload_selector=LabelSelector(match_labels={})
    )

    assert cluster(captured(a_local(), rule), "inbound|9080||").circuit_breakers.max_connections == UNLIMITED


@pytest.mark.spec("D-40")
def test_what_the_server_speaks_is_not_for_its_clients_to_raise():
    rule = a_destination_rule(traffic_policy=TrafficPolicy(connection_pool=pool(h2_upgrade_policy="UPGRADE")))

    assert cluster(captured(a_local(), rule), "inbound|9080||").http.protocol == "http1"


@pytest.mark.spec("D-45")
def test_the_pool_acts_on_tcp_chains():
    tcp = TCPSettings(idle_timeout=timedelta(minutes=5), max_connection_duration=timedelta(hours=2))
    rule = a_destination_rule("db", traffic_policy=TrafficPolicy(connection_pool=ConnectionPoolSettings(tcp=tcp)))

    (chain,) = chains_of(captured(a_local("db", a_port(5432, "tcp", protocol="TCP")), rule), 5432)

    assert (chain.idle_timeout, chain.max_connection_duration) == (timedelta(minutes=5), timedelta(hours=2))


@pytest.mark.spec("SC-9")
def test_a_sidecars_pool_replaces_that_of_the_rule_whole():
    rule = a_destination_rule(traffic_policy=TrafficPolicy(connection_pool=pool(7, http1_max_pending_requests=5)))
    sidecar = a_sidecar("default", "*/*", inbound_connection_pool=pool(3))

    inbound = cluster(captured(a_local(), rule, sidecar), "inbound|9080||")

    assert inbound.circuit_breakers.max_connections == 3
    assert inbound.circuit_breakers.max_pending_requests == UNLIMITED


# --- probed workloads (W-17) ----------------------------------------------------------------------------------


def a_probed_service(**more: Any):
    return (
        a_group(tcp_socket=TCPHealthCheckConfig(port=9080)),
        a_service_entry("reviews", ports=(a_port(9080),), workload_selector=_selector(app="reviews")),
        a_mesh_config(auto_mtls=False),
    )


@pytest.mark.spec("W-17")
def test_a_probed_workload_is_called_by_its_address_so_that_it_can_be_taken_away():
    plan = captured(*a_probed_service(), annotations=MEMBER, metadata_labels={"app": "reviews"})

    assert cluster(plan, "inbound|9080||").discovery == ByEds()
    (assigned,) = [each for each in plan.endpoints if each.cluster == "inbound|9080||"]
    assert assigned.endpoints == (Endpoint(address=IpAddress(ip="10.0.0.1"), port=9080, workload="default/vm-1"),)
    assert assigned.drops_unhealthy


def test_where_two_addresses_answer_at_one_number_the_client_knows_which_it_means():
    second = a_workload_entry(
        "second", "10.0.0.2", annotations={**MEMBER, "meshd.io/host": "vm-1"}, metadata_labels={"app": "reviews"}
    )

    plan = captured(*a_probed_service(), second, annotations=MEMBER, metadata_labels={"app": "reviews"})

    assert cluster(plan, "inbound|9080||").discovery == OriginalDestination()


# --- from pass to pass ----------------------------------------------------------------------------------------


def test_the_listener_is_the_same_object_until_something_of_this_host_changes():
    memo = Memo()
    mine = a_local()
    entry = a_workload_entry()

    def pass_with(*others: Resource) -> Listener:
        found = virtual(compile_plan(a_mesh(entry, mine, *others, memo=memo), HOST, CAPTURE, memo).plans[0])
        memo.turn()
        return found

    before = pass_with(a_service_entry("other"))

    assert pass_with(a_service_entry("other", ports=(a_port(81),)), a_service_entry("more")) is before
