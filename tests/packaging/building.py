"""Builds a package in surroundings of its own, and says why it cannot be done here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["deb", "rpm"]

TOP = Path(__file__).resolve().parents[2]
ELSEWHERE = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/nonexistent"}
"""What must not show in the bytes."""

_COMMANDS = {"dpkg-buildpackage": "dpkg-dev", "dh": "debhelper", "rpmbuild": "rpm", "lintian": "lintian"}
_MINUTES = 20


def obstacle() -> str:
    """Empty when there is none."""
    if os.geteuid() != 0:
        return "the tests share their packages with the lab, which takes root"
    missing = [package for command, package in _COMMANDS.items() if shutil.which(command) is None]
    return f"apt-get install {' '.join(missing)}" if missing else ""


def build(name: str, kind: Kind, output: Path, epoch: int, environment: Mapping[str, str]) -> Path:
    command = (str(TOP / "packaging" / f"build-{kind}"), str(output), name)
    surroundings = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), **environment}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False, timeout=_MINUTES * 60)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    (file,) = output.iterdir()
    return file


def said(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
