"""Where applications reach the sidecar: the HTTP proxy port and the egress listeners of a Sidecar."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.compiler import Reach
from meshd.plan import ChainMatch, HttpChain, SocketBind, TcpChain, UnixBind
from meshd.resources import traffic_policy as tp
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.sidecar import IstioEgressListener, SidecarPort
from tests.builders import a_destination_rule, a_mesh_config, a_port, a_service_entry, a_sidecar
from tests.compiler.plans import a_plan, codes, compiled, listener, table

EVERYTHING = ("*/*",)


def egress(number: int = 0, protocol: str = "HTTP", *, hosts: tuple[str, ...] = EVERYTHING, **more: object):
    port = SidecarPort(number=number, protocol=protocol) if protocol else None
    return IstioEgressListener(port=port, hosts=hosts, **more)


def a_sidecar_with(*entries: IstioEgressListener):
    return a_sidecar(egress=entries)


def names(plan) -> list[str]:
    return [each.name for each in plan.listeners]


def test_without_a_sidecar_only_the_http_proxy_port_is_bound():
    plan = a_plan(a_service_entry(), a_service_entry("db", ports=(a_port(5432, "tcp"),)))

    (only,) = plan.listeners
    (chain,) = only.chains
    assert only.bind == SocketBind(ip="127.0.0.1", port=15080)
    assert chain == HttpChain(route_table="http_proxy", stat_prefix="outbound_127.0.0.1_15080", absolute_urls=True)
    assert len(plan.clusters) == 2


def test_the_http_proxy_port_is_the_meshs_then_the_hosts_then_none():
    config = a_mesh_config(http_proxy_port=3128)

    assert names(a_plan(config, reach=Reach(http_proxy_port=0))) == ["127.0.0.1_3128"]
    assert names(a_plan(reach=Reach(http_proxy_port=8118))) == ["127.0.0.1_8118"]
    assert names(a_plan(reach=Reach(http_proxy_port=0))) == []


def test_an_http_listener_routes_by_the_table_of_its_port():
    services = [a_service_entry(ports=(a_port(9080),)), a_service_entry("other", ports=(a_port(9081),))]

    plan = a_plan(*services, a_sidecar_with(egress(9080, hosts=("*/reviews.shop",), bind="127.0.0.2")))

    (chain,) = listener(plan, "127.0.0.2_9080").chains
    assert isinstance(chain, HttpChain)
    assert (chain.route_table, chain.absolute_urls) == ("9080", False)
    assert table(plan, "9080").ignore_port
    assert [each.domains for each in table(plan, "9080").virtual_hosts] == [("reviews.shop", "reviews.shop."), ("*",)]


def test_an_explicit_proxy_may_be_a_listener_of_the_sidecar_and_takes_the_port():
    plan = a_plan(a_service_entry(), a_sidecar_with(egress(15080, "http_proxy")))

    (chain,) = listener(plan, "127.0.0.1_15080").chains
    assert (chain.route_table, chain.absolute_urls) == ("15080", True)
    assert len(plan.listeners) == 1


def test_a_listener_may_be_a_unix_socket():
    plan = a_plan(a_service_entry(ports=(a_port(8080),)), a_sidecar_with(egress(0, bind="unix:///run/mesh.sock")))

    socket = listener(plan, "unix:///run/mesh.sock")
    assert socket.bind == UnixBind(path="/run/mesh.sock")
    assert socket.chains[0].route_table == "unix:///run/mesh.sock"
    assert table(plan, "unix:///run/mesh.sock").virtual_hosts[0].name == "reviews.shop:8080"


def test_tcp_goes_to_the_service_and_further_ones_are_shadowed():
    pool = tp.ConnectionPoolSettings(
        tcp=tp.TCPSettings(idle_timeout=timedelta(), max_connection_duration=timedelta(hours=8))
    )
    services = [a_service_entry(name, ports=(a_port(5432, "tcp"),)) for name in ("a", "b")]
    rule = a_destination_rule("a", traffic_policy=TrafficPolicy(connection_pool=pool))

    result = compiled(*services, rule, a_sidecar_with(egress(5432, "TCP")))

    (chain,) = listener(result.plans[0], "127.0.0.1_5432").chains
    assert isinstance(chain, TcpChain)
    assert chain.destinations[0].cluster == "outbound|5432||a.shop"
    assert (chain.idle_timeout, chain.max_connection_duration) == (timedelta(), timedelta(hours=8))
    assert codes(result) == ["W-SC-SHADOWED"]


def test_bytes_are_hashed_by_who_connected_where_the_service_asks_for_it():
    hashing = tp.LoadBalancerSettings(consistent_hash=tp.ConsistentHashLB(use_source_ip=True))
    services = [a_service_entry(name, ports=(a_port(port, "tcp"),)) for name, port in (("a", 5432), ("b", 5433))]
    rule = a_destination_rule("a", traffic_policy=TrafficPolicy(load_balancer=hashing))

    plan = a_plan(*services, rule, a_sidecar_with(egress(protocol="")))

    assert listener(plan, "127.0.0.1_5432").chains[0].hash_source_ip
    assert not listener(plan, "127.0.0.1_5433").chains[0].hash_source_ip


@pytest.mark.spec("X-4")
def test_tls_is_told_by_server_name():
    services = [a_service_entry(name, ports=(a_port(443, "tls"),)) for name in ("a", "b")]

    plan = a_plan(*services, a_sidecar_with(egress(443, "TLS")))

    chains = listener(plan, "127.0.0.1_443").chains
    assert [(each.match.server_names, each.destinations[0].cluster) for each in chains] == [
        (("a.shop",), "outbound|443||a.shop"),
        (("b.shop",), "outbound|443||b.shop"),
    ]


def test_a_server_name_that_envoy_refuses_is_left_out_and_said():
    partial = a_service_entry("a", hosts=("*a.shop",), ports=(a_port(443, "tls"),))

    result = compiled(partial, a_sidecar_with(egress(443, "TLS")))

    assert names(result.plans[0]) == ["127.0.0.1_15080"]
    assert codes(result) == ["W-SC-EMPTY", "W-SC-SERVER-NAME"]


def test_a_service_whose_port_speaks_something_else_is_left_out_and_said():
    services = [a_service_entry(ports=(a_port(9080),)), a_service_entry("raw", ports=(a_port(9080, "tcp"),))]

    result = compiled(*services, a_sidecar_with(egress(9080)))

    assert [each.name for each in table(result.plans[0], "9080").virtual_hosts] == ["reviews.shop:9080", "block_all"]
    assert codes(result) == ["W-SC-PORT-PROTOCOL"]


def test_an_entry_without_port_binds_each_service_port_that_is_left():
    services = [
        a_service_entry(ports=(a_port(9080), a_port(9090, "grpc"))),
        a_service_entry("db", ports=(a_port(5432, "tcp"),)),
        a_service_entry("none", ports=(a_port(7000),), resolution="NONE"),
    ]

    plan = a_plan(*services, a_sidecar_with(egress(9080, bind="127.0.0.3"), egress(protocol="")))

    assert names(plan) == ["127.0.0.1_15080", "127.0.0.1_5432", "127.0.0.1_9090", "127.0.0.3_9080"]


@pytest.mark.spec("SC-11")
def test_http_tls_and_other_bytes_share_a_bound_port():
    services = [
        a_service_entry(ports=(a_port(7000),)),
        a_service_entry("secure", ports=(a_port(7000, "tls"),)),
        a_service_entry("raw", ports=(a_port(7000, "tcp"),)),
    ]

    plan = a_plan(*services, a_sidecar_with(egress(protocol="")))

    assert [(type(each), each.match) for each in listener(plan, "127.0.0.1_7000").chains] == [
        (TcpChain, ChainMatch(server_names=("secure.shop",))),
        (HttpChain, ChainMatch(transport="raw_buffer", alpn=("http/1.1", "h2c"))),
        (TcpChain, ChainMatch()),
    ]
    assert table(plan, "7000").virtual_hosts[0].name == "reviews.shop:7000"


def test_tls_and_other_bytes_share_a_port_unless_the_server_speaks_first():
    def mesh(number: int, name: str):
        tls = a_service_entry("a", ports=(a_port(number, "tls"),))
        return (tls, a_service_entry("b", ports=(a_port(number, name),)), a_sidecar_with(egress(protocol="")))

    shared = listener(a_plan(*mesh(7000, "tcp")), "127.0.0.1_7000").chains

    assert [each.match.server_names for each in shared] == [("a.shop",), ()]
    assert codes(compiled(*mesh(25, "tcp"))) == ["E-PORT-SERVER-FIRST"]
    assert codes(compiled(*mesh(7000, "mysql"))) == ["E-PORT-SERVER-FIRST"]


def test_grpc_web_is_translated_where_a_service_speaks_it():
    services = [a_service_entry(ports=(a_port(9080, "grpc-web"), a_port(9081)))]

    plan = a_plan(*services, a_sidecar_with(egress(9080), egress(9081)))

    assert listener(plan, "127.0.0.1_9080").chains[0].grpc_web
    assert not listener(plan, "127.0.0.1_9081").chains[0].grpc_web


def test_an_entry_that_counts_on_capture_is_told_that_there_is_none():
    result = compiled(a_service_entry(), a_sidecar_with(egress(80, capture_mode="IPTABLES")))

    assert codes(result) == ["W-SC-CAPTURE"]


@pytest.mark.parametrize("hosts", [("*/reviews.shop",), ("*/*", "~*/other.shop")])
def test_the_http_proxy_port_offers_what_all_entries_import(hosts: tuple[str, ...]):
    plan = a_plan(a_service_entry(), a_service_entry("other"), a_sidecar_with(egress(8080, hosts=hosts)))

    assert [each.name for each in table(plan).virtual_hosts] == ["reviews.shop:80", "block_all"]
