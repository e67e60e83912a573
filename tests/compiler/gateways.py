"""A gateway and its plan: what the tests of the gateway's compiler ask for."""

from __future__ import annotations

from typing import Any

from meshd.compiler import Compiled, compile_plan
from meshd.memo import Memo
from meshd.names import HostName
from meshd.plan import FilterChain, HttpChain, Listener, ProxyPlan, RouteTable, TcpChain, VirtualHost
from meshd.resources.destination import Destination
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.resource import Resource
from tests.builders import a_destination, a_mesh, a_port, a_service_entry, a_workload_entry, an_endpoint
from tests.compiler.plans import REACH, listener

HOST = HostName("gw-1")
EDGE = {"istio": "ingressgateway"}
REVIEWS = a_service_entry("reviews", endpoints=(an_endpoint(),))
STORE = a_service_entry("store", ports=(a_port(5432, "tcp"),), endpoints=(an_endpoint("10.0.0.2"),))


def compiled_gateway(*resources: Resource, memo: Memo | None = None, **workload: Any) -> Compiled:
    """For host `gw-1`, a gateway in namespace `edge`; `workload` says otherwise."""
    memo = memo or Memo()
    given = {"labels": EDGE, "namespace": "edge", "address": "10.0.0.9", **workload}
    return compile_plan(a_mesh(a_workload_entry("gw-1", **given), *resources, memo=memo), HOST, REACH, memo)


def a_gateway_plan(*resources: Resource, **more: Any) -> ProxyPlan:
    result = compiled_gateway(*resources, **more)
    assert not result.problems, [str(problem) for problem in result.problems]
    (plan,) = result.plans
    assert plan.proxy == "gateway"
    return plan


def names(plan: ProxyPlan) -> list[str]:
    return [each.name for each in plan.listeners]


def chains(plan: ProxyPlan, name: str) -> tuple[FilterChain, ...]:
    return listener(plan, name).chains


def http_chain(plan: ProxyPlan, name: str) -> HttpChain:
    (chain,) = chains(plan, name)
    assert isinstance(chain, HttpChain)
    return chain


def tcp_chains(plan: ProxyPlan, name: str) -> list[TcpChain]:
    found = chains(plan, name)
    assert all(isinstance(chain, TcpChain) for chain in found)
    return [chain for chain in found if isinstance(chain, TcpChain)]


def taken_to(found: list[TcpChain]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The server names of each chain, and where it leads."""
    return [(chain.match.server_names, tuple(to.cluster for to in chain.destinations)) for chain in found]


def hosts(plan: ProxyPlan, table: str) -> dict[str, VirtualHost]:
    """By domain."""
    found: RouteTable = next(each for each in plan.route_tables if each.name == table)
    return {domain: each for each in found.virtual_hosts for domain in each.domains}


def a_tls_route(*sni_hosts: str, to: Destination | None = None, **match: Any) -> TLSRoute:
    wanted = TLSMatchAttributes(sni_hosts=sni_hosts, **match)
    return TLSRoute(match=(wanted,), route=(RouteDestination(destination=to or a_destination("store.shop")),))


def a_tcp_route(to: Destination | None = None, **match: Any) -> TCPRoute:
    wanted = (L4MatchAttributes(**match),) if match else ()
    return TCPRoute(match=wanted, route=(RouteDestination(destination=to or a_destination("store.shop")),))


def the_listener(plan: ProxyPlan) -> Listener:
    (found,) = plan.listeners
    return found
