"""The golden cases: a directory each with a mesh, and the plan and the Envoy configuration that come of it.

`README.md` tells the story. `case.yaml`, where it is, says for which host (`host:`, else `web-1`; or several, `hosts:`)
and how that is reached (`capture:`). A bad mesh has `problems.txt` instead. `pytest tests/golden --regen` rewrites what
is expected; that diff is reviewed like code. The access log, which is the same in each listener, is left out unless the
story is about it (`access_log: shown`); the real Envoy judges it in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from meshd.compiler import Reach, compile_plan
from meshd.compiler.show import plan_yaml, probes_yaml
from meshd.envoy import assignments, render
from meshd.envoy.show import to_yaml
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.plan import Probe, ProxyPlan
from meshd.problems import Problems, errors, in_order
from tests.apart import complaint

STORIES = sorted(path.parent for path in Path(__file__).parent.glob("*/README.md"))


@dataclass(frozen=True)
class Setting:
    """Whose plans a story tells of."""

    hosts: tuple[HostName, ...]
    reach: Reach
    shows_access_log: bool


@dataclass(frozen=True)
class Case:
    """`plans` is None for a bad mesh."""

    plans: tuple[ProxyPlan, ...] | None
    problems: Problems
    probes: tuple[Probe, ...] = ()


def setting(story: Path) -> Setting:
    path = story / "case.yaml"
    said = yaml.safe_load(path.read_text()) if path.exists() else {}
    hosts = said.get("hosts") or [said.get("host", "web-1")]
    return Setting(
        hosts=tuple(map(HostName, hosts)),
        reach=Reach(capture=said.get("capture", "none")),
        shows_access_log=said.get("access_log") == "shown",
    )


def case(story: Path, memo: Memo | None = None) -> Case:
    memo = memo or Memo()
    files = {str(path.relative_to(story)): BlobId(str(path)) for path in sorted(story.glob("mesh/**/*.yaml"))}
    loaded = load(files, lambda blob: Path(blob).read_bytes(), memo)
    if loaded.mesh is None:
        return Case(None, loaded.problems)
    where = setting(story)
    compiled = [compile_plan(loaded.mesh, host, where.reach, memo) for host in where.hosts]
    problems = (*loaded.problems, *in_order(problem for each in compiled for problem in each.problems))
    probes = tuple(probe for each in compiled for probe in each.probes)
    return Case(None if errors(problems) else tuple(plan for each in compiled for plan in each.plans), problems, probes)


def plans(story: Path) -> tuple[ProxyPlan, ...]:
    return case(story).plans or ()


def envoy_yaml(plan: ProxyPlan) -> str:
    memo = Memo()
    return to_yaml(render(plan, memo), assignments(plan, {}, memo))


def expected_of(case: Case, *, shows_access_log: bool = False) -> dict[str, str]:
    """What must stand in the story's directory, by file name; warnings stand there too."""
    problems = "".join(f"{problem}\n" for problem in case.problems)
    texts = {"problems.txt": problems} if problems else {}
    if case.plans:
        if case.probes:
            texts["probes.yaml"] = probes_yaml(case.probes)
        shown = [plan if shows_access_log else replace(plan, access_log=None) for plan in case.plans]
        texts["plan.yaml"] = "---\n".join(plan_yaml(plan) for plan in shown)
        texts["envoy.yaml"] = "---\n".join(envoy_yaml(plan) for plan in shown)
    return texts


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_comes_out_as_written(story: Path, request: pytest.FixtureRequest):
    texts = expected_of(case(story), shows_access_log=setting(story).shows_access_log)

    if request.config.getoption("--regen"):
        rewrite(story, texts)

    assert {name: (story / name).read_text() for name in written(story)} == texts


def written(story: Path) -> list[str]:
    return [name for name in ("plan.yaml", "envoy.yaml", "probes.yaml", "problems.txt") if (story / name).exists()]


def rewrite(story: Path, texts: dict[str, str]) -> None:
    for name in written(story):
        (story / name).unlink()
    for name, text in texts.items():
        (story / name).write_text(text)


def test_a_story_is_the_same_whatever_was_compiled_before():
    """The memo of a daemon has seen other revisions; its answers must not show it."""
    memo = Memo()
    for story in STORIES:
        assert (case(story, memo).plans or ()) == plans(story)
        memo.turn()


@pytest.mark.envoy
def test_a_real_envoy_accepts_every_story(envoy_binary: Path, short_tmp: Path):
    told = [plan for story in STORIES for plan in plans(story)]

    assert complaint(told, envoy_binary, short_tmp) == ""
