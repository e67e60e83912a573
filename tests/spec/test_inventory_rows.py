"""Every row and code of the older kinds has a test, every id that a test names is a row, and the rows are all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.spec.coverage import INVENTORY, rows, uncovered, unknown

SPECIFICATION = Path(__file__).parents[3] / "shared" / "spec"
"""Where the founders have it, beside their checkout; a clone elsewhere has `inventory-rows.txt` alone."""
_ROW = re.compile(r"^\| ([A-Z][A-Z0-9]*-\d\d) \|(?:.*\|)? ([^|]*) \|$", re.MULTILINE)
_CODE = re.compile(r"`([EWLN]-[A-Z][A-Z0-9-]+)`")
_NOTHING_TO_DO = "refuse nothing"
"""A fault of connections for which there is no field."""


def test_every_row_has_a_test():
    assert uncovered(INVENTORY) == {}


def test_tests_name_rows_that_there_are():
    assert unknown(INVENTORY) == {}


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="the specification is not beside this checkout")
def test_the_rows_are_those_of_the_specification():
    written = {*_rows((SPECIFICATION / "inventory.md").read_text())}
    written |= {*_codes((SPECIFICATION / "v1alpha1-to-v1alpha3.md").read_text())}

    assert set(rows(INVENTORY)) == written


def _rows(text: str) -> Iterator[str]:
    """Of part A, those that ask for something."""
    older, _ = text.split("\n## B. ", 1)
    for row, status in _ROW.findall(older):
        if not status.startswith(("context", _NOTHING_TO_DO)):
            yield row


def _codes(text: str) -> Iterator[str]:
    _, section = text.split("\n## 11. ", 1)
    yield from _CODE.findall(section.split("\n## 12. ", 1)[0])
