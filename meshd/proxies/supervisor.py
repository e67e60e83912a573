"""What the daemon asks of whoever keeps this host's Envoys running, and what it is told of them.

Two answer: `child_supervisor` (meshd starts them itself) and `systemd_supervisor` (units of their own).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from google.protobuf.message import DecodeError

from meshd.names import ProxyName
from meshd.proxies.admin import AdminError, Mode, State, server_info
from meshd.proxies.binary import short_version, version
from meshd.proxies.error import InvalidBootstrapError, ProxyError
from meshd.proxies.launch import EnvoySettings, answers, validate
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import identify, started_at
from meshd.proxies.record import Record, digest, find, write_atomically

EventKind = Literal["started", "adopted", "died", "start-failed", "handed-over", "restarted", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened to a proxy. `why` is for people."""

    proxy: ProxyName
    kind: EventKind
    pid: int | None
    why: str = ""


Told = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """DOWN: no process. UNRESPONSIVE: a process whose admin socket does not answer."""

    name: ProxyName
    state: State | Literal["DOWN", "UNRESPONSIVE"]
    pid: int | None = None
    version: str = ""
    mode: Mode | None = None
    epoch: int = 0
    since: datetime | None = None


class Supervisor(Protocol):
    async def ensure(self, paths: ProxyPaths, bootstrap: bytes, /) -> None:
        """The proxy runs, with these bytes and today's binary. Costs next to nothing when it does already.

        Call it when the proxy's xDS server has a generation to serve, never before: a proxy on its fallback is
        handed over to that server. Raises InvalidBootstrapError or another ProxyError; what ran goes on running.
        """

    async def retire(self, paths: ProxyPaths, /) -> None:
        """This host no longer needs the proxy: drain it, end it, leave nothing behind."""

    async def states(self) -> tuple[ProxyState, ...]: ...

    async def stop(self, *, leave_running: bool) -> None:
        """meshd ends. With `leave_running` the proxies go on, and the next meshd adopts them."""


def look(paths: ProxyPaths) -> ProxyState:
    running = find(paths)
    if running is None:
        return ProxyState(name=paths.proxy, state="DOWN")
    since = started_at(running.process)
    try:
        told = server_info(paths.admin_socket)
    except AdminError:
        return ProxyState(
            name=paths.proxy,
            state="UNRESPONSIVE",
            pid=running.process.pid,
            mode=running.mode,
            epoch=running.epoch,
            since=since,
        )
    process = identify(told.pid)
    return ProxyState(
        name=paths.proxy,
        state=told.state,
        pid=told.pid,
        version=short_version(told.version),
        mode=running.mode or told.mode,
        epoch=told.epoch,
        since=since if process is None else started_at(process),
    )


def responds(paths: ProxyPaths, running: Record) -> bool:
    try:
        return server_info(paths.admin_socket).pid == running.process.pid
    except AdminError:
        return False


def outdated(paths: ProxyPaths, settings: EnvoySettings, running: Record, bootstrap: bytes) -> str:
    """Why the running Envoy must be replaced; empty when it need not be."""
    if not answers(paths.xds_socket):
        return ""  # a replacement would only start from the fallback
    if running.mode == "fallback":
        return "it runs from its fallback, and meshd serves it again"
    if running.digest != digest(bootstrap):
        return "its bootstrap changed"
    wanted = version(settings.binary)
    has = server_info(paths.admin_socket).version
    return "" if has == wanted else f"{short_version(wanted)} replaces {short_version(has)}"


def stage_bootstrap(paths: ProxyPaths, settings: EnvoySettings, bootstrap: bytes) -> bytes | None:
    """Puts the bootstrap where the proxy starts from, if Envoy accepts it. Returns what stood there before."""
    before = stored_bootstrap(paths)
    if before == bootstrap:
        return before
    _refuse_foreign(paths, bootstrap)
    candidate = paths.bootstrap.with_name(f"{paths.proxy}.candidate.pb")
    write_atomically(candidate, bootstrap)
    try:
        validate(candidate, settings)
    finally:
        candidate.unlink()
    write_atomically(paths.bootstrap, bootstrap)
    return before


def _refuse_foreign(paths: ProxyPaths, bootstrap: bytes) -> None:
    """Envoy 1.40 validates a .pb that does not parse as if it were empty, and would start without an admin socket."""
    try:
        admin = Bootstrap.FromString(bootstrap).admin.address.pipe.path
    except DecodeError as error:
        raise InvalidBootstrapError(f"the bootstrap of {paths.proxy} is not one: {error}") from error
    if admin != str(paths.admin_socket):
        raise InvalidBootstrapError(f"the bootstrap of {paths.proxy} has its admin socket at {admin or 'no path'!r}")


def restore_bootstrap(paths: ProxyPaths, before: bytes | None) -> None:
    """Takes back a bootstrap that Envoy accepted and then did not start with."""
    if before is None:
        paths.bootstrap.unlink(missing_ok=True)
    else:
        write_atomically(paths.bootstrap, before)


def refuse_again(refused: Mapping[str, str], bootstrap: bytes) -> None:
    """`refused`: digests of bootstraps that did not come up though Envoy validated them. Each try costs an outage."""
    why = refused.get(digest(bootstrap))
    if why is not None:
        raise ProxyError(f"{why}; the bootstrap before it is in force again", "change what Envoy complains about")


def stored_bootstrap(paths: ProxyPaths) -> bytes | None:
    try:
        return paths.bootstrap.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ProxyError(f"cannot read {paths.bootstrap}: {error.strerror}", "does it belong to meshd?") from error
