"""The recipes of docs/egress.md do what they say: which proxy calls whom, and who opens TLS."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from meshd.plan import Cluster, OriginalDestination, ProxyPlan, TcpChain, WeightedCluster
from tests.project.pages import section, shown

PAGE = "docs/egress.md"
GATEWAY = "istio-egressgateway.istio-system.svc.cluster.local"


def plans_of(recipe: str) -> dict[str, ProxyPlan]:
    return {plan.proxy: plan for plan in shown(section(PAGE, f"{recipe}. ")).plans}


def within(value: object, kind: type) -> Iterator[object]:
    """Everything of a kind in a part of a plan."""
    if isinstance(value, kind):
        yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from within(getattr(value, field.name), kind)
    elif isinstance(value, tuple):
        for each in value:
            yield from within(each, kind)


def ways(plan: ProxyPlan) -> dict[str, str]:
    """Where routes and chains lead to, and how it is called; the gateway's own name leads to it anyway."""
    used = {each.cluster for each in within((plan.listeners, plan.route_tables), WeightedCluster)}
    return {
        each.name: treatment(each)
        for each in plan.clusters
        if each.name in used and each.name.startswith("outbound|") and not each.name.endswith(f"||{GATEWAY}")
    }


def treatment(cluster: Cluster) -> str:
    if cluster.proxy_protocol:
        return "PROXY header"
    if not cluster.tls:
        return "as it came"
    if cluster.tls.certificate == "default":
        return "TLS of the mesh"
    return "mutual TLS" if cluster.tls.certificate else "TLS"


@pytest.mark.parametrize(
    ("recipe", "by_sidecar", "by_gateway"),
    [
        pytest.param(1, {"outbound|443||api.example": "TLS"}, {}, marks=pytest.mark.spec("X-1")),
        pytest.param(2, {"outbound|80||api.example": "TLS"}, {}, marks=pytest.mark.spec("X-2")),
        pytest.param(3, {"outbound|80||bank.example": "mutual TLS"}, {}, marks=pytest.mark.spec("X-3")),
        pytest.param(4, {"outbound|443||files.example": "as it came"}, {}, marks=pytest.mark.spec("X-4")),
        pytest.param(5, {}, {"outbound|80||plain.example": "as it came"}, marks=pytest.mark.spec("X-5")),
        pytest.param(6, {}, {"outbound|443||api.example": "TLS"}, marks=pytest.mark.spec("X-6")),
        pytest.param(
            7,
            {f"outbound|8443|bank|{GATEWAY}": "TLS of the mesh"},
            {"outbound|80||bank.example": "mutual TLS"},
            marks=pytest.mark.spec("X-7"),
        ),
        pytest.param(8, {}, {"outbound|443||files.example": "as it came"}, marks=pytest.mark.spec("X-8")),
        pytest.param(9, {}, {"outbound|80||*.wild.example": "as it came"}, marks=pytest.mark.spec("X-9")),
        pytest.param(
            10,
            {f"outbound|5432|proxied|{GATEWAY}": "PROXY header"},
            {"outbound|5432||block.example": "as it came"},
            marks=pytest.mark.spec("X-10"),
        ),
        pytest.param(
            11, {"outbound|3128|to-ldap|relay.internal.example": "as it came"}, {}, marks=pytest.mark.spec("X-11")
        ),
    ],
)
def test_a_recipe_leads_out_as_it_says(recipe, by_sidecar, by_gateway):
    plans = plans_of(str(recipe))

    outside = {name: how for name, how in ways(plans["sidecar"]).items() if "||relay" not in name}

    assert {name: outside.get(name) for name in by_sidecar} == by_sidecar
    assert ways(plans["gateway"]) == by_gateway
    assert not outside.keys() & by_gateway.keys()


@pytest.mark.spec("X-10")
def test_the_gateway_goes_where_the_header_says():
    gateway = plans_of("10")["gateway"]

    assert [type(each.discovery) for each in gateway.clusters] == [OriginalDestination]
    assert [each.proxy_protocol for each in gateway.listeners] == [True]


@pytest.mark.spec("X-11")
def test_the_proxy_is_asked_for_the_host_behind_it():
    tunnels = {each.tunnel for each in within(plans_of("11")["sidecar"].listeners, TcpChain)} - {None}

    assert [each.authority for each in tunnels] == ["ldap.example:636"]
