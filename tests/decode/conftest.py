"""Documents to objects: the real kinds, and single values against single annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshd.decode import DecodedFile, Kinds, decode_file
from meshd.decode.decoders import decoder
from meshd.decode.report import WRONG, Report
from meshd.documents import documents
from meshd.resources import KINDS, NOT_YET
from meshd.resources.resource import Resource


@pytest.fixture(scope="session")
def kinds() -> Kinds[Resource]:
    return Kinds(types=KINDS, not_yet=NOT_YET)


@pytest.fixture
def decode(kinds: Kinds[Resource]) -> Callable[[str], DecodedFile[Resource]]:
    return lambda text: decode_file("a.yaml", text.encode(), kinds)


@pytest.fixture
def value() -> Callable[[Any, str], Any]:
    """`value(int, "5")` is 5; and what is wrong, as `1:1: path: message; hint [code]`, when it is wrong."""

    def decoded(annotation: Any, text: str) -> Any:
        (document,), problems = documents("a.yaml", f"- {text}".encode())
        assert not problems
        report = Report("a.yaml")
        result = decoder(annotation)(document.root.items[0], "it", report)
        said = [str(problem).removeprefix("a.yaml:") for problem in report.problems]
        assert (result is WRONG) == (report.errors > 0)
        return said or result

    return decoded
