"""The verdict on one object: what is wrong with it by itself."""

from __future__ import annotations

import textwrap

from meshd.decode import Kinds, decode_file
from meshd.resources import KINDS, NOT_YET

_KINDS = Kinds(types=KINDS, not_yet=NOT_YET)


def verdict(kind: str, spec: str, metadata: str = "name: reviews") -> list[str]:
    """`CODE path` of each problem, the path without `spec.`; `spec` is its YAML."""
    group = "meshd.io/v1" if kind == "MeshConfig" else "networking.istio.io/v1"
    body = textwrap.indent(textwrap.dedent(spec), "  ")
    text = f"apiVersion: {group}\nkind: {kind}\nmetadata: {{{metadata}}}\nspec:\n{body}\n"
    problems = decode_file("mesh.yaml", text.encode(), _KINDS).problems
    return [f"{problem.code} {problem.at.path.removeprefix('spec.')}" for problem in problems]
