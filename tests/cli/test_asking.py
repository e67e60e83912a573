"""What the verbs that ask the daemon say, and their exit codes, in each situation."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

VERBS = [["status"], ["sync"], ["reload"], ["wait", "abcd", "--timeout", "0.2"]]


def meshd(*arguments, socket_path):
    command = [sys.executable, "-m", "meshd", *arguments, "--socket", str(socket_path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def daemon(short_tmp):
    """Answers every question with one line, the bytes that the test chose."""
    answer = {"line": b""}
    path = short_tmp / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer["line"])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path, answer
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("verb", VERBS)
def test_without_a_daemon_json_is_json_and_the_code_is_3(short_tmp, verb):
    done = meshd(*verb, "-o", "json", socket_path=short_tmp / "none.sock")

    assert done.returncode == 3
    assert "no daemon listens" in json.loads(done.stdout)["failure"]


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_failure_of_the_world_is_3_in_either_form(daemon, verb, output):
    path, answer = daemon
    answer["line"] = b'{"ok": false, "body": {"failure": "git is away", "hint": "wait"}}\n'

    done = meshd(*verb, "-o", output, socket_path=path)

    assert done.returncode == 3
    assert "git is away; wait" in done.stderr


@pytest.mark.parametrize("line", [b"", b"[]\n", b"{}\n", b"42\n", b"\xff\n"])
def test_an_answer_that_is_none_is_told(daemon, line):
    path, answer = daemon
    answer["line"] = line

    done = meshd("status", socket_path=path)

    assert done.returncode == 3
    assert "hung up without an answer" in done.stderr


def test_who_waits_for_a_revision_outlasts_a_restart_of_the_daemon(short_tmp):
    """The first one hangs up when it is asked; the next one comes later, and knows."""
    path = short_tmp / "control.sock"
    command = [sys.executable, "-m", "meshd", "wait", "abcd", "-o", "json", "--socket", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for answer in (b"", b'{"ok": true, "body": {"revision": "abcd"}}\n'):
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen()
                listener.settimeout(20)
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
            path.unlink()
        said, _ = process.communicate(timeout=20)

    assert (process.returncode, json.loads(said)) == (0, {"revision": "abcd"})


@pytest.mark.parametrize("rev", ["", "HEAD", "main", "abc", "a" * 41])
def test_what_is_no_commit_id_is_a_fault_of_usage(short_tmp, rev):
    done = meshd("wait", rev, socket_path=short_tmp / "none.sock")

    assert done.returncode == 2
    assert "git rev-parse" in done.stderr


@pytest.mark.parametrize("timeout", ["-1", "0", "inf", "soon"])
def test_a_timeout_is_a_number_of_seconds(short_tmp, timeout):
    assert meshd("sync", "--timeout", timeout, socket_path=short_tmp / "none.sock").returncode == 2


@pytest.mark.parametrize("verb", [["wait", "abcd"], ["sync"]])
def test_ctrl_c_is_130(short_tmp, verb):
    path = short_tmp / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        # A shell starts its background jobs, and so perhaps this whole test run, with SIGINT ignored.
        heeding = ["env", "--default-signal=INT"]
        command = [*heeding, sys.executable, "-m", "meshd", *verb, "--socket", str(path)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        connection, _ = listener.accept()
        connection.recv(4096)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=20)
        connection.close()

    assert process.returncode == 130
    assert b"Traceback" not in said


def test_render_into_a_closed_pipe_is_no_failure(tmp_path):
    command = f"{sys.executable} -m meshd render --repo examples/mesh --host web-1"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("verb", [["validate"], ["render", "--host", "web-1", "--repo"]])
def test_a_directory_that_cannot_be_read_is_3_and_no_fault_of_meshd(tmp_path, verb):
    (tmp_path / "a.yaml").write_bytes(b"{}")
    wrong = [*verb, str(tmp_path)] + (["--path", "nowhere"] if verb[0] == "render" else [])
    if verb[0] == "validate":
        (tmp_path / "a.yaml").chmod(0)
        if os.access(tmp_path / "a.yaml", os.R_OK):
            pytest.skip("root reads everything")

    done = subprocess.run([sys.executable, "-m", "meshd", *wrong], capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert "fault in meshd" not in done.stderr
