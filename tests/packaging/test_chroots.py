"""The package in a tree that no systemd has booted: an image that is being made, on a host that carries traffic."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import image
from tests.lab.conftest import obstacle
from tests.lab.image import APART
from tests.lab.packages import Packages, installed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("can_build")]

Inside = Callable[[str], str]

_CHROOT = """
set -eu
mount -t tmpfs -o mode=0755 over /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
mount -t proc proc /mnt/root/proc
mount --bind /dev /mnt/root/dev
nft add table inet meshd
inside() { chroot /mnt/root "$@"; }
eval "$2"
"""
"""On a host whose connections are captured: it has a network of its own, and the chroot has none but that."""


@pytest.fixture
def on_a_host(debs: Packages) -> Inside:
    why_not = obstacle()
    if why_not:
        pytest.skip(f"NO CHROOT: {why_not}")
    layers = ":".join(map(str, installed(image.tree(image.Recipe()), debs)))

    def run(script: str) -> str:
        command = (*APART, "unshare", "--net", "sh", "-c", _CHROOT, "sh", layers, script)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_removal_from_an_image_leaves_the_capture_of_the_host_that_makes_it(on_a_host):
    """They share a network, and so the kernel's tables."""
    said = on_a_host("inside dpkg --remove meshd && nft list tables")

    assert "Removing meshd" in said
    assert "table inet meshd" in said


def test_an_image_can_be_purged_of_it_and_have_it_again(on_a_host, debs: Packages):
    package = f"/packages/{debs.meshd.name}"
    said = on_a_host(
        f"mkdir /mnt/root/packages; mount --bind {Path(debs.meshd).parent} /mnt/root/packages; "
        f"inside dpkg --purge meshd; test ! -e /mnt/root/etc/needrestart/restart.d; inside dpkg --install {package}; "
        "inside dpkg --audit; inside stat -c '%a %U:%G' /etc/meshd/secrets"
    )

    assert said.splitlines()[-1] == "750 root:meshd-envoy"
