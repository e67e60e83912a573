"""A hostile file costs little and ends nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshd.documents import Limits, documents


def limit_of(text: bytes, **limits: int) -> str:
    _, problems = documents("a.yaml", text, Limits(**limits))
    (problem,) = problems
    assert problem.code == "E-LIMIT"
    return f"{problem.at.line}:{problem.at.column}: {problem.message}"


def test_a_file_that_is_too_large_is_not_even_looked_at():
    found, problems = documents("a.yaml", b"\xff" * 101, Limits(file_bytes=100))

    assert not found
    assert [p.message for p in problems] == ["the file has 101 bytes, more than 100"]


@pytest.mark.parametrize("nest", [b"[", b"{", b"- ", b"? ", b"{a: ", b"[[{a: "])
def test_a_deep_nest_is_refused_and_does_not_crash(nest: bytes):
    _, problems = documents("a.yaml", nest * 30_000)

    assert [p.message for p in problems] == ["nested more than 64 deep"]


def test_the_last_allowed_depth_is_allowed():
    assert not documents("a.yaml", b"[" * 64 + b"]" * 64)[1]
    assert limit_of(b"[" * 65 + b"]" * 65) == "1:65: nested more than 64 deep"


def test_too_many_documents_are_refused_but_the_first_ones_are_there():
    found, problems = documents("a.yaml", b"a: 1\n---\n" * 5, Limits(documents=3))

    assert len(found) == 3
    assert [str(p) for p in problems] == ["a.yaml:6:1: more than 3 documents in one file; split it [E-LIMIT]"]


def test_an_alias_bomb_is_refused_before_it_explodes():
    names = "abcdefghijkl"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for before, name in pairwise(names):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"

    assert limit_of(bomb.encode()).endswith("more than 500000 values once aliases are expanded")


def test_a_merge_bomb_is_refused_too():
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: 1" for i in range(1000)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 1000)]

    assert "once aliases are expanded" in limit_of("\n".join(lines).encode())


def test_a_long_text_that_is_repeated_counts_by_its_length():
    text = b"a: &a '" + b"x" * 100_000 + b"'\nb: [" + b"*a, " * 1000 + b"*a]"

    assert "once aliases are expanded" in limit_of(text)


def test_after_twenty_syntax_errors_nobody_reads_on():
    _, problems = documents("a.yaml", b"}\n---\n" * 100)

    assert len(problems) == 20


YAML_LIKE = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "b",
                ": ",
                "- ",
                "\n",
                "  ",
                "\t",
                "---\n",
                "...\n",
                "[",
                "]",
                "{",
                "}",
                ",",
                "&x ",
                "*x",
                "<<: ",
                "|\n",
            ),
            *("'", '"', "!!str ", "!t ", "? ", "# c", "%YAML 1.1\n", "\r\n", "\r", "\ufeff", "é", "\u2028", "*.", ">"),
        ]
    ),
    max_size=40,
).map("".join)


@given(st.one_of(st.binary(max_size=200), YAML_LIKE.map(str.encode)))
@example(b"\xef\xbb\xbf")
@example(b"\xef\xbb\xbf\xff")
@example(b"a: [\n")
@example(b"\r[\r\r")
@example(b"'\n\n\n")
def test_any_bytes_give_documents_or_problems_that_stand_in_the_file(content: bytes):
    found, problems = documents("a.yaml", content, Limits(depth=8, nodes=50, documents=5))

    lines = len(content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    assert all(1 <= problem.at.line <= lines and problem.at.column >= 1 for problem in problems)
    assert all(1 <= document.line <= lines for document in found)
