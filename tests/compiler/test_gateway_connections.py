"""TCP and TLS servers of a gateway: which connections go where (spec 4.2, 4.3, 5.10, 5.11, X-8, X-10)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.names import ListenerName
from meshd.plan import HttpChain, InternalAddress, InternalBind, OriginalDestination, TcpChain, Tunnel
from meshd.resources.destination_rule import ProxyProtocol, TrafficPolicy, TunnelSettings
from meshd.resources.gateway import Gateway, Server
from meshd.resources.l4_routes import RouteDestination, TCPRoute
from meshd.resources.mesh_config import Network, NetworkGateway
from meshd.resources.resource import WorkloadSelector
from meshd.resources.server_tls import ServerTLSSettings
from meshd.resources.traffic_policy import ClientTLSSettings
from meshd.resources.virtual_service import VirtualService
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_gateway,
    a_mesh_config,
    a_port,
    a_route,
    a_server,
    a_service_entry,
    a_subset,
    a_virtual_service,
    an_endpoint,
)
from tests.compiler.gateways import (
    EDGE,
    REVIEWS,
    STORE,
    a_gateway_plan,
    a_tcp_route,
    a_tls_route,
    chains,
    compiled_gateway,
    taken_to,
    tcp_chains,
    the_listener,
)
from tests.compiler.plans import codes, listener

CREDENTIAL = ServerTLSSettings(mode="SIMPLE", credential_name="shop")
MIRROR = a_service_entry("mirror", ports=(a_port(5432, "tcp"),), endpoints=(an_endpoint("10.0.0.3"),))
TO_STORE, TO_MIRROR = ("outbound|5432||store.shop",), ("outbound|5432||mirror.shop",)


def bound(name: str = "store", *rules: Any, **given: Any) -> VirtualService:
    """TLS or TCP rules for `<name>.example` at Gateway `default/front`."""
    kind = "tcp" if rules and isinstance(rules[0], TCPRoute) else "tls"
    defaults = {"hosts": (f"{name}.example",), "gateways": ("front",), "http": (), kind: rules}
    return a_virtual_service(name, **{**defaults, **given})


def tls_front(*hosts: str, tls: Any = "PASSTHROUGH", protocol: str = "TLS"):
    return a_gateway("front", a_server(443, protocol, *hosts, tls=tls))


# --- passed on ------------------------------------------------------------------------------------------------


@pytest.mark.spec("X-8", "V-4", "V-100", "V-101", "V-104", "G-4.2")
@pytest.mark.parametrize("protocol", ["TLS", "HTTPS"])
def test_tls_that_is_passed_on_goes_by_the_name_the_client_asks_for(protocol: str):
    front = tls_front("*.example", protocol=protocol)
    rules = bound(
        "store",
        a_tls_route("store.example", "*.store.example"),
        a_tls_route("mirror.example", to=a_destination("mirror.shop")),
        hosts=("*.example",),
    )

    plan = a_gateway_plan(STORE, MIRROR, front, rules)

    found = tcp_chains(plan, "0.0.0.0_443")
    assert taken_to(found) == [
        (("store.example", "*.store.example"), TO_STORE),
        (("mirror.example",), TO_MIRROR),
    ]
    assert all(chain.tls is None for chain in found)
    assert plan.secrets == ()


@pytest.mark.spec("V-101")
@pytest.mark.parametrize(
    ("server", "sni", "asked"),
    [
        ("a.example", "*.example", ("a.example",)),
        ("*.example", "a.example", ("a.example",)),
        ("*", "*.example", ("*.example",)),
        ("shop/*", "a.example", ()),
    ],
)
def test_of_server_and_client_the_narrower_name_is_meant(server: str, sni: str, asked: tuple[str, ...]):
    plan = a_gateway_plan(STORE, tls_front(server), bound("store", a_tls_route(sni), hosts=("*.example",)))

    assert [chain.match.server_names for each in plan.listeners for chain in each.chains] == ([asked] if asked else [])


@pytest.mark.spec("V-101")
def test_every_name_is_told_by_the_handshake_alone():
    plan = a_gateway_plan(STORE, tls_front("*"), bound("store", a_tls_route("*"), hosts=("*",)))

    (chain,) = tcp_chains(plan, "0.0.0.0_443")
    assert (chain.match.server_names, chain.match.transport) == ((), "tls")


@pytest.mark.spec("V-101")
def test_of_two_rules_for_one_name_the_first_has_it():
    both = bound(
        "store",
        a_tls_route("a.example", "b.example"),
        a_tls_route("b.example", "c.example", to=a_destination("mirror.shop")),
        hosts=("*.example",),
    )

    plan = a_gateway_plan(STORE, MIRROR, tls_front("*"), both)

    assert taken_to(tcp_chains(plan, "0.0.0.0_443")) == [
        (("a.example", "b.example"), TO_STORE),
        (("c.example",), TO_MIRROR),
    ]


@pytest.mark.spec("V-102", "V-103")
@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ({"port": 443}, True),
        ({"port": 8443}, False),
        ({"gateways": ("front",)}, True),
        ({"gateways": ("mesh",)}, False),
        ({"source_labels": EDGE}, True),
        ({"gateways": ("front",), "source_labels": {"app": "web"}}, False),
        ({"source_namespace": "edge"}, True),
        ({"source_namespace": "shop"}, False),
    ],
)
def test_all_conditions_of_a_connection_must_hold(match: dict[str, Any], taken: bool):
    rules = bound("store", a_tls_route("store.example", destination_subnets=("10.0.0.0/8", "10.1.1.1"), **match))

    plan = a_gateway_plan(STORE, tls_front("*"), rules)

    found = [chain.match for each in plan.listeners for chain in each.chains]
    assert [match.prefix_ranges for match in found] == ([("10.0.0.0/8", "10.1.1.1/32")] if taken else [])


def test_a_listener_that_could_take_nothing_is_not_opened():
    assert a_gateway_plan(tls_front("*")).listeners == ()


# --- TLS that ends here ---------------------------------------------------------------------------------------


@pytest.mark.spec("V-5", "G-4.2")
def test_bytes_behind_tls_go_by_tcp_rules():
    plan = a_gateway_plan(STORE, tls_front("a.example", "shop/b.example", tls=CREDENTIAL), bound("a", a_tcp_route()))

    (chain,) = tcp_chains(plan, "0.0.0.0_443")
    assert taken_to([chain]) == [(("a.example", "b.example"), TO_STORE)]
    assert chain.tls is not None
    assert (chain.tls.alpn, len(plan.secrets)) == ((), 1)


def test_behind_tls_each_virtual_service_has_its_names_and_the_first_the_rest():
    plan = a_gateway_plan(
        STORE,
        MIRROR,
        tls_front("*.example", tls=CREDENTIAL),
        bound("store", a_tcp_route()),
        bound("mirror", a_tcp_route(a_destination("mirror.shop"))),
    )

    assert taken_to(tcp_chains(plan, "0.0.0.0_443")) == [
        (("mirror.example",), TO_MIRROR),
        (("store.example",), TO_STORE),
        (("*.example",), TO_MIRROR),
    ]


def test_servers_that_end_tls_and_that_do_not_share_a_port():
    front = a_gateway(
        "front",
        a_server(443, "HTTPS", "web.example", tls=CREDENTIAL, port_name="web"),
        a_server(443, "TLS", "store.example", tls="PASSTHROUGH"),
    )

    plan = a_gateway_plan(STORE, front, bound("store", a_tls_route("store.example")))

    assert [(type(chain).__name__, chain.match.server_names) for chain in chains(plan, "0.0.0.0_443")] == [
        ("HttpChain", ("web.example",)),
        ("TcpChain", ("store.example",)),
    ]
    assert not the_listener(plan).ordered


@pytest.mark.spec("V-102")
@pytest.mark.parametrize("host", ["web.example", "*"])
def test_a_rule_for_an_address_hides_no_server_of_https(host: str):
    """Envoy looks at addresses first, and would not come back from there for the name."""
    front = a_gateway(
        "front",
        a_server(443, "HTTPS", host, tls=CREDENTIAL, port_name="web"),
        a_server(443, "TLS", "store.example", tls="PASSTHROUGH"),
    )
    wide, narrow = (
        a_tls_route("store.example", destination_subnets=(subnet,)) for subnet in ("10.0.0.0/8", "10.1.0.0/16")
    )

    listener = the_listener(a_gateway_plan(STORE, front, bound("store", wide, narrow)))

    assert listener.ordered
    assert [chain.match.prefix_ranges for chain in listener.chains if isinstance(chain, TcpChain)] == [
        ("10.0.0.0/8",),
        ("10.1.0.0/16",),
    ]
    assert [chain.match.server_names for chain in listener.chains if isinstance(chain, HttpChain)] == [
        () if host == "*" else (host,)
    ]
    assert host != "*" or isinstance(listener.chains[-1], HttpChain)


def test_a_name_whose_tls_ends_here_is_not_passed_on_by_a_wildcard_too():
    front = a_gateway(
        "front",
        a_server(443, "TLS", "*.example", tls="PASSTHROUGH"),
        a_server(443, "HTTPS", "web.example", tls=CREDENTIAL, port_name="web"),
    )
    rules = bound("store", a_tls_route("web.example"), a_tls_route("web.example", "a.example"), hosts=("*.example",))

    result = compiled_gateway(STORE, front, rules)

    assert codes(result) == ["W-VS-UNREACHABLE"]
    web, a = chains(result.plans[0], "0.0.0.0_443")
    assert (web.match.server_names, a.match.server_names) == (("web.example",), ("a.example",))


# --- plain connections ----------------------------------------------------------------------------------------


@pytest.mark.spec("V-5", "V-114")
def test_a_tcp_server_takes_what_its_rule_says_by_weight():
    to = (
        RouteDestination(destination=a_destination("store.shop"), weight=3),
        RouteDestination(destination=a_destination("mirror.shop"), weight=1),
    )
    front = a_gateway("front", a_server(5432, "TCP"))

    plan = a_gateway_plan(STORE, MIRROR, front, bound("store", TCPRoute(route=to)))

    (chain,) = tcp_chains(plan, "0.0.0.0_5432")
    assert [(to.cluster, to.weight) for to in chain.destinations] == [(TO_STORE[0], 3), (TO_MIRROR[0], 1)]


@pytest.mark.spec("V-110", "V-111", "V-112", "V-113")
def test_every_rule_and_every_condition_of_a_connection_counts():
    front = a_gateway("front", a_server(5432, "TCP"))
    rules = bound(
        "store",
        a_tcp_route(source_subnet="10.9.0.0/16"),
        a_tcp_route(a_destination("mirror.shop"), port=1),
        a_tcp_route(source_labels={"app": "web"}),
        a_tcp_route(gateways=("mesh",)),
        a_tcp_route(a_destination("mirror.shop"), port=5432, gateways=("front",), source_labels=EDGE),
    )

    plan = a_gateway_plan(STORE, MIRROR, front, rules)

    found = tcp_chains(plan, "0.0.0.0_5432")
    assert [(chain.match.source_prefix_ranges, chain.destinations[0].cluster) for chain in found] == [
        (("10.9.0.0/16",), TO_STORE[0]),
        ((), TO_MIRROR[0]),
    ]


def test_an_earlier_wider_rule_is_kept_before_a_later_narrower_one():
    front = a_gateway("front", a_server(5432, "TCP"))

    def plan(first: str, second: str):
        rules = bound(
            "store",
            a_tcp_route(destination_subnets=(first,)),
            a_tcp_route(a_destination("mirror.shop"), destination_subnets=(second,)),
        )
        return the_listener(a_gateway_plan(STORE, MIRROR, front, rules))

    assert plan("10.0.0.0/8", "10.1.0.0/16").ordered
    assert not plan("10.1.0.0/16", "10.0.0.0/8").ordered


@pytest.mark.spec("D-90", "X-11")
def test_a_tunnel_is_that_of_the_destination():
    policy = TrafficPolicy(tunnel=TunnelSettings(target_host="far.example", target_port=9))
    rule = a_destination_rule("store", traffic_policy=policy)

    plan = a_gateway_plan(STORE, rule, a_gateway("front", a_server(5432, "TCP")), bound("store", a_tcp_route()))

    (chain,) = tcp_chains(plan, "0.0.0.0_5432")
    assert chain.tunnel == Tunnel(authority="far.example:9")


def test_a_connection_that_leads_nowhere_is_closed_and_told():
    hidden = a_service_entry("store", export_to=(".",), ports=(a_port(5432, "tcp"),))

    result = compiled_gateway(hidden, a_gateway("front", a_server(5432, "TCP")), bound("store", a_tcp_route()))

    assert codes(result) == ["W-VS-DEST-HIDDEN"]
    (chain,) = tcp_chains(result.plans[0], "0.0.0.0_5432")
    assert chain.destinations == ()


# --- AUTO_PASSTHROUGH -----------------------------------------------------------------------------------------


@pytest.mark.spec("G-4.2")
def test_services_of_the_mesh_are_reached_by_the_name_that_its_clients_ask_for():
    local = {"location": "MESH_INTERNAL", "endpoints": (an_endpoint(),)}
    inside = a_service_entry("reviews", hosts=("reviews.local",), **local)
    tls = TrafficPolicy(tls=ClientTLSSettings(mode="SIMPLE"))
    rule = a_destination_rule("reviews", a_subset("V1"), host="reviews.local", traffic_policy=tls)
    others = (
        a_service_entry("away", hosts=("away.local",), location="MESH_EXTERNAL", endpoints=(an_endpoint(),)),
        a_service_entry("remote", hosts=("remote.example",), **local),
        a_service_entry("hidden", hosts=("hidden.local",), export_to=(".",), **local),
        a_service_entry("any", hosts=("*.any.local",), **local),
    )

    plan = a_gateway_plan(inside, rule, *others, tls_front("*.local", tls="AUTO_PASSTHROUGH"))

    found = tcp_chains(plan, "0.0.0.0_443")
    assert taken_to(found) == [
        (("outbound_.80_._.reviews.local",), ("outbound_.80_._.reviews.local",)),
        (("outbound_.80_.v1_.reviews.local",), ("outbound_.80_.V1_.reviews.local",)),
    ]
    assert {"istio", "istio-h2"} <= set(found[0].match.alpn)
    assert [(each.name, each.tls, each.mesh_tls, each.http) for each in plan.clusters] == [
        ("outbound_.80_.V1_.reviews.local", None, None, None),
        ("outbound_.80_._.reviews.local", None, None, None),
    ]
    assert [len(each.endpoints) for each in plan.endpoints] == [0, 1]
    assert plan.secrets == ()


@pytest.mark.spec("G-4.2", "W-4")
def test_what_is_passed_on_stays_in_the_network_of_the_gateway():
    far = an_endpoint("10.1.0.1", network="west", service_account="web")
    near = an_endpoint("10.0.0.1", network="east", service_account="web")
    inside = a_service_entry("web", hosts=("web.local",), location="MESH_INTERNAL", endpoints=(near, far))
    west = Network(gateways=(NetworkGateway(address="192.0.2.1"),))
    front = a_gateway("front", a_server(443, "TLS", "*.local", tls="AUTO_PASSTHROUGH"), a_server(80))
    to_it = a_virtual_service("web", a_route(a_destination("web.local")), hosts=("web.example",), gateways=("front",))

    plan = a_gateway_plan(inside, front, to_it, a_mesh_config(networks={"west": west}), network="east")

    assert {each.cluster: [to.address.ip for to in each.endpoints] for each in plan.endpoints} == {
        "outbound_.80_._.web.local": ["10.0.0.1"],
        "outbound|80||web.local": ["10.0.0.1", "192.0.2.1"],
    }


# --- by address, behind a PROXY header ------------------------------------------------------------------

ITS_SERVICE = a_service_entry(
    "edge",
    namespace="edge",
    hosts=("edge.example",),
    ports=(a_port(5432, "tcp"), a_port(80, "http")),
    workload_selector=WorkloadSelector(labels=EDGE),
)
BLOCK = a_service_entry("block", addresses=("192.0.2.0/24",), ports=(a_port(5432, "tcp"),), resolution="NONE")
BY_ADDRESS = bound("block", a_tcp_route(a_destination("block.shop"), destination_subnets=("192.0.2.0/24",)))


def proxied(*, subset: bool):
    policy = TrafficPolicy(proxy_protocol=ProxyProtocol(version="V2"))
    if subset:
        return a_destination_rule("edge", a_subset("proxied", policy), host="edge.example", namespace="edge")
    return a_destination_rule("edge", host="edge.example", namespace="edge", traffic_policy=policy)


@pytest.mark.spec("X-10", "D-91", "S-8")
@pytest.mark.parametrize("subset", [False, True])
def test_connections_go_where_their_proxy_header_says(subset: bool):
    front = a_gateway("front", a_server(5432, "TCP"), a_server(80))
    led = a_virtual_service("led", tcp=(a_tcp_route(a_destination("edge.example", "proxied", 5432)),), http=())

    plan = a_gateway_plan(ITS_SERVICE, BLOCK, proxied(subset=subset), front, BY_ADDRESS, *(led,) * subset)

    by_name = {each.name: each for each in plan.listeners}
    assert by_name["0.0.0.0_5432"].proxy_protocol
    assert by_name["0.0.0.0_80"].proxy_protocol is not subset
    (chain,) = tcp_chains(plan, "0.0.0.0_5432")
    assert chain.match.prefix_ranges == ("192.0.2.0/24",)
    (cluster,) = plan.clusters
    assert (cluster.name, cluster.discovery) == ("outbound|5432||block.shop", OriginalDestination())


@pytest.mark.spec("X-10")
def test_a_subset_to_which_no_route_leads_says_nothing_of_a_servers_connections():
    plan = a_gateway_plan(
        ITS_SERVICE, STORE, proxied(subset=True), a_gateway("front", a_server(5432, "TCP")),
        bound("store", a_tcp_route()),
    )  # fmt: skip

    assert not the_listener(plan).proxy_protocol


def expecting(name: str, *servers: Server, ports: tuple[int, ...] = (5432,)) -> Gateway:
    """A Gateway that says in its extras at which ports connections begin with a PROXY header."""
    extras = json.dumps({"proxyProtocolPorts": ports})
    return a_gateway(name, *servers, annotations={"meshd.io/extras": extras})


def by_block(name: str, block: str) -> VirtualService:
    route = a_tcp_route(a_destination(f"{name}.shop"), destination_subnets=(block,))
    return bound(name, route, gateways=(name,))


def a_block(name: str):
    port = a_port(5432, "tcp")
    return a_service_entry(name, resolution="NONE", ports=(port,), addresses=("192.0.2.0/24",), endpoints=())


@pytest.mark.spec("X-10", "C-EG-10")
def test_several_gateways_share_a_port_by_the_addresses_in_proxy_headers():
    plan = a_gateway_plan(
        a_block("one"), expecting("one", a_server(5432, "TCP")), by_block("one", "192.0.2.0/24"),
        a_block("two"), expecting("two", a_server(5432, "MONGO")), by_block("two", "2001:db8::/32"),
    )  # fmt: skip

    assert the_listener(plan).proxy_protocol
    chains = tcp_chains(plan, "0.0.0.0_5432")
    assert [chain.match.prefix_ranges for chain in chains] == [("192.0.2.0/24",), ("2001:db8::/32",)]
    assert {cluster.discovery for cluster in plan.clusters} == {OriginalDestination()}


@pytest.mark.spec("X-10", "C-EG-10")
@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
def test_requests_and_connections_with_a_proxy_header_share_a_port(protocol: str):
    tls = "ISTIO_MUTUAL" if protocol == "HTTPS" else None
    web = a_gateway("web", a_server(5432, protocol, "web.example", tls=tls))
    plan = a_gateway_plan(
        REVIEWS, web, a_virtual_service("web", a_route(), hosts=("web.example",), gateways=("web",)),
        a_block("one"), expecting("one", a_server(5432, "TCP")), by_block("one", "192.0.2.0/24"),
    )  # fmt: skip

    inside = ListenerName("0.0.0.0_5432_proxied")
    outer, inner = listener(plan, "0.0.0.0_5432"), listener(plan, inside)
    requests, rest = outer.chains
    assert isinstance(requests, HttpChain)
    assert rest.match.transport == ("raw_buffer" if tls else None)
    assert (outer.proxy_protocol, inner.proxy_protocol, inner.bind) == (False, True, InternalBind())
    assert [chain.match.prefix_ranges for chain in inner.chains] == [("192.0.2.0/24",)]
    (lead,) = (each for each in plan.endpoints if each.cluster == inside)
    assert [endpoint.address for endpoint in lead.endpoints] == [InternalAddress(listener=inside)]


@pytest.mark.spec("X-10", "X-7")
def test_behind_the_header_may_be_tls_of_the_mesh():
    front = expecting("one", a_server(5432, "TLS", "one.example", tls="ISTIO_MUTUAL"))

    plan = a_gateway_plan(a_block("one"), front, by_block("one", "192.0.2.0/24"))

    (chain,) = tcp_chains(plan, "0.0.0.0_5432")
    assert the_listener(plan).proxy_protocol
    assert (chain.match.prefix_ranges, chain.match.server_names) == (("192.0.2.0/24",), ("one.example",))
    assert chain.tls is not None
    assert chain.tls.requires_client_certificate


@pytest.mark.spec("X-10")
def test_bytes_without_a_header_cannot_be_told_from_those_with_one():
    result = compiled_gateway(
        a_block("one"), expecting("one", a_server(5432, "TCP")), by_block("one", "192.0.2.0/24"),
        STORE, a_gateway("two", a_server(5432, "TCP")), bound("store", a_tcp_route(), gateways=("two",)),
    )  # fmt: skip

    assert codes(result) == ["E-GW-PORT-CONFLICT"]


@pytest.mark.spec("X-10")
def test_without_a_proxy_header_there_is_no_address_to_go_to():
    result = compiled_gateway(BLOCK, a_gateway("front", a_server(5432, "TCP")), BY_ADDRESS)

    assert codes(result) == ["E-SE-NONE-NOCAPTURE"]
