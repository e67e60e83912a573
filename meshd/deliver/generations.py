"""Generations on disk: staged aside, committed by a rename, made active by the flip of a link.

A crash at any instruction leaves the old state or the new one. Each generation's directory is complete in itself:
packs that it shares with its predecessor are hard links, so removing an old generation is removing its directory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from meshd.deliver import manifest
from meshd.deliver.files import link_durably, replace_durably, sync_directory, write_durably
from meshd.deliver.manifest import Entry, Label
from meshd.deliver.pack import DamagedError, content_of, packed, unpacked, write_pack
from meshd.deliver.refusals import Refusals, Versions
from meshd.deliver.snapshot import Snapshot, Table
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EnvoyResource, TypeUrl
from meshd.memo import Memo
from meshd.names import ProxyName, RevisionId

log = structlog.get_logger()

KEPT = 10
_MOST_PACKS = 16
"""A generation that would draw upon more is written whole, into one."""
_STAGING = ".staging-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """On disk, but not yet under its name."""

    label: Label
    directory: Path
    packs: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGeneration:
    label: Label
    snapshots: Mapping[ProxyName, Snapshot]


class Generations:
    """All methods block on the disk. One writer: the caller holds the lock on the state directory."""

    def __init__(self, state: Path, versions: Versions, now: Callable[[], datetime]) -> None:
        self.refusals = Refusals(state / "refused.json", versions)
        self._root = state / "generations"
        self._link = state / "active"
        self._versions = versions
        self._now = now
        self._memo = Memo()
        self._next = 1
        self._packs: Mapping[str, frozenset[str]] = {}
        """Of the active generation: which versions each of its packs holds."""

    def open(self) -> StoredGeneration | None:
        """The active generation, if it can be read. What a crash left unfinished is forgotten."""
        self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
        for left_over in self._root.glob(f"{_STAGING}*"):
            shutil.rmtree(left_over)
        self._next = max(self._numbers(), default=0) + 1
        active = self._active()
        if active is not None:
            for number in self._numbers():
                if number > active.label.number:
                    self.discard(number)
        return active

    def stage(self, revision: RevisionId, proxies: Mapping[ProxyName, Snapshot]) -> Staged:
        """All but the fallbacks, which nobody needs before it is active. Of bodies, what the active one lacks."""
        label = Label(
            number=self._next,
            revision=revision,
            meshd=self._versions.meshd,
            envoy=self._versions.envoy,
            time=self._now(),
        )
        self._next += 1
        # Never chmod: it would take the setgid bit away that gives all in it the proxies' group, and the unit of meshd
        # may not set one. The number is nobody else's, for meshd holds the lock of its state.
        directory = self._root / f"{_STAGING}{label.number:06}"
        directory.mkdir(mode=0o750)
        try:
            packs = self._fill(directory, label, proxies)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return Staged(label=label, directory=directory, packs=packs)

    def commit(self, staged: Staged) -> None:
        staged.directory.rename(self._directory(staged.label.number))
        sync_directory(self._root)

    def add_fallback(self, staged: Staged, proxy: ProxyName, fallback: bytes) -> None:
        """To a committed generation, before it becomes active."""
        replace_durably(self._directory(staged.label.number) / proxy / "fallback.pb", fallback)

    def activate(self, staged: Staged) -> None:
        """After the last acknowledgement: from now on this is what a restart serves."""
        number = staged.label.number
        link_durably(self._link, Path(self._root.name) / self._directory(number).name)
        self._packs = staged.packs
        for old in self._numbers()[:-KEPT]:
            if old != number:
                self.discard(old)

    def abandon(self, staged: Staged) -> None:
        """Whether or not it was committed."""
        shutil.rmtree(staged.directory, ignore_errors=True)
        self.discard(staged.label.number)

    def discard(self, number: int) -> None:
        shutil.rmtree(self._directory(number), ignore_errors=True)

    def rewrite(self, number: int, proxy: ProxyName, assignments: Iterable[EnvoyResource], fallback: bytes) -> None:
        """Newer endpoints in a generation that stays as it is otherwise."""
        directory = self._directory(number) / proxy
        replace_durably(directory / "endpoints.pack", _packed_endpoints(assignments))
        replace_durably(directory / "fallback.pb", fallback)

    def _active(self) -> StoredGeneration | None:
        if not self._link.is_symlink():
            return None
        try:
            return self._read(self._root / self._link.readlink().name)
        except DamagedError as error:
            log.warning("generation.unreadable", reason=str(error), hint="it is built anew from the repository")
            return None

    def _read(self, directory: Path) -> StoredGeneration:
        contents = manifest.read(content_of(directory / "manifest.json"))
        packs = {name: unpacked(directory / name) for name in contents.packs}
        bodies = {version: body for pack in packs.values() for version, body in pack.items()}
        snapshots = {p: _snapshot(entries, bodies, directory / p) for p, entries in contents.proxies.items()}
        self._packs = {name: frozenset(pack) for name, pack in packs.items()}
        return StoredGeneration(label=contents.label, snapshots=snapshots)

    def _fill(
        self, directory: Path, label: Label, proxies: Mapping[ProxyName, Snapshot]
    ) -> Mapping[str, frozenset[str]]:
        resources = {proxy: tuple(snapshot.resources()) for proxy, snapshot in proxies.items()}
        packs = self._write_bodies(directory, {r.version: r.body for of in resources.values() for r in of})
        write_durably(directory / "manifest.json", manifest.written(label, packs, self._lines(resources)))
        for proxy, snapshot in proxies.items():
            _write_endpoints(directory / proxy, snapshot)
        sync_directory(directory)
        return packs

    def _lines(self, resources: Mapping[ProxyName, Iterable[EnvoyResource]]) -> dict[ProxyName, list[str]]:
        lines = {proxy: [self._memo.recall(manifest.line, each) for each in of] for proxy, of in resources.items()}
        self._memo.turn()
        return lines

    def _write_bodies(self, directory: Path, bodies: Mapping[str, bytes]) -> dict[str, frozenset[str]]:
        shared = {name: held for name, held in self._packs.items() if not held.isdisjoint(bodies)}
        if len(shared) < _MOST_PACKS and self._shared_into(directory, shared):
            known = frozenset[str]().union(*shared.values())
            missing = {version: body for version, body in bodies.items() if version not in known}
        else:
            shared, missing = {}, dict(bodies)
        if missing:
            shared[write_pack(directory, missing)] = frozenset(missing)
        return shared

    def _shared_into(self, directory: Path, packs: Iterable[str]) -> bool:
        """False where the file system has no hard links, or somebody removed what we want to link to."""
        try:
            source = self._root / self._link.readlink().name if packs else directory
            for name in packs:
                os.link(source / name, directory / name)
        except OSError:
            return False
        return True

    def _directory(self, number: int) -> Path:
        return self._root / f"{number:06}"

    def _numbers(self) -> list[int]:
        return sorted(int(entry.name) for entry in self._root.iterdir() if entry.name.isdecimal())


def _write_endpoints(directory: Path, snapshot: Snapshot) -> None:
    directory.mkdir(mode=0o750)
    write_durably(directory / "endpoints.pack", _packed_endpoints(snapshot.endpoints.values()))
    sync_directory(directory)


def _packed_endpoints(assignments: Iterable[EnvoyResource]) -> bytes:
    return packed({f"{each.version} {each.name}": each.body for each in assignments})


def _snapshot(entries: Iterable[Entry], bodies: Mapping[str, bytes], directory: Path) -> Snapshot:
    tables: dict[TypeUrl, dict[str, EnvoyResource]] = {CLUSTER: {}, LISTENER: {}, ROUTES: {}, SECRET: {}}
    for entry in entries:
        tables[entry.type_url][entry.name] = _with_body(entry, bodies)
    return Snapshot(
        clusters=tables[CLUSTER],
        endpoints=_endpoints(unpacked(directory / "endpoints.pack")),
        listeners=tables[LISTENER],
        routes=tables[ROUTES],
        secrets=tables[SECRET],
    )


def _with_body(entry: Entry, bodies: Mapping[str, bytes]) -> EnvoyResource:
    body = bodies.get(entry.version)
    if body is None:
        raise DamagedError(f"{entry.name} is in no pack")
    return EnvoyResource(
        type_url=entry.type_url, name=entry.name, body=body, version=entry.version, origin=entry.origin
    )


def _endpoints(bodies: Mapping[str, bytes]) -> Table:
    table = {}
    for key, body in bodies.items():
        version, _, name = key.partition(" ")
        table[name] = EnvoyResource(type_url=ENDPOINTS, name=name, body=body, version=version)
    return table
