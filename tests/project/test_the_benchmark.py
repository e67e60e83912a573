"""`make bench`, small: it measures every kind of change on real parts, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.envoy, pytest.mark.slow]


def test_it_prints_a_figure_for_each_budget_and_leaves_nothing_behind(envoy_binary):
    before = set(Path("/tmp").glob("meshd-*"))
    command = [sys.executable, "-m", "bench", "--envoy", str(envoy_binary), "--services", "4", "--changes", "2"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    for row in ("route: push to last ACK", "memory of meshd", "restart: until meshd serves", "peer, cluster"):
        assert row in done.stdout
    assert not {path for path in set(Path("/tmp").glob("meshd-bench-*")) - before if path.is_dir()}
