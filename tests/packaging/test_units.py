"""What systemd itself says of the units: nothing to correct, and how much each of them leaves open."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.cli.unit_files import unit_files
from meshd.proxies.launch import VALIDATING, EnvoySettings

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


def test_what_root_does_for_a_user_follows_none_of_his_links(units):
    """`+` is as root, and outside of the sandbox. systemd-tmpfiles is made for that; install and chown are not."""
    text = "".join(unit.read_text() for unit in units.glob("meshd*.service"))

    assert re.findall(r"^Exec\w+=[-@:]*\+(\S+)", text, re.MULTILINE) == ["/usr/bin/systemd-tmpfiles"]


def test_the_kernel_ends_others_before_a_proxy_and_none_with_a_child_of_its_own(units):
    """Preflight's Envoy, or that of a reload which validates, does not take the service along."""
    proxy, agent = ((units / name).read_text() for name in ("meshd-envoy@.service", "meshd.service"))

    (score,) = re.findall(r"^OOMScoreAdjust=(-\d+)$", proxy, re.MULTILINE)
    assert int(score) < 0
    assert "OOMScoreAdjust" not in agent
    assert all("\nOOMPolicy=continue\n" in text for text in (proxy, agent))


def test_no_core_of_a_proxy_is_written_for_it_holds_keys(units):
    assert "\nLimitCORE=0\n" in (units / "meshd-envoy@.service").read_text()


def test_a_reload_has_the_time_that_its_parts_may_take(units):
    """To let an earlier epoch leave, to validate, to become live: else systemd would kill the handover half-way."""
    (limit,) = re.findall(r"^TimeoutStartSec=(\d+)$", (units / "meshd-envoy@.service").read_text(), re.MULTILINE)
    settings = EnvoySettings(binary=Path("/usr/bin/envoy"))
    parts = settings.parent_shutdown + VALIDATING + settings.live_within

    assert timedelta(seconds=int(limit)) > parts
