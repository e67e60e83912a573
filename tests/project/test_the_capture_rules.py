"""The table that docs/capture.md shows is the one that meshd loads; what it does is tested in tests/capture."""

from __future__ import annotations

import re

from meshd.capture.table import REMOVAL
from tests.project.pages import TOP, blocks


def test_the_page_shows_the_table_of_the_usual_host():
    (shown,) = blocks((TOP / "docs/capture.md").read_text(), "nft")
    story = (TOP / "tests/capture/tables/the-usual-host/table.nft").read_text()

    assert _without_comments(shown) == _without_comments(story.removeprefix(REMOVAL))


def _without_comments(text: str) -> list[str]:
    """The page has its own, which say more."""
    lines = (re.sub(r"\s*#.*|(?<=, )(0x\w+|DIGEST)", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]
