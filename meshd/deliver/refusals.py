"""Which revisions this meshd with this Envoy has refused, so that they are not tried again and again.

Either program's next version judges anew; and so do both, once a certificate that they judged by is another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshd.deliver.files import marks, replace_durably
from meshd.names import RevisionId

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What a verdict depends upon besides the revision: of meshd, and of the Envoy that it drives."""

    meshd: str
    envoy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    revision: RevisionId
    versions: Versions
    files: Mapping[str, str]

    @property
    def holds(self) -> bool:
        return marks(self.files) == self.files


class Refusals:
    """A file that cannot be read holds no refusals: the worst that follows is that one is found out again."""

    def __init__(self, path: Path, versions: Versions) -> None:
        self._path = path
        self._versions = versions

    def __contains__(self, revision: RevisionId) -> bool:
        return any(self._is_of(each, revision) and each.holds for each in self._read())

    def add(self, revision: RevisionId, files: Mapping[str, str] | None = None) -> None:
        """`files`: what the verdict depended on besides, by `marks`. With others there it is void."""
        refusal = _Refusal(revision=revision, versions=self._versions, files=files or {})
        others = [each for each in self._read() if not self._is_of(each, revision)]
        self._write([*others, refusal][-_REMEMBERED:])

    def forget(self, revision: RevisionId) -> None:
        """Somebody asks for another try."""
        before = self._read()
        after = [each for each in before if each.revision != revision]
        if after != before:
            self._write(after)

    def _is_of(self, refusal: _Refusal, revision: RevisionId) -> bool:
        return refusal.revision == revision and refusal.versions == self._versions

    def _read(self) -> list[_Refusal]:
        try:
            return [_refusal(**entry) for entry in json.loads(self._path.read_bytes())]
        except (OSError, ValueError, TypeError):
            return []

    def _write(self, refusals: list[_Refusal]) -> None:
        entries = [
            {"revision": e.revision, "meshd": e.versions.meshd, "envoy": e.versions.envoy, "files": dict(e.files)}
            for e in refusals
        ]
        replace_durably(self._path, json.dumps(entries, indent=1).encode())


def _refusal(revision: RevisionId, meshd: str, envoy: str, files: dict[str, str]) -> _Refusal:
    return _Refusal(revision=revision, versions=Versions(meshd=meshd, envoy=envoy), files=files)
