"""What was known of the workloads, kept in a file: a restart of meshd is no reason to doubt or to trust anybody."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from meshd.health.health import Health

_FORMAT: Final = 1


def load(file: Path) -> dict[str, Health]:
    """By workload; nothing, where the file is not there or not ours."""
    try:
        kept = json.loads(file.read_bytes())
        if kept["format"] != _FORMAT:
            return {}
        return {workload: _health(workload, each) for workload, each in kept["workloads"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def save(file: Path, healths: Iterable[Health]) -> None:
    """Raises OSError."""
    text = json.dumps({"format": _FORMAT, "workloads": {each.workload: _json(each) for each in healths}})
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


def _health(workload: str, kept: Mapping[str, str | bool]) -> Health:
    return Health(
        workload=workload,
        healthy=kept["healthy"] is True,
        since=datetime.fromisoformat(str(kept["since"])),
        reason=str(kept["reason"]),
        decided=True,
    )


def _json(health: Health) -> dict[str, str | bool]:
    return {"healthy": health.healthy, "since": health.since.isoformat(), "reason": health.reason}
