"""A service whose endpoints are DNS names: looked up by meshd, delivered by EDS, kept when DNS fails."""

from __future__ import annotations

import pytest

from tests.dns_server import serve
from tests.system import meshes
from tests.waiting import until

pytestmark = pytest.mark.envoy

URL = "http://shop.example/"
SERVICE = """\
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


@pytest.fixture
def names():
    with serve() as server:
        yield server


def test_a_changed_answer_moves_traffic_and_makes_no_generation(host, backend, names):
    one = backend("one")
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms}}')
    host.start()
    revision = host.push({"web-1.yaml": meshes.workload(), "shop.yaml": SERVICE % one.port})
    before = host.until_live(revision)
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first answer in use")

    other = backend("other", address="127.0.0.2", port=one.port)
    names.set("backends.shop.example", "127.0.0.2", ttl=1)

    until(lambda: host.get(URL)[1] == "other", what="the new address in use")
    assert host.status()["proxies"][0]["generation"] == before["proxies"][0]["generation"]
    assert other.seen


@pytest.mark.parametrize("fault", ["NXDOMAIN", "SERVFAIL", "silent", "garbage"])
def test_when_dns_fails_the_last_known_addresses_stay_in_use(host, backend, names, fault):
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms, timeout: 100ms}}')
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": SERVICE % backend("one").port}))
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first answer in use")

    names.set("backends.shop.example", fault=fault)

    stale = until(lambda: host.status()["endpoints"]["stale"], what="the failure in status")
    assert (stale[0]["name"], stale[0]["kept"]) == ("backends.shop.example", 1)
    assert host.condition("EndpointsFresh")["status"] == "False"
    assert host.get(URL)[:2] == (200, "one")
    assert host.status()["ready"]


def test_a_name_that_never_answers_does_not_hold_up_the_others(host, backend, names):
    names.set("backends.shop.example", fault="silent")
    host.configure(resolver=f'{{nameservers: ["{names.address}"]}}')
    host.start()

    revision = host.push(
        {
            "web-1.yaml": meshes.workload(),
            "shop.yaml": SERVICE % 1,
            "fine.yaml": meshes.service("fine", {"v1": backend("v1").port}),
        }
    )

    host.until_live(revision)
    assert host.get("http://fine.example/")[:2] == (200, "v1")
    assert host.get(URL)[0] == 503


def test_a_reload_while_git_is_away_goes_on_following_dns(host, backend, names):
    one = backend("one")
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms}}')
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": SERVICE % one.port}))
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first answer in use")
    host.bare.rename(host.bare.with_name("away.git"))
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 200ms}}')
    assert host.meshd("reload").returncode == 3
    assert host.get(URL)[:2] == (200, "one")

    backend("other", address="127.0.0.2", port=one.port)
    names.set("backends.shop.example", "127.0.0.2", ttl=1)

    until(lambda: host.get(URL)[1] == "other", what="the new address in use")
