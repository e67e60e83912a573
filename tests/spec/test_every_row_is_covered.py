"""Every row and code of the specification has a test, every id that a test names is a row, and the rows are all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.spec.coverage import rows, uncovered, unknown

SPECIFICATION = Path(__file__).parents[3] / "shared" / "spec" / "v1alpha3.md"
"""Where the founders have it, beside their checkout; a clone elsewhere has `rows.txt` alone."""
_ROW = re.compile(r"^\| ((?:G|V|D|S|W|SC|X)-\d+(?:\.\d+)?) \|", re.MULTILINE)
_CODE = re.compile(r"`([EW]-[A-Z][A-Z0-9-]+)`")
_SAME_AS_ANOTHER = "E-DUP-OBJECT"


def test_every_row_has_a_test():
    assert uncovered() == {}


def test_tests_name_rows_that_there_are():
    assert unknown() == {}


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="the specification is not beside this checkout")
def test_the_rows_are_those_of_the_specification():
    assert set(rows()) == set(_written(SPECIFICATION.read_text()))


def _written(text: str) -> Iterator[str]:
    yield from _ROW.findall(text)
    _, codes = text.split("\n## 14.", 1)
    yield from (code for code in _CODE.findall(codes) if code != _SAME_AS_ANOTHER)
