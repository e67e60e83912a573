"""A page of the documentation -> its fenced blocks, and the meshes that those of them make which are resources.

The blocks of a section are one mesh, together with those before the page's first section. A section that speaks of
`capture: nftables` is about hosts with that setting. Blocks without a WorkloadEntry are fragments of a mesh.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId
from meshd.plan import ProxyPlan
from meshd.problems import Problems

TOP = Path(__file__).resolve().parents[2]
PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("examples/*.md"), *TOP.glob("packaging/*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"\b[EWN]-[A-Z][A-Z0-9-]+")


@dataclass(frozen=True, kw_only=True)
class Section:
    """`shared`: the blocks before the first section of its page, which belong to it too."""

    page: str
    title: str
    text: str
    shared: tuple[str, ...] = ()

    @property
    def resources(self) -> tuple[str, ...]:
        return resources(self.text)

    @property
    def reach(self) -> Reach:
        return Reach(capture="nftables" if "capture: nftables" in self.text else "none")

    @property
    def codes(self) -> frozenset[str]:
        """The problems that it speaks of."""
        return frozenset(_CODE.findall(self.text))

    def __str__(self) -> str:
        return f"{self.page}#{self.title}"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What becomes of a section's resources on the hosts that they name."""

    plans: tuple[ProxyPlan, ...]
    problems: Problems


def blocks(text: str, language: str) -> tuple[str, ...]:
    return tuple(body for named, body in _FENCE.findall(text) if named == language)


def resources(text: str) -> tuple[str, ...]:
    return tuple(body for body in blocks(text, "yaml") if body.startswith("apiVersion:"))


def sections(page: Path) -> Iterator[Section]:
    """Those that show resources."""
    name = str(page.relative_to(TOP))
    opening, *others = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    found = [Section(page=name, title=text.splitlines()[0], text=text, shared=resources(opening)) for text in others]
    showing = [section for section in found if section.resources]
    if not showing and resources(opening):
        yield Section(page=name, title="", text=opening)
    yield from showing


def section(page: str, title: str) -> Section:
    """The one whose title begins so."""
    return next(each for each in sections(TOP / page) if each.title.startswith(title))


def shown(section: Section) -> Shown:
    memo = Memo()
    texts = (*section.shared, *section.resources)
    contents = {BlobId(f"{number}.yaml"): text.encode() for number, text in enumerate(texts)}
    files = {str(blob): blob for blob in contents}
    fragment = not any("kind: WorkloadEntry" in text for text in texts)
    loaded = load(files, contents.__getitem__, memo, isolated=fragment)
    if fragment or loaded.mesh is None:
        return Shown(plans=(), problems=loaded.problems)
    compiled = [compile_plan(loaded.mesh, host, section.reach, memo) for host in loaded.mesh.workloads]
    return Shown(
        plans=tuple(plan for each in compiled for plan in each.plans),
        problems=(*loaded.problems, *(problem for each in compiled for problem in each.problems)),
    )
