"""`meshd install-units` into a directory. What systemd makes of it is tested in tests/lab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from meshd.cli.unit_files import place, unit_files, with_command

TOP = Path(__file__).resolve().parents[2]
UNITS = "usr/local/lib/systemd/system"


def install(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "meshd", "install-units", *map(str, words))
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.glob("**/*") if path.is_file()}


def test_all_that_a_host_needs_is_written(tmp_path):
    done = install("--root", tmp_path, "--command", "/opt/meshd/bin/meshd")

    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path) == {
        f"{UNITS}/meshd.service",
        f"{UNITS}/meshd.target",
        f"{UNITS}/meshd-capture.service",
        f"{UNITS}/meshd-envoy@.service",
        f"{UNITS}/meshd-envoy@gateway.service.d/low-ports.conf",
        "usr/local/lib/sysusers.d/meshd.conf",
        "usr/local/lib/tmpfiles.d/meshd.conf",
        "etc/polkit-1/rules.d/50-meshd.rules",
    }


def test_the_units_start_this_very_meshd(tmp_path):
    install("--root", tmp_path, "--command", "/opt/meshd/bin/meshd")

    started = {
        line
        for unit in (tmp_path / UNITS).glob("*.service")
        for line in unit.read_text().splitlines()
        if re.match(r"Exec\w+=.*meshd ", line)
    }
    assert "ExecStart=/opt/meshd/bin/meshd run" in started
    assert "ExecReload=/opt/meshd/bin/meshd envoy reload %i" in started
    assert [line for line in started if "/usr/bin/meshd" in line] == []


def test_a_package_has_its_own_places(tmp_path):
    install("--root", tmp_path, "--prefix", "/usr", "--command", "/usr/bin/meshd")

    assert "usr/share/polkit-1/rules.d/50-meshd.rules" in files_below(tmp_path)
    assert (tmp_path / "usr/lib/systemd/system/meshd.service").read_text() == (TOP / "units/meshd.service").read_text()


def test_a_dry_run_says_what_would_change_and_writes_nothing(tmp_path):
    install("--root", tmp_path, "--command", "/opt/meshd/bin/meshd")
    (tmp_path / UNITS / "meshd.target").unlink()
    (tmp_path / UNITS / "meshd.service").write_text("[Service]\n")

    done = install("--root", tmp_path, "--command", "/opt/meshd/bin/meshd", "--dry-run")

    states = {Path(path).name: state for state, path in map(str.split, done.stdout.splitlines())}
    assert states["meshd.target"] == "new"
    assert states["meshd.service"] == "changed"
    assert states["meshd-capture.service"] == "same"
    assert not (tmp_path / UNITS / "meshd.target").exists()


def test_what_was_written_is_removed_and_nothing_else(tmp_path):
    install("--root", tmp_path)
    (tmp_path / UNITS / "another.service").write_text("[Service]\n")

    shown = install("--root", tmp_path, "--uninstall", "--dry-run")
    done = install("--root", tmp_path, "--uninstall")

    assert shown.stdout == done.stdout
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path) == {f"{UNITS}/another.service"}
    assert not (tmp_path / UNITS / "meshd-envoy@gateway.service.d").exists()


def test_a_meshd_in_a_home_is_refused_because_the_units_see_no_homes(tmp_path):
    home = Path("/root" if os.geteuid() == 0 else Path.home())
    if not any(Path(each).is_relative_to("/root") or Path(each).is_relative_to("/home") for each in (sys.base_prefix,)):
        pytest.skip(f"this Python is not below {home}")

    done = install("--dry-run")

    assert done.returncode == 1
    assert "homes and /tmp are hidden" in done.stderr
    assert "pipx install --global" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write there")
def test_who_may_not_write_is_told_to_be_root():
    done = install("--command", "/opt/meshd/bin/meshd")

    assert done.returncode == 3
    assert "run it as root" in done.stderr


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "etc").write_text("")

    done = install("--root", tmp_path)

    assert done.returncode == 3
    assert "cannot" in done.stderr
    assert "run it as root" in done.stderr


def test_only_what_is_executed_is_renamed():
    text = "# /usr/bin/meshd stays\nExecStart=+/usr/bin/meshd run\nExecStop=/usr/bin/meshdx\n"

    assert with_command(text, Path("/m")) == "# /usr/bin/meshd stays\nExecStart=+/m run\nExecStop=/usr/bin/meshdx\n"


@pytest.mark.parametrize("name", ["meshd.service~", "README.md", "notes.conf", "meshd.rules.orig"])
def test_what_is_not_for_the_system_is_left_out(name):
    assert place(Path(name), Path("/usr")) is None


def test_every_file_of_units_has_its_place():
    placed = unit_files(Path("/usr"), Path("/usr/bin/meshd"))

    assert len(placed) == sum(path.is_file() for path in (TOP / "units").glob("**/*"))
