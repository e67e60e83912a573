"""Whatever mesh passes validation, the real Envoy accepts: random meshes, many of them to one run of Envoy."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId
from meshd.plan import ProxyPlan
from meshd.problems import errors
from tests.robustness.files import Files
from tests.robustness.generated import meshes
from tests.robustness.merging import merged

REACHES = (Reach(), Reach(capture="nftables"))
BATCH = 100


@dataclass(frozen=True)
class Valid:
    """A mesh that was taken, and a bootstrap for each of its proxies."""

    text: str
    bootstraps: tuple[bytes, ...]


def plans_of(text: str, memo: Memo) -> tuple[ProxyPlan, ...] | None:
    """None for a mesh that is refused, as a whole or by one of its hosts."""
    mesh = load({"mesh.yaml": BlobId("mesh")}, lambda _: text.encode(), memo).mesh
    if mesh is None:
        return None
    compiled = [compile_plan(mesh, host, reach, memo) for host in mesh.workloads for reach in REACHES]
    return tuple(plan for each in compiled if not errors(each.problems) for plan in each.plans)


def bootstrap(plan: ProxyPlan, memo: Memo) -> bytes:
    at = BootstrapSettings(proxy=plan.proxy, host=plan.host, xds_socket="/tmp/xds", admin_socket="/tmp/admin")
    return fallback(render(plan, memo), assignments(plan, {}, memo), at)


def valid_meshes(count: int, number: int) -> list[Valid]:
    """At least `count` of them, the same for the same `number`."""
    found: list[Valid] = []

    @seed(number)
    @settings(max_examples=6 * count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(meshes())
    def collect(text: str) -> None:
        memo = Memo()
        plans = plans_of(text, memo) if len(found) < count else None
        if plans:
            found.append(Valid(text, tuple(bootstrap(plan, memo) for plan in plans)))

    collect()
    return found


def complaint(cases: Sequence[Valid], binary: Path, directory: Path, files: Files) -> str:
    """What Envoy says against some of them; empty when it takes them all."""
    path = directory / "bootstrap.pb"
    path.write_bytes(merged([each for case in cases for each in case.bootstraps], files))
    command = [binary, "--mode", "validate", "-c", path, "--log-level", "error"]
    verdict = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return "" if verdict.returncode == 0 else verdict.stdout + verdict.stderr


def culprit(cases: Sequence[Valid], binary: Path, directory: Path, files: Files) -> str:
    """The text of the first mesh that Envoy does not take, found by halves, and what Envoy says of it."""
    while len(cases) > 1:
        half = cases[: len(cases) // 2]
        cases = half if complaint(half, binary, directory, files) else cases[len(cases) // 2 :]
    return f"{complaint(cases, binary, directory, files)}\n{cases[0].text}"


def judge(cases: Sequence[Valid], binary: Path, directory: Path, files: Files) -> None:
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        assert not complaint(batch, binary, directory, files), culprit(batch, binary, directory, files)


def test_a_valid_mesh_is_accepted(envoy_binary: Path, tmp_path: Path, files: Files):
    cases = valid_meshes(100, number=1)
    assert len(cases) == 100
    judge(cases, envoy_binary, tmp_path, files)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2, 7))
def test_any_valid_mesh_is_accepted(number: int, envoy_binary: Path, tmp_path: Path, files: Files):
    cases = valid_meshes(400, number)
    assert len(cases) == 400
    judge(cases, envoy_binary, tmp_path, files)
