"""Names of users and groups -> the numbers by which the kernel knows them on this host, or problems at their places."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from meshd.problems import Origin, Problem

_Look = Callable[[str], int]


def _user(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


@dataclass(slots=True)
class Owners:
    """Collects what is wrong. A number is taken as it is: a container's users have no names on its host."""

    problems: list[Problem] = field(default_factory=list)

    def users(self, given: Iterable[str | int], at: Origin, hint: str = "") -> frozenset[int]:
        return frozenset(self._numbers(given, _user, "user", at, hint))

    def groups(self, given: Iterable[str | int], at: Origin) -> frozenset[int]:
        return frozenset(self._numbers(given, _group, "group", at, ""))

    def user(self, given: str | int, at: Origin, hint: str) -> frozenset[int]:
        return frozenset(self._number(given, _user, "user", at, hint))

    def _numbers(self, given: Iterable[str | int], look: _Look, what: str, at: Origin, hint: str) -> Iterator[int]:
        for index, each in enumerate(given):
            yield from self._number(each, look, what, at.item(index), hint)

    def _number(self, given: str | int, look: _Look, what: str, at: Origin, hint: str) -> Iterator[int]:
        if isinstance(given, int):
            yield given
            return
        try:
            yield look(given)
        except KeyError:
            message = f"this host has no {what} {given!r}"
            self.problems.append(Problem(code="E-CONFIG-OWNER", at=at, message=message, hint=hint))
