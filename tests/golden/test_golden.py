"""The golden cases: a directory each with a mesh, and the plan and the Envoy configuration that come of it.

`README.md` tells the story. `case.yaml`, where it is, says for which host (`host:`, else `web-1`; or several, `hosts:`)
and how that is reached (`capture:`). A bad mesh has `problems.txt` instead. `pytest tests/golden --regen` rewrites what
is expected; that diff is reviewed like code.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from meshd.compiler import Reach, compile_plan
from meshd.compiler.show import plan_yaml
from meshd.envoy import assignments, render
from meshd.envoy.resource import EnvoyResource
from meshd.envoy.show import to_yaml
from meshd.envoy.trial import trial
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, ClusterName, HostName, ListenerName
from meshd.plan import CertificateSecret, ProxyPlan, Secret, SocketBind
from meshd.problems import Problems, errors, in_order

STORIES = sorted(path.parent for path in Path(__file__).parent.glob("*/README.md"))


@dataclass(frozen=True)
class Setting:
    """Whose plans a story tells of."""

    hosts: tuple[HostName, ...]
    reach: Reach


@dataclass(frozen=True)
class Case:
    """`plans` is None for a bad mesh."""

    plans: tuple[ProxyPlan, ...] | None
    problems: Problems


def setting(story: Path) -> Setting:
    path = story / "case.yaml"
    said = yaml.safe_load(path.read_text()) if path.exists() else {}
    hosts = said.get("hosts") or [said.get("host", "web-1")]
    return Setting(hosts=tuple(map(HostName, hosts)), reach=Reach(capture=said.get("capture", "none")))


def case(story: Path, memo: Memo | None = None) -> Case:
    memo = memo or Memo()
    files = {str(path.relative_to(story)): BlobId(str(path)) for path in sorted(story.glob("mesh/**/*.yaml"))}
    loaded = load(files, lambda blob: Path(blob).read_bytes(), memo)
    if loaded.mesh is None:
        return Case(None, loaded.problems)
    where = setting(story)
    compiled = [compile_plan(loaded.mesh, host, where.reach, memo) for host in where.hosts]
    problems = (*loaded.problems, *in_order(problem for each in compiled for problem in each.problems))
    return Case(None if errors(problems) else tuple(plan for each in compiled for plan in each.plans), problems)


def plans(story: Path) -> tuple[ProxyPlan, ...]:
    return case(story).plans or ()


def envoy_yaml(plan: ProxyPlan) -> str:
    memo = Memo()
    return to_yaml(render(plan, memo), assignments(plan, {}, memo))


def expected_of(case: Case) -> dict[str, str]:
    """What must stand in the story's directory, by file name; warnings stand there too."""
    problems = "".join(f"{problem}\n" for problem in case.problems)
    texts = {"problems.txt": problems} if problems else {}
    if case.plans:
        texts["plan.yaml"] = "---\n".join(plan_yaml(plan) for plan in case.plans)
        texts["envoy.yaml"] = "---\n".join(envoy_yaml(plan) for plan in case.plans)
    return texts


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_comes_out_as_written(story: Path, request: pytest.FixtureRequest):
    texts = expected_of(case(story))

    if request.config.getoption("--regen"):
        rewrite(story, texts)

    assert {name: (story / name).read_text() for name in written(story)} == texts


def written(story: Path) -> list[str]:
    return [name for name in ("plan.yaml", "envoy.yaml", "problems.txt") if (story / name).exists()]


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
def test_a_real_envoy_accepts_every_story(envoy_binary: Path, short_tmp: Path, certificate: Path):
    """All of them in one run: names and ports are told apart by the plan's number, files are ones that are there."""
    told = [plan for story in STORIES for plan in plans(story)]
    everything = [apart(plan, number, certificate) for number, plan in enumerate(told)]
    resources = [each for plan in everything for each in resources_of(plan)]
    secrets = [each for plan in everything for each in render(plan, Memo()).secrets]
    bootstrap = short_tmp / "all.pb"
    bootstrap.write_bytes(trial(resources, secrets))

    command = [envoy_binary, "--mode", "validate", "--log-level", "error", "-c", bootstrap]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    assert len(resources) > 3 * len(STORIES)


def resources_of(plan: ProxyPlan) -> tuple[EnvoyResource, ...]:
    rendered = render(plan, Memo())
    return (*rendered.clusters, *rendered.listeners, *rendered.routes)


def apart(plan: ProxyPlan, number: int, certificate: Path) -> ProxyPlan:
    return replace(
        plan,
        clusters=tuple(replace(each, name=ClusterName(f"{number}|{each.name}")) for each in plan.clusters),
        secrets=tuple(with_files(each, certificate) for each in plan.secrets),
        listeners=tuple(
            replace(each, name=ListenerName(f"{number}-{each.name}"), bind=SocketBind(ip="127.0.0.1", port=port))
            for port, each in enumerate(plan.listeners, start=20_000 + 100 * number)
        ),
    )


def with_files(secret: Secret, certificate: Path) -> Secret:
    """Any certificate will do, and any list of revoked ones is none."""
    if isinstance(secret, CertificateSecret):
        return replace(secret, certificate_chain=str(certificate), private_key=str(certificate.with_suffix(".key")))
    return replace(secret, ca_certificates=(str(certificate),), crl=None)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, with its key beside it as `.key`."""
    path = tmp_path_factory.mktemp("certificates") / "any.pem"
    new = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    )
    files = ("-subj", "/CN=any", "-keyout", str(path.with_suffix(".key")), "-out", str(path))
    subprocess.run([*new, *files], check=True, capture_output=True)
    return path
