"""A fresh machine, from the installation to the first revision, and through a boot without git and DNS."""

from __future__ import annotations

import pytest

from tests.lab import meshes
from tests.lab.application import run_application

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]


@pytest.fixture(scope="module")
def first(lab, fleet):
    """A host that serves its first revision, four lines of configuration after it was installed."""
    git, (web,) = fleet("web")
    run_application(web.machine, "v1")
    revision = git.push({"web.yaml": meshes.workload(web), "shop.yaml": meshes.service_by_name("shop", "web.lab")})
    web.configure(git)
    web.machine.systemctl("enable", "--now", "meshd")
    web.until_ready()
    return git, web, revision


def test_four_lines_and_one_command_and_the_sidecar_serves_the_first_revision(first):
    git, web, revision = first

    assert web.get("http://shop.example/") == (200, "v1")
    assert web.status()["revision"]["active"]["id"] == revision
