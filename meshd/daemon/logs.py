"""Where events go: to the journal with their fields, or to standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog

Format = Literal["auto", "journal", "console", "json"]
Event = MutableMapping[str, Any]

_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def configure(level: str, chosen: Format) -> None:
    """`auto`: the journal when systemd listens and systemd-python is there; else a terminal's or plain lines."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            *_ending(_settle(chosen)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def _settle(chosen: Format) -> Literal["journal", "prefixed", "console", "json"]:
    if chosen == "console" or chosen == "json":  # noqa: PLR1714  (mypy narrows this form)
        return chosen
    under_journal = "JOURNAL_STREAM" in os.environ
    if chosen == "journal" or under_journal:
        return "journal" if _journal() is not None else "prefixed"
    return "console"


def _ending(form: Literal["journal", "prefixed", "console", "json"]) -> tuple[structlog.typing.Processor, ...]:
    if form == "journal":
        return (to_journal,)
    if form == "prefixed":
        return (prefixed,)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if form == "json":
        return (stamp, structlog.processors.JSONRenderer(default=str))
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return (stamp, structlog.dev.ConsoleRenderer(colors=colours))


def _journal() -> Any:  # noqa: ANN401  (systemd-python has no types)
    try:
        from systemd import journal  # noqa: PLC0415  (an extra: the program runs without it)
    except ImportError:
        return None
    return journal


def to_journal(_logger: object, _method: str, event: Event) -> str:
    """One journal entry, `MESHD_EVENT` and one upper-case field for each of the event's own; a problem's is `CODE`."""
    name, level = event.pop("event"), event.pop("level")
    fields = {"CODE" if key == "code" else f"MESHD_{key.upper()}": str(value) for key, value in event.items()}
    _journal().send(
        _sentence(name, event),
        PRIORITY=_PRIORITIES[level],
        SYSLOG_IDENTIFIER="meshd",
        MESHD_EVENT=name,
        **fields,
    )
    raise structlog.DropEvent


def prefixed(_logger: object, _method: str, event: Event) -> str:
    """A line with sd-daemon(3)'s `<priority>` in front, which journald understands without any library."""
    name, level = event.pop("event"), event.pop("level")
    return f"<{_PRIORITIES[level]}>{_sentence(name, event)}"


def _sentence(name: str, event: Event) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in event.items())])
