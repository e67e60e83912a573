"""Replaces a running Envoy by one with another bootstrap or binary, without a failed request.

The new epoch takes the listening sockets over while the old one drains. What may go wrong is tried out before:
once the new epoch has said hello, the old one has given up its admin socket and takes no further epoch.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from meshd import sd_notify
from meshd.proxies.admin import AdminError, server_info
from meshd.proxies.binary import hot_restart_version
from meshd.proxies.error import HotRestartError, OtherProtocolError, ProxyError
from meshd.proxies.launch import (
    EnvoySettings,
    await_live,
    choose,
    command_line,
    last_words,
    validate,
)
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import Process, alive, end, spawn, wait_gone
from meshd.proxies.record import Record, find, require_permission, write


def hot_restart(paths: ProxyPaths, settings: EnvoySettings, log: Path | None = None) -> Record:
    """Starts the next epoch with what `choose` says and returns when it serves.

    The old one leaves by itself, `parent_shutdown` later. A ProxyError changed nothing; a HotRestartError asks for a
    plain restart.
    """
    require_permission(paths)
    old = find(paths)
    if old is None:
        raise ProxyError(f"{paths.proxy} does not run", "start it")
    bootstrap = choose(paths, settings.binary)
    validate(bootstrap.path, settings)
    _refuse_other_protocol(paths, settings)
    _await_leaving(old, settings)
    command = command_line(paths, settings, bootstrap.path, base_id=old.base_id, epoch=old.epoch + 1)
    process = spawn(command, log)
    if not await_live(paths, process, settings.live_within):
        end(process, timedelta(seconds=5))
        reason = last_words(log) if log is not None else "see its journal"
        raise HotRestartError(f"{paths.proxy}: epoch {old.epoch + 1} did not become LIVE: {reason}", "restart it")
    record = Record(
        process=process,
        epoch=old.epoch + 1,
        base_id=old.base_id,
        mode=bootstrap.mode,
        digest=bootstrap.digest,
        leaving=(old.process,),
    )
    write(paths, record)
    return record


def reload_unit(paths: ProxyPaths, settings: EnvoySettings) -> Record:
    """The ExecReload of the proxy's unit: hands over, and tells systemd which process it supervises from now on.

    When the handover fails half-way the crippled epoch is ended, and the unit's Restart= is the plain restart.
    """
    old = find(paths)
    try:
        record = hot_restart(paths, settings)
    except HotRestartError:
        if old is not None:
            end(old.process, timedelta(seconds=5))
        raise
    sd_notify.notify(f"MAINPID={record.process.pid}", f"STATUS=LIVE ({record.mode}), epoch {record.epoch}")
    return record


def _refuse_other_protocol(paths: ProxyPaths, settings: EnvoySettings) -> None:
    try:
        running = server_info(paths.admin_socket).hot_restart_version
    except AdminError as error:
        raise HotRestartError(f"{paths.proxy} does not answer on its admin socket", "restart it") from error
    offered = hot_restart_version(settings.binary)
    if running != offered:
        raise OtherProtocolError(
            f"{paths.proxy} cannot hand over to {settings.binary}: hot restart {offered}, and it speaks {running}",
            "restart it",
        )


def _await_leaving(old: Record, settings: EnvoySettings) -> None:
    """A further epoch makes the last-but-one end at once, with requests in it: so let it finish first."""
    for process in still(old.leaving):
        wait_gone(process, settings.parent_shutdown + timedelta(seconds=1))


def still(processes: tuple[Process, ...]) -> tuple[Process, ...]:
    return tuple(process for process in processes if alive(process))
