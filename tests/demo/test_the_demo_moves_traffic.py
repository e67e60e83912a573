"""`meshd demo` as a user runs it: what it shows, and what it leaves behind (nothing)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until

pytestmark = pytest.mark.envoy


@pytest.fixture(scope="module")
def demo(envoy_binary, tmp_path_factory):
    """Starts the demo in a session of its own, with its output in a file; whatever a test does, it ends."""
    started = []

    def start(*options):
        output = tmp_path_factory.mktemp("demo") / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "meshd", "demo", "--envoy", str(envoy_binary), *options],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process, output

    yield start

    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def told(demo):
    """The whole demo, once, from its beginning to its end."""
    process, output = demo()
    assert process.wait(120) == 0, output.read_text()
    return output.read_text()


def directory_of(text: str) -> str:
    found = re.search(r"(/tmp/meshd-demo-\w+)/mesh\.git", text)
    return found[1] if found else ""


def left_behind(directory: str) -> list[str]:
    """Processes that name the demo's directory, and the directory itself."""
    left = [directory] if Path(directory).exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if directory.encode() in line:
            left.append(line.decode(errors="replace"))
    return left


def test_each_push_moves_the_traffic(told):
    assert len(re.findall(r"live \d+ ms after", told)) == 6
    assert re.search(r"everything to v1\n(.*\n)+?\s+200 requests to http://shop.example/\n\s+v1 +█+ 200\n", told)
    assert re.search(r"with x-user: tester\n\s+v3 +█+ 200\n", told)
    assert re.search(r"payments over TLSv1.3 +█+ 200\n", told)
    assert "the fix, and more for v2" in told


def test_a_bad_commit_is_shown_refused_with_its_places(told):
    assert re.search(r"refused \d+ ms after the push", told)
    assert re.search(r"routes\.yaml:\d+:\d+: spec\.http\[1\]\.route\[0\]\.weight: ", told)
    assert re.search(r"routes\.yaml:\d+:\d+: spec\.http\[1\]\.timout: ", told)
    assert "did you mean 'timeout'?" in " ".join(told.split())


def test_it_ends_with_a_ready_host(told):
    assert re.search(r"\$ meshd status\nweb-1 .* ready", told)


def test_output_that_is_not_a_terminal_fits_100_columns_and_has_no_colours(told):
    assert "\x1b" not in told
    assert max(len(line) for line in told.splitlines()) <= 100


def test_nothing_is_left_behind(told):
    assert left_behind(directory_of(told)) == []


def test_an_envoy_that_does_not_start_fails_the_demo_and_leaves_nothing_behind(tmp_path):
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\necho 'no such thing' >&2; exit 1\n")
    broken.chmod(0o755)
    command = [sys.executable, "-m", "meshd", "demo", "--envoy", str(broken)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 3
    assert done.stderr.startswith("meshd: ")
    assert left_behind(directory_of(done.stdout)) == []


def test_ctrl_c_in_the_middle_leaves_nothing_behind(demo):
    process, output = demo()
    until(lambda: "everything to v1" in output.read_text(), seconds=60, what="the second push")

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(60) == 130
    assert left_behind(directory_of(output.read_text())) == []


def test_kept_running_it_says_how_to_play_and_ends_by_ctrl_c(demo):
    process, output = demo("--keep")
    until(lambda: "Ctrl-C here stops" in output.read_text() or process.poll() is not None, seconds=90, what="the end")
    directory = directory_of(output.read_text())
    place = re.search(r"status --socket (\S+)", output.read_text())[1]
    asked = subprocess.run(
        [sys.executable, "-m", "meshd", "status", "--socket", place], capture_output=True, check=False
    )
    assert asked.returncode == 0

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 130
    assert left_behind(directory) == []
