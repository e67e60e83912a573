"""What a name resolves to, and the file that carries the last known addresses over a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from meshd.names import DnsName
from meshd.plan import SrvTarget

Reason = Literal["NXDOMAIN", "SERVFAIL", "REFUSED", "Timeout", "Unreachable", "NoAnswer", "Malformed", "BadName"]
"""Why a look-up failed, a word for each: the name does not exist; the server failed, or does not want to answer us;
nobody answered in time, or nobody is there; the name exists, without addresses; what came is no answer; no such name
can be asked for."""

Source = Literal["dns", "srv", "hosts", "kept", "expired", "none"]
"""From where the addresses are: a fresh look-up, of SRV records or not; the hosts file; an earlier look-up, since the
last one failed or none was made yet in this life. Without addresses: earlier ones were dropped for their age, or
nothing was ever known."""

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`addresses` sorted, so that rotation is no change. `first` is the one for who wants only one: it stays as long as
    it is among them, and differs from host to host as the server rotates.

    `targets`: of an SRV name, each of the addresses with its port, weight and priority; else empty.

    `looked_up` is when the addresses were got, `expires` when their TTL is over: of kept ones they tell the age.
    Without addresses `looked_up` is the time of the last try; of expired ones, it is when those were got.

    `error` is why the last look-up failed, wholly or for some addresses, and `failing_since` when that began, whatever
    the reasons were since then.
    """

    addresses: tuple[str, ...]
    targets: tuple[SrvTarget, ...] = ()
    first: str = ""
    canonical: str = ""
    looked_up: datetime
    expires: datetime
    error: Reason | Literal[""] = ""
    failing_since: datetime | None = None
    source: Source = "dns"

    @property
    def ttl(self) -> timedelta:
        """As the server gave it."""
        return self.expires - self.looked_up


def load(file: Path) -> dict[DnsName, Answer]:
    """The answers of an earlier run, as kept ones; a file that is absent, damaged or of another format holds none."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(file.read_bytes())
        if content["format"] == _FORMAT:
            return {DnsName(name): _parsed(answer) for name, answer in content["answers"].items()}
    return {}


def save(file: Path, answers: Mapping[DnsName, Answer]) -> None:
    """Whole or not at all: a crash leaves the file of before."""
    content = {"format": _FORMAT, "answers": {name: _written(answer) for name, answer in sorted(answers.items())}}
    fresh = file.with_name(file.name + ".new")
    with fresh.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def kept(answer: Answer, error: Reason | Literal[""], failing_since: datetime | None) -> Answer:
    return replace(answer, source="kept", error=error, failing_since=failing_since)


def _written(answer: Answer) -> dict[str, object]:
    since = {"failing_since": answer.failing_since.isoformat()} if answer.failing_since is not None else {}
    targets = [[each.ip, each.port, each.weight, each.priority] for each in answer.targets]
    return {
        "addresses": list(answer.addresses),
        "first": answer.first,
        "canonical": answer.canonical,
        "looked_up": answer.looked_up.isoformat(),
        "expires": answer.expires.isoformat(),
        **since,
        **({"targets": targets} if targets else {}),
    }


def _parsed(written: Mapping[str, object]) -> Answer:
    addresses, since = written["addresses"], written.get("failing_since")
    if not isinstance(addresses, list):
        raise TypeError("addresses is no list")
    return Answer(
        addresses=tuple(str(address) for address in addresses),
        targets=tuple(_targets(written.get("targets", []))),
        first=str(written["first"]),
        canonical=str(written["canonical"]),
        looked_up=datetime.fromisoformat(str(written["looked_up"])),
        expires=datetime.fromisoformat(str(written["expires"])),
        failing_since=datetime.fromisoformat(str(since)) if since is not None else None,
        source="kept",
    )


def _targets(written: object) -> Iterator[SrvTarget]:
    if not isinstance(written, list):
        raise TypeError("targets is no list")
    for ip, port, weight, priority in written:
        yield SrvTarget(ip=str(ip), port=int(port), weight=int(weight), priority=int(priority))
