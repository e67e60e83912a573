"""Which rows of the specification no test covers: `python -m tests.spec.coverage` prints them, and counts.

A row is covered where a test says so: by `pytest.mark.spec("D-13")`, or by the id of a case, `"D-13-by-a-cookie"`. A
code is, where it stands in the source of a test or in the expected problems of a golden story. With `--inventory` the
rows are those of the inventory of the older kinds.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the specification: the file that lists its rows, and what its ids and its codes look like."""

    file: str
    row: re.Pattern[str]
    code: re.Pattern[str]


V1ALPHA3 = Page(
    file="rows.txt",
    row=re.compile(r"(?:G|V|D|S|W|SC|X)-\d+(?:\.\d+)?(?=-|$)"),
    code=re.compile(r"\b[EW]-[A-Z][A-Z0-9-]+"),
)
INVENTORY = Page(
    file="inventory-rows.txt",
    row=re.compile(
        r"(?:GP|GLO|CB|CORS|DP|DW|ERP?|HFI|ABT|DLY|RED|RTY|RWR|TMO|IR|IS|L4F|TRM|THR|L4M|LB|MC|MR|SM|RR)-\d\d(?=-|$)"
    ),
    code=re.compile(r"\b[EWLN]-[A-Z][A-Z0-9-]+"),
)


def rows(page: Page = V1ALPHA3) -> dict[str, str]:
    """Every id of the page, and what it is about."""
    lines = (Path(__file__).parent / page.file).read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines if not line.startswith("#"))


@cache
def covering(page: Page = V1ALPHA3) -> dict[str, set[str]]:
    """By id, the files of the tests that name it."""
    found: dict[str, set[str]] = {}
    for path in (*TESTS.rglob("test_*.py"), *TESTS.glob("golden/*/problems.txt")):
        text = path.read_text()
        named = set(page.code.findall(text)) | (set(_ids(ast.parse(text), page)) if path.suffix == ".py" else set())
        for each in named:
            found.setdefault(each, set()).add(str(path.relative_to(TESTS)))
    return found


def uncovered(page: Page = V1ALPHA3) -> dict[str, str]:
    found = covering(page)
    return {row: about for row, about in rows(page).items() if row not in found}


def unknown(page: Page = V1ALPHA3) -> dict[str, set[str]]:
    """Ids that tests name and the specification does not have. Codes it leaves to others are in docs/problems.md."""
    known = rows(page)
    return {row: files for row, files in covering(page).items() if row not in known and not page.code.fullmatch(row)}


def _ids(tree: ast.AST, page: Page) -> Iterator[str]:
    """What a string begins with, or is: no other string of a test looks like a row."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := page.row.match(node.value)):
            yield found[0]


def main() -> int:
    page = INVENTORY if "--inventory" in sys.argv[1:] else V1ALPHA3
    found, all_rows, missing = covering(page), rows(page), uncovered(page)
    for row, about in all_rows.items():
        files = found.get(row, set())
        if "-v" in sys.argv[1:] and files:
            print(f"{row:12} {len(files):3}  {' '.join(sorted(files))}")
        elif not files:
            print(f"{row:12}   -  {about}")
    strange = sorted(unknown(page))
    print(f"{len(all_rows)} rows and codes, {len(all_rows) - len(missing)} covered, {len(missing)} not")
    if strange:
        print(f"named by tests, but in no row: {' '.join(strange)}")
    return 1 if missing or strange else 0


if __name__ == "__main__":
    sys.exit(main())
