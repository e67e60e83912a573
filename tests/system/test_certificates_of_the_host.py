"""A revision names certificates; whether they are on this host is for this host to put right."""

from __future__ import annotations

import pytest

from tests.deliver.certificates import made
from tests.system import meshes
from tests.waiting import until

pytestmark = pytest.mark.envoy

RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop.example
  trafficPolicy:
    tls:
      mode: MUTUAL
      clientCertificate: %(directory)s/tls.crt
      privateKey: %(directory)s/tls.key
      caCertificates: %(directory)s/tls.crt
"""


def test_a_missing_certificate_keeps_the_host_where_it_is_until_it_is_there(host, backend):
    shop = meshes.service("shop", {"v1": backend("v1").port})
    first = host.push({"web-1.yaml": meshes.workload(), "shop.yaml": shop})
    host.start()
    host.until_live(first)
    directory = host.directory / "certificates"

    secured = host.push({"rule.yaml": RULE % {"directory": directory}})

    told = until(lambda: [each for each in host.status()["problems"] if each["code"] == "E-SECRET-FILE"])
    assert {(each["file"], each["line"]) for each in told} == {("rule.yaml", 8)}
    assert str(directory / "tls.key") in " ".join(each["message"] for each in told)
    assert host.status()["revision"]["active"]["id"] == first
    assert host.get("http://shop.example/")[:2] == (200, "v1")

    made(directory, "shop.example")

    until(lambda: host.status()["revision"]["active"]["id"] == secured, what="the poll to look again")
    assert host.status()["problems"] == []
