"""Under load, changes and crashes of the control plane fail no request ("what must be seen" 1 and 4)."""

from __future__ import annotations

import pytest

from tests.system import meshes
from tests.system.wrk import Wrk
from tests.waiting import until

pytestmark = pytest.mark.envoy


@pytest.fixture
def shop(host, backend):
    """`shop` stays in all revisions; `other` comes, goes and changes its name beside it."""
    host.ports = {version: backend(version).port for version in ("v1", "v2", "v3")}
    first = host.push(
        {
            "web-1.yaml": meshes.workload(),
            "shop.yaml": meshes.service("shop", host.ports),
            "shop-subsets.yaml": meshes.subsets("shop", "v1", "v2"),
            "shop-routes.yaml": meshes.weights("shop", {"v1": 100}),
            "other.yaml": meshes.service("other", host.ports),
        }
    )
    host.start()
    host.until_live(first)
    return host


def change(host, step: int) -> dict[str, str | None]:
    """Four kinds of change, over and over: weights, a subset comes or goes, a service is renamed, comes or goes."""
    match step % 4:
        case 0:
            return {"shop-routes.yaml": meshes.weights("shop", {"v1": step % 99 + 1, "v2": 99 - step % 99})}
        case 1:
            newest = f"v{3 if step % 8 == 1 else 2}"
            return {
                "shop-subsets.yaml": meshes.subsets("shop", *sorted({"v1", "v2", newest})),
                "shop-routes.yaml": meshes.weights("shop", {"v1": 50, newest: 50}),
            }
        case 2:
            return {"other.yaml": meshes.service(f"other-{step}", host.ports)}
        case _:
            there = (host.work / "third.yaml").exists()
            return {"third.yaml": None if there else meshes.service("third", host.ports)}


@pytest.mark.slow
def test_a_hundred_changes_under_load_fail_no_request(host, shop):
    changes(shop, 100)


def test_a_dozen_changes_under_load_fail_no_request(host, shop):
    changes(shop, 12)


def changes(host, number: int) -> None:
    with Wrk(host.proxy_port, "shop.example") as wrk:
        for step in range(number):
            host.until_active(host.push(change(host, step), f"change {step}"))
        count = wrk.stop()

    assert count.requests > 100
    assert count.failed == 0, count.text


def test_a_killed_daemon_costs_no_request_and_sends_nothing_again(shop):
    with Wrk(shop.proxy_port, "shop.example") as wrk:
        shop.kill()
        shop.start()
        until(lambda: shop.status()["proxies"][0]["acknowledged"], what="the proxy to be back")
        revision = shop.status()["revision"]["active"]["id"]
        shop.until_active(revision)
        sent = shop.status()["proxies"][0]["sent"]
        count = wrk.stop()

    assert count.requests > 100
    assert count.failed == 0, count.text
    assert sent == 0
