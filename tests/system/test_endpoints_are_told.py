"""`meshd endpoints` on a running host: whom it calls, from where that is known, and how Envoy sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dns_server import serve
from tests.system import meshes
from tests.waiting import until

pytestmark = pytest.mark.envoy

BY_NAME = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  resolution: DNS
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: %d}
  endpoints:
  - {address: backends.shop.example}
"""

ANY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any}
spec:
  hosts: ["*.any.example"]
  resolution: DYNAMIC_DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
"""

BREAKER = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec:
  host: cart.example
  trafficPolicy:
    outlierDetection: {consecutiveGatewayErrors: 1, baseEjectionTime: 10m, maxEjectionPercent: 100}
"""


@pytest.fixture
def names():
    with serve() as server:
        yield server


def told(host, *arguments: str) -> list[dict[str, Any]]:
    done = host.meshd("endpoints", "-o", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_each_address_is_told_with_its_source_its_age_and_its_health(host, backend, names):
    names.set("backends.shop.example", "127.0.0.1", "127.0.0.2", ttl=600)
    host.configure(resolver=f'{{nameservers: ["{names.address}"]}}')
    host.start()
    one = backend("one")
    files = {"web-1.yaml": meshes.workload(), "shop.yaml": BY_NAME % one.port, "any.yaml": ANY}
    files |= {
        "cart.yaml": meshes.service("cart", {"v1": backend("v1").port}),
        "rules.yaml": meshes.subsets("cart", "v1"),
    }
    host.until_live(host.push(files))
    until(lambda: [each["health"] for each in told(host, "--service", "shop")[0]["endpoints"]] == ["healthy"] * 2)

    everything = told(host)

    assert [(each["service"], each["port"], each["subset"], each["discovery"]) for each in everything] == [
        ("*.any.example", 80, "", "dynamic_dns"),
        ("cart.example", 80, "", "eds"),
        ("cart.example", 80, "v1", "eds"),
        ("shop.example", 80, "", "eds"),
    ]
    (shop,) = told(host, "--service", "shop.example")
    assert shop["proxy"] == "sidecar"
    assert [(each["address"], each["source"], each["name"]) for each in shop["endpoints"]] == [
        (f"127.0.0.1:{one.port}", "dns", "backends.shop.example"),
        (f"127.0.0.2:{one.port}", "dns", "backends.shop.example"),
    ]
    (name,) = shop["names"]
    assert (name["source"], name["addresses"], name["error"]) == ("dns", 2, "")
    assert 0 <= name["age"] < 60
    assert 0 < name["ttl"] <= 600
    (static,) = told(host, "--service", "cart")[0]["endpoints"]
    assert (static["source"], static["name"], static["health"]) == ("static", None, "healthy")

    said = host.meshd("endpoints").stdout

    assert "shop.example:80  (sidecar)" in said
    assert "backends.shop.example: dns, 2 addresses, age" in said
    assert "cart.example:80  subset v1" in said
    assert max(map(len, said.splitlines())) <= 100


def test_when_dns_fails_the_error_is_told_beside_the_age_of_what_is_kept(host, backend, names):
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms, timeout: 100ms}}')
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": BY_NAME % backend("one").port}))
    until(lambda: told(host)[0]["names"][0]["source"] == "dns")

    names.set("backends.shop.example", fault="SERVFAIL")

    kept = until(lambda: next((each for each in told(host)[0]["names"] if each["source"] == "kept"), None))
    assert (kept["error"], kept["addresses"], kept["ttl"]) == ("SERVFAIL", 1, None)
    assert kept["since"]
    assert [each["source"] for each in told(host)[0]["endpoints"]] == ["kept"]
    assert "SERVFAIL for " in host.meshd("endpoints").stdout


def test_an_endpoint_that_envoy_ejected_is_told(host):
    host.start()
    files = {"web-1.yaml": meshes.workload(), "rule.yaml": BREAKER, "cart.yaml": meshes.service("cart", {"v1": 1})}
    host.until_live(host.push(files))

    def ejected() -> bool:
        host.get("http://cart.example/")
        return told(host)[0]["endpoints"][0]["health"] == "ejected"

    until(ejected, what="the ejection of who refuses connections")
    assert "○ 127.0.0.1:1 " in host.meshd("endpoints").stdout


def test_what_envoy_looks_up_by_itself_is_told_once_it_did(host, backend):
    """Names below `localhost` are this machine's, whoever is asked (RFC 6761)."""
    port = backend("one").port
    entry = ANY.replace("*.any.example", "*.localhost").replace("number: 80", f"number: {port}")
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "any.yaml": entry}))
    assert told(host)[0]["endpoints"] == []
    assert "names that Envoy looks up" in host.meshd("endpoints").stdout

    assert host.get(f"http://a.localhost:{port}/")[:2] == (200, "one")

    (found,) = told(host)[0]["endpoints"]
    assert (found["name"], found["source"]) == (f"a.localhost:{port}", "dynamic_dns")
    assert found["address"] in {f"127.0.0.1:{port}", f"[::1]:{port}"}


def test_a_service_that_is_not_called_is_a_no_and_the_nearest_name(host):
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "cart.yaml": meshes.service("cart", {"v1": 1})}))

    done = host.meshd("endpoints", "--service", "card.example")

    assert done.returncode == 1
    assert done.stderr == "this host calls no service card.example: did you mean cart.example?\n"
    assert json.loads(host.meshd("endpoints", "--service", "x", "-o", "json").stdout)["message"]


def test_without_envoys_answer_the_rest_is_told_all_the_same(host):
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "cart.yaml": meshes.service("cart", {"v1": 1})}))
    (admin,) = host.directory.glob("**/admin.sock")
    admin.rename(admin.with_name("elsewhere.sock"))

    done = host.meshd("endpoints", "-o", "json")

    answer = json.loads(done.stdout)
    assert answer["silent"] == ["sidecar"]
    assert answer["services"][0]["endpoints"][0]["health"] is None
    assert "its Envoy gave no answer" in host.meshd("endpoints").stdout
    admin.with_name("elsewhere.sock").rename(admin)


def test_no_daemon_is_exit_code_3(host):
    done = host.meshd("endpoints")

    assert done.returncode == 3
    assert "no daemon listens" in done.stderr
