"""What systemd and D-Bus say in names and numbers, in words for an operator."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any, Final, Literal

Verb = Literal["start", "stop", "reload", "restart"]

DONE: Final[Mapping[Verb, str]] = {
    "start": "started",
    "stop": "stopped",
    "reload": "reloaded",
    "restart": "restarted",
}

_LONGEST: Final = 1000
_WITHOUT: Final = "without systemd: set envoy.supervisor to child"
_POLKIT: Final = "install the rule for polkit that lets user meshd manage its proxies: `meshd install-units`"
_SYSTEMD: Final = "org.freedesktop.systemd1."
_ERROR: Final = "org.freedesktop.DBus.Error."
_HINTS: Final[Mapping[str, str]] = {
    "": _WITHOUT,
    f"{_ERROR}ServiceUnknown": _WITHOUT,
    f"{_ERROR}NameHasNoOwner": _WITHOUT,
    f"{_ERROR}AccessDenied": _POLKIT,
    f"{_ERROR}InteractiveAuthorizationRequired": _POLKIT,
    f"{_ERROR}NoReply": "it is tried again; systemd may be starting anew",
    f"{_SYSTEMD}NoSuchUnit": "install the units: `meshd install-units`",
    f"{_SYSTEMD}UnitMasked": "somebody keeps it from running: `systemctl unmask`",
    f"{_SYSTEMD}TransactionIsDestructive": "it is tried again; systemd is about to do something else with it",
    f"{_SYSTEMD}ShuttingDown": "this host is going down",
}

_RESULTS: Final[Mapping[str, str]] = {
    "canceled": "another job took its place, such as a `systemctl stop`",
    "timeout": "it took longer than the unit allows",
    "dependency": "what it depends on failed",
    "invalid": "it does not run",
    "assert": "an Assert= of the unit does not hold",
    "unsupported": "units of this kind are not supported here",
    "collected": "the unit was unloaded meanwhile",
    "once": "the unit may be started once only",
}

_FAILURES: Final[Mapping[str, str]] = {
    "timeout": "it took longer than the unit allows",
    "watchdog": "its watchdog was not fed",
    "start-limit-hit": "it was started too often",
    "resources": "systemd lacked something for it",
    "protocol": "it ended without having said that it was ready",
    "oom-kill": "memory was short, and the kernel ended it",
}


def hint(name: str) -> str:
    """For an error of this name; empty where it says enough itself."""
    return _HINTS.get(name, "")


def told(result: str) -> str:
    """Of a job that came to its end otherwise than done."""
    return _RESULTS.get(result, f"its job ended as {result!r}")


def failure(verb: Verb, service: Mapping[str, Any]) -> str:
    """Why a job failed, by the properties of its service: what systemd saw, and what the service said of it last."""
    if verb == "reload":
        seen = _reload_failure(service)
    else:
        seen = _failure("its process", service["Result"], service["ExecMainCode"], service["ExecMainStatus"])
    said = printable(service["StatusText"])
    return f"{seen}: {said}" if said else seen


def _reload_failure(service: Mapping[str, Any]) -> str:
    *_, code, status = service["ExecReload"][0] if service["ExecReload"] else (0, 0)
    return _failure("its ExecReload=", service["ReloadResult"], code, status)


def _failure(who: str, result: str, code: int, status: int) -> str:
    if result in {"signal", "core-dump"}:
        return f"{who} was ended by {_signal(status)}"
    if result == "exit-code" and code:
        return f"{who} ended with status {status}"
    return _FAILURES.get(result, f"{who} failed ({result})")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def printable(text: str) -> str:
    """On one line, of a length that a log can bear. Some of it is what a service says of itself."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:_LONGEST]
