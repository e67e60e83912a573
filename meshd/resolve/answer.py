"""What a name resolves to, and the file that carries the last known addresses over a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from meshd.names import DnsName

Reason = Literal["NXDOMAIN", "SERVFAIL", "Timeout", "NoAnswer", "Malformed", "BadName"]
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`addresses` sorted, so that rotation is no change. `first` is the one for who wants only one: it stays as long as
    it is among them, and differs from host to host as the server rotates.

    `looked_up` is when these addresses were got; so of `kept` ones, whose last look-up failed for `error`, it tells the
    age. Without addresses nothing was ever known.
    """

    addresses: tuple[str, ...]
    first: str = ""
    canonical: str = ""
    looked_up: datetime
    expires: datetime
    error: Reason | Literal[""] = ""
    source: Literal["dns", "hosts", "kept"] = "dns"


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


def kept(answer: Answer, error: Reason | Literal[""]) -> Answer:
    return replace(answer, source="kept", error=error)


def _written(answer: Answer) -> dict[str, object]:
    return {
        "addresses": list(answer.addresses),
        "first": answer.first,
        "canonical": answer.canonical,
        "looked_up": answer.looked_up.isoformat(),
        "expires": answer.expires.isoformat(),
    }


def _parsed(written: Mapping[str, object]) -> Answer:
    addresses = written["addresses"]
    if not isinstance(addresses, list):
        raise TypeError("addresses is no list")
    return Answer(
        addresses=tuple(str(address) for address in addresses),
        first=str(written["first"]),
        canonical=str(written["canonical"]),
        looked_up=datetime.fromisoformat(str(written["looked_up"])),
        expires=datetime.fromisoformat(str(written["expires"])),
        source="kept",
    )
