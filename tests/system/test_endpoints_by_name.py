"""A service whose endpoints are DNS names: looked up by meshd, delivered by EDS, kept when DNS fails."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

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


def test_a_changed_answer_moves_traffic_without_a_failed_request_or_a_generation(host, backend, names, load):
    one = backend("one")
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms}}')
    host.start()
    revision = host.push({"web-1.yaml": meshes.workload(), "shop.yaml": SERVICE % one.port})
    before = host.until_live(revision)
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first answer in use")
    other = backend("other", address="127.0.0.2", port=one.port)

    with load(host.proxy_port, "shop.example") as running:
        running.until_requests(100)
        names.set("backends.shop.example", "127.0.0.2", ttl=1)
        until(lambda: other.seen, seconds=10, what="the new address in use")
        until(lambda: host.get(URL)[1] == "other", what="nobody goes to the old one")
        running.until_requests(100)

    assert running.failed == 0, running.summary()
    assert host.status()["proxies"][0]["generation"] == before["proxies"][0]["generation"]


def test_whatever_way_dns_fails_traffic_goes_on_and_status_says_why_and_how_old_addresses_are(
    host, backend, names, load
):
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms, timeout: 100ms}}')
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": SERVICE % backend("one").port}))
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first answer in use")

    with load(host.proxy_port, "shop.example", connections=1) as running:
        for fault, reason in (
            ("NXDOMAIN", "NXDOMAIN"),
            ("SERVFAIL", "SERVFAIL"),
            ("REFUSED", "REFUSED"),
            ("silent", "Timeout"),
            ("garbage", "Malformed"),
            ("", "NoAnswer"),
        ):
            names.set("backends.shop.example", fault=fault)
            (stale,) = until(lambda reason=reason: _stale(host, reason), what=f"{reason} in status")
            assert (stale["name"], stale["kept"]) == ("backends.shop.example", 1)
            assert stale["age"] > 0
            assert f"{reason} for" in stale["text"]
            names.set("backends.shop.example", "127.0.0.1", ttl=1)
            until(lambda: not host.status()["endpoints"]["stale"], what="DNS is well again")

    assert running.failed == 0, running.summary()
    assert host.status()["ready"]


def _stale(host, reason):
    return [stale for stale in host.status()["endpoints"]["stale"] if stale["error"] == reason]


def _a_day_later(host):
    """As if the host had been off for so long; nobody can tell it from a nameserver that was dead for as long."""
    file = host.state / "answers.json"
    content = json.loads(file.read_text())
    for answer in content["answers"].values():
        for key in ("looked_up", "expires"):
            answer[key] = (datetime.fromisoformat(answer[key]) - timedelta(days=1)).isoformat()
    file.write_text(json.dumps(content))


def test_addresses_of_yesterday_stay_in_use_while_dns_is_dead_unless_the_operator_wants_them_fresher(
    host, backend, names
):
    resolver = f'nameservers: ["{names.address}"], timeout: 100ms'
    names.set("backends.shop.example", "127.0.0.1", ttl=1)
    host.configure(resolver=f"{{{resolver}}}")
    host.start()
    host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": SERVICE % backend("one").port}))
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first answer in use")
    host.terminate()
    _a_day_later(host)
    names.silent = True

    host.start()
    (stale,) = until(lambda: _stale(host, "Timeout"), what="the failure in status")
    assert (stale["kept"], stale["expired"]) == (1, False)
    assert stale["age"] > 86_400
    assert "1d" in host.meshd("status").stdout
    until(lambda: host.status()["ready"], what="a ready host")
    assert host.get(URL)[:2] == (200, "one")

    host.configure(resolver=f"{{{resolver}, maxStaleness: 1h}}")
    assert host.meshd("reload").returncode == 0
    until(lambda: host.get(URL)[0] == 503, what="the old address is used no longer")
    assert host.condition("EndpointsFresh")["reason"] == "AnswersExpired"
    assert "answer.expired" in host.log.read_text()

    names.silent = False
    until(lambda: host.get(URL)[:2] == (200, "one"), what="DNS is well again")


def test_srv_records_say_port_and_order_and_a_change_of_them_is_no_generation(host, backend, names):
    one, other = backend("one"), backend("other")
    name = "_http._tcp.shop.example"
    for target in ("a.shop.example", "b.shop.example"):
        names.set(target, "127.0.0.1", ttl=1)
    names.set(name, srv=((10, 1, one.port, "a.shop.example"), (20, 1, other.port, "b.shop.example")), ttl=1)
    host.configure(resolver=f'{{nameservers: ["{names.address}"], minTtl: 100ms}}')
    host.start()
    service = (SERVICE % 1).replace("backends.shop.example", name)
    before = host.until_live(host.push({"web-1.yaml": meshes.workload(), "shop.yaml": service}))
    until(lambda: host.get(URL)[:2] == (200, "one"), what="the first record in use")
    assert {host.get(URL)[1] for _ in range(20)} == {"one"}

    names.set(name, srv=((20, 1, other.port, "b.shop.example"),), ttl=1)
    until(lambda: host.get(URL)[1] == "other", what="the other record in use")
    names.set(name, fault="SERVFAIL")
    until(lambda: _stale(host, "SERVFAIL"), what="the failure in status")

    assert host.get(URL)[:2] == (200, "other")
    assert host.status()["proxies"][0]["generation"] == before["proxies"][0]["generation"]


def test_a_name_in_unicode_is_looked_up_and_called_as_the_wire_has_it(host, backend, names):
    names.set("xn--lger-loa.example", "127.0.0.1")
    host.configure(resolver=f'{{nameservers: ["{names.address}"]}}')
    host.start()
    service = (SERVICE % backend("one").port).replace("shop.example]", "bücher.example]")

    host.until_live(
        host.push(
            {
                "web-1.yaml": meshes.workload(),
                "shop.yaml": service.replace("backends.shop.example", "läger.example"),
            }
        )
    )

    until(lambda: host.get("http://xn--bcher-kva.example/")[:2] == (200, "one"), what="the name in use")


def test_of_a_thousand_names_a_hundred_that_never_answer_hold_up_nobody(host, backend, names):
    port = backend("one").port
    good = [f"s{number}" for number in range(1000) if number % 10]
    dead = [f"s{number}" for number in range(0, 1000, 10)]
    for name in good:
        names.set(f"{name}.backends.example", "127.0.0.1")
    for name in dead:
        names.set(f"{name}.backends.example", fault="silent")
    services = "---\n".join(
        (SERVICE % port).replace("backends.shop.example", f"{name}.backends.example").replace("shop", name)
        for name in [*good, *dead]
    )
    host.configure(resolver=f'{{nameservers: ["{names.address}"]}}')
    host.start()

    host.until_live(host.push({"web-1.yaml": meshes.workload(), "services.yaml": services}))

    until(lambda: not [name for name in good if host.get(f"http://{name}.example/")[0] != 200], what="900 live")
    assert {host.get(f"http://{name}.example/")[0] for name in dead} == {503}
    until(lambda: len(host.status()["endpoints"]["stale"]) == len(dead), what="100 in status")


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
