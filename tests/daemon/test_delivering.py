"""Addresses and health join what a pass prepared; a change of them sends what it affects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from meshd.daemon.delivering import Delivering
from meshd.deliver.delivery import Delivery
from meshd.envoy import render
from meshd.memo import Memo
from meshd.names import DnsName, RevisionId
from meshd.plan import ProxyPlan
from meshd.reconcile import Prepared, ProxyConfiguration
from meshd.resolve.answer import Answer
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import a_delivery
from tests.envoy.plans import a_cluster, a_plan, at, endpoints_of, named

P = ParamSpec("P")
R = TypeVar("R")

NOW = datetime(2026, 1, 1, tzinfo=UTC)

PLAN = a_plan(
    clusters=tuple(a_cluster(name) for name in ("a", "b", "c", "d")),
    endpoints=(
        endpoints_of("a", named("db.shop")),
        endpoints_of("b", named("x.shop")),
        endpoints_of("c", named("db.shop"), at("10.0.0.1", workload="default/app")),
        endpoints_of("d", at("10.0.0.2")),
    ),
)


async def at_once(work: Callable[P, R], /, *given: P.args, **more: P.kwargs) -> R:
    return work(*given, **more)


def prepared(plan: ProxyPlan, revision: str = "r1") -> Prepared:
    proxies = {plan.proxy: ProxyConfiguration(plan=plan, rendered=render(plan, Memo()))}
    return Prepared(revision=RevisionId(revision), proxies=proxies, problems=(), resources=0, skipped=0)


@dataclass
class Outside:
    """What the resolver and the probes say."""

    addresses: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"db.shop": ("10.0.0.8",)})
    unhealthy: frozenset[str] = frozenset()
    _given: dict[str, Answer] = field(default_factory=dict)

    def answers(self) -> dict[DnsName, Answer]:
        """As the resolver does, the same object until something is looked up anew."""
        for name, found in self.addresses.items():
            if name not in self._given or self._given[name].addresses != found:
                self._given[name] = Answer(addresses=found, looked_up=NOW, expires=NOW)
        return {DnsName(name): self._given[name] for name in self.addresses}

    def delivering(self, delivery: Delivery) -> Delivering:
        return Delivering(delivery, self.answers, at_once, lambda: self.unhealthy)


@on_a_loop
async def test_an_answer_that_changes_sends_the_clusters_that_use_it(short_tmp: Path) -> None:
    outside = Outside()
    async with a_delivery(short_tmp) as delivery:
        delivering, ready = outside.delivering(delivery), prepared(PLAN)
        await delivering.deliver(ready)
        assert await delivering.push_endpoints(ready) == 0

        outside.addresses["db.shop"] = ("10.0.0.9",)
        assert await delivering.push_endpoints(ready) == 2
        assert await delivering.push_endpoints(ready) == 0

        del outside.addresses["db.shop"]
        assert await delivering.push_endpoints(ready) == 2

        outside.addresses |= {"x.shop": ("10.0.0.7",), "unused.shop": ("10.0.0.6",)}
        assert await delivering.push_endpoints(ready) == 1


@pytest.mark.spec("W-17")
@on_a_loop
async def test_a_workload_that_falls_ill_and_recovers_sends_the_clusters_that_it_is_in(short_tmp: Path) -> None:
    outside = Outside()
    async with a_delivery(short_tmp) as delivery:
        delivering, ready = outside.delivering(delivery), prepared(PLAN)
        await delivering.deliver(ready)

        outside.unhealthy = frozenset({"default/app", "default/other"})
        assert await delivering.push_endpoints(ready) == 1
        outside.unhealthy = frozenset()
        assert await delivering.push_endpoints(ready) == 1


@on_a_loop
async def test_a_plan_that_was_not_delivered_last_is_looked_at_whole(short_tmp: Path) -> None:
    """After a refusal another plan is in force again than the one whose endpoints were assigned last."""
    outside = Outside()
    async with a_delivery(short_tmp) as delivery:
        delivering, ready = outside.delivering(delivery), prepared(PLAN)
        await delivering.deliver(ready)
        outside.addresses["db.shop"] = ("10.0.0.9",)

        again = prepared(PLAN, "r2")

        assert await delivering.push_endpoints(again) == 2
        assert await delivering.push_endpoints(ready) == 0
