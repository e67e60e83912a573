"""The last snapshot and the next -> what the real Envoy refuses of the difference, at the lines it came from.

Nothing is pushed that was not judged; what was judged good once is not judged again. Envoy stops at its first
complaint and rarely says which resource it means, so that one is found by judging halves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, TypeVar

from meshd.deliver.nack import KINDS, mentions, plain
from meshd.deliver.snapshot import NOTHING, Snapshot
from meshd.envoy.resource import SECRET, EnvoyResource, Part
from meshd.envoy.routes import with_parts
from meshd.envoy.trial import single_routes, trial
from meshd.names import ProxyName
from meshd.problems import Origin, Problem, Problems, in_order

_MOST_PROBLEMS = 5
"""After so many the rest is left for the next attempt: each costs a search."""
_MOST_VERDICTS = 100_000


class Judge(Protocol):
    """`Validator`, or a test's fault in its place."""

    async def complaint(self, bootstrap: bytes) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A virtual host, with the table that it stands in."""

    table: EnvoyResource
    part: Part


_Unit = EnvoyResource | _Piece
_T = TypeVar("_T")


class Preflight:
    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._good: OrderedDict[str, None] = OrderedDict()

    async def judge(
        self,
        previous: Mapping[ProxyName, Snapshot],
        following: Mapping[ProxyName, Snapshot],
        secrets: Mapping[ProxyName, Sequence[EnvoyResource]],
    ) -> Problems:
        """Proxy by proxy, since both may have a cluster of one name; what they share is judged once.

        Of secrets only those that are given, and each time: the same name may be another file by now.
        """
        problems: list[Problem] = []
        for proxy, snapshot in following.items():
            changes = _changes(previous.get(proxy, NOTHING), snapshot)
            units = [unit for unit in changes if _fingerprint(unit) not in self._good]
            problems += await self._judged([*secrets.get(proxy, ()), *units])
        return in_order(problems)

    async def _judged(self, units: list[_Unit]) -> list[Problem]:
        problems: list[Problem] = []
        while units and len(problems) < _MOST_PROBLEMS:
            complaint = await self._judge.complaint(_bootstrap(units))
            if complaint is None:
                self._remember(units)
                break
            culprit, complaint = await self._culprit(units, complaint)
            problems.append(await self._problem(culprit, complaint))
            units.remove(culprit)
        return problems

    async def _culprit(self, units: Sequence[_Unit], complaint: str) -> tuple[_Unit, str]:
        """The unit that is named by the complaint and bad alone, or else the one that halving leads to."""
        named = [unit for unit in units if _name(unit) in complaint and mentions(complaint, _name(unit))]
        if len(named) == 1:
            alone = await self._judge.complaint(_bootstrap(named))
            if alone is not None:
                return named[0], alone
        return await self._narrowed(units, complaint, _bootstrap)

    async def _narrowed(
        self, suspects: Sequence[_T], complaint: str, bootstrap: Callable[[Sequence[_T]], bytes]
    ) -> tuple[_T, str]:
        """Of suspects that are bad together, the one that is bad, with what is said of it alone.

        Where only a combination is bad, such as a domain that two virtual hosts claim, it is the last one of it.
        """
        while len(suspects) > 1:
            first, second = suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]
            of_first = await self._judge.complaint(bootstrap(first))
            suspects, complaint = (second, complaint) if of_first is None else (first, of_first)
        return suspects[0], await self._judge.complaint(bootstrap(suspects)) or complaint

    async def _problem(self, unit: _Unit, complaint: str) -> Problem:
        if isinstance(unit, EnvoyResource):
            return _refused(f"{KINDS[unit.type_url]} {unit.name}", unit.origin, complaint)
        what = f"virtual host {unit.part.name} of route table {unit.table.name}"
        routes = single_routes(unit.part)
        if len(routes) > 1 and (found := await self._judge.complaint(trial(routes))) is not None:
            route, complaint = await self._narrowed(routes, found, trial)
            return _refused(what, route.origin, complaint)
        return _refused(what, routes[0].origin if len(routes) == 1 else unit.part.origin, complaint)

    def _remember(self, units: Iterable[_Unit]) -> None:
        for unit in units:
            if not _is_secret(unit):
                self._good[_fingerprint(unit)] = None
        while len(self._good) > _MOST_VERDICTS:
            self._good.popitem(last=False)


def _changes(previous: Snapshot, following: Snapshot) -> Iterator[_Unit]:
    """Whole resources, but of a route table only the virtual hosts that its last version did not have."""
    for resource in following.resources():
        before = previous.table(resource.type_url).get(resource.name)
        if _is_secret(resource) or (before is not None and before.version == resource.version):
            continue
        if not resource.parts:
            yield resource
            continue
        known = {part.body for part in before.parts} if before is not None else set()
        yield from (_Piece(table=resource, part=part) for part in resource.parts if part.body not in known)


def _is_secret(unit: _Unit) -> bool:
    return isinstance(unit, EnvoyResource) and unit.type_url == SECRET


def _bootstrap(units: Sequence[_Unit]) -> bytes:
    resources = [unit for unit in units if isinstance(unit, EnvoyResource)]
    tables: dict[str, tuple[EnvoyResource, list[Part]]] = {}
    for unit in units:
        if isinstance(unit, _Piece):
            tables.setdefault(unit.table.version, (unit.table, []))[1].append(unit.part)
    return trial([*resources, *(with_parts(table, tuple(parts)) for table, parts in tables.values())])


def _fingerprint(unit: _Unit) -> str:
    if isinstance(unit, EnvoyResource):
        return f"{unit.type_url} {unit.version}"
    return blake2b(unit.part.body, digest_size=16).hexdigest()


def _name(unit: _Unit) -> str:
    return unit.name if isinstance(unit, EnvoyResource) else unit.part.name


def _refused(what: str, at: Origin, complaint: str) -> Problem:
    return Problem(code="E-ENVOY-REFUSED", at=at, message=f"Envoy refuses {what}: {plain(complaint)}")
