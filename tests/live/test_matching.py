"""Which requests a route takes (spec 5.3), and which VirtualService speaks for a host (5.1)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case, only
from tests.live.requests import ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy


def v2_for(match: str) -> str:
    """What matches goes to v2, the rest to v1."""
    return f"""
    - match: {match}
      route: [{{destination: {{host: $host, subset: v2}}}}]
    - route: [{{destination: {{host: $host, subset: v1}}}}]
    """


CASES = (
    # --- the path ---
    case(
        "V-31-exact-path-is-the-whole-path-without-the-query",
        get("/a").gives(by="v2"),
        get("/a?x=1").gives(by="v2", path="/a?x=1"),
        get("/a/").gives(by="v1"),
        get("/ab").gives(by="v1"),
        get("/A").gives(by="v1"),
        http=v2_for("[{uri: {exact: /a}}]"),
    ),
    case(
        "V-31-prefix-is-text-and-not-path-segments",
        get("/api").gives(by="v2"),
        get("/apiary/1?q=/x").gives(by="v2"),
        get("/ap").gives(by="v1"),
        get("/?p=/api").gives(by="v1"),
        http=v2_for("[{uri: {prefix: /api}}]"),
    ),
    case(
        "V-31-regex-matches-the-whole-path",
        get("/a12").gives(by="v2"),
        get("/a12?x=/y").gives(by="v2"),
        get("/a12/x").gives(by="v1"),
        get("/x/a12").gives(by="v1"),
        get("/A12").gives(by="v1"),
        http=v2_for("[{uri: {regex: '/a[0-9]+'}}]"),
    ),
    case(
        "V-31-regex-alternatives-need-no-anchors",
        get("/a").gives(by="v2"),
        get("/b").gives(by="v2"),
        get("/ab").gives(by="v1"),
        http=v2_for("[{uri: {regex: '/a|/b'}}]"),
    ),
    case(
        "V-31-empty-prefix-and-empty-match-take-every-path",
        get("/").gives(by="v2"),
        get("/any").gives(by="v2"),
        http="""
        - match: [{uri: {prefix: ''}, headers: {x-never: {}}}]
          route: [{destination: {host: $host, subset: v3}}]
        - match: [{uri: {}, method: {exact: GET}}]
          route: [{destination: {host: $host, subset: v2}}]
        - match: [{uri: {prefix: ''}}]
          route: [{destination: {host: $host, subset: v2}}]
        """,
    ),
    case(
        "V-32-ignoreUriCase-for-exact-and-prefix",
        get("/Exact").gives(by="v2"),
        get("/eXact/").gives(by="v1"),
        get("/PRE/x").gives(by="v2"),
        http=v2_for("[{uri: {exact: /exact}, ignoreUriCase: true}, {uri: {prefix: /pre}, ignoreUriCase: true}]"),
    ),
    case(
        "V-32-ignoreUriCase-has-no-effect-on-a-regex",
        get("/a").gives(by="v2"),
        get("/A").gives(by="v1"),
        http=v2_for("[{uri: {regex: '/a'}, ignoreUriCase: true}]"),
    ),
    case(
        "V-31-dot-segments-cannot-go-round-a-match",
        get("/public/../admin/x").gives(by="v2", path="/admin/x"),
        get("/public/%2e%2e/admin").gives(by="v2"),
        http=v2_for("[{uri: {prefix: /admin}}]"),
    ),
    # --- method, scheme, authority ---
    case(
        "V-33-method-exact-regex-and-case",
        ask("DELETE").gives(by="v2"),
        ask("PUT").gives(by="v2"),
        ask("PATCH").gives(by="v2"),
        ask("POST").gives(by="v1"),
        get().gives(by="v1"),
        http=v2_for("[{method: {exact: DELETE}}, {method: {regex: 'PU[TS]'}}, {method: {prefix: PAT}}]"),
    ),
    case(
        "V-33-scheme-of-the-plain-text-side-is-http",
        get("/s").gives(by="v1"),
        get("/p").gives(by="v2"),
        get("/p", x_forwarded_proto="https").gives(by="v2"),
        http="""
        - match: [{uri: {prefix: /s}, scheme: {exact: https}}]
          route: [{destination: {host: $host, subset: v3}}]
        - match: [{uri: {prefix: /p}, scheme: {exact: http}}]
          route: [{destination: {host: $host, subset: v2}}]
        - route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    case(
        "V-33-authority-includes-the-port-that-was-sent",
        get().gives(by="v2"),
        get().to("$host:80").gives(by="v1", sent_host="$host:80"),
        http=v2_for("[{authority: {exact: $host}}]"),
    ),
    case("V-33-an-empty-StringMatch-matches-always", get().gives(by="v2"), http=v2_for("[{method: {}, scheme: {}}]")),
    # --- headers ---
    case(
        "V-34-all-headers-must-hold-and-names-ignore-case",
        get(**{"X-USER": "jason", "x-group": "qa-7"}).gives(by="v2"),
        get(x_user="jason").gives(by="v1"),
        get(x_user="jason", x_group="qa").gives(by="v1"),
        get(x_user="Jason", x_group="qa-7").gives(by="v1"),
        http=v2_for("[{headers: {X-User: {exact: jason}, x-group: {prefix: qa-}}}]"),
    ),
    case(
        "V-34-header-regex-matches-the-whole-value",
        get(cookie="user=jason").gives(by="v2"),
        get(cookie="user=jason; a=b").gives(by="v1"),
        get(cookie="a=b; user=jason").gives(by="v1"),
        http=v2_for("[{headers: {cookie: {regex: 'user=[a-z]+'}}}]"),
    ),
    case(
        "V-34-an-empty-header-match-asks-for-presence",
        get(x_a="anything").gives(by="v2"),
        get(x_a="").gives(by="v2"),
        get().gives(by="v1"),
        http=v2_for("[{headers: {x-a: {}}}]"),
    ),
    case(
        "V-34-an-exact-empty-value-is-not-absence",
        get(x_a="").gives(by="v2"),
        get(x_a="full").gives(by="v1"),
        get().gives(by="v1"),
        http=v2_for("[{headers: {x-a: {exact: ''}}}]"),
    ),
    case(
        "V-34-pseudo-headers-are-headers",
        ask("POST", "/a/b?c=d").gives(by="v2"),
        get("/a/b?c=d").gives(by="v1"),
        ask("POST", "/a/b").gives(by="v1"),
        http=v2_for("[{headers: {':method': {exact: POST}, ':path': {regex: '/a/.*[?].*'}}}]"),
    ),
    case(
        "V-34-property-names-among-headers-are-ignored",
        get().gives(by="v2"),
        get("/without", uri="1").gives(by="v2"),
        http=v2_for(
            "[{uri: {exact: /}, headers: {method: {exact: NEVER}, uri: {exact: /never}}}, "
            "{uri: {exact: /without}, withoutHeaders: {uri: {}}}]"
        ),
    ),
    case(
        "V-34-one-of-the-values-of-a-repeated-header-is-enough",
        get("/wanted", x_a=("1", "2")).gives(by="v2"),
        get("/wanted", x_a=("1", "3")).gives(by="v1"),
        get("/unwanted", x_a=("1", "2")).gives(by="v1"),
        get("/unwanted", x_a=("1", "3")).gives(by="v2"),
        http=v2_for(
            "[{uri: {exact: /wanted}, headers: {x-a: {exact: '2'}}}, "
            "{uri: {exact: /unwanted}, withoutHeaders: {x-a: {exact: '2'}}}]"
        ),
    ),
    # --- withoutHeaders ---
    case(
        "V-35-a-missing-header-satisfies-a-negation",
        get().gives(by="v2"),
        get(x_a="other").gives(by="v2"),
        get(x_a="bad").gives(by="v1"),
        http=v2_for("[{withoutHeaders: {X-A: {exact: bad}}}]"),
    ),
    case(
        "V-35-an-empty-match-forbids-the-header",
        get().gives(by="v2"),
        get(x_a="").gives(by="v1"),
        get(x_a="1").gives(by="v1"),
        http=v2_for("[{withoutHeaders: {x-a: {}}}]"),
    ),
    case(
        "V-35-a-lone-star-forbids-the-header",
        get().gives(by="v2"),
        get(x_a="1").gives(by="v1"),
        http=v2_for("[{withoutHeaders: {x-a: {regex: '*'}}}]"),
    ),
    case(
        "V-35-a-regex-that-takes-everything-forbids-the-header",
        get().gives(by="v2"),
        get(x_a="1").gives(by="v1"),
        get(x_a="").gives(by="v1"),
        http=v2_for("[{withoutHeaders: {x-a: {regex: '.*'}}}]"),
    ),
    case(
        "V-35-a-regex-that-takes-nothing-too-spares-the-missing",
        get().gives(by="v2"),
        get(x_a="aaa").gives(by="v1"),
        get(x_a="").gives(by="v1"),
        get(x_a="b").gives(by="v2"),
        http=v2_for("[{withoutHeaders: {x-a: {regex: 'a*'}}}]"),
    ),
    case(
        "V-35-forbidding-the-empty-value-spares-the-missing",
        get().gives(by="v2"),
        get(x_a="1").gives(by="v2"),
        get(x_a="").gives(by="v1"),
        http=v2_for("[{withoutHeaders: {x-a: {exact: ''}}}]"),
    ),
    case(
        "V-35-one-header-wanted-and-unwanted-values",
        get(x_a="ab").gives(by="v2"),
        get(x_a="abc").gives(by="v1"),
        get().gives(by="v1"),
        http=v2_for("[{headers: {x-a: {prefix: a}}, withoutHeaders: {x-a: {regex: '.*c'}}}]"),
    ),
    # --- query ---
    case(
        "V-36-query-parameters",
        get("/?a=1&b=22").gives(by="v2"),
        get("/?b=22&c&a=1").gives(by="v2"),
        get("/?a=1&b=2x").gives(by="v1"),
        get("/?a=1").gives(by="v1"),
        get("/").gives(by="v1"),
        http=v2_for("[{queryParams: {a: {exact: '1'}, b: {regex: '[0-9]+'}}}]"),
    ),
    case(
        "V-36-an-empty-match-asks-for-the-parameter",
        get("/?a").gives(by="v2"),
        get("/?a=").gives(by="v2"),
        get("/?b=a").gives(by="v1"),
        http=v2_for("[{queryParams: {a: {}}}]"),
    ),
    case(
        "V-36-parameter-prefix-and-case",
        get("/?v=canary-1").gives(by="v2"),
        get("/?V=canary-1").gives(by="v1"),
        get("/?v=Canary").gives(by="v1"),
        http=v2_for("[{queryParams: {v: {prefix: canary}}}]"),
    ),
    # --- what is settled when the configuration is made ---
    case(
        "V-37-port-is-the-one-that-was-addressed",
        get().gives(by="v1"),
        get().to("$host:8080").gives(by="v2"),
        http=v2_for("[{port: 8080}]"),
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}, {number: 8080, name: alt, protocol: HTTP}]
        resolution: STATIC
        endpoints:
        - {address: 127.0.0.1, ports: {http: $v1, alt: $v1}, labels: {version: v1}}
        - {address: 127.0.0.1, ports: {http: $v2, alt: $v2}, labels: {version: v2}}
        """,
        subsets="[{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]",
    ),
    case(
        "V-38-sourceLabels-must-all-be-this-workloads",
        get("/both").gives(by="v2"),
        get("/other").gives(by="v1"),
        http=v2_for(
            "[{uri: {prefix: /both}, sourceLabels: {app: web, tier: front}}, "
            "{uri: {prefix: /other}, sourceLabels: {app: web, tier: back}}]"
        ),
    ),
    case(
        "V-38-sourceLabels-are-ignored-beside-gateways",
        get().gives(by="v2"),
        http=v2_for("[{gateways: [mesh], sourceLabels: {app: nobody}}]"),
    ),
    case(
        "V-39-sourceNamespace",
        get("/mine").gives(by="v2"),
        get("/theirs").gives(by="v1"),
        http=v2_for(
            "[{uri: {prefix: /mine}, sourceNamespace: default}, {uri: {prefix: /theirs}, sourceNamespace: other}]"
        ),
    ),
    # --- blocks and rules ---
    case(
        "V-11-blocks-are-ored-and-their-contents-anded",
        get("/a", x_b="1").gives(by="v2"),
        get("/c").gives(by="v2"),
        get("/a").gives(by="v1"),
        get("/d", x_b="1").gives(by="v1"),
        http=v2_for("[{uri: {prefix: /a}, headers: {x-b: {}}}, {uri: {exact: /c}}]"),
    ),
    case(
        "V-11-an-empty-match-block-takes-everything",
        get("/x").gives(by="v2"),
        http=v2_for("[{uri: {exact: /y}}, {}]"),
    ),
    case(
        "V-26-what-no-rule-takes-is-404-and-not-the-service",
        get("/api/1").gives(by="v1"),
        get("/else").gives(404, body=b""),
        http="""
        - match: [{uri: {prefix: /api/}}]
          route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    case(
        "V-26-rules-for-others-leave-404",
        get().gives(404),
        http="""
        - match: [{sourceLabels: {app: nobody}}]
          route: [{destination: {host: $host, subset: v1}}]
        """,
    ),
    case(
        "V-9-the-first-rule-wins-even-over-a-more-specific-one",
        get("/a/b").gives(by="v2"),
        http="""
        - match: [{uri: {prefix: /a}}]
          route: [{destination: {host: $host, subset: v2}}]
        - match: [{uri: {exact: /a/b}}]
          route: [{destination: {host: $host, subset: v3}}]
        """,
    ),
    # --- whose VirtualService ---
    case(
        "V-1-hosts-are-matched-in-any-case-and-with-a-dot",
        get().to("$host.").gives(by="v1"),
        get().to("$host.:80").gives(by="v1"),
        get().to("V-1-HOSTS-ARE-MATCHED-IN-ANY-CASE-AND-WITH-A-DOT.Live").gives(by="v1"),
    ),
    only(
        "V-1-a-host-that-is-in-no-registry-is-on-port-80",
        get().gives(by="v2"),
        get().to("$host:80").gives(by="v2"),
        get().to("$host:81").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name}
        spec:
          hosts: [$host]
          http: [{route: [{destination: {host: plain.live, subset: v2}}]}]
        """,
    ),
    only(
        "V-1-an-address-is-a-host",
        get().to("10.11.12.13").gives(by="v3"),
        get().to("10.11.12.14").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name}
        spec:
          hosts: [10.11.12.13]
          http: [{route: [{destination: {host: plain.live, subset: v3}}]}]
        """,
    ),
    only(
        "V-1-several-hosts-of-one-VirtualService",
        get().to("one.$host").gives(by="v1"),
        get().to("two.$host").gives(by="v1"),
        get().to("three.$host").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name}
        spec:
          hosts: [one.$host, two.$host]
          http: [{route: [{destination: {host: plain.live, subset: v1}}]}]
        """,
    ),
    only(
        "V-8-the-most-specific-host-wins",
        get().to("a.deep.$host").gives(by="v3"),
        get().to("b.deep.$host").gives(by="v2"),
        get().to("x.y.deep.$host").gives(by="v2"),
        get().to("shallow.$host").gives(by="v1"),
        get().to("$host").gives(502),
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name-1}
        spec:
          hosts: ["*.$host"]
          http: [{route: [{destination: {host: plain.live, subset: v1}}]}]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name-2}
        spec:
          hosts: ["*.deep.$host"]
          http: [{route: [{destination: {host: plain.live, subset: v2}}]}]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name-3}
        spec:
          hosts: [a.deep.$host]
          http: [{route: [{destination: {host: plain.live, subset: v3}}]}]
        """,
    ),
    case(
        "V-8-a-wildcard-speaks-for-a-service-without-its-own",
        get("/v2").gives(by="v2"),
        get("/else").gives(404),
        http="",
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name}
        spec:
          hosts: ["*-without-its-own.live"]
          http: [{match: [{uri: {prefix: /v2}}], route: [{destination: {host: $host, subset: v2}}]}]
        """,
    ),
    case(
        "V-6-a-VirtualService-of-elsewhere-kept-to-itself",
        get().gives(200),
        http="",
        mesh="""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: $name, namespace: elsewhere}
        spec:
          hosts: [$host]
          exportTo: ["."]
          http: [{directResponse: {status: 410}}]
        """,
    ),
    only(
        "S-unknown-hosts-are-502-with-the-reason",
        get().gives(502, headers={"x-meshd-reason": "host $host is not in the registry"}),
        mesh="",
    ),
)

DOCUMENTS = case("plain", http="").documents({})


def test_matches(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)
