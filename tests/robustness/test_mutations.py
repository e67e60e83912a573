"""Each golden mesh with one thing wrong: never a traceback; a problem at the right place, or a mesh that is valid."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.envoy import render
from meshd.memo import Memo
from meshd.mesh.load import Loaded, load
from meshd.mesh.mesh import Mesh
from meshd.names import BlobId
from meshd.problems import Problems, errors
from tests.robustness.mutations import Mutation, mutations

STORIES = sorted(path.parent for path in (Path(__file__).parent.parent / "golden").glob("*/README.md"))
_OF_ONE_DOCUMENT = frozenset({"E-FIELD", "E-TYPE", "E-VALUE", "E-REQUIRED", "E-YAML", "E-SCALAR", "E-DUP-KEY"})
EVERY = 7
"""`make test` takes each seventh mutation, `make test-all` the others too."""


@dataclass(frozen=True)
class Broken:
    """A mesh one of whose files was changed."""

    files: Mapping[str, bytes]
    path: str
    mutation: Mutation

    def load(self, memo: Memo) -> Loaded:
        return load({path: BlobId(path) for path in self.files}, lambda blob: self.files[blob], memo)


@cache
def broken(story: Path) -> tuple[Broken, ...]:
    """Nothing for a story about errors: there the original says them already."""
    expected = story / "problems.txt"
    if expected.exists() and "[E-" in expected.read_text():
        return ()
    files = {str(path.relative_to(story)): path.read_bytes() for path in sorted(story.glob("mesh/**/*.yaml"))}
    return tuple(_broken(files))


def _broken(files: Mapping[str, bytes]) -> Iterator[Broken]:
    for path, content in files.items():
        try:
            found = list(mutations(content.decode()))
        except ValueError:  # a story about a file that is no YAML
            continue
        for mutation in found:
            yield Broken({**files, path: mutation.text.encode()}, path, mutation)


def judge(case: Broken) -> None:
    memo = Memo()
    loaded = case.load(memo)
    for problem in loaded.problems:
        content = case.files[problem.at.file].decode()
        assert 1 <= problem.at.line <= max(1, content.count("\n") + 1), problem
        assert problem.message
        assert problem.code
    if loaded.mesh is None:
        found = errors(loaded.problems)
        assert _is_told(case, found), [str(problem) for problem in found]
    else:
        render_all(loaded.mesh, memo)


def render_all(mesh: Mesh, memo: Memo) -> None:
    for host in mesh.workloads:
        for reach in (Reach(), Reach(capture="nftables")):
            for plan in compile_plan(mesh, host, reach, memo).plans:
                render(plan, memo)


def _is_told(case: Broken, found: Problems) -> bool:
    """An error points into the changed object, or names its file; else only references to it dangle.

    A value of the wrong type is found while its own document is read, so that its very line is known.
    """
    here = [problem.at.line for problem in found if problem.at.file == case.path]
    if case.mutation.kind == "wrong type":
        return case.mutation.line in here
    if _same_object(case, here) or any(case.path in problem.message for problem in found):
        return True
    return not any(problem.code in _OF_ONE_DOCUMENT for problem in found)


def _same_object(case: Broken, lines: list[int]) -> bool:
    """Whether one of the lines is in the YAML document of the changed line."""
    text = case.mutation.text.splitlines()
    starts = [number for number, line in enumerate(text, 1) if line.startswith("---")]
    # What was removed left its line to what follows, which may be the next document's first.
    return any(bisect_left(starts, line) == bisect_left(starts, case.mutation.line) for line in lines)


def test_there_are_enough_mutations():
    assert sum(len(broken(story)) for story in STORIES) // EVERY >= 500


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_mesh_with_one_thing_wrong_is_judged(story: Path):
    for case in broken(story)[::EVERY]:
        judge(case)


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_other_meshes_with_one_thing_wrong_are_judged(story: Path):
    for index, case in enumerate(broken(story)):
        if index % EVERY:
            judge(case)
