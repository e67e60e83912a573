"""The route of a tls or tcp rule: to which clusters connections go, and what the chain itself takes from policies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.compiler.connections.connections import connection_chain
from meshd.compiler.destinations import Destinations, destination_hosts
from meshd.compiler.host import host_of
from meshd.compiler.view import View
from meshd.memo import Memo
from meshd.plan import ChainMatch, TcpChain, Tunnel
from meshd.problems import NOWHERE, Problems
from meshd.resources import traffic_policy as tp
from meshd.resources.destination import PortSelector
from meshd.resources.destination_rule import PortTrafficPolicy, TrafficPolicy, TunnelSettings
from meshd.resources.l4_routes import RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_mesh,
    a_port,
    a_service_entry,
    a_subset,
    a_virtual_service,
    a_workload_entry,
)
from tests.compiler.plans import HOST

TCP = (a_port(5432, "tcp"),)
TUNNEL = TunnelSettings(target_host="db.example.com", target_port=5432)


def to(host: str, weight: int = 0, subset: str | None = None) -> RouteDestination:
    return RouteDestination(destination=a_destination(host, subset), weight=weight)


def chain(route: tuple[RouteDestination, ...], *resources) -> tuple[TcpChain, Problems]:
    """Of a VirtualService in namespace `default`, on port 5432."""
    memo = Memo()
    mesh = a_mesh(a_workload_entry(), *resources, memo=memo)
    host = host_of(mesh, HOST, memo)
    assert host
    view = View(mesh, host, memo)
    upstreams = tuple(view.upstream(service) for found in mesh.services.values() for service in found)
    destinations = Destinations(a_virtual_service(), "svc.cluster.local", 5432, upstreams)
    return connection_chain(route, destinations, match=ChainMatch(), stat_prefix="outbound", origin=NOWHERE)


def sent(chain: TcpChain) -> list[tuple[str, int]]:
    return [(each.cluster, each.weight) for each in chain.destinations]


@pytest.mark.spec("V-53", "V-104")
def test_connections_are_shared_by_weight_and_no_weight_is_no_share():
    services = [a_service_entry(name, ports=TCP) for name in ("a", "b", "c")]

    shared, problems = chain((to("a.shop", 3), to("b.shop", 0), to("c.shop", 1)), *services)
    alone, _ = chain((to("a.shop", 0),), *services)

    assert problems == ()
    assert sent(shared) == [("outbound|5432||a.shop", 3), ("outbound|5432||c.shop", 1)]
    assert sent(alone) == [("outbound|5432||a.shop", 100)]


@pytest.mark.spec("D-14", "D-33", "D-34")
def test_what_lives_on_the_chain_is_the_first_destinations():
    pool = tp.ConnectionPoolSettings(
        tcp=tp.TCPSettings(idle_timeout=timedelta(), max_connection_duration=timedelta(hours=8))
    )
    hashing = tp.LoadBalancerSettings(consistent_hash=tp.ConsistentHashLB(use_source_ip=True))
    policy = TrafficPolicy(connection_pool=pool, load_balancer=hashing)
    mesh = (*(a_service_entry(name, ports=TCP) for name in "ab"), a_destination_rule("a", traffic_policy=policy))

    first, _ = chain((to("a.shop", 1), to("b.shop", 1)), *mesh)
    second, _ = chain((to("b.shop", 1), to("a.shop", 1)), *mesh)

    assert (first.idle_timeout, first.max_connection_duration) == (timedelta(), timedelta(hours=8))
    assert first.hash_source_ip
    assert (second.idle_timeout, second.max_connection_duration) == (timedelta(hours=1), None)
    assert not second.hash_source_ip


@pytest.mark.spec("D-90")
def test_connections_to_a_tunnel_are_carried_in_requests():
    def rule(**tunnel):
        return a_destination_rule("a", traffic_policy=TrafficPolicy(tunnel=TunnelSettings(**tunnel)))

    by_connect, _ = chain((to("a.shop"),), a_service_entry("a", ports=TCP), rule(target_host="x.com", target_port=443))
    by_post, _ = chain(
        (to("a.shop"),), a_service_entry("a", ports=TCP), rule(target_host="::1", target_port=1, protocol="POST")
    )

    assert by_connect.tunnel == Tunnel(authority="x.com:443")
    assert by_post.tunnel == Tunnel(authority="[::1]:1", use_post=True)


@pytest.mark.spec("D-90")
def test_a_subset_has_its_own_tunnel_or_none_and_next_to_others_the_first_rules():
    rule = a_destination_rule(
        "a", "v1", a_subset("v2", TrafficPolicy(tunnel=TUNNEL)), traffic_policy=TrafficPolicy(tunnel=TUNNEL)
    )
    mesh = (a_service_entry("a", ports=TCP), a_service_entry("b", ports=TCP), rule)

    assert chain((to("a.shop", subset="v1"),), *mesh)[0].tunnel is None
    assert chain((to("a.shop", subset="v2"),), *mesh)[0].tunnel
    assert chain((to("a.shop", 1, subset="v1"), to("b.shop", 1)), *mesh)[0].tunnel
    assert chain((to("b.shop", 1), to("a.shop", 1)), *mesh)[0].tunnel is None


@pytest.mark.spec("D-90", "D-93")
def test_a_block_for_the_port_leaves_the_tunnel():
    block = PortTrafficPolicy(port=PortSelector(number=5432), connection_pool=tp.ConnectionPoolSettings())
    policy = TrafficPolicy(tunnel=TUNNEL, port_level_settings=(block,))

    tunnelled, _ = chain(
        (to("a.shop"),), a_service_entry("a", ports=TCP), a_destination_rule("a", traffic_policy=policy)
    )

    assert tunnelled.tunnel == Tunnel(authority="db.example.com:5432")


def test_a_destination_out_of_reach_closes_the_whole_route():
    hidden = a_service_entry("b", ports=TCP, namespace="other", export_to=(".",))
    nowhere = a_service_entry("c", ports=(a_port(1, "tcp-a"), a_port(2, "tcp-b")))

    closed, problems = chain((to("a.shop", 1), to("c.shop", 1)), a_service_entry("a", ports=TCP), hidden, nowhere)

    assert closed.destinations == ()
    assert [each.code for each in problems] == ["W-VS-DEST-PORT"]


@pytest.mark.spec("SC-13")
def test_the_destinations_of_all_rules_count():
    tls = TLSRoute(match=(TLSMatchAttributes(sni_hosts=("a.shop",)),), route=(to("b.shop"),))
    rule = a_virtual_service("a", tls=(tls,), tcp=(TCPRoute(route=(to("c.shop"),)),))

    assert destination_hosts(rule, "svc.cluster.local") == ("a.shop", "b.shop", "c.shop")
