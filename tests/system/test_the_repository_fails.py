"""Whatever happens to the repository is a condition in status; the host keeps what it runs."""

from __future__ import annotations

import shutil

import pytest

from tests.system import meshes
from tests.waiting import until

pytestmark = pytest.mark.envoy

URL = "http://shop.example/"


@pytest.fixture
def shop(host, backend):
    ports = {version: backend(version).port for version in ("v1", "v2")}
    host.first = host.push(
        {
            "web-1.yaml": meshes.workload(),
            "shop.yaml": meshes.service("shop", ports),
            "shop-subsets.yaml": meshes.subsets("shop", "v1", "v2"),
            "shop-routes.yaml": meshes.weights("shop", {"v1": 100}),
        }
    )
    host.start()
    host.until_live(host.first)
    return host


def failing(host, reason):
    return until(lambda: _failing(host, reason), what=f"FetchFailed for {reason}")


def _failing(host, reason):
    condition = host.condition("FetchFailed")
    return condition if (condition["status"], condition["reason"]) == ("True", reason) else None


def test_a_force_push_is_followed(shop):
    shop.git("checkout", "-q", "--orphan", "other")
    shop.git("branch", "-q", "-D", "main")
    shop.git("branch", "-q", "-m", "main")

    revision = shop.push({"shop-routes.yaml": meshes.weights("shop", {"v2": 100})}, "another history")

    shop.until_active(revision)
    assert shop.get(URL)[:2] == (200, "v2")


def test_a_deleted_branch_is_a_condition_and_traffic_goes_on(shop):
    shop.git("push", "-q", "origin", "main:other")
    shop.git("-C", str(shop.bare), "symbolic-ref", "HEAD", "refs/heads/other")
    shop.git("push", "-q", "origin", ":main")

    condition = failing(shop, "BranchNotFound")

    assert "other" in condition["message"]
    assert shop.get(URL)[:2] == (200, "v1")
    assert shop.status()["ready"]
    done = shop.meshd("sync")
    assert done.returncode == 3
    assert "main" in done.stderr


def test_a_repository_that_is_away_is_a_condition_and_its_return_is_noticed(shop):
    away = shop.bare.with_name("away.git")
    shop.bare.rename(away)
    assert shop.meshd("sync").returncode == 3
    failing(shop, "RepositoryUnreachable")
    assert shop.get(URL)[:2] == (200, "v1")

    away.rename(shop.bare)
    revision = shop.push({"shop-routes.yaml": meshes.weights("shop", {"v2": 100})})

    shop.until_active(revision)
    assert shop.condition("FetchFailed")["status"] == "False"


def test_an_empty_repository_is_a_condition_until_the_first_push(host, backend):
    host.start()

    failing(host, "RepositoryEmpty")
    assert not host.status()["ready"]
    assert host.status()["revision"]["active"] is None

    revision = host.push(
        {"web-1.yaml": meshes.workload(), "shop.yaml": meshes.service("shop", {"v1": backend("v1").port})}
    )
    host.until_live(revision)
    assert host.get(URL)[:2] == (200, "v1")


def test_a_restart_without_the_repository_serves_what_was_good_last(shop):
    shop.terminate()
    shutil.rmtree(shop.bare)

    shop.start()

    until(lambda: shop.status()["ready"], what="readiness from disk")
    assert shop.get(URL)[:2] == (200, "v1")
    assert shop.status()["revision"]["active"]["id"] == shop.first
    failing(shop, "RepositoryUnreachable")


def test_a_host_that_the_new_revision_does_not_know_keeps_what_it_runs(shop):
    bad = shop.push({"web-1.yaml": None})

    until(lambda: (shop.status()["revision"]["rejected"] or {}).get("id") == bad, what="the rejection")

    assert {problem["code"] for problem in shop.status()["problems"]} == {"E-HOST-UNKNOWN"}
    assert shop.get(URL)[:2] == (200, "v1")


def test_of_two_commits_in_one_push_the_good_one_is_in_force(shop):
    good = shop.commit({"shop-routes.yaml": meshes.weights("shop", {"v2": 100})})
    bad = shop.push({"shop-routes.yaml": "nonsense: true\n"})

    shop.until_active(good)

    status = shop.status()
    assert status["revision"]["rejected"]["id"] == bad
    assert status["revision"]["active"]["id"] == good
    assert shop.get(URL)[1] == "v2"
