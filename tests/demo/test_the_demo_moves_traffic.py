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


@pytest.fixture
def demo(envoy_binary, tmp_path):
    """Starts the demo in a session of its own, with its output in a file; whatever a test does, it ends."""
    started = []

    def start(*options):
        output = tmp_path / "output"
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


def directory_of(output: Path) -> str:
    found = re.search(r"(/tmp/meshd-demo-\w+)/mesh\.git", output.read_text())
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


def test_each_push_moves_the_traffic_and_nothing_is_left_behind(demo):
    process, output = demo()

    assert process.wait(120) == 0, output.read_text()

    text = output.read_text()
    assert len(re.findall(r"live \d+ ms after", text)) == 6
    assert re.search(r"everything to v1\n(.*\n)+?\s+200 requests to http://shop.example/\n\s+v1 +█+ 200\n", text)
    assert re.search(r"with x-user: tester\n\s+v3 +█+ 200\n", text)
    assert re.search(r"payments over TLSv1.3 +█+ 200\n", text)
    assert "everybody gets it" in text
    assert left_behind(directory_of(output)) == []


def test_a_bad_commit_is_shown_refused_with_its_places(demo):
    process, output = demo()

    assert process.wait(120) == 0, output.read_text()

    text = output.read_text()
    assert re.search(r"refused \d+ ms after the push", text)
    assert re.search(r"routes\.yaml:\d+:\d+: spec\.http\[1\]\.route\[0\]\.weight: ", text)
    assert re.search(r"routes\.yaml:\d+:\d+: spec\.http\[1\]\.timout: ", text)
    assert "did you mean 'timeout'?" in " ".join(text.split())


def test_output_that_is_not_a_terminal_fits_100_columns_and_has_no_colours(demo):
    process, output = demo()

    assert process.wait(120) == 0, output.read_text()

    text = output.read_text()
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_ctrl_c_in_the_middle_leaves_nothing_behind(demo):
    process, output = demo()
    until(lambda: "everything to v1" in output.read_text(), seconds=60, what="the second push")

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(60) == 130
    assert left_behind(directory_of(output)) == []


def test_kept_running_it_says_how_to_play_and_ends_by_ctrl_c(demo):
    process, output = demo("--keep")
    until(lambda: "Ctrl-C here stops" in output.read_text() or process.poll() is not None, seconds=90, what="the end")
    directory = directory_of(output)
    place = re.search(r"status --socket (\S+)", output.read_text())[1]
    asked = subprocess.run(
        [sys.executable, "-m", "meshd", "status", "--socket", place], capture_output=True, check=False
    )
    assert asked.returncode == 0

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 130
    assert left_behind(directory) == []
