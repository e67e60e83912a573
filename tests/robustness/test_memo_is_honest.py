"""A mesh that changes, pass after pass: with what is remembered of former passes, all is as if nothing were.

A function that is memoised on some inputs and reads something else would show here as a stale answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, seed, settings

from meshd.compiler import Reach, compile_plan
from meshd.compiler.show import plan_yaml, probes_yaml
from meshd.envoy import assignments, render
from meshd.envoy.resource import EnvoyResource
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.mesh.mesh import Mesh
from meshd.names import BlobId, DnsName, HostName, ProxyName
from meshd.plan import ProxyPlan
from meshd.problems import Problems
from tests.robustness.generated import meshes
from tests.robustness.variations import Files, varied

STORIES = sorted(path.parent for path in (Path(__file__).parent.parent / "golden").glob("*/README.md"))
REACHES = (Reach(), Reach(capture="nftables", exec_probes=True))
STEPS = 5


class Proxy(NamedTuple):
    """What one proxy is given. `resources`: all of its Envoy resources, assignments among them."""

    name: ProxyName
    plan: str
    resources: tuple[EnvoyResource, ...]


class Outcome(NamedTuple):
    """All that a pass comes to, for one host."""

    problems: Problems
    ailments: Problems
    probes: str
    proxies: tuple[Proxy, ...]


class Pass(NamedTuple):
    problems: Problems
    hosts: dict[tuple[HostName, str], Outcome]


def a_pass(files: Files, memo: Callable[[], Memo]) -> Pass:
    """`memo` is asked for each host anew: what one host has remembered must not be told to another either."""
    blobs = {path: BlobId(sha256(text.encode()).hexdigest()) for path, text in files.items()}
    contents = {blob: files[path].encode() for path, blob in blobs.items()}
    loaded = load(blobs, contents.__getitem__, memo())
    mesh = loaded.mesh
    places = [(host, reach) for host in (*mesh.workloads, HostName("nobody")) for reach in REACHES] if mesh else []
    return Pass(
        problems=loaded.problems,
        hosts={(host, reach.capture): _outcome(mesh, host, reach, memo()) for host, reach in places if mesh},
    )


def _outcome(mesh: Mesh, host: HostName, reach: Reach, memo: Memo) -> Outcome:
    compiled = compile_plan(mesh, host, reach, memo)
    proxies = tuple(_proxy(plan, memo) for plan in compiled.plans)
    return Outcome(compiled.problems, compiled.ailments, probes_yaml(compiled.probes), proxies)


def _proxy(plan: ProxyPlan, memo: Memo) -> Proxy:
    rendered = render(plan, memo)
    answers = {DnsName(name): ("10.9.0.1", "fd00::9") for name in plan.dns_names[::2]}
    assigned = assignments(plan, answers, memo)
    resources = (*rendered.clusters, *rendered.listeners, *rendered.routes, *rendered.secrets, *assigned)
    return Proxy(plan.proxy, plan_yaml(plan), resources)


def judge(days: Iterator[Files]) -> int:
    """How many of them were meshes without an error."""
    memo = Memo()
    valid = 0
    for files in days:
        remembered, fresh = a_pass(files, lambda: memo), a_pass(files, Memo)
        memo.turn()
        assert remembered.problems == fresh.problems
        assert remembered.hosts.keys() == fresh.hosts.keys()
        for host, outcome in fresh.hosts.items():
            assert remembered.hosts[host] == outcome
        valid += bool(fresh.hosts)
    return valid


def is_valid(files: Files) -> bool:
    contents = {BlobId(path): text.encode() for path, text in files.items()}
    return load({path: BlobId(path) for path in files}, contents.__getitem__, Memo()).mesh is not None


def days_of(files: Files, chance: Random, steps: int) -> Iterator[Files]:
    """Each change is to the mesh as it was before; what is refused is taken back on the next day, most often."""
    yield files
    for _ in range(steps):
        changed = varied(files, chance)
        yield changed
        if is_valid(changed) or chance.random() < 0.1:
            files = changed


def of_story(story: Path) -> Files:
    found = {str(path.relative_to(story)): path.read_bytes() for path in sorted(story.glob("mesh/**/*.yaml"))}
    return {path: content.decode(errors="replace") for path, content in found.items()}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_is_remembered_of_a_story_changes_nothing(story: Path):
    judge(days_of(of_story(story), Random(story.name), STEPS))


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_is_remembered_of_any_story_changes_nothing(story: Path):
    judge(days_of(of_story(story), Random(f"all of {story.name}"), 5 * STEPS))


def test_what_is_remembered_of_random_meshes_changes_nothing():
    assert judge(iter(random_days(40, number=1))) > 10


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2, 4))
def test_what_is_remembered_of_any_random_meshes_changes_nothing(number: int):
    judge(iter(random_days(150, number)))


def random_days(count: int, number: int) -> list[Files]:
    """Random objects come, change and go, one a day."""
    chance = Random(number)
    days: list[Files] = []

    @seed(number)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(meshes())
    def collect(files: dict[str, str]) -> None:
        former = days[-1] if days else {}
        name = chance.choice(sorted(files))
        changed = {**former, "world.yaml": files["world.yaml"], name: files[name]}
        if chance.random() < 0.2 and len(changed) > 2:
            del changed[chance.choice(sorted(changed.keys() - {"world.yaml"}))]
        if not days or is_valid(changed):
            days.append(changed)

    collect()
    return days
