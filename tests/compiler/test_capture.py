"""Redirected connections: handed to the listener of the address that they were going to, whatever it is bound to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.compiler import Reach
from meshd.plan import ChainMatch, Forward, HttpChain, Listener, OriginalDestination, SocketBind, TcpChain
from meshd.resources import traffic_policy as tp
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.sidecar import OutboundTrafficPolicy
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_mesh_config,
    a_port,
    a_route,
    a_service_entry,
    a_sidecar,
    a_virtual_service,
)
from tests.compiler.outbound import CAPTURE, chains, egress, led, tcp, tcp_rules
from tests.compiler.plans import a_plan, cluster, codes, compiled, forwarded, listener, routes, table

PASSTHROUGH = TrafficPolicy(load_balancer=tp.LoadBalancerSettings(simple="PASSTHROUGH"))


def outwards(plan) -> list[Listener]:
    return [each for each in plan.listeners if each.side == "outbound"]


def names(plan) -> list[str]:
    return [each.name for each in outwards(plan)]


def captured(*resources, **more):
    return a_plan(*resources, reach=CAPTURE, **more)


# --- where connections come in --------------------------------------------------------------------------------


@pytest.mark.spec("SC-16")
def test_what_is_captured_is_handed_to_who_stands_for_its_address():
    plan = captured(a_service_entry())

    here = listener(plan, "virtualOutbound")
    assert here.bind == SocketBind(ip="0.0.0.0", port=15001)
    assert (here.bound, here.captures, here.hands_over) == (True, True, True)
    assert led(here) == [("15001", "BlackHoleCluster"), ("*", "BlackHoleCluster")]
    port = listener(plan, "0.0.0.0_80")
    assert (port.bound, port.captures, port.hands_over) == (False, False, False)
    assert names(plan) == ["0.0.0.0_80", "virtualOutbound"]


def test_the_port_of_the_capture_is_the_meshs():
    plan = captured(a_mesh_config(proxy_listen_port=16001))

    assert listener(plan, "virtualOutbound").bind == SocketBind(ip="0.0.0.0", port=16001)
    assert listener(plan, "virtualOutbound").chains[0].match == ChainMatch(destination_port=16001)


def test_each_family_of_addresses_that_the_host_has_is_captured():
    six = captured(a_service_entry(), address="fd00::1")
    fours = captured(a_service_entry(ports=(a_port(5432, "tcp"),), addresses=("fd00::9",)))

    assert [(each.name, each.bind.ip) for each in outwards(six)] == [("::_80", "::"), ("virtualOutbound_ipv6", "::")]
    assert names(fours) == ["virtualOutbound"]


def test_without_capture_nothing_of_it_is_there():
    plan = a_plan(a_service_entry(), reach=Reach(http_proxy_port=0))

    assert names(plan) == []
    assert [each.name for each in plan.clusters] == ["outbound|80||reviews.shop"]


# --- whose a port is ------------------------------------------------------------------------------------------


@pytest.mark.spec("S-2")
def test_http_services_share_a_port_and_are_told_by_host_and_address():
    plan = captured(a_service_entry(addresses=("10.1.1.1", "10.2.0.0/16")), a_service_entry("other"))

    (chain,) = chains(plan, "0.0.0.0_80")
    assert isinstance(chain, HttpChain)
    assert (chain.route_table, chain.match) == ("80", ChainMatch())
    assert [each.name for each in table(plan, "80").virtual_hosts] == ["other.shop:80", "reviews.shop:80", "block_all"]
    assert "10.1.1.1" in table(plan, "80").virtual_hosts[1].domains


@pytest.mark.spec("C-EG-06", "SC-14")
@pytest.mark.parametrize(
    ("mode", "last"), [("REGISTRY_ONLY", []), ("ALLOW_ANY", [(ChainMatch(transport="tls"), "PassthroughCluster")])]
)
def test_tls_at_a_port_of_requests_is_unknown_traffic_which_may_be_let_pass(mode, last):
    plan = captured(a_service_entry(), a_mesh_config(outbound_traffic_policy=OutboundTrafficPolicy(mode=mode)))

    requests, *others = listener(plan, "0.0.0.0_80").chains
    assert isinstance(requests, HttpChain)
    assert [(chain.match, chain.destinations[0].cluster) for chain in others] == last


@pytest.mark.spec("S-2")
def test_tcp_belongs_to_the_addresses_of_its_service():
    services = [
        a_service_entry("vip", ports=(a_port(5432, "tcp"),), addresses=("10.1.1.1", "10.1.1.2/32")),
        a_service_entry("block", ports=(a_port(5432, "tcp"),), addresses=("10.2.0.0/16",)),
        a_service_entry("bare", ports=(a_port(5432, "tcp"),)),
    ]

    plan = captured(*services)

    assert led(listener(plan, "10.1.1.1_5432")) == [("*", "outbound|5432||vip.shop")]
    assert listener(plan, "10.1.1.2_5432").bind == SocketBind(ip="10.1.1.2", port=5432)
    assert led(listener(plan, "0.0.0.0_5432")) == [
        ("10.2.0.0/16", "outbound|5432||block.shop"),
        ("*", "outbound|5432||bare.shop"),
    ]


@pytest.mark.spec("S-2", "S-5")
def test_of_two_services_without_address_the_older_has_the_port():
    services = [a_service_entry(name, ports=(a_port(5432, "tcp"),)) for name in ("a", "b")]
    older = replace(services[1], metadata=replace(services[1].metadata, creation_timestamp="2020-01-01T00:00:00Z"))

    by_name = compiled(*services, reach=CAPTURE)
    by_age = compiled(services[0], older, reach=CAPTURE)

    assert codes(by_name) == codes(by_age) == ["W-SC-SHADOWED"]
    assert led(listener(by_name.plans[0], "0.0.0.0_5432")) == [("*", "outbound|5432||a.shop")]
    assert led(listener(by_age.plans[0], "0.0.0.0_5432")) == [("*", "outbound|5432||b.shop")]


def test_an_address_that_two_services_have_belongs_to_the_first():
    services = [
        a_service_entry("a", ports=(a_port(5432, "tcp"),), addresses=("10.2.0.0/16",)),
        a_service_entry("b", ports=(a_port(5432, "tcp"),), addresses=("10.2.0.0/16", "10.3.0.0/16")),
    ]

    result = compiled(*services, reach=CAPTURE)

    assert codes(result) == ["W-SC-SHADOWED"]
    assert led(listener(result.plans[0], "0.0.0.0_5432"))[:2] == [
        ("10.2.0.0/16", "outbound|5432||a.shop"),
        ("10.3.0.0/16", "outbound|5432||b.shop"),
    ]


@pytest.mark.spec("S-2")
def test_tls_is_told_by_name_where_a_service_has_no_address_of_its_own():
    services = [
        a_service_entry("bare", ports=(a_port(443, "tls"),)),
        a_service_entry("block", ports=(a_port(443, "tls"),), addresses=("10.2.0.0/16",)),
        a_service_entry("vip", ports=(a_port(443, "tls"),), addresses=("10.1.1.1",)),
    ]

    plan = captured(*services)

    assert led(listener(plan, "0.0.0.0_443")) == [
        ("10.2.0.0/16 block.shop", "outbound|443||block.shop"),
        ("bare.shop", "outbound|443||bare.shop"),
        ("*", "BlackHoleCluster"),
    ]
    assert listener(plan, "0.0.0.0_443").ordered  # bare.shop may well live in 10.2.0.0/16
    assert led(listener(plan, "10.1.1.1_443")) == [("*", "outbound|443||vip.shop")]


def test_services_that_share_an_address_are_told_by_name_and_the_first_has_who_gives_none():
    services = [a_service_entry(name, ports=(a_port(443, "tls"),), addresses=("10.1.1.1",)) for name in ("a", "b")]
    raw = a_service_entry("raw", ports=(a_port(443, "tcp"),), addresses=("10.1.1.1",))

    plan = captured(*services, raw)

    assert led(listener(plan, "10.1.1.1_443")) == [
        ("a.shop", "outbound|443||a.shop"),
        ("tls", "outbound|443||a.shop"),
        ("b.shop", "outbound|443||b.shop"),
        ("*", "outbound|443||raw.shop"),
    ]


def test_http_shares_a_port_and_an_address_with_others():
    http = a_service_entry(ports=(a_port(9000),), addresses=("10.1.1.1",))
    raw = a_service_entry("raw", ports=(a_port(9000, "tcp"),), addresses=("10.1.1.1",))
    bare = a_service_entry("bare", ports=(a_port(9000, "tcp"),))

    plan = captured(http, raw, bare)

    for name, service in (("10.1.1.1_9000", "raw.shop"), ("0.0.0.0_9000", "bare.shop")):
        requests, rest = chains(plan, name)
        assert isinstance(requests, HttpChain)
        assert requests.match == ChainMatch(transport="raw_buffer", alpn=("http/1.1", "h2c"))
        assert (rest.match, rest.destinations[0].cluster) == (ChainMatch(), f"outbound|9000||{service}")


@pytest.mark.spec("S-13")
def test_who_speaks_first_cannot_share_a_port_but_has_its_own_address():
    def mesh(**more):
        return (a_service_entry(ports=(a_port(3306),)), a_service_entry("db", ports=(a_port(3306, "mysql"),), **more))

    assert codes(compiled(*mesh(), reach=CAPTURE)) == ["E-PORT-SERVER-FIRST"]
    assert codes(compiled(*mesh(addresses=("10.1.1.1",)), reach=CAPTURE)) == []


def test_the_proxys_own_ports_cannot_be_captured():
    result = compiled(a_service_entry(ports=(a_port(15001), a_port(15006, "tcp"))), reach=CAPTURE)

    assert codes(result) == ["W-SC-PORT-TAKEN", "W-SC-PORT-TAKEN"]
    assert names(result.plans[0]) == ["virtualOutbound"]


def test_nor_can_anything_else_be_bound_there():
    bound = egress(15006, bind="0.0.0.0", capture_mode="NONE")

    result = compiled(a_service_entry(), a_sidecar(egress=(bound,)), reach=replace(CAPTURE, http_proxy_port=15001))

    assert codes(result) == ["W-SC-PORT-TAKEN", "W-SC-PORT-TAKEN"]
    assert names(result.plans[0]) == ["virtualOutbound"]
    assert names(a_plan(a_sidecar(egress=(bound,)))) == ["0.0.0.0_15006", "127.0.0.1_15080"]


def test_an_address_given_twice_is_one_address():
    twice = a_service_entry("db", ports=(a_port(5432, "tcp"),), addresses=("10.1.1.1", "10.1.1.1/32", "10.1.1.1"))

    assert led(listener(captured(twice), "10.1.1.1_5432")) == [("*", "outbound|5432||db.shop")]


@pytest.mark.spec("V-1")
def test_requests_to_a_network_are_its_virtual_services_whatever_their_host():
    rule = a_virtual_service("block", a_route(), hosts=("10.7.0.0/16", "10.8.8.8"))

    plan = captured(a_service_entry(ports=(a_port(9080),)), rule)

    blocks = [(each.match.prefix_ranges, each.route_table) for each in chains(plan, "0.0.0.0_80")[:2]]
    assert blocks == [(("10.7.0.0/16",), "80|10.7.0.0/16"), (("10.8.8.8/32",), "80|10.8.8.8")]
    (only,) = table(plan, "80|10.7.0.0/16").virtual_hosts
    assert only.domains == ("*",)
    assert forwarded(only.routes[0]).destinations[0].cluster == "outbound|9080||reviews.shop"
    assert table(plan, "80").virtual_hosts[0].domains == ("10.8.8.8",)


@pytest.mark.spec("V-1")
def test_a_host_that_only_a_virtual_service_knows_is_captured_on_port_80():
    plan = captured(
        a_service_entry(ports=(a_port(9080),)), a_virtual_service("ext", a_route(), hosts=("ext.example.com",))
    )

    assert [each.name for each in table(plan, "80").virtual_hosts] == ["ext.example.com:80", "block_all"]


# --- where the connection was going ---------------------------------------------------------------------------


@pytest.mark.spec("S-8", "S-6")
def test_a_service_without_endpoints_is_called_at_the_address_that_was_dialled():
    none = a_service_entry("ext", resolution="NONE", ports=(a_port(80), a_port(443, "tls", target_port=8443)))

    plan = captured(none)

    assert cluster(plan, "outbound|80||ext.shop").discovery == OriginalDestination()
    assert cluster(plan, "outbound|443||ext.shop").discovery == OriginalDestination(port=8443)
    assert forwarded(table(plan, "80").virtual_hosts[0].routes[0]).destinations[0].cluster == "outbound|80||ext.shop"
    assert led(listener(plan, "0.0.0.0_443"))[0] == ("ext.shop", "outbound|443||ext.shop")
    assert plan.endpoints[0].cluster == "BlackHoleCluster"


def test_several_hosts_of_one_entry_without_endpoints_are_no_rivals():
    none = a_service_entry("a", hosts=("a.shop", "b.shop"), resolution="NONE", ports=(a_port(5432, "tcp"),))

    assert led(listener(captured(none), "0.0.0.0_5432")) == [("*", "outbound|5432||a.shop")]


@pytest.mark.spec("S-8", "D-11")
def test_only_who_is_captured_can_call_what_has_no_address():
    none = a_service_entry("ext", resolution="NONE")
    blind = (a_service_entry("blind"), a_destination_rule("blind", traffic_policy=PASSTHROUGH))
    rules = [
        a_virtual_service(name, a_route(a_destination(f"{to}.shop"))) for name, to in (("x", "ext"), ("y", "blind"))
    ]
    mesh = (none, *blind, *rules)

    without = compiled(*mesh)
    with_capture = captured(*mesh)

    assert codes(without) == ["E-SE-NONE-NOCAPTURE", "E-SE-NONE-NOCAPTURE"]
    assert [each.name for each in without.plans[0].clusters] == []
    assert (
        forwarded(table(with_capture, "80").virtual_hosts[2].routes[0]).destinations[0].cluster
        == "outbound|80||ext.shop"
    )
    assert cluster(with_capture, "outbound|80||blind.shop").discovery == OriginalDestination()


def test_on_a_host_with_capture_the_http_proxy_says_that_it_has_none():
    rule = a_virtual_service("x", a_route(a_destination("ext.shop")))

    plan = a_plan(a_service_entry("ext", resolution="NONE"), rule, reach=Reach(capture="nftables"))

    assert routes(plan, "x.shop:80")[0].action.status == 503
    assert isinstance(table(plan, "80").virtual_hosts[1].routes[0].action, Forward)
    assert [each.name for each in table(plan).virtual_hosts] == ["x.shop:80", "block_all"]


def test_so_does_a_bound_listener_that_closes_its_connections():
    rules = tcp_rules("db", tcp(to="ext.shop"))
    mesh = (a_service_entry("ext", resolution="NONE"), a_service_entry("db", ports=(a_port(5432, "tcp"),)), rules)

    plan = captured(*mesh, a_sidecar(egress=(egress(5432, "TCP", capture_mode="NONE"),)))

    assert led(listener(plan, "127.0.0.1_5432")) == [("*", "")]


# --- what a Sidecar says --------------------------------------------------------------------------------------

HTTP_AND_TCP = (a_service_entry(ports=(a_port(9080),)), a_service_entry("db", ports=(a_port(5432, "tcp"),)))


@pytest.mark.spec("SC-10", "SC-12")
@pytest.mark.parametrize("mode", ["DEFAULT", "IPTABLES"])
def test_a_port_of_an_entry_is_captured_at_all_addresses(mode):
    services = (*HTTP_AND_TCP, a_service_entry("other", ports=(a_port(9080),)))
    entry = egress(9080, hosts=("*/reviews.shop",), capture_mode=mode)

    plan = captured(*services, a_sidecar(egress=(entry, egress(protocol=""))))

    assert names(plan) == ["0.0.0.0_5432", "0.0.0.0_9080", "virtualOutbound"]
    assert [each.name for each in table(plan, "9080").virtual_hosts] == ["reviews.shop:9080", "block_all"]


@pytest.mark.spec("SC-6", "SC-12", "SC-11")
def test_an_entry_that_wants_no_capture_is_bound():
    named, all_others = egress(9080, capture_mode="NONE"), egress(protocol="", capture_mode="NONE")

    plan = captured(*HTTP_AND_TCP, a_sidecar(egress=(named, all_others)))

    assert names(plan) == ["127.0.0.1_5432", "127.0.0.1_9080", "virtualOutbound"]
    assert all(each.bound for each in outwards(plan))


@pytest.mark.spec("SC-11")
def test_an_entry_with_an_address_captures_what_goes_there():
    entries = (egress(9080, bind="10.1.1.1"), egress(5432, "TCP", bind="10.1.1.2"))

    plan = captured(*HTTP_AND_TCP, a_sidecar(egress=entries))

    assert names(plan) == ["10.1.1.1_9080", "10.1.1.2_5432", "virtualOutbound"]
    assert not listener(plan, "10.1.1.1_9080").bound
    assert led(listener(plan, "10.1.1.2_5432")) == [("*", "outbound|5432||db.shop")]


@pytest.mark.spec("SC-12")
def test_clients_address_sockets_and_http_proxies_themselves():
    entries = (egress(0, bind="unix:///run/mesh.sock"), egress(3128, "HTTP_PROXY"))

    plan = captured(*HTTP_AND_TCP, a_sidecar(egress=entries))

    assert [(each.name, each.bound) for each in outwards(plan)] == [
        ("127.0.0.1_3128", True),
        ("unix:///run/mesh.sock", True),
        ("virtualOutbound", True),
    ]


def test_an_entry_that_offers_nothing_leaves_its_port_to_unknown_traffic():
    result = compiled(*HTTP_AND_TCP, a_sidecar(egress=(egress(5432, "TCP", hosts=("*/none.shop",)),)), reach=CAPTURE)

    assert names(result.plans[0]) == ["virtualOutbound"]


def test_tcp_rules_of_a_captured_entry_apply():
    rules = tcp_rules("db", tcp(to="reviews.shop", destination_subnets=("10.9.0.0/16",)))

    plan = captured(*HTTP_AND_TCP, rules, a_sidecar(egress=(egress(5432, "TCP"),)))

    assert led(listener(plan, "0.0.0.0_5432")) == [
        ("10.9.0.0/16", "outbound|9080||reviews.shop"),
        ("*", "outbound|5432||db.shop"),
    ]
    assert isinstance(chains(plan, "0.0.0.0_5432")[0], TcpChain)
