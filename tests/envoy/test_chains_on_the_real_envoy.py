"""Which chain a connection goes down: the real Envoy decides by the listeners that we render."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.names import ListenerName, RouteTableName
from meshd.plan import (
    ChainMatch,
    Cluster,
    ClusterEndpoints,
    DynamicDns,
    Endpoint,
    HttpChain,
    InternalAddress,
    InternalBind,
    Listener,
    OriginalDestination,
    Respond,
    SocketBind,
    TcpChain,
    Tunnel,
    UnixBind,
    UpstreamHttp,
)
from tests.envoy.plans import a_cluster, a_forward, a_plan, a_route, a_table, a_virtual_host, at, endpoints_of, to
from tests.envoy.process import ask, running
from tests.envoy.tcp import client_hello, proxied, saying, told
from tests.ports import free_port

pytestmark = pytest.mark.envoy

NAMES = ("first", "second", "third")


@pytest.fixture
def backends() -> Iterator[dict[str, int]]:
    """The ports of three that say their names."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(saying(name)) for name in NAMES}


def a_chain(cluster: str, *, name: str = "", **match: object) -> TcpChain:
    return TcpChain(destinations=(to(cluster),), stat_prefix=name or cluster, match=ChainMatch(**match))  # type: ignore[arg-type]


def a_listener(port: int, *chains: TcpChain | HttpChain, **fields: object) -> Listener:
    described = {"name": ListenerName(f"l{port}"), "bind": SocketBind(ip="127.0.0.1", port=port), "chains": chains}
    return Listener(**{**described, **fields})  # type: ignore[arg-type]


def bootstrap(
    settings: BootstrapSettings,
    backends: dict[str, int],
    *listeners: Listener,
    clusters: tuple[Cluster, ...] = (),
    endpoints: tuple[ClusterEndpoints, ...] = (),
) -> bytes:
    everything = replace(a_virtual_host("all", a_route(Respond(status=418))), domains=("*",))
    plan = a_plan(
        clusters=(*(a_cluster(name) for name in backends), *clusters),
        endpoints=tuple(endpoints_of(name, at("127.0.0.1", port)) for name, port in backends.items()) + endpoints,
        listeners=listeners,
        route_tables=(a_table(everything, name="http"),),
    )
    return fallback(render(plan, Memo()), assignments(plan, {}, Memo()), settings)


@pytest.mark.spec("X-10")
def test_a_proxy_header_says_where_the_connection_was_going(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    port = free_port()
    there = a_cluster("there", discovery=OriginalDestination())
    inside = a_chain("there", prefix_ranges=("127.0.0.0/8",))
    gateway = a_listener(port, inside, side="gateway", proxy_protocol=True)

    with running(envoy_binary, bootstrap(settings, backends, gateway, clusters=(there,)), settings):
        restored = [told(port, begins=proxied("127.0.0.1", backends[name])) for name in NAMES]
        elsewhere = told(port, begins=proxied("10.9.9.9", backends["first"]))
        without = told(port, begins=b"GET / HTTP/1.1")

    assert restored == list(NAMES)
    assert (elsewhere, without) == ("", "")


def test_an_internal_listener_is_where_endpoints_of_the_same_proxy_lead(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    inside = a_listener(0, a_chain("second"), name=ListenerName("inside"), bind=InternalBind())
    outside = a_listener(free_port(), a_chain("through"))
    leads_inside = Endpoint(address=InternalAddress(listener=ListenerName("inside"), endpoint_id="x"), port=0)
    through = endpoints_of("through", leads_inside)
    clusters = (a_cluster("through"),)

    text = bootstrap(settings, backends, outside, inside, clusters=clusters, endpoints=(through,))
    with running(envoy_binary, text, settings):
        assert told(outside.bind.port) == "second"


@pytest.mark.spec("V-110", "V-112")
def test_ordered_chains_are_tried_as_they_are_written(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    wide, narrow = (
        a_chain("first", prefix_ranges=("10.0.0.0/8", "fd00::/8")),
        a_chain("second", prefix_ranges=("10.1.1.1",)),
    )
    by_source = a_chain("third", prefix_ranges=("10.0.0.0/8",), source_prefix_ranges=("192.0.2.128/25",))
    by_port = a_chain("third", name="by-port", destination_port=7000)
    rest = a_chain("second", name="rest")
    ordered = a_listener(free_port(), by_source, wide, narrow, by_port, rest, proxy_protocol=True, ordered=True)
    closed = a_listener(free_port(), wide, narrow, proxy_protocol=True, ordered=True)
    specific = a_listener(free_port(), wide, narrow, proxy_protocol=True)

    with running(envoy_binary, bootstrap(settings, backends, ordered, closed, specific), settings):
        port = ordered.bind.port
        assert told(port, begins=proxied("10.1.1.1", 80)) == "first"
        assert told(port, begins=proxied("10.1.1.1", 80, source="192.0.2.200")) == "third"
        assert told(port, begins=proxied("172.16.0.1", 7000)) == "third"
        assert told(port, begins=proxied("172.16.0.1", 80)) == "second"
        assert told(closed.bind.port, begins=proxied("172.16.0.1", 80)) == ""
        assert told(specific.bind.port, begins=proxied("10.1.1.1", 80)) == "second"


def test_ordered_chains_look_at_names_and_offers_too(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    chains = (
        a_chain("first", server_names=("a.shop", "*.b.shop")),
        a_chain("second", transport="tls", alpn=("istio", "h2")),
        a_chain("third", transport="raw_buffer"),
    )
    listener = a_listener(free_port(), *chains, ordered=True)

    with running(envoy_binary, bootstrap(settings, backends, listener), settings):
        port = listener.bind.port
        assert hello(port, "a.shop") == "first"
        assert hello(port, "x.b.shop") == "first"
        assert hello(port, "b.shop") == ""
        assert hello(port, "b.shop", alpn=["h2"]) == "second"
        assert told(port) == "third"


def hello(port: int, name: str, alpn: list[str] | None = None) -> str:
    """Which backend got the ClientHello, as it is."""
    return told(port, begins=client_hello(name, alpn))


@pytest.mark.spec("V-101")
def test_tls_by_name_http_and_plain_bytes_share_a_port(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    http = HttpChain(route_table=RouteTableName("http"), stat_prefix="http")
    by_name = a_chain("first", server_names=("a.shop",))
    by_wildcard = a_chain("second", server_names=("*.shop",))
    listener = a_listener(free_port(), http, by_name, by_wildcard, a_chain("third"))

    with running(envoy_binary, bootstrap(settings, backends, listener), settings):
        port = listener.bind.port
        assert hello(port, "a.shop") == "first"
        assert hello(port, "b.shop") == "second"
        assert hello(port, "elsewhere") == "third"
        assert told(port) == "third"
        assert ask(port).status == 418


def test_tls_that_no_chain_names_is_closed_where_only_http_is_beside(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    http = HttpChain(route_table=RouteTableName("http"), stat_prefix="http")
    listener = a_listener(free_port(), http, a_chain("first", server_names=("a.shop",)))

    with running(envoy_binary, bootstrap(settings, backends, listener), settings):
        assert hello(listener.bind.port, "a.shop") == "first"
        assert hello(listener.bind.port, "b.shop") == ""
        assert ask(listener.bind.port).status == 418


def test_a_connection_is_handed_to_the_listener_of_its_destination(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    """A PROXY header restores the destination here, as a redirect by the kernel does in production."""
    virtual = a_listener(free_port(), a_chain("third"), hands_over=True, proxy_protocol=True)
    exact = a_listener(0, a_chain("first"), bound=False, bind=SocketBind(ip="10.1.1.1", port=7000))
    any_address = a_listener(1, a_chain("second"), bound=False, bind=SocketBind(ip="0.0.0.0", port=7000))

    with running(envoy_binary, bootstrap(settings, backends, exact, any_address, virtual), settings):
        port = virtual.bind.port
        assert told(port, begins=proxied("10.1.1.1", 7000)) == "first"
        assert told(port, begins=proxied("10.2.2.2", 7000)) == "second"
        assert told(port, begins=proxied("10.2.2.2", 7001)) == "third"


def test_a_chain_without_destinations_closes_the_connection(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int]
):
    nowhere = TcpChain(destinations=(), stat_prefix="nowhere", match=ChainMatch(prefix_ranges=("10.0.0.0/8",)))
    listener = a_listener(free_port(), nowhere, a_chain("first"), proxy_protocol=True)

    with running(envoy_binary, bootstrap(settings, backends, listener), settings):
        assert told(listener.bind.port, begins=proxied("10.0.0.1", 80)) == ""
        assert told(listener.bind.port, begins=proxied("172.16.0.1", 80)) == "first"


def test_listeners_on_unix_sockets_and_ipv6_take_connections(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int], short_tmp: Path
):
    port, path = free_port(), str(short_tmp / "app.sock")
    on_ipv6 = a_listener(port, a_chain("first"), bind=SocketBind(ip="::1", port=port))
    on_unix = a_listener(0, a_chain("second"), bind=UnixBind(path=path))

    with running(envoy_binary, bootstrap(settings, backends, on_ipv6, on_unix), settings):
        assert told(port, host="::1") == "first"
        assert told(path) == "second"


@pytest.mark.spec("D-90", "X-11")
@pytest.mark.parametrize(("use_post", "method"), [(False, b"CONNECT db:5432 HTTP/1.1"), (True, b"POST / HTTP/1.1")])
def test_bytes_go_through_a_tunnel(
    envoy_binary: Path,
    settings: BootstrapSettings,
    use_post: bool,
    method: bytes,
):
    heard: list[bytes] = []
    through = replace(a_chain("proxy"), tunnel=Tunnel(authority="db:5432", use_post=use_post))
    listener = a_listener(free_port(), through)

    with (
        saying("proxy", heard) as proxy,
        running(envoy_binary, bootstrap(settings, {"proxy": proxy}, listener), settings),
    ):
        told(listener.bind.port)

    assert heard == [method]


@pytest.mark.spec("X-9")
def test_a_name_is_looked_up_as_it_is_asked_for(
    envoy_binary: Path, settings: BootstrapSettings, backends: dict[str, int], backend: int
):
    anywhere = a_cluster("anywhere", discovery=DynamicDns(), http=UpstreamHttp())
    http = HttpChain(route_table=RouteTableName("any"), stat_prefix="http", dynamic_dns=True)
    by_sni = replace(a_chain("sni"), sni_dns_port=backends["second"])
    host, sni = a_listener(free_port(), http), a_listener(free_port(), by_sni)
    table = replace(a_virtual_host("all", a_route(a_forward("anywhere"))), domains=("*",))
    plan = a_plan(
        clusters=(anywhere, a_cluster("sni", discovery=DynamicDns())),
        listeners=(host, sni),
        route_tables=(a_table(table, name="any"),),
    )

    with running(envoy_binary, fallback(render(plan, Memo()), (), settings), settings):
        assert ask(host.bind.port, host=f"localhost:{backend}").status == 200
        assert hello(sni.bind.port, "localhost") == "second"
