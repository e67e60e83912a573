"""Names that Envoy looks up itself: one cache, in the same words wherever it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from meshd.envoy.render import render
from meshd.memo import Memo
from meshd.names import RouteTableName
from meshd.plan import DynamicDns, HttpChain, ProxyPlan, TcpChain
from tests.envoy.plans import a_cluster, a_listener, a_plan, to
from tests.envoy.shown import tree

PLAN = a_plan(
    clusters=(a_cluster("any", discovery=DynamicDns()),),
    listeners=(
        a_listener("http", HttpChain(route_table=RouteTableName("any"), stat_prefix="any", dynamic_dns=True)),
        a_listener("sni", TcpChain(destinations=(to("any"),), stat_prefix="sni", sni_dns_port=443)),
    ),
)


def caches(plan: ProxyPlan, memo: Memo) -> list[dict]:
    return list(_caches(tree(render(plan, memo))))


def _caches(node: object) -> Iterator[dict]:
    if isinstance(node, dict):
        yield from ([node["dns_cache_config"]] if "dns_cache_config" in node else [])
        node = list(node.values())
    for each in node if isinstance(node, list) else []:
        yield from _caches(each)


def test_cluster_and_filters_name_one_cache_in_the_same_words():
    found = caches(replace(PLAN, dns_refresh_rate=timedelta(seconds=5)), Memo())

    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert found[0]["dns_failure_refresh_rate"] == {"base_interval": "1s", "max_interval": "5s"}


def test_another_rate_is_another_cache_lest_envoy_refuses_it():
    memo = Memo()
    rates = (timedelta(milliseconds=500), timedelta(seconds=60))

    names = [caches(replace(PLAN, dns_refresh_rate=rate), memo)[0]["name"] for rate in rates]

    assert names == ["meshd-0.5s-10s", "meshd-60s-10s"]
