"""The packages of this checkout, built once for each state of it, and the tree of a machine that has them installed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.image import APART, CACHE, RELEASE, ImageError, locked

TOP = Path(__file__).resolve().parents[2]
_MADE_OF = ("meshd", "units", "docs", "examples", "packaging", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
_ENVOY_MADE_OF = (
    *("packaging/lock/envoy.txt", "packaging/stage-envoy", "packaging/build-deb", "packaging/versions"),
    "packaging/debian/meshd-envoy",
)
_MINUTES = 15
_KEPT = 4
_IN_USE = 2 * 60 * 60
_INSTALL = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" /mnt
mount -t proc proc /mnt/proc
mount --bind /dev /mnt/dev
mkdir /mnt/packages
mount --bind "$3" /mnt/packages
chroot /mnt sh -c 'dpkg --force-unsafe-io --install /packages/*.deb'
umount /mnt/packages
rmdir /mnt/packages
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """`next`: the agent once more, with the number of the build after this one."""

    meshd: Path
    envoy: Path
    next: Path


def packages() -> Packages:
    """Built now, if nobody has for what stands in this checkout."""
    CACHE.mkdir(parents=True, exist_ok=True)
    directory = CACHE / f"packages-{RELEASE}-{_digest(_MADE_OF)}"
    with locked(CACHE / "lock-packages"):
        if not directory.exists():
            _forget_old()
            _build(directory)
        os.utime(directory)
    (meshd,), (following,) = directory.glob("now/meshd_*.deb"), directory.glob("next/meshd_*.deb")
    (envoy,) = directory.glob("now/meshd-envoy_*.deb")
    return Packages(meshd=meshd, envoy=envoy, next=following)


def installed(tree: Path, those: Packages) -> tuple[Path, ...]:
    """The layers of a machine whose installer had the packages, uppermost first: nothing is configured or started."""
    layer = those.meshd.parent.parent / f"on-{tree.name}"
    with locked(CACHE / "lock-packages"):
        if not layer.exists():
            unfinished = layer.with_name(f"{layer.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            for part in ("upper", "work"):
                (unfinished / part).mkdir(parents=True)
            _run(*APART, "sh", "-c", _INSTALL, "sh", str(tree), str(unfinished), str(those.meshd.parent))
            unfinished.rename(layer)
    return (layer / "upper", tree)


def _build(directory: Path) -> None:
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for part in ("now", "next"):
        (unfinished / part).mkdir(parents=True)
    kept = CACHE / f"packages-of-envoy-{RELEASE}-{_digest(_ENVOY_MADE_OF)}"  # it takes a minute and seldom changes
    for package in kept.glob("*.deb"):
        shutil.copy(package, unfinished / "now")  # as new as any of its sources, so that build-deb believes in it
    _run(*_builder(), str(unfinished / "now"))
    kept.mkdir(exist_ok=True)
    for package in unfinished.glob("now/meshd-envoy_*.deb"):
        shutil.copy(package, kept)
    os.utime(kept)
    (meshd,) = unfinished.glob("now/meshd_*.deb")
    _build_again(meshd, unfinished / "next")
    unfinished.rename(directory)


def _builder() -> tuple[str, ...]:
    """Another release than this one is a tree of its own, and takes minutes more."""
    if platform.freedesktop_os_release().get("VERSION_CODENAME") == RELEASE:
        return (str(TOP / "packaging/build-deb"),)
    return (str(TOP / "packaging/in-release"), RELEASE, "", "build-deb")


def _build_again(package: Path, target: Path) -> None:
    """The same files under the next number, packed anew: a whole build takes minutes."""
    contents = target / "contents"
    _run("dpkg-deb", "--raw-extract", str(package), str(contents))
    control = contents / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)-1~", r"\1-2~", control.read_text(), flags=re.MULTILINE))
    named = package.name.replace("-1~", "-2~")
    _run("dpkg-deb", "-Znone", "--root-owner-group", "--build", str(contents), str(target / named))
    shutil.rmtree(contents)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MINUTES * 60)
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{command[0]} was not done in {_MINUTES} minutes") from error
    assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"


def _digest(parts: Sequence[str]) -> str:
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *parts),
        cwd=TOP, capture_output=True, check=True,
    ).stdout  # fmt: skip
    whole = hashlib.sha256()
    for name in sorted(filter(None, listed.split(b"\0"))):
        path = TOP / os.fsdecode(name)
        if path.is_file():
            whole.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


def _forget_old() -> None:
    """All but the last few, of a third of a gigabyte each, unless somebody may be using them."""
    by_age = sorted(CACHE.glob("packages-*"), key=lambda directory: directory.stat().st_mtime, reverse=True)
    for directory in by_age[_KEPT:]:
        if time.time() - directory.stat().st_mtime > _IN_USE:
            shutil.rmtree(directory)
