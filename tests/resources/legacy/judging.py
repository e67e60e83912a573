"""The verdict on one object of an older kind, and the object."""

from __future__ import annotations

import textwrap
from typing import Any

from meshd.decode import DecodedFile, Kinds, decode_file
from meshd.resources.legacy import LEGACY_KINDS, LegacyResource

_KINDS = Kinds(types=LEGACY_KINDS, not_yet={})


def decoded(kind: str, spec: str, metadata: str = "name: a") -> DecodedFile[LegacyResource]:
    """`spec` is its YAML, which starts in line 5."""
    body = textwrap.indent(textwrap.dedent(spec), "  ")
    text = f"apiVersion: config.istio.io/v1alpha2\nkind: {kind}\nmetadata: {{{metadata}}}\nspec:\n{body}\n"
    return file(text)


def file(text: str) -> DecodedFile[LegacyResource]:
    return decode_file("mesh.yaml", text.encode(), _KINDS)


def verdict(kind: str, spec: str) -> list[str]:
    """`CODE path` of each problem, the path without `spec.`."""
    found = decoded(kind, spec).problems
    return [f"{problem.code} {problem.at.path.removeprefix('spec').removeprefix('.')}" for problem in found]


def told(kind: str, spec: str) -> list[str]:
    """Each problem as a person reads it, without the name of the file."""
    return [str(problem).removeprefix("mesh.yaml:") for problem in decoded(kind, spec).problems]


def the(kind: str, spec: str) -> Any:
    """The object, which has no error."""
    (resource,) = decoded(kind, spec).resources
    return resource


def rule(spec: str) -> list[str]:
    """The verdict on a RouteRule of reviews."""
    return verdict("RouteRule", f"{{destination: {{name: reviews}}, {spec}}}")
