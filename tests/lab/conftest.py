"""A lab for each module of tests, and why there is none where there cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import image
from tests.lab.git_server import GitServer, git_server
from tests.lab.installation import Host
from tests.lab.lab import Lab, running_lab
from tests.lab.packages import Packages, installed, packages

_COMMANDS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "ip": "iproute2",
}


def obstacle() -> str:
    """Empty when there is none."""
    if os.geteuid() != 0:
        return "only root can boot machines"
    missing = [package for command, package in _COMMANDS.items() if shutil.which(command) is None]
    return f"apt-get install {' '.join(missing)}" if missing else ""


@pytest.fixture(scope="session")
def tree() -> Path:
    why_not = obstacle()
    if why_not:
        pytest.skip(f"NO LAB, nothing was proved on booted machines: {why_not}")
    try:
        return image.tree(image.Recipe())
    except image.ImageError as error:
        pytest.skip(f"NO LAB, nothing was proved on booted machines: {error}")


@pytest.fixture(scope="session")
def built(tree: Path) -> Packages:
    """The packages of this checkout."""
    return packages()


@pytest.fixture(scope="module")
def lab(tree: Path) -> Iterator[Lab]:
    with running_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def fleet(
    lab: Lab, tree: Path, built: Packages, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[GitServer, tuple[Host, ...]]]:
    """Boots a git server and hosts. The packages are installed there; nothing is configured or started."""

    def start(*names: str) -> tuple[GitServer, tuple[Host, ...]]:
        layers = installed(tree, built)
        git, *others = lab.boot({"git": (tree,)} | dict.fromkeys(names, layers))
        return git_server(git, tmp_path_factory.mktemp("developer")), tuple(map(Host, others))

    return start
