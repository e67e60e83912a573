"""MongoDB and Redis: where Envoy's filters for them stand, and where they would do harm."""

from __future__ import annotations

from typing import Literal

import pytest

from meshd.compiler import Reach
from meshd.plan import TcpChain
from meshd.resources import traffic_policy as tp
from meshd.resources.destination_rule import TrafficPolicy, TunnelSettings
from meshd.resources.l4_routes import RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.mesh_config import Features
from meshd.resources.resource import Resource
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_gateway,
    a_mesh_config,
    a_port,
    a_server,
    a_service_entry,
    a_virtual_service,
    an_endpoint,
)
from tests.compiler.gateways import a_gateway_plan, tcp_chains
from tests.compiler.plans import compiled

Protocol = Literal["MONGO", "REDIS", "MYSQL"]
ON = a_mesh_config(features=Features(mongo=True, redis=True))


def a_store(protocol: Protocol, name: str = "store", **more: object) -> Resource:
    given = {"addresses": ("10.96.0.1",), "endpoints": (an_endpoint("10.0.0.2"),), **more}
    return a_service_entry(name, ports=(a_port(7000, "db", protocol=protocol),), **given)


def a_tcp_route(*hosts: str, **more: object) -> Resource:
    to = tuple(RouteDestination(destination=a_destination(host), weight=1) for host in hosts)
    return a_virtual_service("store", http=(), tcp=(TCPRoute(route=to),), **more)


def sent(*resources: Resource) -> TcpChain:
    """How captured connections to the first store are passed on."""
    (plan,) = compiled(*resources, reach=Reach(capture="nftables")).plans
    chains = (chain for each in plan.listeners for chain in each.chains if isinstance(chain, TcpChain))
    return next(chain for chain in chains if chain.destinations[0].cluster == "outbound|7000||store.shop")


@pytest.mark.parametrize(("protocol", "by"), [("MONGO", "mongo"), ("REDIS", "redis"), ("MYSQL", None)])
def test_they_are_looked_into_where_the_mesh_says_so(protocol: Protocol, by: str | None):
    assert sent(a_store(protocol), ON).filtered == by
    assert sent(a_store(protocol)).filtered is None


@pytest.mark.parametrize(("protocol", "by"), [("MONGO", "mongo"), ("REDIS", None)])
def test_redis_is_spoken_to_one_cluster(protocol: Protocol, by: str | None):
    other = a_store(protocol, "other", addresses=("10.96.0.2",))

    shared = sent(a_store(protocol), other, ON, a_tcp_route("store.shop", "other.shop", hosts=("store.shop",)))

    assert len(shared.destinations) == 2
    assert shared.filtered == by


@pytest.mark.parametrize(("protocol", "by"), [("MONGO", "mongo"), ("REDIS", None)])
def test_redis_is_not_spoken_where_connections_go_to_the_address_that_was_dialled(protocol: Protocol, by: str | None):
    passthrough = tp.LoadBalancerSettings(simple="PASSTHROUGH")
    rule = a_destination_rule("store", traffic_policy=TrafficPolicy(load_balancer=passthrough))

    assert sent(a_store(protocol), rule, ON).filtered == by


@pytest.mark.parametrize(("protocol", "by"), [("MONGO", "mongo"), ("REDIS", None)])
def test_redis_is_not_spoken_into_a_tunnel(protocol: Protocol, by: str | None):
    tunnel = TrafficPolicy(tunnel=TunnelSettings(target_host="db.example.com", target_port=7000))

    chain = sent(a_store(protocol), a_destination_rule("store", traffic_policy=tunnel), ON)

    assert (chain.filtered, chain.tunnel is None) == (by, False)


@pytest.mark.parametrize(("protocol", "by"), [("MONGO", "mongo"), ("REDIS", "redis")])
def test_a_gateway_looks_into_what_it_leads_to(protocol: Protocol, by: str):
    front = a_gateway("front", a_server(7000, protocol, "store.shop"))
    route = a_tcp_route("store.shop", hosts=("store.shop",), gateways=("front",))

    (chain,) = tcp_chains(a_gateway_plan(a_store(protocol), front, route, ON), "0.0.0.0_7000")

    assert chain.filtered == by


def test_a_gateway_does_not_look_into_tls_that_it_passes_on():
    front = a_gateway("front", a_server(443, "TLS", "store.shop", tls="PASSTHROUGH"))
    route = TLSRoute(
        match=(TLSMatchAttributes(sni_hosts=("store.shop",)),),
        route=(RouteDestination(destination=a_destination("store.shop")),),
    )
    bound = a_virtual_service("store", http=(), tls=(route,), hosts=("store.shop",), gateways=("front",))

    (chain,) = tcp_chains(a_gateway_plan(a_store("MONGO"), front, bound, ON), "0.0.0.0_443")

    assert chain.filtered is None
