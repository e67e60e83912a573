"""Runs as a unit's main process, in the place of its own, and tries what it should not be able to. Prints JSON.

It stands alone: it is copied onto the machine, and knows nothing but what it finds there.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEWUSER, _NEWNET, _PTRACE_ATTACH = 0x10000000, 0x40000000, 16
_NOT_FILES = ("/proc", "/sys", "/dev")
_BPF, _INIT_MODULE = 321, 175  # of x86-64


def everything(below: str = "/") -> Iterator[tuple[str, os.stat_result]]:
    """Each file and directory that can be seen, links not followed."""
    for directory, names, files in os.walk(below):
        here = Path(directory)
        names[:] = [name for name in names if str(here / name) not in _NOT_FILES]
        for path in (here, *(here / name for name in files)):
            try:
                yield str(path), path.lstat()
            except OSError:
                continue


def looked_around() -> dict[str, list[str]]:
    """What can be written, and what can be read though it is not for everybody."""
    written, read = [], []
    for path, found in (*everything(), *everything("/dev/shm"), *everything("/dev/mqueue")):
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            continue
        if os.access(path, os.W_OK):
            written.append(path)
        if not found.st_mode & stat.S_IROTH and os.access(path, os.R_OK):
            read.append(path)
    return {"written": written, "read": read}


def outcome(attempt: Callable[[], object]) -> str:
    """The name of the error that it met, or `done`."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "failed")
    return "done"


def call(name: str, *arguments: object) -> object:
    if getattr(_LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
    return None


def syscall(number: int, *arguments: object) -> object:
    if _LIBC.syscall(ctypes.c_long(number), *arguments) == -1:
        raise OSError(ctypes.get_errno(), str(number))
    return None


def opened(path: str, mode: str = "rb") -> None:
    with Path(path).open(mode) as file:
        if mode == "rb":
            file.read(1)


def set_user_id_file() -> None:
    path = Path(os.environ["HERE"], "suid")
    path.write_text("")
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


def writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def systemctl(*words: str) -> None:
    done = subprocess.run(("systemctl", "--no-ask-password", *words), capture_output=True, check=False, timeout=30)
    if done.returncode != 0:
        raise PermissionError(errno.EACCES, done.stderr.decode())


def neighbour() -> int:
    """A process of somebody else."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.stat().st_uid != os.getuid():
            return int(entry.name)
    return 1


ATTEMPTS: dict[str, Callable[[], object]] = {
    "become root": lambda: os.setuid(0),
    "a user namespace": lambda: call("unshare", _NEWUSER),
    "a network namespace": lambda: call("unshare", _NEWNET),
    "the namespaces of process 1": lambda: opened("/proc/1/ns/mnt"),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "a device": lambda: os.mknod(Path(os.environ["HERE"], "device"), stat.S_IFBLK | 0o600, os.makedev(8, 0)),
    "a set-user-ID file": set_user_id_file,
    "memory that is written and run": writable_code,
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "raw IP": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close(),
    "trace a process": lambda: call("ptrace", _PTRACE_ATTACH, neighbour(), 0, 0),
    "end a process": lambda: os.kill(neighbour(), 0),
    "memory of a process": lambda: opened(f"/proc/{neighbour()}/mem"),
    "environment of a process": lambda: opened(f"/proc/{neighbour()}/environ"),
    "the host's name": lambda: call("sethostname", b"mine", 4),
    "the clock": lambda: call("settimeofday", ctypes.byref((ctypes.c_long * 2)(1, 0)), None),
    "a kernel module": lambda: syscall(_INIT_MODULE, None, 0, b""),
    "a BPF program": lambda: syscall(_BPF, 0, None, 0),
    "the kernel's log": lambda: opened("/dev/kmsg"),
    "a kernel setting": lambda: opened("/proc/sys/kernel/core_pattern", "w"),
    "a control group": lambda: Path("/sys/fs/cgroup/mine").mkdir(),
    "a unit of somebody else": lambda: systemctl("stop", "application@8080"),
    "a unit of its own making": lambda: systemctl("set-property", "meshd.service", "CPUWeight=1"),
    "power": lambda: systemctl("poweroff"),
    "a file of a user": lambda: opened("/home/ada/open"),
    "a file in everybody's /tmp": lambda: opened("/tmp/open"),
    "the control socket": lambda: socket.socket(socket.AF_UNIX).connect("/run/meshd/control.sock"),
}


def main() -> None:
    status = Path("/proc/self/status").read_text().splitlines()
    found = {
        "status": dict(line.split(":\t", 1) for line in status if ":\t" in line),
        "attempts": {name: outcome(attempt) for name, attempt in ATTEMPTS.items()},
        **looked_around(),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
