"""The verdict on one object: what is wrong with it by itself."""

from __future__ import annotations

import textwrap

from meshd.decode import Kinds, decode_file
from meshd.problems import Problems
from meshd.resources import KINDS, NOT_YET

_KINDS = Kinds(types=KINDS, not_yet=NOT_YET)


def problems_of(kind: str, spec: str, metadata: str = "name: reviews", version: str = "v1") -> Problems:
    """`spec` is its YAML, which starts in line 5."""
    group = "meshd.io" if kind == "MeshConfig" else "networking.istio.io"
    body = textwrap.indent(textwrap.dedent(spec), "  ")
    text = f"apiVersion: {group}/{version}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec:\n{body}\n"
    return decode_file("mesh.yaml", text.encode(), _KINDS).problems


def verdict(kind: str, spec: str, metadata: str = "name: reviews", version: str = "v1") -> list[str]:
    """`CODE path` of each problem, the path without `spec.`."""
    found = problems_of(kind, spec, metadata, version)
    return [f"{problem.code} {problem.at.path.removeprefix('spec.')}" for problem in found]


def told(kind: str, spec: str) -> list[str]:
    """Each problem as a person reads it, without the name of the file."""
    return [str(problem).removeprefix("mesh.yaml:") for problem in problems_of(kind, spec)]
