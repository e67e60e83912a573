"""ServiceEntries on the wire: ports, names, sockets, weights and places (spec 7 and 8), and the mesh's settings (1)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.cases import Case, case, only
from tests.live.requests import Exchange, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy


def served(id: str, entry: str, *exchanges: Exchange, policy: str = "") -> Case:  # noqa: A002
    return case(id, *exchanges, http="", subsets="", entry=entry, policy=policy)


HTTP = "ports: [{number: 80, name: http, protocol: HTTP}]\nresolution: STATIC\n"
ROUND_ROBIN = "loadBalancer: {simple: ROUND_ROBIN}"
NEAR = "{address: 127.0.0.1, ports: {http: %s}, locality: %s}"

WEIGHTED = served(
    "W-6-weights",
    HTTP + "endpoints: [{address: 127.0.0.1, ports: {http: $v1}, weight: 3}, {address: 127.0.0.1, ports: {http: $v2}}]",
    policy=ROUND_ROBIN,
)
ALL_OF_DNS = served(
    "S-8-dns-all", HTTP.replace("STATIC", "DNS") + "endpoints: [{address: many.example, ports: {http: $v1}}]"
)
FIRST_OF_DNS = served(
    "S-8-dns-first",
    HTTP.replace("STATIC", "DNS_ROUND_ROBIN") + "endpoints: [{address: many.example, ports: {http: $v1}}]",
)
FAR_AND_NEAR = HTTP + (
    "endpoints: [{address: 127.0.0.1, ports: {http: $v1}, locality: there/zone-x}, "
    "{address: 127.0.0.1, ports: {http: $v2}, locality: here/zone-b}, "
    "{address: 127.0.0.1, ports: {http: $v3}, locality: here/zone-a}]"
)
EVERYWHERE = served("D-23-no-failover-without-outlier-detection", FAR_AND_NEAR, policy=ROUND_ROBIN)

CASES = (
    *(WEIGHTED, ALL_OF_DNS, FIRST_OF_DNS, EVERYWHERE),
    # --- ports ---
    served(
        "S-6-targetPort-unless-the-endpoint-says-otherwise",
        """
        ports:
        - {number: 80, name: http, protocol: HTTP, targetPort: $v1}
        - {number: 81, name: alt, protocol: HTTP, targetPort: $v1}
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {alt: $v2}}]
        """,
        get().gives(by="v1"),
        get().to("$host:81").gives(by="v2", sent_host="$host:81"),
        get().to("$host:82").gives(502),
    ),
    served(
        "S-5-a-protocol-may-be-told-by-the-ports-name",
        """
        ports: [{number: 80, name: http-web}, {number: 81, name: grpc-api}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http-web: $v1, grpc-api: $v2}}]
        """,
        get().gives(by="v1"),
        get().to("$host:81").gives(by="v2"),
    ),
    served(
        "S-5-a-TCP-port-is-not-offered-over-HTTP",
        """
        ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: tcp, protocol: TCP}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http: $v1, tcp: $v2}}]
        """,
        get().gives(by="v1"),
        get().to("$host:81").gives(502),
    ),
    served("S-9-no-endpoints-is-503", HTTP, get().gives(503, body=b"no healthy upstream")),
    served("S-8-NONE-without-capture-is-unknown", HTTP.replace("STATIC", "NONE"), get().gives(502)),
    # --- names and addresses ---
    only(
        "S-1-several-hosts-are-several-services",
        get().to("a.$host").gives(by="v1", sent_host="a.$host"),
        get().to("b.$host").gives(by="v1", sent_host="b.$host"),
        get().to("c.$host").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: [a.$host, b.$host]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        """,
    ),
    only(
        "S-1-wildcard-hosts",
        get().to("x.$host").gives(by="v1"),
        get().to("x.y.$host").gives(by="v1"),
        get().to("x.$host:8080").gives(by="v2"),
        get().to("exact.$host").gives(by="v3"),
        get().to("$host").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: ["*.$host"]
          ports: [{number: 80, name: http, protocol: HTTP}, {number: 8080, name: alt, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1, alt: $v2}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-exact}
        spec:
          hosts: ["exact.$host"]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
        """,
    ),
    served(
        "S-2-addresses-are-names-too",
        HTTP + "addresses: [10.20.30.40, 10.20.31.0/24, 10.20.32.1/32, '2001:db8::1']\n"
        "endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]",
        get().to("10.20.30.40").gives(by="v1"),
        get().to("10.20.30.40:80").gives(by="v1"),
        get().to("10.20.32.1").gives(by="v1"),
        get().to("[2001:db8::1]").gives(by="v1"),
        get().to("10.20.31.5").gives(502),
    ),
    only(
        "S-7-2-short-names-of-the-own-namespace",
        get().to("short-mine").gives(by="v1"),
        get().to("short-mine.default").gives(by="v1"),
        get().to("short-mine.default.svc").gives(by="v1"),
        get().to("short-mine.default.svc.corp.example").gives(by="v1"),
        get().to("short-mine.default.svc.corp.example.").gives(by="v1"),
        get().to("short-mine.default:80").gives(by="v1"),
        get().to("short-mine.other").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: [short-mine.default.svc.corp.example]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        """,
    ),
    only(
        "S-7-2-short-names-of-another-namespace",
        get().to("short-theirs.shop").gives(by="v2"),
        get().to("short-theirs.shop.svc").gives(by="v2"),
        get().to("short-theirs").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name, namespace: shop}
        spec:
          hosts: [short-theirs.shop.svc.corp.example]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v2}}]
        """,
    ),
    only(
        "S-3-1-a-VirtualService-by-short-names",
        get("/x").to("short-vs.shop").gives(by="v3"),
        get("/else").to("short-vs.shop").gives(404),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name, namespace: shop}
        spec:
          hosts: [short-vs.shop.svc.corp.example]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints:
          - {address: 127.0.0.1, ports: {http: $v2}, labels: {v: two}}
          - {address: 127.0.0.1, ports: {http: $v3}, labels: {v: three}}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: $name, namespace: shop}
        spec: {host: short-vs, subsets: [{name: three, labels: {v: three}}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name, namespace: shop}
        spec:
          hosts: [short-vs]
          http: [{match: [{uri: {prefix: /x}}], route: [{destination: {host: short-vs, subset: three}}]}]
        """,
    ),
    only(
        "S-7-2-a-short-form-never-takes-a-full-name",
        get().to("taken.shop").gives(by="v1"),
        get().to("taken.shop.svc").gives(by="v2"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-full}
        spec:
          hosts: [taken.shop]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-short, namespace: shop}
        spec:
          hosts: [taken.shop.svc.corp.example]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v2}}]
        """,
    ),
    # --- who is united, who is seen ---
    only(
        "S-2-3-entries-of-one-host-are-united",
        get().gives(by="v1"),
        get().to("$host:81").gives(by="v2"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-1}
        spec:
          hosts: [$host]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-2}
        spec:
          hosts: [$host]
          ports: [{number: 81, name: alt, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {alt: $v2}}]
        """,
    ),
    only(
        "S-2-3-the-clients-own-namespace-comes-first",
        get().gives(by="v2"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: aaa-$name, namespace: aaa}
        spec:
          hosts: [$host]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: [$host]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v2}}]
        """,
    ),
    only(
        "S-11-what-is-not-exported-is-unknown",
        get().to("hidden.$host").gives(502),
        get().to("nobody.$host").gives(502),
        get().to("shown.$host").gives(by="v3"),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-1, namespace: shop}
        spec:
          hosts: [hidden.$host]
          exportTo: ["."]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-2}
        spec:
          hosts: [nobody.$host]
          exportTo: ["~"]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name-3, namespace: shop}
        spec:
          hosts: [shown.$host]
          exportTo: [default, other]
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
        """,
    ),
    # --- where it runs ---
    served("S-8-a-unix-socket", HTTP + "endpoints: [{address: 'unix://$sock'}]", get("/u").gives(by="sock", path="/u")),
    served(
        "S-8-DNS-without-endpoints-looks-up-its-host",
        "ports: [{number: 80, name: http, protocol: HTTP, targetPort: $v2}]\nresolution: DNS",
        get().gives(by="v2"),
    ),
    served(
        "S-8-DNS-with-an-address-beside-a-name",
        HTTP.replace("STATIC", "DNS")
        + "endpoints: [{address: 127.0.0.1, ports: {http: $v3}}, {address: lost.example}]",
        get().gives(by="v3"),
    ),
    served(
        "S-8-DNS-without-an-answer-is-503",
        HTTP.replace("STATIC", "DNS") + "endpoints: [{address: lost.example}]",
        get().gives(503, body=b"no healthy upstream"),
    ),
    only(
        "S-10-workloads-are-selected-by-their-labels",
        *[get().gives(by="v2")] * 3,
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: $name}
        spec:
          hosts: [$host]
          location: MESH_INTERNAL
          ports: [{number: 80, name: http, protocol: HTTP}]
          resolution: STATIC
          workloadSelector: {labels: {app: cart, stage: live}}
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {name: $name-1, labels: {stage: live}}
        spec: {address: 127.0.0.1, ports: {http: $v2}, labels: {app: cart, stage: overridden}}
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {name: $name-2}
        spec: {address: 127.0.0.1, ports: {http: $v1}, labels: {app: cart}}
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {name: $name-3, namespace: other}
        spec: {address: 127.0.0.1, ports: {http: $v3}, labels: {app: cart, stage: live}}
        """,
    ),
    served(
        "D-23-the-nearest-place-gets-all",
        FAR_AND_NEAR,
        *[get().gives(by="v3")] * 4,
        policy="outlierDetection: {consecutive5xxErrors: 5}",
    ),
    # --- the mesh's settings ---
    case("S-1-1-the-meshs-own-retries", get(x_do="418x1").gives(by="v1", reached=("v1", "v1"))),
    case(
        "S-1-1-the-meshs-retries-for-a-plain-service",
        get(x_do="418x1").gives(200),
        http="",
    ),
    case(
        "S-1-1-a-routes-own-retries-replace-them",
        get(x_do="418x1").gives(418, reached=("v1",)),
        http="    - {route: [{destination: {host: $host, subset: v1}}], retries: {attempts: 1, retryOn: reset}}",
    ),
)

ANSWERS = {
    "many.example": ("127.0.0.1", "127.0.0.77"),
    "s-8-dns-without-endpoints-looks-up-its-host.live": ("127.0.0.1",),
}

DOCUMENTS = """
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  domainSuffix: svc.corp.example
  defaultHttpRetryPolicy: {attempts: 1, retryOn: '418'}
"""


def test_services(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_endpoints_share_by_weight(live: Live):
    assert Counter(live.send(get(), WEIGHTED).by for _ in range(40)) == {"v1": 30, "v2": 10}


def test_without_outlier_detection_all_places_are_equal(live: Live):
    """Each locality's share is by its weight, which is the number of its endpoints here."""
    assert Counter(live.send(get(), EVERYWHERE).by for _ in range(30)) == {"v1": 10, "v2": 10, "v3": 10}


def test_all_addresses_of_a_name_are_endpoints_unless_only_the_first_is_wanted(live: Live):
    """Nothing listens at 127.0.0.77, and the retries of this mesh do not cover that."""
    every = [live.send(get(), ALL_OF_DNS).status for _ in range(20)]
    first = [live.send(get(), FIRST_OF_DNS).status for _ in range(20)]

    assert set(every) == {200, 503}
    assert set(first) == {200}
