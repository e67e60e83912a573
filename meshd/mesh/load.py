"""The files of a revision become a mesh, or the problems that stand in the way; unchanged files cost little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from meshd.decode import DecodedFile, Kinds, decode_file
from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.checks import CHECKS
from meshd.mesh.mesh import Mesh
from meshd.mesh.survey import survey
from meshd.mesh.unread import Unread, in_the_light_of
from meshd.names import BlobId
from meshd.problems import Origin, Problem, Problems, errors, in_order
from meshd.resources import KINDS, NOT_YET
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Resource

MOST_FILES: Final = 50_000
MOST_BYTES: Final = 256 * 1024 * 1024

_KINDS: Final = Kinds(types=KINDS, not_yet=NOT_YET)

Read = Callable[[BlobId], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`mesh` is None when one of the problems is an error. `skipped`: objects of other API groups."""

    mesh: Mesh | None
    problems: Problems
    resources: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One decoded file, and how large it was."""

    decoded: DecodedFile[Resource]
    size: int


def load(files: Mapping[str, BlobId], read: Read, memo: Memo, *, isolated: bool = False) -> Loaded:
    """All problems of all files at once, in the order of the files.

    Checks across resources run on what was decoded well; `isolated` leaves them out, but for objects given twice.
    """
    limits: list[Problem] = []
    decoded = list(_decoded(files, read, memo, limits))
    resources = [resource for file in decoded for resource in file.resources]
    found = [*limits, *(problem for file in decoded for problem in file.problems), *_given_twice(resources)]
    assembled = assemble(resources, memo)
    if not isolated:
        across = [*assembled.problems, *_checked(assembled.mesh, memo)]
        found.extend(in_the_light_of(across, Unread.of(found)))
    problems = in_order(found)
    return Loaded(
        mesh=None if errors(problems) else assembled.mesh,
        problems=problems,
        resources=len(resources),
        skipped=sum(file.skipped for file in decoded),
    )


def _checked(mesh: Mesh, memo: Memo) -> Iterator[Problem]:
    seen = survey(mesh, memo)
    for check in CHECKS:
        yield from check(seen)


def _decoded(
    files: Mapping[str, BlobId], read: Read, memo: Memo, limits: list[Problem]
) -> Iterator[DecodedFile[Resource]]:
    """Each file once per content; it stops where a revision is too large to be a mesh."""
    if len(files) > MOST_FILES:
        limits.append(_limit(next(iter(files)), f"{len(files)} files are too many: at most {MOST_FILES}"))
        return
    total = 0
    for path, blob in files.items():
        file = memo.recall_named(("file", path, blob), partial(_file, path, blob, read))
        total += file.size
        if total > MOST_BYTES:
            limits.append(_limit(path, f"all files together are too large: at most {MOST_BYTES} bytes"))
            return
        yield file.decoded


def _file(path: str, blob: BlobId, read: Read) -> _File:
    content = read(blob)
    return _File(decoded=decode_file(path, content, _KINDS), size=len(content))


def _limit(path: str, message: str) -> Problem:
    return Problem(code="E-LIMIT", at=Origin(path, 1, 1), message=message, hint="set `repository.path` to the mesh")


def _given_twice(resources: Iterable[Resource]) -> Iterator[Problem]:
    """Spec 3.6, whatever the apiVersion; and there is one MeshConfig at most."""
    first: dict[tuple[str, ...], Resource] = {}
    for resource in resources:
        metadata = resource.metadata
        only_one = isinstance(resource, MeshConfig)
        key = (resource.KIND,) if only_one else (resource.KIND, metadata.namespace, metadata.name)
        other = first.setdefault(key, resource)
        if other is not resource:
            what = "the settings of the mesh are" if only_one else f"{resource.id} is"
            yield Problem(
                code="E-DUP-RESOURCE",
                at=resource.origin,
                message=f"{what} given already at {other.origin}",
                hint="remove one of the two",
            )
