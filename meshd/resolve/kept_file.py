"""The file that carries the last known addresses over a restart: answers in, the same as kept ones out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from meshd.names import DnsName
from meshd.plan import SrvTarget
from meshd.resolve.answer import Answer

_FORMAT: Final = 1


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
        stream.write(json.dumps(content))
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def _written(answer: Answer) -> dict[str, object]:
    since = {"failing_since": answer.failing_since.isoformat()} if answer.failing_since is not None else {}
    targets = [[each.priority, each.target, each.ip, each.port, each.weight] for each in answer.targets]
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
    since = written.get("failing_since")
    return Answer(
        addresses=tuple(str(address) for address in _listed(written["addresses"])),
        targets=tuple(_targets(written.get("targets", []))),
        first=str(written["first"]),
        canonical=str(written["canonical"]),
        looked_up=datetime.fromisoformat(str(written["looked_up"])),
        expires=datetime.fromisoformat(str(written["expires"])),
        failing_since=datetime.fromisoformat(str(since)) if since is not None else None,
        source="kept",
    )


def _targets(written: object) -> Iterator[SrvTarget]:
    for priority, target, ip, port, weight in _listed(written):
        yield SrvTarget(
            priority=int(priority), target=DnsName(str(target)), ip=str(ip), port=int(port), weight=int(weight)
        )


def _listed(written: object) -> list[Any]:
    if not isinstance(written, list):
        raise TypeError("this is no list")
    return written
