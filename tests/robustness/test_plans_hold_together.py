"""Every plan is whole: no name stands twice, nothing is named that is not there, nothing is there for nobody."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random

import pytest

from meshd.compiler import compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId
from meshd.problems import errors
from tests.robustness.integrity import faults
from tests.robustness.test_memo_is_honest import REACHES, STORIES, days_of, of_story, random_days
from tests.robustness.variations import Files


def judge(files: Files) -> None:
    contents = {BlobId(path): text.encode() for path, text in files.items()}
    mesh = load({path: BlobId(path) for path in files}, contents.__getitem__, Memo()).mesh
    if mesh is None:
        return
    for host, reach in product(mesh.workloads, REACHES):
        compiled = compile_plan(mesh, host, reach, Memo())
        for plan in () if errors(compiled.problems) else compiled.plans:
            assert list(faults(plan)) == [], "---\n".join(files.values())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_plans_of_a_story_and_its_like_hold_together(story: Path):
    for files in days_of(of_story(story), Random(story.name), 3):
        judge(files)


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_plans_of_all_that_is_like_a_story_hold_together(story: Path):
    for files in days_of(of_story(story), Random(f"all of {story.name}"), 10):
        judge(files)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10, 12))
def test_the_plans_of_random_meshes_hold_together(number: int):
    for files in random_days(100, number):
        judge(files)
