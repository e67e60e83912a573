"""The units as systemd reads them. Whether they do what they say is tried on booted systems, in the lab."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "units"
OURS = ("meshd.service", "meshd-envoy@.service", "meshd-capture.service")

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a meshd that exists here: systemd refuses a program that does not."""
    meshd = Path(sys.executable).with_name("meshd")
    for name in OURS:
        text = (UNITS / name).read_text().replace("/usr/bin/meshd", str(meshd))
        (tmp_path / name).write_text(text)
    shutil.copytree(UNITS / "meshd-envoy@gateway.service.d", tmp_path / "meshd-envoy@gateway.service.d")
    for proxy in ("sidecar", "gateway"):
        (tmp_path / f"meshd-envoy@{proxy}.service").symlink_to("meshd-envoy@.service")
    return tmp_path


def analyze(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "unit", ["meshd.service", "meshd-envoy@sidecar.service", "meshd-envoy@gateway.service", "meshd-capture.service"]
)
def test_systemd_has_nothing_to_say_against_a_unit(units: Path, unit: str) -> None:
    assert analyze("verify", "--man=no", f"./{unit}", cwd=units) == ""


@pytest.mark.parametrize(("unit", "most"), [(OURS[0], 2), (OURS[1], 2), ("meshd-capture.service", 1.5)])
def test_a_unit_is_confined(units: Path, unit: str, most: float) -> None:
    said = analyze("security", "--offline=yes", "--no-pager", str(units / unit), cwd=units)

    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= most


def test_the_users_of_the_units_are_declared() -> None:
    users = (UNITS / "meshd.sysusers").read_text()

    for name in OURS:
        user = re.search(r"^User=(\S+)$", (UNITS / name).read_text(), re.MULTILINE)
        assert user is not None
        assert re.search(rf"^u {user[1]} ", users, re.MULTILINE)


def test_the_proxies_are_in_no_group_of_the_agent() -> None:
    unit = (UNITS / "meshd-envoy@.service").read_text()

    assert "SupplementaryGroups=" not in unit
    assert "\nGroup=meshd-envoy\n" in unit


def test_only_the_capture_may_change_the_kernels_tables() -> None:
    assert [name for name in OURS if "CAP_NET_ADMIN" in (UNITS / name).read_text()] == ["meshd-capture.service"]


def test_the_capture_comes_after_the_sidecar_and_with_each_start_of_it() -> None:
    """It is bound to nothing: the table stays while the sidecar is restarted, or dies and is started again."""
    unit = (UNITS / "meshd-capture.service").read_text()

    assert "\nAfter=meshd-envoy@sidecar.service\n" in unit
    assert "\nWantedBy=meshd-envoy@sidecar.service\n" in unit
    assert not re.search(r"^(BindsTo|PartOf|Requires|StopPropagatedFrom)=.*meshd-envoy", unit, re.MULTILINE)


def test_the_agent_may_let_the_capture_load_its_table_again_and_no_more() -> None:
    rules = (UNITS / "meshd.rules").read_text()

    assert 'unit === "meshd-capture.service" && verb === "reload"' in rules
