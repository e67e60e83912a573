"""Which revisions this meshd with this Envoy has refused, so that they are not tried again and again.

Either program's next version judges anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from meshd.deliver.files import replace_durably
from meshd.names import RevisionId

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What a verdict depends upon besides the revision: of meshd, and of the Envoy that it drives."""

    meshd: str
    envoy: str


_Refusal = tuple[str, str, str]


class Refusals:
    """A file that cannot be read holds no refusals: the worst that follows is that one is found out again."""

    def __init__(self, path: Path, versions: Versions) -> None:
        self._path = path
        self._versions = versions

    def __contains__(self, revision: RevisionId) -> bool:
        return self._refusal(revision) in self._read()

    def add(self, revision: RevisionId) -> None:
        refusal = self._refusal(revision)
        others = [each for each in self._read() if each != refusal]
        self._write([*others, refusal][-_REMEMBERED:])

    def forget(self, revision: RevisionId) -> None:
        """Somebody asks for another try."""
        before = self._read()
        after = [each for each in before if each[0] != revision]
        if after != before:
            self._write(after)

    def _refusal(self, revision: RevisionId) -> _Refusal:
        return (revision, self._versions.meshd, self._versions.envoy)

    def _read(self) -> list[_Refusal]:
        try:
            entries = json.loads(self._path.read_bytes())
            return [(entry["revision"], entry["meshd"], entry["envoy"]) for entry in entries]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def _write(self, refusals: list[_Refusal]) -> None:
        entries = [{"revision": revision, "meshd": meshd, "envoy": envoy} for revision, meshd, envoy in refusals]
        replace_durably(self._path, json.dumps(entries, indent=1).encode())
