"""What runs as one proxy, written beside its sockets so that the next meshd can adopt it.

The admin socket is the better witness and is believed where the two disagree; the record knows what Envoy does
not tell: which bytes it was started with, and which predecessors are still on their way out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from meshd.proxies.admin import AdminError, Mode, server_info
from meshd.proxies.error import ProxyError
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.process import Process, alive, identify

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 -- Envoy's choice: shm_open


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`digest` is empty when it is not known what the process was started with."""

    process: Process
    epoch: int
    base_id: int
    mode: Mode | None
    digest: str
    leaving: tuple[Process, ...] = ()


def require_permission(paths: ProxyPaths) -> None:
    """To act on the proxy: what its directory holds would else be taken for absent. Raises ProxyError."""
    if os.path.exists(paths.own) and not os.access(paths.own, os.R_OK | os.W_OK | os.X_OK):  # noqa: PTH110 -- never raises
        raise ProxyError(f"no permission to act in {paths.own}", f"as root: `systemctl ... meshd-envoy@{paths.proxy}`")


def digest(bootstrap: bytes) -> str:
    return hashlib.sha256(bootstrap).hexdigest()


def find(paths: ProxyPaths) -> Record | None:
    """The living process that is this proxy, however it was started. None: nothing to adopt.

    Never a process that merely has the pid of an old record, nor one that is not this proxy's.
    """
    written = _read(paths.record)
    known = written if written is not None and alive(written.process) else None
    try:
        told = server_info(paths.admin_socket)
    except AdminError:
        return known
    process = identify(told.pid)
    if process is None or (known is not None and known.process == process):
        return known
    # Another process than the record's listens: meshd was killed between starting it and writing it down.
    leaving = () if known is None else (known.process, *known.leaving)
    return Record(process=process, epoch=told.epoch, base_id=told.base_id, mode=told.mode, digest="", leaving=leaving)


def write(paths: ProxyPaths, record: Record) -> None:
    write_atomically(paths.record, json.dumps(dataclasses.asdict(record)).encode())


def forget(paths: ProxyPaths) -> None:
    """Removes what an ended proxy leaves behind. Envoy itself never unlinks its shared memory."""
    written = _read(paths.record)
    if written is not None:
        # Left alone where it belongs to another user: it is 104 bytes, and no later start uses that name.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            (_SHARED_MEMORY / f"envoy_shared_memory_{written.base_id * 10}").unlink()
    for socket in paths.own.glob(f"{paths.hot_restart_socket.name}_*"):
        socket.unlink(missing_ok=True)
    paths.record.unlink(missing_ok=True)
    paths.admin_socket.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """The old file or the new one, also after a crash."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ProxyError(f"could not write {path}: {error.strerror}", "does the directory belong to us?") from error


def _read(path: Path) -> Record | None:
    """None for what is absent or is not a record of this version: the admin socket tells the rest."""
    try:
        fields = json.loads(path.read_text())
        process = Process(**fields.pop("process"))
        leaving = tuple(Process(**each) for each in fields.pop("leaving"))
        return Record(process=process, leaving=leaving, **fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
