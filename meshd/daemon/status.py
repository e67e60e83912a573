"""What `meshd status` is told: one JSON object, put together from what the rooms say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from meshd.daemon.certificates import Certificate
from meshd.daemon.conditions import Condition
from meshd.problems import Problem, Problems

Json = dict[str, Any]


class Commit(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def time(self) -> datetime | None: ...
    @property
    def subject(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A commit that is not in the mirror (any more): its id is all that is known."""

    id: str
    author: str = ""
    time: datetime | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """`rejected` is the newest revision that is not in force because something is wrong with it."""

    fetched: Commit | None = None
    accepted: Commit | None = None
    active: Commit | None = None
    rejected: Commit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """`state` is Envoy's word (LIVE, DRAINING, ...) or the supervisor's; `generation` the last one acknowledged.

    `sent` counts the resources that this daemon sent it.
    """

    name: str
    state: str
    pid: int | None
    version: str
    mode: str
    generation: int | None
    connected: bool
    acknowledged: bool
    sent: int = 0
    rejections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleName:
    """A DNS name whose look-ups fail `since` then; `kept` addresses stay in use, which were got `age` seconds ago.

    `culprit`: what could not be looked up, where that is a target of an SRV name. `expired`: they are too old.
    """

    name: str
    error: str
    culprit: str = ""
    kept: int
    age: float | None
    since: datetime | None = None
    expired: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One of this host that is probed. `since`: when `healthy` last changed; `reason`: what speaks against it."""

    workload: str
    healthy: bool
    since: datetime
    reason: str


def status(
    *,
    host: str,
    version: str,
    revisions: Revisions,
    conditions: Iterable[Condition],
    source: Mapping[str, object],
    proxies: Iterable[Proxy],
    names: int,
    stale: Iterable[StaleName],
    workloads: Iterable[Workload],
    certificates: Iterable[Certificate],
    problems: Problems,
) -> Json:
    """The contract of `status -o json`; keys are stable, more may be added."""
    seen = tuple(conditions)
    return {
        "host": host,
        "version": version,
        "ready": any(condition.type == "Ready" and condition.status == "True" for condition in seen),
        "suspended": False,
        "revision": {
            "fetched": _commit(revisions.fetched),
            "accepted": _commit(revisions.accepted),
            "active": _commit(revisions.active),
            "rejected": _commit(revisions.rejected),
        },
        "conditions": [_condition(condition) for condition in seen],
        "source": dict(source),
        "proxies": [_proxy(proxy) for proxy in proxies],
        "endpoints": {"names": names, "stale": [_stale(entry) for entry in stale]},
        "workloads": [_workload(workload) for workload in workloads],
        "certificates": [certificate.as_json() for certificate in certificates],
        "problems": told(problems),
    }


def told(problems: Problems) -> list[Json]:
    return [_with_text(problem) for problem in problems]


def _with_text(problem: Problem) -> Json:
    return {**problem.as_json(), "text": str(problem)}


def _commit(commit: Commit | None) -> Json | None:
    if commit is None:
        return None
    time = commit.time.isoformat() if commit.time is not None else None
    return {"id": commit.id, "author": commit.author, "time": time, "subject": commit.subject}


def _condition(condition: Condition) -> Json:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "since": condition.since.isoformat(),
    }


def _proxy(proxy: Proxy) -> Json:
    return {
        "name": proxy.name,
        "state": proxy.state,
        "pid": proxy.pid,
        "version": proxy.version,
        "mode": proxy.mode,
        "generation": proxy.generation,
        "connected": proxy.connected,
        "acknowledged": proxy.acknowledged,
        "sent": proxy.sent,
        "rejections": list(proxy.rejections),
    }


def _workload(workload: Workload) -> Json:
    return {
        "workload": workload.workload,
        "healthy": workload.healthy,
        "since": workload.since.isoformat(),
        "reason": workload.reason,
    }


def _stale(entry: StaleName) -> Json:
    return {
        "name": entry.name,
        "error": entry.error,
        "culprit": entry.culprit,
        "kept": entry.kept,
        "age": entry.age,
        "since": entry.since.isoformat() if entry.since is not None else None,
        "expired": entry.expired,
        "text": entry.text,
    }
