"""One VM and its plan: what the tests of the compiler ask for."""

from __future__ import annotations

from typing import Any

from meshd.compiler import Compiled, Reach, compile_plan
from meshd.memo import Memo
from meshd.names import HostName
from meshd.plan import Cluster, Endpoint, Forward, Listener, ProxyPlan, Route, RouteTable, VirtualHost
from meshd.resources.resource import Resource
from tests.builders import a_mesh, a_workload_entry

HOST = HostName("vm-1")
REACH = Reach()


def compiled(*resources: Resource, reach: Reach = REACH, memo: Memo | None = None, **workload: Any) -> Compiled:
    """For host `vm-1`, whose WorkloadEntry is there; `workload` says more of it."""
    memo = memo or Memo()
    return compile_plan(a_mesh(a_workload_entry(**workload), *resources, memo=memo), HOST, reach, memo)


def a_plan(*resources: Resource, **more: Any) -> ProxyPlan:
    result = compiled(*resources, **more)
    assert not result.problems, [str(problem) for problem in result.problems]
    (plan,) = result.plans
    return plan


def codes(result: Compiled) -> list[str]:
    return [problem.code for problem in result.problems]


def cluster(plan: ProxyPlan, name: str) -> Cluster:
    return next(each for each in plan.clusters if each.name == name)


def endpoints(plan: ProxyPlan, name: str) -> tuple[Endpoint, ...]:
    return next(each.endpoints for each in plan.endpoints if each.cluster == name)


def table(plan: ProxyPlan, name: str = "http_proxy") -> RouteTable:
    return next(each for each in plan.route_tables if each.name == name)


def virtual_host(plan: ProxyPlan, name: str = "reviews.shop:80", within: str = "http_proxy") -> VirtualHost:
    return next(each for each in table(plan, within).virtual_hosts if each.name == name)


def routes(plan: ProxyPlan, name: str = "reviews.shop:80") -> tuple[Route, ...]:
    return virtual_host(plan, name).routes


def forwarded(route: Route) -> Forward:
    assert isinstance(route.action, Forward)
    return route.action


def listener(plan: ProxyPlan, name: str) -> Listener:
    return next(each for each in plan.listeners if each.name == name)
