"""One machine: Debian with systemd as process 1, in namespaces of its own, over a tree that others share.

What it writes is kept until the lab ends, so it remembers across a reboot; what its kernel holds (tables, sockets,
shared memory) is not, as on a real one.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.lab.network import GATEWAY, MORTAL, PREFIX, Netns, network_of
from tests.waiting import until

Done = subprocess.CompletedProcess[str]

_HIERARCHIES = tuple(Path("/sys/fs/cgroup", name) for name in ("systemd", "unified", ""))
_BOOT = """
set -eu
mount -t tmpfs -o mode=0755 run /run
mkdir -p {place}/upper {place}/work {place}/root
mount -t overlay overlay -o lowerdir={layers},upperdir={place}/upper,workdir={place}/work {place}/root
for group in {groups}; do echo 0 >$group/cgroup.procs; done
ip link set lo up
read plugged
exec {nspawn}
"""
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What systemd says of a unit (`systemctl show`)."""

    name: str
    properties: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.properties[key]

    @property
    def state(self) -> str:
        """active, activating, failed, inactive, ..."""
        return self["ActiveState"]

    @property
    def pid(self) -> int:
        return int(self["MainPID"])

    @property
    def restarts(self) -> int:
        return int(self["NRestarts"])


class Machine:
    """Made by `Lab.machine`. `run` raises unless the command succeeds; `attempt` returns how it ended."""

    def __init__(self, name: str, address: str, layers: tuple[Path, ...], lab: Netns) -> None:
        self.name = name
        self.address = address
        self._layers = layers
        self.lab = lab
        self._groups = tuple(_control_groups(name))
        self._process: subprocess.Popen[str] | None = None
        self._network: Netns | None = None
        self._held = ExitStack()
        self._init = 0
        self._console = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `stop`)

    # --- power ---

    def start(self) -> None:
        """Returns once its kernel has begun; `await_boot` waits for systemd. So that several can boot side by side."""
        assert self._process is None, f"{self.name} is running"
        for group in self._groups:
            group.mkdir(parents=True, exist_ok=True)
        script = _BOOT.format(
            place=self._place,
            layers=shlex.quote(":".join(map(str, self._layers))),
            groups=" ".join(map(str, self._groups)),
            nspawn=shlex.join(self._nspawn()),
        )
        command = (
            *("nsenter", "--target", str(self.lab.pid), "--mount", "--"),
            *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script),
        )
        self._process = subprocess.Popen(
            (*MORTAL, *command),
            stdin=subprocess.PIPE,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            text=True,
            env={**_ENVIRONMENT, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
        self._plug_in()

    def await_boot(self) -> None:
        """Everything that starts at boot has started, or failed to."""
        self._init = until(self._find_init, seconds=60, what=f"{self.name}'s process 1")
        self._network = self._held.enter_context(network_of(self._init))
        # Until its bus is there, systemctl says "offline" or cannot connect; from then on it waits by itself.
        until(self._has_booted, seconds=90, what=f"{self.name} to boot")

    def reboot(self) -> None:
        """By systemd: units are stopped in their order, and started again in a new kernel's network."""
        assert self._process is not None
        self.attempt("systemctl", "--no-block", "reboot")
        code = self._process.wait(60)
        assert code == 133, f"{self.name} did not reboot, nspawn's exit code is {code}"
        self._forget()
        self.start()
        self.await_boot()

    def lose_power(self) -> None:
        """As a power failure: nobody is told."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._forget()

    def stop(self) -> None:
        if self._process is not None:
            self.lose_power()
        for group in self._groups:
            until(partial(_removed, group), what=f"the end of {self.name}'s processes")
        self._console.close()

    def _forget(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._held.close()
        # The kernel takes its time to end a network, and the cable's name is wanted for the next boot.
        subprocess.run(self.lab.command("ip", "link", "delete", self._cable), capture_output=True, check=False)
        self._process, self._network, self._init = None, None, 0

    @property
    def _place(self) -> str:
        """In the lab's own /mnt."""
        return f"/mnt/{self.name}"

    def _nspawn(self) -> tuple[str, ...]:
        return (
            *("systemd-nspawn", "--quiet", f"--directory={self._place}/root", "--boot", "--register=no", "--keep-unit"),
            *(
                "--console=pipe",
                f"--machine={self.name}",
                "--network-namespace-path=/proc/self/ns/net",
                "--capability=CAP_NET_ADMIN",
            ),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--kill-signal=SIGRTMIN+3"),
        )

    def _find_init(self) -> int:
        """nspawn is process 1 of its namespace, and the machine's init its only child."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} is gone: {self._last_words()}"
        below = _children(self._process.pid)
        inits = [child for nspawn in below for child in _children(nspawn) if _is_init(child)]
        return inits[0] if inits else 0

    def _has_booted(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended while it booted: {self._last_words()}"
        return self.attempt("systemctl", "is-system-running", "--wait").stdout.strip() in {"running", "degraded"}

    def _last_words(self) -> str:
        self._console.seek(0)
        return self._console.read()[-4000:].decode(errors="replace")

    # --- the network ---

    def _plug_in(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        holder = str(until(self._shells, what=f"{self.name}'s namespaces")[0])
        self.lab.run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", holder)
        self.lab.run("ip", "link", "set", self._cable, "master", "lab", "up")
        inside = ("nsenter", "--target", holder, "--net", "--")
        for words in (
            ("address", "add", f"{self.address}/{PREFIX}", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", GATEWAY),
        ):
            subprocess.run((*inside, "ip", *words), check=True, timeout=30)
        self._process.stdin.write("plugged\n")
        self._process.stdin.flush()

    def _shells(self) -> list[int]:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} is gone: {self._last_words()}"
        return _children(self._process.pid)

    @property
    def _cable(self) -> str:
        return f"to-{self.name}"

    @property
    def network(self) -> Netns:
        assert self._network is not None, f"{self.name} is not running"
        return self._network

    def cut(self, *others: Machine) -> None:
        """From these, or from everybody: packets are lost, and nobody is told."""
        for other in others:
            self.network.run("ip", "route", "replace", "blackhole", f"{other.address}/32")
        if not others:
            self.lab.run("ip", "link", "set", self._cable, "nomaster")

    def join(self, *others: Machine) -> None:
        """Ends what `cut` began."""
        for other in others:
            self.network.run("ip", "route", "delete", "blackhole", f"{other.address}/32")
        if not others:
            self.lab.run("ip", "link", "set", self._cable, "master", "lab")

    # --- commands ---

    def command(self, *words: str | Path) -> tuple[str, ...]:
        """For a process of the test's own that shall run within."""
        assert self._init, f"{self.name} is not running"
        return ("nsenter", "--target", str(self._init), "--all", "--wd=/", "--", *map(str, words))

    def attempt(self, *words: str | Path, given: str | None = None, seconds: float = 60) -> Done:
        return subprocess.run(
            self.command(*words),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=_ENVIRONMENT,
        )

    def run(self, *words: str | Path, given: str | None = None, seconds: float = 60) -> str:
        done = self.attempt(*words, given=given, seconds=seconds)
        shown = f"{self.name}: {shlex.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, shown
        return done.stdout

    def as_user(self, user: str, *words: str | Path, given: str | None = None) -> Done:
        return self.attempt("runuser", f"--user={user}", "--", *words, given=given)

    # --- files ---

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root:root") -> None:
        """By rename, with the directories that it needs."""
        user, _, group = owner.partition(":")
        self.run("mkdir", "-p", os.path.dirname(path))  # noqa: PTH120  (a path of another machine)
        new = f"{path}.new"
        self.run("install", f"--mode={mode:o}", f"--owner={user}", f"--group={group}", "/dev/stdin", new, given=text)
        self.run("mv", new, path)

    def copy_in(self, source: Path, path: str, *, mode: int = 0o644) -> None:
        with source.open("rb") as file:
            done = subprocess.run(
                self.command("install", "-D", f"--mode={mode:o}", "/dev/stdin", path),
                stdin=file, capture_output=True, check=False, timeout=120, env=_ENVIRONMENT,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def read(self, path: str) -> str:
        return self.run("cat", path)

    # --- systemd ---

    def systemctl(self, *words: str, seconds: float = 120) -> None:
        done = self.attempt("systemctl", *words, seconds=seconds)
        if done.returncode != 0:
            log = "\n".join(entry.get("MESSAGE") or "" for entry in self.journal()[-60:])
            raise AssertionError(f"{self.name}: systemctl {' '.join(words)}: {done.stderr}\n{log}")

    def unit(self, name: str) -> Unit:
        lines = self.run("systemctl", "show", name).splitlines()
        return Unit(name=name, properties=dict(line.split("=", 1) for line in lines))

    def await_unit(self, name: str, state: str, *, seconds: float = 30) -> Unit:
        def reached() -> Unit | None:
            unit = self.unit(name)
            return unit if unit.state == state else None

        return until(reached, seconds=seconds, what=f"{name} of {self.name} to be {state}")

    def journal(self, *words: str) -> list[dict[str, Any]]:
        """The entries that match, oldest first, each with all its fields."""
        text = self.run("journalctl", "--quiet", "--no-pager", "-o", "json", *words)
        return [json.loads(line) for line in text.splitlines()]

    def kill(self, pid: int, number: signal.Signals) -> None:
        """A process by the pid that it has within."""
        self.run("kill", f"-{int(number)}", str(pid))

    def outer_pid(self, pid: int) -> int:
        """The pid on this host of a process of the machine."""
        return next(outer for outer in _descendants(self._init) if _inner_pid(outer) == pid)


def _control_groups(name: str) -> Iterator[Path]:
    """One in each hierarchy that systemd-nspawn puts a machine into: without, all machines would be one."""
    for hierarchy in _HIERARCHIES:
        if (hierarchy / "cgroup.procs").exists():
            yield hierarchy / f"meshd-lab-{os.getpid()}-{name}"


def sweep() -> None:
    """Control groups of labs that were killed with their tests; all else of these went with them."""
    for hierarchy in _HIERARCHIES:
        for group in hierarchy.glob("meshd-lab-*"):
            if not Path("/proc", group.name.split("-")[2]).exists():
                _removed(group)


def _removed(group: Path) -> bool:
    """Nothing is in it any more, neither processes nor groups."""
    for below in sorted(group.rglob("*/"), reverse=True):
        with suppress(OSError):
            below.rmdir()
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _is_init(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text() == "systemd\n" and _inner_pid(pid) == 1
    return False


def _inner_pid(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid"))
        return int(line.split()[-1])
    return 0
