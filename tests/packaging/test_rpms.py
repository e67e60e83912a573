"""The RPMs, built by Debian's rpmbuild and looked at: what a host would need, get and run. None is installed here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.packaging.building import ELSEWHERE, build, digest, said

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("can_build")]

EPOCH = 1_790_000_000
RHEL_9 = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "LIBSYSTEMD": (252,)}

Ask = Callable[..., list[str]]


@pytest.fixture(scope="module")
def rpms(can_build: None, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    directory = tmp_path_factory.mktemp("rpm")
    return {name: build(name, "rpm", directory / name, EPOCH, {}) for name in ("meshd", "meshd-envoy")}


@pytest.fixture
def asked(rpms: Mapping[str, Path]) -> Ask:
    return lambda name, *what: said("rpm", "--query", "--package", *what, rpms[name]).splitlines()


def test_two_builds_are_the_same_bytes(rpms, tmp_path):
    """Of Envoy, which takes seconds. The agent's files are those of its Debian package, which is built twice too."""
    second = build("meshd-envoy", "rpm", tmp_path / "again", EPOCH, ELSEWHERE | {"TMPDIR": str(tmp_path)})

    assert digest(second) == digest(rpms["meshd-envoy"])


@pytest.mark.parametrize("name", ["meshd", "meshd-envoy"])
def test_rhel_9_has_what_it_needs(asked, name):
    """Versions of symbols, which rpm finds in what was compiled."""
    needed = [
        (library, tuple(map(int, version.split("."))))
        for line in asked(name, "--requires")
        for library, version in re.findall(r"\((GLIBC|GLIBCXX|LIBSYSTEMD)_([\d.]+)\)", line)
    ]

    assert needed
    assert [each for each in needed if each[1] > RHEL_9[each[0]]] == []


def test_its_python_and_what_it_calls_are_needed_and_nothing_of_the_bundle(asked):
    needed = asked("meshd", "--requires")

    assert "/usr/bin/python3.11" in needed
    assert {"dbus", "nftables", "polkit", "systemd >= 252"} <= set(needed)
    assert [line for line in needed if re.search(r"-[0-9a-f]{8}[.]so|/usr/lib/meshd", line)] == []
    assert [line.split(" ")[0] for line in asked("meshd", "--provides")] == ["config(meshd)", "meshd", "meshd(x86-64)"]


def test_it_has_the_files_of_the_debian_package(asked, debs):
    """But for where each distribution has what zsh completes by, changelogs and licences; needrestart is Debian's."""
    deb = {line.split(maxsplit=5)[5] for line in said("dpkg-deb", "--contents", debs.meshd).splitlines()}
    ours = {re.sub(r" -> .*", "", line.removeprefix(".")) for line in deb if not line.endswith("/")}
    theirs = set(asked("meshd", "--list"))
    elsewhere = re.compile("/etc/needrestart|/usr/share/(zsh|lintian|doc/meshd/(changelog|copyright))")

    assert sorted(path for path in ours - theirs if not elsewhere.match(path)) == []


@pytest.mark.parametrize("name", ["meshd", "meshd-envoy"])
def test_its_scripts_are_ones(asked, name, tmp_path):
    text = "\n".join(asked(name, "--scripts"))
    scripts = re.split(r"^\w+ scriptlet \(using /bin/sh\):$", text, flags=re.MULTILINE)[1:]
    for number, script in enumerate(scripts):
        file = Path(tmp_path / str(number))
        file.write_text(script)
        subprocess.run(("sh", "-n", file), check=True)

    assert len(scripts) == {"meshd": 3, "meshd-envoy": 1}[name]
