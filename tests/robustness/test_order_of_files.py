"""Which file an object is in, and where, has no meaning (spec 2.6): Envoy gets the same bytes."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from meshd.memo import Memo
from tests.robustness.test_memo_is_honest import STORIES, a_pass, of_story
from tests.robustness.variations import Files


def delivered(files: Files) -> object:
    """Without the lines that things came from."""
    found = a_pass(files, Memo)
    codes = sorted(problem.code for problem in found.problems)
    return codes, {
        host: [(proxy.name, [(each.name, each.body) for each in proxy.resources]) for proxy in outcome.proxies]
        for host, outcome in sorted(found.hosts.items())
    }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_objects_may_stand_in_any_order(story: Path):
    files = of_story(story)
    objects = [each for text in files.values() for each in re.split(r"(?m)^---\n", text) if each.strip()]
    Random(story.name).shuffle(objects)

    assert delivered({f"{number:04}.yaml": each for number, each in enumerate(objects)}) == delivered(files)
