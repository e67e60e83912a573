"""The scripts of the Makefile on machines that lack something, and the benchmark's meshes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench import meshes

TOP = Path(__file__).resolve().parents[2]


def run(*command, **environment):
    return subprocess.run(
        command, cwd=TOP, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def a_path_with(directory, *commands):
    """A PATH on which only these commands are found, and `id` says that we are not root."""
    for command in commands:
        found = run("sh", "-c", f"command -v {command}").stdout.strip()
        (directory / command).symlink_to(found)
    fake = directory / "id"
    fake.write_text("#!/bin/sh\necho 1000\n")
    fake.chmod(0o755)
    return str(directory)


def test_nothing_is_installed_where_all_is_there():
    done = run("packaging/debian-packages", "--python", "/usr/bin/python3", "git=git", "sh=dash")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_user_is_told_which_packages_to_install(tmp_path):
    done = run("/bin/sh", "packaging/debian-packages", "nosuchcommand=its-package", PATH=a_path_with(tmp_path, "sh"))

    assert done.returncode == 1
    assert "sudo apt-get install its-package" in done.stderr


def test_a_python_without_venv_is_a_missing_package(tmp_path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)

    done = run("/bin/sh", "packaging/debian-packages", "--python", str(python), PATH=a_path_with(tmp_path, "sh"))

    assert done.returncode == 1
    assert "python3-venv" in done.stderr


def test_a_python_that_is_too_old_is_refused(tmp_path):
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    python.chmod(0o755)

    done = run("packaging/make-venv", str(python), str(tmp_path / "venv"))

    assert done.returncode == 1
    assert "Python 3.9.2; meshd needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_benchmarks_meshes_are_good_and_the_same_each_time(tmp_path):
    files = meshes.mesh(10, (1001, 1002))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    done = run(sys.executable, "-m", "meshd", "validate", str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert files == meshes.mesh(10, (1001, 1002))


def test_what_a_benchmark_changes_is_in_its_mesh_and_differs_each_time():
    files = meshes.mesh(10, (1001, 1002))

    for change in (meshes.route_change, meshes.cluster_change, meshes.endpoint_change):
        first, second = change(1, 0), change(1, 1)
        assert set(first) <= set(files)
        assert first != second
