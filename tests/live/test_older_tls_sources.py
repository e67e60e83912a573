"""RouteRules for connections at ports of HTTPS, told by the address of the client (C-TCP-05, `L-TLS-SOURCE`)."""

from __future__ import annotations

import pytest

from tests.live.cases import only
from tests.live.requests import get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("sni",)

DOCUMENTS = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec:
  workloadSelector: {labels: {app: web}}
  egress:
  - {port: {number: $sni, protocol: TLS, name: tls}, bind: 127.0.0.1, hosts: [./secure.live]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: batch, namespace: elsewhere}
spec:
  hosts: [batch.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http}]
  endpoints:
  - {address: 10.255.255.1, labels: {version: v2}}
  - {address: 10.255.255.2, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: secure}
spec:
  hosts: [secure.live]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: $sni, name: https, protocol: HTTPS}]
  endpoints:
  - {address: 127.0.0.1, ports: {https: $secure}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {https: $secure2}, labels: {version: v2}}
---
kind: RouteRule
metadata: {name: narrow}
spec:
  destination: {service: secure.live}
  precedence: 2
  match: {tcp: {sourceSubnet: [127.0.0.7, 127.0.9.0/24]}}
  route: [{labels: {version: v1}}]
---
kind: RouteRule
metadata: {name: wide}
spec:
  destination: {service: secure.live}
  precedence: 1
  match: {tcp: {sourceSubnet: [127.0.0.0/28]}}
  route: [{labels: {version: v2}}]
---
kind: RouteRule
metadata: {name: not-for-us}
spec:
  destination: {service: secure.live}
  precedence: 3
  match: {source: {service: batch.example, labels: {version: v1}}, tcp: {}}
  route: [{labels: {version: v3}}]
"""

SECURE = only("L-TLS-SOURCE-secure", mesh="")
CASES = (SECURE,)


@pytest.mark.spec("L-TLS-SOURCE", "C-TCP-05", "L4M-02")
@pytest.mark.parametrize(
    ("source", "version"), [("127.0.0.7", "secure"), ("127.0.9.8", "secure"), ("127.0.0.9", "secure2")]
)
def test_tls_goes_by_the_address_of_the_client(live: Live, source: str, version: str):
    answer = live.send(get().through("sni").out_of(source).over_tls("secure.live"), SECURE)

    assert answer.by == version


@pytest.mark.spec("C-TCP-03", "C-TCP-05")
def test_tls_that_no_rule_takes_goes_to_all_versions(live: Live):
    request = get().through("sni").out_of("127.0.8.8").over_tls("secure.live")

    assert {live.send(request, SECURE).by for _ in range(12)} == {"secure", "secure2"}
