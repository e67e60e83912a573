"""The tree that all machines of the lab share: Debian, with what a host of a fleet has, and without meshd.

Made once by debootstrap (a minute or two), kept outside the checkout under the digest of what it is made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RELEASE = os.environ.get("LAB_RELEASE", "bookworm")
"""What the machines run, and what the packages are built for."""
CACHE = Path(os.environ.get("MESHD_LAB_CACHE", "/var/cache/meshd-lab"))
_MINUTES = 20
APART = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""In front of a command: its mounts and all of its processes go with it."""


class ImageError(Exception):
    """The tree could not be made: no network, no space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """`masked`: units that cost time at boot and have no part in any story of ours."""

    suite: str = RELEASE
    mirror: str = "http://deb.debian.org/debian"
    packages: tuple[str, ...] = (
        *("systemd-sysv", "libpam-systemd", "dbus", "polkitd"),
        *("openssh-server", "git", "nftables", "iproute2", "iputils-ping", "procps", "curl", "ca-certificates"),
        # What the package of meshd depends on is here before, so that it can be installed without a network.
        *("python3", "libsystemd0"),
        "logrotate",
    )
    masked: tuple[str, ...] = (
        *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
        "logrotate.timer",
        *("console-getty.service", "getty@tty1.service", "systemd-logind.service", "e2scrub_reap.service"),
        *("systemd-networkd.service", "systemd-networkd.socket", "ssh.service"),
    )

    @property
    def digest(self) -> str:
        made_of = json.dumps([self.suite, self.mirror, self.packages, self.masked], sort_keys=True)
        return hashlib.sha256(made_of.encode()).hexdigest()[:12]


def tree(recipe: Recipe) -> Path:
    """The directory, made now if this is the first time; whoever else wants it meanwhile waits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = CACHE / f"{recipe.suite}-{recipe.digest}"
    with locked(CACHE / "lock"):
        if not wanted.exists():
            _make(recipe, wanted)
    return wanted


def _make(recipe: Recipe, wanted: Path) -> None:
    unfinished = wanted.with_name(f"{wanted.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    packages = CACHE / "packages"
    packages.mkdir(exist_ok=True)
    _debootstrap(recipe, unfinished, packages)
    _settle(recipe, unfinished)
    unfinished.rename(wanted)


_BOOTSTRAP = """
set -eu
target=$1
shift
mount -t tmpfs -o mode=0755 tree /mnt
mkdir /mnt/tree
"$@" /mnt/tree "$MIRROR"
cp --archive /mnt/tree "$target"
"""
"""In memory, because dpkg waits for the disk after each file: that took minutes."""


def _debootstrap(recipe: Recipe, target: Path, packages: Path) -> None:
    command = (
        *(*APART, "sh", "-c", _BOOTSTRAP, "sh", str(target), "debootstrap", "--variant=minbase"),
        *(f"--include={','.join(recipe.packages)}", f"--cache-dir={packages}", recipe.suite),
    )
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "MIRROR": recipe.mirror},
            capture_output=True,
            text=True,
            check=False,
            timeout=_MINUTES * 60,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"debootstrap was not done in {_MINUTES} minutes") from error
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise ImageError("debootstrap failed: " + " / ".join(last))


def _settle(recipe: Recipe, root: Path) -> None:
    """Each machine gets an identity and host keys of its own; its journal outlives a reboot."""
    (root / "etc/machine-id").write_text("")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "var/log/journal").mkdir(exist_ok=True)
    for unit in recipe.masked:
        masked = root / "etc/systemd/system" / unit
        masked.unlink(missing_ok=True)
        masked.symlink_to("/dev/null")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
