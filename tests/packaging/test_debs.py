"""The Debian packages: the same bytes twice, nothing for lintian to say, what is in them. tests/lab installs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.packages import Packages
from tests.packaging.building import ELSEWHERE, TOP, build, digest, said

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("can_build")]


@pytest.fixture(scope="module")
def contents(debs: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the package meshd, beside its scripts in DEBIAN."""
    directory = tmp_path_factory.mktemp("deb") / "tree"
    said("dpkg-deb", "--raw-extract", debs.meshd, directory)
    (python,) = (directory / "usr/lib/meshd/bin").glob("python*")
    (directory / "usr/bin" / python.readlink().name).symlink_to(
        Path("/usr/bin") / python.readlink().name
    )  # the system's
    return directory


def epoch_of(package: Path) -> int:
    """The time in the header of the archive's first member (ar: 8 bytes of magic, 16 of a name, 12 of a time)."""
    return int(package.read_bytes()[24:36])


def test_two_builds_are_the_same_bytes(debs, tmp_path):
    """In another time zone, language, home and directory, and for a user whose files nobody else may read.

    Of the agent, whose bundle is compiled; that packing is no different either, the RPM of Envoy tells.
    """
    before = os.umask(0o077)
    try:
        second = build("meshd", "deb", tmp_path / "again", epoch_of(debs.meshd), ELSEWHERE | {"TMPDIR": str(tmp_path)})
    finally:
        os.umask(before)

    assert second.name == debs.meshd.name
    assert digest(second) == digest(debs.meshd)


@pytest.mark.parametrize("name", ["meshd", "envoy"])
def test_lintian_has_nothing_to_say(debs, name):
    """What is overridden has its reason beside it, in packaging/debian/<name>/<name>.lintian-overrides."""
    done = subprocess.run(
        ("lintian", "--allow-root", "--tag-display-limit", "0", getattr(debs, name)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "")


def test_the_bundle_works_where_it_was_not_built(contents):
    """And sees neither the system's packages of Python nor those of whoever calls it."""
    python = contents / "usr/lib/meshd/bin/python"
    code = "import sys, meshd.daemon.main, systemd.journal; print(*sys.path)"
    done = said("env", "PYTHONPATH=/nowhere", python, "-I", "-c", code)

    assert "/nowhere" not in done
    assert "dist-packages" not in done
    assert not list((contents / "usr/lib/meshd").glob("lib/*/site-packages/pip"))
    assert (contents / "usr/lib/meshd/bin/meshd").read_text().startswith("#!/usr/lib/meshd/bin/python -I\n")


def test_bytecode_is_there_and_believed_without_a_look_at_any_time(contents):
    compiled = next((contents / "usr/lib/meshd/lib").glob("*/site-packages/meshd/__pycache__/names.*.pyc"))

    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 1  # bound to the source, and not checked (PEP 552)


def test_no_file_names_the_directory_of_the_build(contents):
    found = subprocess.run(
        ("grep", "-rlE", "debian/meshd/usr|tmp[.][A-Za-z0-9]{10}/meshd", contents / "usr/lib/meshd"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert found.stdout == ""


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/systemd/system/meshd.service",
        "usr/lib/systemd/system/meshd-envoy@.service",
        "usr/lib/systemd/system/meshd-envoy@gateway.service.d/low-ports.conf",
        "usr/lib/systemd/system/meshd-capture.service",
        "usr/lib/systemd/system/meshd.target",
        "usr/lib/sysusers.d/meshd.conf",
        "usr/lib/tmpfiles.d/meshd.conf",
        "usr/share/polkit-1/rules.d/50-meshd.rules",
        "usr/share/bash-completion/completions/meshd",
        "usr/share/zsh/vendor-completions/_meshd",
        "usr/share/fish/vendor_completions.d/meshd.fish",
        "usr/share/man/man1/meshd.1.gz",
        "usr/share/man/man5/meshd.yaml.5.gz",
        "usr/share/man/man7/meshd-resources.7.gz",
        "usr/share/doc/meshd/examples/meshd.yaml",
        "usr/share/doc/meshd/docs/installation.md",
    ],
)
def test_a_host_gets(contents, path):
    assert (contents / path).stat().st_size > 0


def test_nothing_is_in_etc_that_an_upgrade_would_ask_about(contents):
    """The configuration is written by its owner, mostly a machine: there is no default that could be any use.

    What needrestart looks for in /etc is nobody's to edit; logrotate reads nothing elsewhere.
    """
    files = {path.relative_to(contents / "etc") for path in (contents / "etc").glob("**/*") if path.is_file()}

    assert {str(path.parent) for path in files} == {"needrestart/restart.d", "logrotate.d"}


def test_access_logs_are_rotated_as_the_page_has_it(contents):
    rules = (contents / "etc/logrotate.d/meshd-envoy").read_text()

    shown = "".join(f"    {line}\n" for line in rules.partition("\n\n")[2].splitlines())
    assert shown in (TOP / "docs/access-logs.md").read_text()


@pytest.mark.parametrize("unit", ["meshd-envoy@sidecar.service", "meshd-envoy@gateway.service"])
def test_a_library_that_is_upgraded_costs_no_request(contents, tmp_path, unit):
    """On Ubuntu needrestart restarts what has the old one open, unasked; but a proxy hands over to another process."""
    told = tmp_path / "systemctl"
    told.write_text('#!/bin/sh\necho "$@"\n')
    told.chmod(0o755)

    done = said("env", f"PATH={tmp_path}", contents / "etc/needrestart/restart.d" / unit)

    assert done == f"reload {unit}\n"


def test_the_units_are_those_of_the_checkout(contents):
    for source in (TOP / "units").glob("**/*.service"):
        packaged = contents / "usr/lib/systemd/system" / source.relative_to(TOP / "units")
        assert packaged.read_text() == source.read_text()


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_script_of_the_package_is_one(contents, script):
    said("sh", "-n", contents / "DEBIAN" / script)


def test_dependencies_are_on_the_python_that_it_was_built_for(contents):
    control = (contents / "DEBIAN/control").read_text()
    (depends,) = [line for line in control.splitlines() if line.startswith("Depends: ")]
    python = (contents / "usr/lib/meshd/bin/python").readlink()

    assert f" {python.name}," in depends
    assert "libsystemd0" in depends
    assert "nftables" in depends


def test_completion_offers_the_verbs(contents):
    """click's own: the shell asks meshd itself."""
    python = contents / "usr/lib/meshd/bin/python"
    asked = {"_MESHD_COMPLETE": "bash_complete", "COMP_WORDS": "meshd inst", "COMP_CWORD": "1"}
    done = subprocess.run(
        (python, "-I", "-m", "meshd"), env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    script = (contents / "usr/share/bash-completion/completions/meshd").read_text()

    assert done.stdout == "plain,install-units\n"
    assert "_MESHD_COMPLETE=bash_complete $1" in script
    said("bash", "-n", contents / "usr/share/bash-completion/completions/meshd")


def test_the_pages_of_the_manual_are_ones(contents):
    for page in (contents / "usr/share/man").glob("man*/*.gz"):
        done = subprocess.run(("man", "--warnings", "-l", page), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), page
