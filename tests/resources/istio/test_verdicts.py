"""The same verdict as Istio on any document, but where the spec wants another one (section 13, "(Istio: ...)").

The tables beside this file hold facts from Istio's validation, its tests and its CRDs, in our own words. `== Kind`
begins a table; the lines after it that begin with `>` are a spec, in which each case stands for the `...`. A case is
Istio's verdict (valid, warned, refused) and a text; where meshd's verdict is another one, the next line has it, and
the row of the spec that says so, or the code, or why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.problems import Problems
from tests.resources.judging import problems_of

HERE = Path(__file__).parent
VERDICTS = ("valid", "warned", "refused")
OTHERWISE = "meshd: "
CODE = re.compile(r"[EW]-[A-Z-]+")


def cases(table: str) -> Iterator[object]:
    """Kind, spec, the verdict of meshd, and the code that must be among its problems, for each case of one table."""
    head, *lines = table.splitlines()
    frame = "\n".join(line[2:] for line in lines if line.startswith("> "))
    rows = [line for line in lines if line and not line.startswith((">", "#"))]
    for row, following in zip(rows, [*rows[1:], ""], strict=True):
        verdict, _, text = row.partition(" ")
        if not verdict:
            continue
        other, _, because = following.strip().removeprefix(OTHERWISE).partition(", ")
        expected = other if following.startswith(" ") else verdict
        assert verdict in VERDICTS
        assert expected in VERDICTS
        assert because or expected == verdict
        code = because if CODE.fullmatch(because) else ""
        name = f"{head}: {text.strip()[:90]}"
        yield pytest.param(head, frame.replace("...", text.strip()), expected, code, id=name)


def tables() -> Iterator[str]:
    for path in sorted(HERE.glob("*.txt")):
        yield from path.read_text().split("\n== ")[1:]


def verdict_of(problems: Problems) -> str:
    if any(problem.is_error for problem in problems):
        return "refused"
    return "warned" if problems else "valid"


@pytest.mark.parametrize(("kind", "spec", "expected", "code"), [case for table in tables() for case in cases(table)])
def test_a_document_is_judged_as_by_istio(kind: str, spec: str, expected: str, code: str):
    found = problems_of(kind, spec, "name: a, namespace: shop")

    assert verdict_of(found) == expected, "\n".join(map(str, found))
    assert not code or code in {problem.code for problem in found}
