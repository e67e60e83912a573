"""One revision of the mesh: which files it has, as ids; their bytes are read when somebody needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from meshd.names import BlobId, RevisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What is told about a revision to people. `time` is the committer's, aware."""

    id: RevisionId
    author: str
    time: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """`files`: path in the repository, below the configured `path`, to blob; YAML and JSON only, sorted.

    `skipped` names the symbolic links and submodules that stand there and were not followed.
    """

    id: RevisionId
    files: Mapping[str, BlobId]
    skipped: tuple[str, ...] = ()


Reason = Literal[
    "RepositoryUnreachable",
    "RepositoryRefused",
    "RepositoryEmpty",
    "BranchNotFound",
    "PathNotFound",
    "RevisionNotFound",
    "RepositoryUnsupported",
    "RepositoryCorrupt",
    "MirrorNotWritable",
]


class SourceError(Exception):
    """The repository could not be read. `reason` is the condition's, `hint` says what to do."""

    def __init__(self, reason: Reason, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.hint = hint
