"""The control socket's messages, shared by the daemon and the command line: one JSON object each way, one line each.

Only the standard library's lightest parts are imported here, because `meshd status` answers in under 100 ms.
"""

from __future__ import annotations

import json
import math
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Verb = Literal["status", "endpoints", "sync", "reload", "wait"]
Json = dict[str, Any]

DEFAULT_SOCKET: Final = Path("/run/meshd/control.sock")
LINE_LIMIT: Final = 64 * 1024 * 1024
"""Of a reply; the endpoints of ten thousand services are long."""
REQUEST_LIMIT: Final = 64 * 1024

_COMMIT: Final = re.compile(r"[0-9a-f]{4,40}")


class ControlError(Exception):
    """The daemon did not answer, or not as it should. `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class AwayError(ControlError):
    """Nobody listens, or who did is gone. After a restart another one answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    verb: Verb
    arguments: Json = field(default_factory=dict)

    def line(self) -> bytes:
        return json.dumps({"verb": self.verb, **self.arguments}).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`ok` is the verdict (the exit code 0 or 1); `body` what there is to say, by verb."""

    ok: bool
    body: Json = field(default_factory=dict)

    def line(self) -> bytes:
        return json.dumps({"ok": self.ok, "body": self.body}, default=str).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Which revision somebody waits for, by its id or the beginning of it, and how long."""

    revision: str
    seconds: float


def awaited(request: Request) -> Awaited:
    """Raises ControlError when the arguments are not those of `wait`."""
    revision, seconds = request.arguments.get("revision"), request.arguments.get("seconds")
    if not isinstance(revision, str) or not is_commit(revision):
        raise ControlError("`revision` must be 4 to 40 hexadecimal digits")
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise ControlError("`seconds` must be a number")
    return Awaited(revision=revision.lower(), seconds=float(seconds))


def asked_service(request: Request) -> str | None:
    """Whose endpoints `endpoints` is about; None is everybody's. Raises ControlError when that is no name."""
    service = request.arguments.get("service")
    if service is not None and (not isinstance(service, str) or not service):
        raise ControlError("`service` must be a name")
    return service


def is_commit(text: str) -> bool:
    """A commit's id, or enough of its beginning."""
    return _COMMIT.fullmatch(text.lower()) is not None


def parse_request(line: bytes) -> Request:
    """Raises ControlError when the line is not a request of this protocol."""
    try:
        message = json.loads(line)
        verb = message.pop("verb")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ControlError(f"not a request: {error}") from error
    if verb not in Verb.__args__:  # type: ignore[attr-defined]
        raise ControlError(f"unknown verb {verb!r}")
    return Request(verb=verb, arguments=message)


def ask(path: Path, request: Request, *, timeout: float | None = 5.0) -> Reply:
    """One question to the daemon, in seconds at most; None waits for as long as the daemon takes.

    Raises ControlError when nobody listens, or the daemon gives no answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(request.line())
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline(LINE_LIMIT))
                return Reply(ok=answer["ok"], body=answer["body"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _unanswered(path, error) from error


def _unanswered(path: Path, error: Exception) -> ControlError:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return AwayError(
            f"no daemon listens on {path}",
            "`systemctl status meshd` says why; `systemctl start meshd`, or `meshd run`, starts it",
        )
    if isinstance(error, PermissionError):
        return ControlError(f"no permission to ask the daemon on {path}", "be root or a member of group meshd")
    if isinstance(error, TimeoutError):
        return ControlError(f"the daemon on {path} did not answer in time", "see `journalctl -u meshd`")
    if not isinstance(error, OSError) or isinstance(error, ConnectionResetError | BrokenPipeError):
        return AwayError(f"the daemon on {path} hung up without an answer", "see `journalctl -u meshd`")
    return ControlError(f"cannot ask the daemon on {path}: {error}")
