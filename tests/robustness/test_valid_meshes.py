"""Whatever mesh passes validation, the real Envoy accepts: random meshes, many of them to one run of Envoy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.mesh.mesh import Mesh
from meshd.names import BlobId
from meshd.plan import ProxyPlan
from meshd.problems import errors
from tests.apart import complaint
from tests.robustness.generated import meshes

REACHES = (Reach(), Reach(capture="nftables"))
BATCH = 100


@dataclass(frozen=True)
class Valid:
    """A mesh that was taken, by file, and what the proxies of its hosts do."""

    files: Mapping[str, str]
    plans: tuple[ProxyPlan, ...]


def valid(files: Mapping[str, str]) -> Valid | None:
    """The mesh without the objects that are refused; None where none of the random ones is left."""
    memo = Memo()
    while len(files) > 1:
        contents = {BlobId(path): text.encode() for path, text in files.items()}
        loaded = load({path: BlobId(path) for path in files}, contents.__getitem__, memo)
        if loaded.mesh:
            return Valid(files, plans_of(loaded.mesh, memo))
        refused = {problem.at.file for problem in errors(loaded.problems)}
        assert refused - {"world.yaml"}, loaded.problems
        files = {path: text for path, text in files.items() if path not in refused or path == "world.yaml"}
    return None


def plans_of(mesh: Mesh, memo: Memo) -> tuple[ProxyPlan, ...]:
    compiled = [compile_plan(mesh, host, reach, memo) for host in mesh.workloads for reach in REACHES]
    return tuple(plan for each in compiled if not errors(each.problems) for plan in each.plans)


def valid_meshes(count: int, number: int) -> list[Valid]:
    """`count` of them, the same for the same `number`; fewer where chance does not find so many."""
    found: list[Valid] = []

    @seed(number)
    @settings(max_examples=2 * count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(meshes())
    def collect(files: dict[str, str]) -> None:
        mesh = valid(files) if len(found) < count else None
        if mesh and mesh.plans:
            found.append(mesh)

    collect()
    return found


def complained(cases: Sequence[Valid], binary: Path, directory: Path) -> str:
    return complaint([plan for case in cases for plan in case.plans], binary, directory)


def culprits(cases: Sequence[Valid], binary: Path, directory: Path) -> list[Valid]:
    """Those that Envoy does not take, found by halves."""
    if not complained(cases, binary, directory):
        return []
    if len(cases) == 1:
        return list(cases)
    middle = len(cases) // 2
    return culprits(cases[:middle], binary, directory) + culprits(cases[middle:], binary, directory)


def judge(cases: Sequence[Valid], binary: Path, directory: Path) -> None:
    for start in range(0, len(cases), BATCH):
        for case in culprits(cases[start : start + BATCH], binary, directory)[:1]:
            pytest.fail(f"{complained([case], binary, directory)}\n{'---'.join(case.files.values())}")


def test_a_valid_mesh_is_accepted(envoy_binary: Path, short_tmp: Path):
    cases = valid_meshes(50, number=1)
    assert len(cases) == 50
    judge(cases, envoy_binary, short_tmp)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2, 7))
def test_any_valid_mesh_is_accepted(number: int, envoy_binary: Path, short_tmp: Path):
    cases = valid_meshes(400, number)
    assert len(cases) == 400
    judge(cases, envoy_binary, short_tmp)
