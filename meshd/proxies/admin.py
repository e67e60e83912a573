"""Envoy's admin interface over its Unix socket: small questions with short deadlines, frozen answers."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from meshd.proxies.process import Process, identify

T = TypeVar("T")

State = Literal["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"]
Mode = Literal["xds", "fallback"]

MODE_KEY = "meshd.io/mode"
"""As `meshd.envoy.bootstrap` writes it. Not imported from there: that costs a starting proxy 0.1 s of protobuf."""

_DEADLINE = timedelta(seconds=2)

_UNWELL = {
    "pending_dynamic_removal": "leaving",
    "failed_active_health_check": "unhealthy",
    "failed_outlier_check": "ejected",
    "failed_active_degraded_check": "degraded",
}
_BY_EDS = {
    "HEALTHY": "healthy",
    "UNKNOWN": "healthy",
    "UNHEALTHY": "unhealthy",
    "TIMEOUT": "unhealthy",
    "DRAINING": "draining",
    "DEGRADED": "degraded",
}
"""Of what was told of an endpoint. Of whom nothing was told, Envoy thinks well."""


class AdminError(Exception):
    """The admin socket did not answer, or not with a yes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """`/server_info`, and the pid of whoever listens on the socket."""

    pid: int
    state: State
    version: str
    hot_restart_version: str
    epoch: int
    base_id: int
    node: str
    mode: Mode | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    pid: int
    state: State

    @property
    def live(self) -> bool:
        return self.state == "LIVE"


def server_info(admin: Path, within: timedelta = _DEADLINE) -> ServerInfo:
    """What does not change while a process lives is asked once: each answer names every extension that Envoy has."""
    ready = readiness(admin, within)
    process = identify(ready.pid)
    if process is None:
        raise AdminError(f"whoever answered at {admin} has ended")
    return replace(_told_by(admin, process, within), state=ready.state)


def readiness(admin: Path, within: timedelta = _DEADLINE) -> Readiness:
    """Whose socket this is, and whether it serves: cheap, so made for polling."""
    answer = _ask(admin, "GET", "/ready", within, accept=(200, 503))
    state = answer.body.decode(errors="replace").strip()
    if state not in get_args(State):
        raise AdminError(f"{admin} answered /ready in a form we do not know: {state[:80]!r}")
    return Readiness(pid=answer.pid, state=cast(State, state))


@lru_cache(maxsize=8)
def _told_by(admin: Path, process: Process, within: timedelta) -> ServerInfo:
    answer = _ask(admin, "GET", "/server_info", within)
    if answer.pid != process.pid:
        raise AdminError(f"{admin} was handed to another process just now")
    try:
        told = json.loads(answer.body)
        options = told["command_line_options"]
        mode = told["node"].get("metadata", {}).get(MODE_KEY)
        return ServerInfo(
            pid=answer.pid,
            state=told["state"],
            version=told["version"],
            hot_restart_version=told["hot_restart_version"],
            epoch=options["restart_epoch"],
            base_id=int(options["base_id"]),
            node=told["node"].get("id", ""),
            mode=cast(Mode, mode) if mode in {"xds", "fallback"} else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdminError(f"{admin} answered /server_info in a form we do not know") from error


def stats(admin: Path, pattern: str, within: timedelta = _DEADLINE) -> Mapping[str, int]:
    """Counters and gauges whose names match the regular expression (unanchored)."""
    target = "/stats?filter=" + urllib.parse.quote(pattern, safe="")
    lines = _ask(admin, "GET", target, within).body.decode().splitlines()
    values = (line.rpartition(": ") for line in lines)
    return {name: int(value) for name, _, value in values if value.isdecimal()}


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """The serial numbers of what Envoy shows of itself, and of whom it believes: each file's first."""

    certificates: frozenset[int]
    authorities: frozenset[int]


def in_use(admin: Path, within: timedelta = _DEADLINE) -> InUse:
    """`/certs`. Which file something came from is not told: what comes by SDS is `<inline>`."""
    return _told(admin, "/certs", within, _in_use)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One endpoint as Envoy sees it. `name`: what Envoy itself looked up, else empty."""

    address: str
    health: str
    name: str = ""


def upstreams(admin: Path, clusters: str, within: timedelta = _DEADLINE) -> Mapping[str, tuple[Upstream, ...]]:
    """The endpoints of each cluster whose name matches the regular expression (unanchored)."""
    target = "/clusters?format=json&filter=" + urllib.parse.quote(clusters, safe="")
    return _told(admin, target, within, _upstreams)


def drain_listeners(admin: Path, within: timedelta = _DEADLINE) -> None:
    """Closes the listening sockets now; requests under way go on, their connections close after them."""
    _ask(admin, "POST", "/drain_listeners", within)


def quitquitquit(admin: Path, within: timedelta = _DEADLINE) -> None:
    _ask(admin, "POST", "/quitquitquit", within)


def _told(admin: Path, target: str, within: timedelta, read: Callable[[Any], T]) -> T:
    answer = _ask(admin, "GET", target, within)
    try:
        return read(json.loads(answer.body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdminError(f"{admin} answered {target} in a form we do not know") from error


def _in_use(told: Any) -> InUse:  # noqa: ANN401  (JSON)
    contexts = told.get("certificates", [])
    return InUse(
        certificates=frozenset(serial for each in contexts for serial in _serials(each, "cert_chain")),
        authorities=frozenset(serial for each in contexts for serial in _serials(each, "ca_cert")),
    )


def _serials(context: Any, key: str) -> Iterator[int]:  # noqa: ANN401  (JSON)
    for each in context.get(key, [])[:1]:
        yield int(each["serial_number"], 16)


def _upstreams(told: Any) -> Mapping[str, tuple[Upstream, ...]]:  # noqa: ANN401  (JSON)
    """Envoy leaves out what is empty."""
    found = told.get("cluster_statuses", [])
    return {each["name"]: tuple(map(_upstream, each.get("host_statuses", ()))) for each in found}


def _upstream(told: Any) -> Upstream:  # noqa: ANN401  (JSON)
    return Upstream(
        address=_address(told["address"]), health=_health(told["health_status"]), name=told.get("hostname", "")
    )


def _address(told: Any) -> str:  # noqa: ANN401  (JSON)
    """As it is written in an endpoint; of a listener of this proxy, its name and the endpoint's id."""
    if "pipe" in told:
        return str(told["pipe"]["path"])
    if "envoy_internal_address" in told:
        inside = told["envoy_internal_address"]
        return " ".join(filter(None, [inside["server_listener_name"], inside.get("endpoint_id", "")]))
    place = told["socket_address"]
    ip, port = place["address"], place.get("port_value", 0)
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _health(told: Mapping[str, object]) -> str:
    """The gravest of what speaks against it, in a word."""
    return next((word for key, word in _UNWELL.items() if told.get(key)), _BY_EDS[str(told["eds_health_status"])])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    pid: int
    status: int
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, within: timedelta) -> None:
        super().__init__("admin", timeout=within.total_seconds())
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def peer(self) -> int:
        # The kernel's word, not the peer's: the pid of the process that listens on this socket.
        pid, _, _ = struct.unpack("3i", self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


def _ask(admin: Path, method: str, target: str, within: timedelta, accept: tuple[int, ...] = (200,)) -> _Answer:
    connection = _UnixConnection(admin, within)
    try:
        connection.connect()
        pid = connection.peer()
        connection.request(method, target, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise AdminError(f"no answer from {admin} to {target}: {error}") from error
    finally:
        connection.close()
    if response.status not in accept:
        raise AdminError(f"{admin} answered {target} with {response.status}: {body[:200].decode(errors='replace')}")
    return _Answer(pid=pid, status=response.status, body=body)
