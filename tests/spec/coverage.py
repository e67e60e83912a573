"""Which rows of the specification no test covers: `python -m tests.spec.coverage` prints them, and counts.

A row is covered where a test says so: by `pytest.mark.spec("D-13")`, or by the id of a case, `"D-13-by-a-cookie"`. A
code is, where it stands in the source of a test or in the expected problems of a golden story.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent.parent
_ID = re.compile(r"(?:G|V|D|S|W|SC|X)-\d+(?:\.\d+)?(?=-|$)")
_CODE = re.compile(r"\b[EW]-[A-Z][A-Z0-9-]+")


def rows() -> dict[str, str]:
    """Every id of `rows.txt`, and what it is about."""
    lines = (Path(__file__).parent / "rows.txt").read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines if not line.startswith("#"))


@cache
def covering() -> dict[str, set[str]]:
    """By id, the files of the tests that name it."""
    found: dict[str, set[str]] = {}
    for path in (*TESTS.rglob("test_*.py"), *TESTS.glob("golden/*/problems.txt")):
        text = path.read_text()
        named = set(_CODE.findall(text)) | (_marked(text) if path.suffix == ".py" else set())
        for each in named:
            found.setdefault(each, set()).add(str(path.relative_to(TESTS)))
    return found


def uncovered() -> dict[str, str]:
    found = covering()
    return {row: about for row, about in rows().items() if row not in found}


def unknown() -> dict[str, set[str]]:
    """Ids that tests name and the specification does not have. Codes it leaves to others are in docs/problems.md."""
    known = rows()
    return {row: files for row, files in covering().items() if row not in known and not _CODE.fullmatch(row)}


def _marked(source: str) -> set[str]:
    return set(_ids(ast.parse(source)))


def _ids(tree: ast.AST) -> Iterator[str]:
    """What a string begins with, or is: no other string of a test looks like a row."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := _ID.match(node.value)):
            yield found[0]


def main() -> int:
    found, all_rows, missing = covering(), rows(), uncovered()
    for row, about in all_rows.items():
        files = found.get(row, set())
        if "-v" in sys.argv[1:] and files:
            print(f"{row:12} {len(files):3}  {' '.join(sorted(files))}")
        elif not files:
            print(f"{row:12}   -  {about}")
    strange = sorted(unknown())
    print(f"{len(all_rows)} rows and codes, {len(all_rows) - len(missing)} covered, {len(missing)} not")
    if strange:
        print(f"named by tests, but in no row: {' '.join(strange)}")
    return 1 if missing or strange else 0


if __name__ == "__main__":
    sys.exit(main())
