"""Where events go, and in which form."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

SAY = "from meshd.daemon.logs import configure; import structlog; configure('info', {form!r}); {event}"
EVENT = "structlog.get_logger().warning('generation.delivered', generation=7, revision='abc')"


def said(form: str, event: str = EVENT, **environment: str) -> str:
    program = SAY.format(form=form, event=event)
    variables = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True)
    return done.stderr.strip()


def test_json_is_one_object_a_line():
    event = json.loads(said("json"))

    assert (event["event"], event["level"], event["generation"]) == ("generation.delivered", "warning", 7)
    assert event["timestamp"].endswith("Z")


def test_the_console_form_has_no_colours_where_nobody_sees_them():
    line = said("console")

    assert "generation.delivered" in line
    assert "\x1b[" not in line


def test_below_the_level_nothing_is_said():
    assert said("json", "structlog.get_logger().debug('detail')") == ""


def test_without_systemd_python_the_journal_gets_lines_with_a_priority(tmp_path):
    """A package that cannot be imported stands for one that is not installed."""
    (tmp_path / "systemd.py").write_text("raise ImportError")

    line = said("auto", JOURNAL_STREAM="8:1", PYTHONPATH=str(tmp_path))

    assert line == "<4>generation.delivered generation=7 revision=abc"


RECEIVE = """
import os, socket, subprocess, sys
os.makedirs("/run/systemd/journal")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
    journal.bind("/run/systemd/journal/socket")
    subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
    sys.stdout.buffer.write(journal.recv(65536))
"""


@pytest.mark.skipif(importlib.util.find_spec("systemd") is None, reason="systemd-python is an extra; CI installs it")
@pytest.mark.skipif(os.geteuid() != 0, reason="a journal of one's own takes a mount namespace, and that takes root")
def test_the_journal_gets_the_event_with_its_fields():
    """The real systemd-python, and a journal socket on a /run that only this test sees."""
    script = f'mount -t tmpfs none /run && exec {sys.executable} -c "$0" "$1"'
    program = SAY.format(form="auto", event=EVENT.replace("7,", "7, code='E-VS-NO-SUBSET',"))
    environment = {**os.environ, "JOURNAL_STREAM": "8:1"}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, RECEIVE, program], env=environment, capture_output=True, check=True
    )

    fields = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
    assert fields["MESHD_EVENT"] == "generation.delivered"
    assert fields["MESHD_GENERATION"] == "7"
    assert fields["CODE"] == "E-VS-NO-SUBSET"
    assert fields["PRIORITY"] == "4"
    assert fields["SYSLOG_IDENTIFIER"] == "meshd"
    assert fields["MESSAGE"] == "generation.delivered generation=7 code=E-VS-NO-SUBSET revision=abc"
