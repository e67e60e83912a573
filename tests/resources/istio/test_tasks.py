"""What people copy: the shapes of Istio's documentation and samples, in our own words. None is refused; none warns."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.decode import Kinds, decode_file
from meshd.resources import KINDS, NOT_YET

TASKS = sorted((Path(__file__).parent / "tasks").glob("*.yaml"))


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_what_works_in_istio_is_taken_without_a_word(path: Path):
    decoded = decode_file(path.name, path.read_bytes(), Kinds(types=KINDS, not_yet=NOT_YET))

    assert "\n".join(map(str, decoded.problems)) == ""
    assert len(decoded.resources) == path.read_text().count("\nkind: ")
