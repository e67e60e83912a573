"""The files of a revision become a mesh, or the problems that stand in the way; unchanged files cost little."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from meshd.decode import DecodedFile, Kinds, decode_file
from meshd.documents import Limits, TooLargeError, too_large
from meshd.memo import Memo
from meshd.mesh.assemble import assemble, older_kinds
from meshd.mesh.checks import CHECKS
from meshd.mesh.mesh import Mesh
from meshd.mesh.older_places import at_older_places
from meshd.mesh.survey import survey
from meshd.mesh.unchanged import unchanged
from meshd.mesh.unread import Unread, in_the_light_of
from meshd.names import BlobId
from meshd.problems import Origin, Problem, Problems, errors, in_order
from meshd.resources import KINDS, NOT_YET
from meshd.resources.legacy import LegacyResource
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Resource

MOST_FILES: Final = 50_000
MOST_BYTES: Final = 256 * 1024 * 1024

_KINDS: Final = Kinds(types=KINDS, not_yet=NOT_YET)

Read = Callable[[BlobId], bytes]
"""May raise TooLargeError, so that nobody has to hold 10 GB to find out that they are no document."""
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`mesh` is None when one of the problems is an error. `skipped`: objects of other API groups."""

    mesh: Mesh | None
    problems: Problems
    resources: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One decoded file, how large it was, and which objects are in it."""

    decoded: DecodedFile[Resource]
    size: int
    keys: frozenset[Key]


def load(files: Mapping[str, BlobId], read: Read, memo: Memo, *, isolated: bool = False) -> Loaded:
    """All problems of all files at once, in the order of the files.

    Checks across resources run on what was decoded well; `isolated` leaves them out, but for objects given twice.
    """
    limits: list[Problem] = []
    read_files = list(_files(files, read, memo, limits))
    decoded = [file.decoded for file in read_files]
    resources = [resource for file in decoded for resource in file.resources]
    problems_of_files = (problem for file in decoded for problem in file.problems)
    found = [*limits, *problems_of_files, *_given_twice(read_files, resources)]
    assembled = assemble(resources, memo)
    if not isolated:
        older = (resource for resource in resources if isinstance(resource, LegacyResource))
        across = at_older_places([*assembled.problems, *_checked(assembled.mesh, memo)], older)
        found.extend(in_the_light_of(across, Unread.of(found)))
    problems = in_order(found)
    return Loaded(
        mesh=None if errors(problems) else assembled.mesh,
        problems=problems,
        resources=len(resources),
        skipped=sum(file.skipped for file in decoded),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """What the older kinds of some files come to: all but those with an error; `given` counts them.

    `dormant`: what is about hosts that nobody has yet, and would be an error, or something else, until somebody has.
    """

    resources: tuple[Resource, ...]
    dormant: tuple[Resource, ...]
    problems: Problems
    given: int


def load_older(files: Mapping[str, BlobId], read: Read, memo: Memo) -> Older:
    """Rules may come alone; where objects of today come with them, those are all that there is."""
    limits: list[Problem] = []
    read_files = list(_files(files, read, memo, limits))
    resources = [resource for file in read_files for resource in file.decoded.resources]
    older = [resource for resource in resources if isinstance(resource, LegacyResource)]
    is_whole = any(not isinstance(resource, LegacyResource | MeshConfig) for resource in resources)
    converted = older_kinds(resources, memo, is_whole=is_whole)
    problems_of_files = (problem for file in read_files for problem in file.decoded.problems)
    found = [*limits, *problems_of_files, *_given_twice(read_files, resources), *converted.problems]
    return Older(resources=converted.resources, dormant=converted.dormant, problems=in_order(found), given=len(older))


def _checked(mesh: Mesh, memo: Memo) -> Iterator[Problem]:
    seen = survey(mesh, memo)
    for check in CHECKS:
        yield from check(seen)


def _files(files: Mapping[str, BlobId], read: Read, memo: Memo, limits: list[Problem]) -> Iterator[_File]:
    """Each file once per content; it stops where a revision is too large to be a mesh."""
    if len(files) > MOST_FILES:
        limits.append(_limit(next(iter(files)), f"{len(files)} files are too many: at most {MOST_FILES}"))
        return
    total = 0
    for path, blob in files.items():
        file = memo.recall_named(("file", path, blob), partial(_file, path, blob, read, memo))
        total += file.size
        if total > MOST_BYTES:
            limits.append(_limit(path, f"all files together are too large: at most {MOST_BYTES} bytes"))
            return
        yield file


def _file(path: str, blob: BlobId, read: Read, memo: Memo) -> _File:
    try:
        content = read(blob)
    except TooLargeError as error:
        refused = (too_large(path, error.size, Limits().file_bytes),)
        return _File(decoded=DecodedFile(resources=(), problems=refused, skipped=0), size=0, keys=frozenset())
    decoded = decode_file(path, content, _KINDS)
    decoded = replace(decoded, resources=unchanged(path, content, decoded.resources, memo))
    return _File(decoded=decoded, size=len(content), keys=frozenset(map(_key, decoded.resources)))


def _limit(path: str, message: str) -> Problem:
    return Problem(code="E-LIMIT", at=Origin(path, 1, 1), message=message, hint="set `repository.path` to the mesh")


def _key(resource: Resource) -> Key:
    """What may be given once: an object by its kind, namespace and name; a MeshConfig once at all."""
    if isinstance(resource, MeshConfig):
        return (resource.KIND,)
    return (resource.KIND, resource.metadata.namespace, resource.metadata.name)


def _given_twice(files: list[_File], resources: list[Resource]) -> Iterator[Problem]:
    """Spec 3.6, whatever the apiVersion."""
    # Uniting the files' own sets takes a tenth of looking at each resource, and mostly is all there is to do.
    if len(frozenset().union(*(file.keys for file in files))) == len(resources):
        return
    first: dict[Key, Resource] = {}
    for resource in resources:
        other = first.setdefault(_key(resource), resource)
        if other is not resource:
            what = "the settings of the mesh are" if isinstance(resource, MeshConfig) else f"{resource.id} is"
            yield Problem(
                code="E-DUP-RESOURCE",
                at=resource.origin,
                message=f"{what} given already at {other.origin}",
                hint="remove one of the two",
            )
