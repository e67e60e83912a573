"""What `journalctl -o json` has of meshd: the fields to search by, and priorities to be woken by."""

from __future__ import annotations

import pytest

from tests.lab import meshes
from tests.lab.application import run_application
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def told(fleet):
    """A host that took one revision, refused another, and was without git for a moment."""
    git, (web,) = fleet("web")
    run_application(web.machine, "v1")
    good = git.push(
        {"web.yaml": meshes.workload(web), "shop.yaml": meshes.service("shop", {"v1": web.machine.address})}
    )
    web.configure(git, "  poll: 1s")
    web.machine.systemctl("enable", "--now", "meshd")
    web.await_revision(good)
    bad = git.push({"route.yaml": meshes.all_to("shop", "v9")})
    assert web.meshd("wait", bad, "--timeout", "30").returncode == 1
    web.machine.cut(git.machine)
    web.await_condition("FetchFailed", "True")
    web.machine.join(git.machine)
    web.await_condition("FetchFailed", "False")
    return web, good, bad


def events(host, name, *matches):
    return until(lambda: host.machine.journal("-u", "meshd", f"MESHD_EVENT={name}", *matches), what=name)


def test_a_delivery_names_revision_and_generation(told):
    web, good, _bad = told

    (entry,) = events(web, "generation.delivered", f"MESHD_REVISION={good}")

    assert entry["MESHD_GENERATION"] == "1"
    assert entry["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "meshd"
    assert entry["_SYSTEMD_UNIT"] == "meshd.service"


def test_a_refusal_names_the_revision_the_resource_and_the_code(told):
    web, _good, bad = told

    (entry,) = events(web, "revision.rejected", f"MESHD_REVISION={bad}")

    assert entry["MESHD_RESOURCE"] == "VirtualService default/shop"
    assert entry["CODE"] == "E-VS-SUBSET-UNDEFINED"
    assert entry["PRIORITY"] == "4"
    assert entry["MESHD_PROBLEM"].startswith("route.yaml:")


def test_a_condition_that_is_bad_is_a_warning_and_one_that_is_good_again_is_not(told):
    web, *_ = told

    failed = events(web, "condition.changed", "MESHD_TYPE=FetchFailed")

    assert [(entry["MESHD_STATUS"], entry["PRIORITY"]) for entry in failed][-2:] == [("True", "4"), ("False", "6")]


def test_what_is_usual_wakes_nobody(told):
    web, *_ = told
    unusual = web.machine.journal("-u", "meshd", "-p", "warning")

    assert {entry["MESHD_EVENT"] for entry in unusual if "MESHD_EVENT" in entry} <= {
        "revision.rejected",
        "condition.changed",
    }


def test_what_envoy_says_is_in_the_journal_of_its_unit(told):
    web, *_ = told

    said = web.machine.journal("-u", "meshd-envoy@sidecar", "_COMM=envoy")

    assert {entry["SYSLOG_IDENTIFIER"] for entry in said} == {"meshd-envoy-sidecar"}
    named = web.machine.journal("-t", "meshd-envoy-sidecar")
    assert {entry["_SYSTEMD_UNIT"] for entry in named} == {"meshd-envoy@sidecar.service"}
