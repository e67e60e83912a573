"""Every story again, with its hosts behind an outbound proxy: whatever a mesh has, there is a way for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId
from meshd.plan import DynamicDns, IpAddress, ProxyPlan
from meshd.resources.outbound_proxy import OutboundProxy
from tests.apart import complaint
from tests.golden.test_golden import STORIES
from tests.robustness.integrity import faults

PROXY = OutboundProxy(host="proxy.corp.example", port=3128, credential_name="corporate", no_proxy=("10.0.0.0/16",))
REACHES = (Reach(), Reach(capture="nftables"))


def plans_of(story: Path) -> Iterator[ProxyPlan]:
    memo = Memo()
    files = {str(path.relative_to(story)): BlobId(str(path)) for path in sorted(story.glob("mesh/**/*.yaml"))}
    mesh = load(files, lambda blob: Path(blob).read_bytes(), memo).mesh
    if mesh is None:
        return
    behind = replace(mesh, settings=replace(mesh.settings, outbound_proxies=(PROXY,)))
    for host in behind.workloads:
        for reach in REACHES:
            yield from compile_plan(behind, host, reach, memo).plans


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_plans_behind_a_proxy_hold_together(story: Path):
    for plan in plans_of(story):
        assert list(faults(plan)) == []


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_nothing_but_the_proxy_is_looked_up_for_what_goes_through(story: Path):
    for plan in plans_of(story):
        places = {each.cluster: each.endpoints for each in plan.endpoints}
        for cluster in (each for each in plan.clusters if each.via):
            assert not isinstance(cluster.discovery, DynamicDns)
            assert [each.address for each in places[cluster.name] if _is_outside(each.address)] == [], cluster.name


@pytest.mark.envoy
def test_a_real_envoy_accepts_every_story_behind_a_proxy(envoy_binary: Path, short_tmp: Path):
    told = [plan for story in STORIES for plan in plans_of(story)]

    assert complaint(told, envoy_binary, short_tmp) == ""


def _is_outside(address: object) -> bool:
    return isinstance(address, IpAddress) and not address.ip.startswith(("10.0.", "127."))
