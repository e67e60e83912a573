"""Every kind of cluster, with its endpoints and secrets, over the wire to a real Envoy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.deliver.target import Delivered, ProxyTarget, Target
from meshd.envoy import assignments, render
from meshd.memo import Memo
from meshd.names import LOCAL_CLUSTER, RevisionId
from meshd.plan import ProxyPlan
from tests.deliver.certificates import made
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import a_delivery, an_envoy, eventually, is_on, settings
from tests.envoy.plans import (
    ANSWERS,
    Certificates,
    a_plan,
    at,
    both_secrets,
    endpoints_of,
    every_cluster,
    every_endpoint,
)
from tests.envoy.process import admin

pytestmark = pytest.mark.envoy


def target(plan: ProxyPlan, revision: str) -> Target:
    memo = Memo()
    given = ProxyTarget(rendered=render(plan, memo), assignments=assignments(plan, ANSWERS, memo))
    return Target(revision=RevisionId(revision), proxies={"sidecar": given})


def local_hosts(directory: Path) -> list[str]:
    statuses = json.loads(admin(settings(directory), "/clusters?format=json"))["cluster_statuses"]
    (local,) = (each for each in statuses if each["name"] == LOCAL_CLUSTER)
    return [each["address"]["socket_address"]["address"] for each in local.get("host_statuses", [])]


@pytest.mark.spec("S-8", "D-11", "D-24", "D-70", "D-91", "D-92")
@on_a_loop
async def test_every_kind_of_cluster_is_acknowledged(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "certificates", "localhost")
    secrets = both_secrets(Certificates(certificate=str(pair.chain), key=str(pair.key)))
    plan = a_plan(clusters=every_cluster(), endpoints=every_endpoint(), secrets=secrets)
    async with a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        await delivery.deliver(target(a_plan(), "r1"))
        await eventually(is_on(delivery, 1))

        outcome = await delivery.deliver(target(plan, "r2"))

        assert isinstance(outcome, Delivered), outcome
        assert outcome.acknowledged == ("sidecar",)
        assert delivery.states()[0].rejections == ()
        assert sorted(local_hosts(short_tmp)) == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.spec("D-24")
@on_a_loop
async def test_who_stands_beside_a_proxy_comes_later_and_changes(envoy_binary: Path, short_tmp: Path) -> None:
    """The local cluster is in the bootstrap and not among those that are delivered."""
    alone = a_plan()
    first = replace(alone, endpoints=(endpoints_of(LOCAL_CLUSTER, at("10.0.0.1")),))
    second = replace(alone, endpoints=(endpoints_of(LOCAL_CLUSTER, at("10.0.0.2")),))
    async with a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        await delivery.deliver(target(alone, "r1"))
        await eventually(is_on(delivery, 1))
        assert local_hosts(short_tmp) == []

        await delivery.deliver(target(first, "r2"))
        assert local_hosts(short_tmp) == ["10.0.0.1"]

        assert delivery.push_endpoints({"sidecar": target(second, "r2").proxies["sidecar"].assignments}) == 1
        await eventually(lambda: local_hosts(short_tmp) == ["10.0.0.2"])
