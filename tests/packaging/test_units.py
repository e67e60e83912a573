"""What systemd itself says of the units: nothing to correct, and how much each of them leaves open."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from meshd.cli.unit_files import unit_files

ALLOWED = {"meshd.service": 1.5, "meshd-capture.service": 1.5, "meshd-envoy@sidecar.service": 2.0}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """As a host has them, with an instance of the proxy, and with a command that there is."""
    files = unit_files(Path("/usr"), Path("/usr/bin/true"))
    for file in files:
        if file.path.is_relative_to("/usr/lib/systemd/system"):
            path = tmp_path / file.path.relative_to("/usr/lib/systemd/system")
            path.parent.mkdir(exist_ok=True)
            path.write_text(file.text)
    for instance in ("sidecar", "gateway"):
        shutil.copy(tmp_path / "meshd-envoy@.service", tmp_path / f"meshd-envoy@{instance}.service")
    return tmp_path


@pytest.mark.parametrize("name", ALLOWED)
def test_a_unit_leaves_little_open(units, name):
    done = subprocess.run(
        ("systemd-analyze", "security", "--offline=yes", "--no-pager", units / name),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    (exposure,) = re.findall(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert float(exposure) <= ALLOWED[name], done.stdout


@pytest.mark.parametrize("name", [*ALLOWED, "meshd-envoy@gateway.service", "meshd.target"])
def test_systemd_understands_each_line(units, name):
    done = subprocess.run(
        ("systemd-analyze", "verify", "--recursive-errors=no", "--man=no", units / name),
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert [line for line in done.stderr.splitlines() if "meshd" in line] == []


def test_only_a_gateway_has_a_capability(units):
    drop_in = (units / "meshd-envoy@gateway.service.d/low-ports.conf").read_text()

    assert re.findall(r"CAP_\w+", drop_in) == ["CAP_NET_BIND_SERVICE"] * 2
    assert "CAP_" not in (units / "meshd.service").read_text()
    assert set(re.findall(r"=(CAP_\w+)", (units / "meshd-capture.service").read_text())) == {"CAP_NET_ADMIN"}
