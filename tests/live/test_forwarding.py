"""Where a request goes and what becomes of it on the way: destinations, rewrites, headers, mirrors (spec 5.2, 5.4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.live.cases import Case, case, only
from tests.live.requests import ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy


def to_v1(match: str, *more: str) -> str:
    """One rule: what matches goes to v1, with `more` fields."""
    lines = "\n".join(f"      {line}" for line in more)
    return f"    - match: [{match}]\n      route: [{{destination: {{host: $host, subset: v1}}}}]\n{lines}\n"


def through(headers: str, destination_headers: str = "", *, weighted: bool = False) -> str:
    """One rule with `headers`, to a destination with `headers` of its own; `weighted`: to v1 always, but by weight."""
    own = f", headers: {destination_headers}" if destination_headers else ""
    second = f", {{destination: {{host: $host, subset: v1}}, weight: 1{own}}}" if weighted else ""
    weight = ", weight: 1" if weighted else ""
    route = f"route: [{{destination: {{host: $host, subset: v1}}{weight}{own}}}{second}]"
    return f"    - {route}\n      headers: {headers}\n" if headers else f"    - {route}\n"


LACKING = "two-ports.live has no port 81, so requests to port 81 that come here are answered 503"

WEIGHTS = case(
    "V-53-weights-are-shares",
    http="""
    - route:
      - {destination: {host: $host, subset: v1}, weight: 3}
      - {destination: {host: $host, subset: v2}, weight: 1}
      - {destination: {host: $host, subset: v3}, weight: 0}
    """,
)
MIRRORED = case(
    "V-20-a-mirror-gets-all-by-default",
    get("/m").gives(by="v1", reached=("v1", "v2")),
    http=to_v1("{uri: {prefix: /}}", "mirror: {host: $host, subset: v2}"),
)
HALF_MIRRORED = case(
    "V-22-mirrorPercentage-is-a-share",
    http=to_v1("{uri: {prefix: /}}", "mirror: {host: $host, subset: v2}", "mirrorPercentage: {value: 50}"),
)
NOT_MIRRORED = case(
    "V-22-mirrorPercentage-zero-copies-nothing",
    http=to_v1("{uri: {prefix: /}}", "mirror: {host: $host, subset: v2}", "mirrorPercentage: {value: 0}"),
)

CASES = (
    WEIGHTS,
    HALF_MIRRORED,
    NOT_MIRRORED,
    # --- rewrites ---
    case(
        "V-55-prefix-replaces-only-what-was-matched",
        get("/old/a?x=/old").gives(path="/new/a?x=/old"),
        get("/oldest").gives(path="/newest"),
        http=to_v1("{uri: {prefix: /old}}", "rewrite: {uri: /new}"),
    ),
    case(
        "V-55-exact-and-regex-replace-the-whole-path",
        get("/exact?x=1").gives(path="/new?x=1"),
        get("/r/12/x?x=1").gives(path="/new?x=1"),
        http=to_v1("{uri: {exact: /exact}}, {uri: {regex: '/r/[0-9]+/.*'}}", "rewrite: {uri: /new}"),
    ),
    case(
        "V-55-a-prefix-without-slash-joined-to-a-root",
        get("/api/a").gives(path="//a"),
        get("/api").gives(path="/"),
        http=to_v1("{uri: {prefix: /api}}", "rewrite: {uri: /}"),
    ),
    case(
        "V-55-a-prefix-with-slash-becomes-the-root",
        get("/api/a").gives(path="/a"),
        http=to_v1("{uri: {prefix: /api/}}", "rewrite: {uri: /}"),
    ),
    case(
        "V-55-without-uri-match-the-root-is-replaced",
        get("/foo?a=b").gives(path="/v1foo?a=b"),
        http=to_v1("{method: {exact: GET}}", "rewrite: {uri: /v1}"),
    ),
    case(
        "V-55-a-prefix-in-any-case-is-replaced-whole",
        get("/OLD/a").gives(path="/new/a"),
        http=to_v1("{uri: {prefix: /old}, ignoreUriCase: true}", "rewrite: {uri: /new}"),
    ),
    case(
        "V-56-regex-substitution-with-groups",
        get("/users/7/orders?x=users/8").gives(path="/orders/of/7?x=users/8"),
        get("/other").gives(path="/other"),
        http=to_v1(
            "{uri: {prefix: /}}",
            r"rewrite: {uriRegexRewrite: {match: '^/users/(\d+)/orders', rewrite: '/orders/of/\1'}}",
        ),
    ),
    case(
        "V-56-every-occurrence-is-replaced",
        get("/a/b/a").gives(path="/x/b/x"),
        http=to_v1("{uri: {prefix: /}}", "rewrite: {uriRegexRewrite: {match: '/a', rewrite: '/x'}}"),
    ),
    case(
        "V-57-authority",
        get().gives(sent_host="other.example:81"),
        http=to_v1("{uri: {prefix: /}}", "rewrite: {authority: 'other.example:81'}"),
    ),
    case(
        "V-57-path-and-authority-together",
        get("/a/b").gives(sent_host="other.example", path="/c/b"),
        http=to_v1("{uri: {prefix: /a}}", "rewrite: {authority: other.example, uri: /c}"),
    ),
    # --- headers ---
    case(
        "V-25-request-set-add-remove",
        get(x_set="old", x_add="one", x_gone="1").gives(
            sent={"x-set": "new", "x-add": ["one", "two"], "x-gone": None, "x-fresh": "1"}
        ),
        http=through("{request: {set: {X-Set: new}, add: {X-Add: two, x-fresh: '1'}, remove: [X-Gone]}}"),
    ),
    case(
        "V-25-set-comes-before-add-and-remove-before-both",
        get(x_a="client").gives(sent={"x-a": ["set", "added"]}),
        get(x_b="client").gives(sent={"x-b": "kept"}),
        http=through("{request: {set: {x-a: set}, add: {x-a: added, x-b: kept}, remove: [x-b]}}"),
    ),
    case(
        "V-25-response-set-add-remove",
        get().gives(headers={"x-own": ["kept", "and more"], "content-type": "text/odd", "x-backend": "v1", "x-f": "1"}),
        http=through("{response: {set: {content-type: text/odd, x-f: '1'}, add: {x-own: and more}}}"),
    ),
    case(
        "V-25-response-remove",
        get().gives(headers={"x-own": None}),
        http=through("{response: {remove: [X-Own]}}"),
    ),
    case(
        "V-25-percent-signs-and-formatters",
        get(x_in="seen").gives(sent={"x-p": "100%", "x-q": "seen", "x-m": "GET"}),
        http=through("{request: {set: {x-p: '100%%', x-q: '%REQ(X-In)%', x-m: '%REQ(:METHOD)%'}}}"),
    ),
    case(
        "V-25-host-among-the-headers-is-the-authority",
        get().gives(sent_host="set.example"),
        http=through("{request: {set: {Host: set.example}}}"),
    ),
    case(
        "V-25-add-authority-replaces-it",
        get().gives(sent_host="added.example"),
        http=through("{request: {add: {':authority': added.example}}}"),
    ),
    case(
        "V-25-what-is-written-empty-is-set-what-is-not-found-is-not",
        get(x_a="full").gives(sent={"x-a": "", "x-b": None}),
        http=through("{request: {set: {x-a: '', x-b: '%REQ(X-Missing)%'}}}"),
    ),
    case(
        "V-54-a-single-destinations-edits-follow-the-routes",
        get().gives(sent={"x-a": "destination", "x-b": ["route", "destination"]}, headers={"x-r": "destination"}),
        http=through(
            "{request: {set: {x-a: route}, add: {x-b: route}}, response: {set: {x-r: route}}}",
            "{request: {set: {x-a: destination}, add: {x-b: destination}}, response: {set: {x-r: destination}}}",
        ),
    ),
    case(
        "V-54-weighted-destinations-have-their-own-edits",
        get(x_gone="1").gives(sent={"x-a": "destination", "x-b": "route", "x-gone": None}, headers={"x-r": "1"}),
        http=through(
            "{request: {set: {x-b: route}}}",
            "{request: {set: {x-a: destination}, remove: [x-gone]}, response: {add: {x-r: '1'}}}",
            weighted=True,
        ),
    ),
    case(
        "V-54-the-only-destinations-authority",
        get().gives(sent_host="destination.example"),
        http=through("", "{request: {set: {host: destination.example}}}"),
    ),
    case(
        "V-54-a-weighted-destinations-authority",
        get().gives(sent_host="destination.example"),
        http=through("", "{request: {set: {host: destination.example}}}", weighted=True),
    ),
    case(
        "V-54-the-routes-authority-wins-over-the-only-destinations",
        get().gives(sent_host="route.example"),
        http=through("{request: {set: {host: route.example}}}", "{request: {set: {host: destination.example}}}"),
    ),
    case(
        "V-54-the-routes-authority-wins-over-a-weighted-ones",
        get().gives(sent_host="route.example"),
        http=through(
            "{request: {set: {host: route.example}}}", "{request: {set: {host: destination.example}}}", weighted=True
        ),
    ),
    case(
        "V-54-set-host-wins-over-add-host",
        get().gives(sent_host="set.example"),
        http=through("", "{request: {set: {host: set.example}, add: {host: added.example}}}"),
    ),
    case(
        "X-untouched-headers-arrive-as-they-were-sent",
        get(user_agent="curl/8", accept="*/*", x_forwarded_for="203.0.113.9", x_request_id="mine").gives(
            sent={
                "user-agent": "curl/8",
                "accept": "*/*",
                "x-forwarded-for": "203.0.113.9",
                "x-envoy-expected-rq-timeout-ms": None,
                "x-envoy-upstream-rq-timeout-ms": None,
            },
            headers={"server": "backend", "x-meshd-reason": None},
        ),
    ),
    case("X-bodies-and-methods-pass", ask("PUT", "/x").gives(by="v1"), ask("HEAD").gives(by="v1")),
    # --- destinations ---
    case(
        "V-53-a-single-destination-takes-all-whatever-its-weight",
        get().gives(by="v2"),
        http="    - route: [{destination: {host: $host, subset: v2}, weight: 0}]",
    ),
    case(
        "V-53-weight-zero-beside-others-is-nothing",
        *[get().gives(by="v1")] * 5,
        http="""
        - route:
          - {destination: {host: $host, subset: v1}, weight: 1}
          - {destination: {host: $host, subset: v2}, weight: 0}
        """,
    ),
    case(
        "V-50-another-service-keeps-the-clients-host",
        get("/x").gives(by="v3", sent_host="$host", path="/x"),
        http="    - route: [{destination: {host: plain.live, subset: v3}}]",
    ),
    case(
        "V-52-the-only-port-of-the-destination",
        get().gives(by="v2"),
        http="    - route: [{destination: {host: one-port.live}}]",
    ),
    case(
        "V-52-of-several-ports-the-one-the-request-came-to",
        get("/").gives(by="v1"),
        get("/named").gives(by="v2"),
        http="""
        - match: [{uri: {exact: /named}}]
          route: [{destination: {host: two-ports.live, port: {number: 8080}}}]
        - route: [{destination: {host: two-ports.live}}]
        """,
    ),
    case(
        "V-52-a-port-that-the-destination-lacks-is-503-and-says-so",
        get().gives(by="v1"),
        get().to("$host:81").gives(503, headers={"x-meshd-reason": LACKING}),
        http="    - route: [{destination: {host: two-ports.live}}]",
        subsets="",
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: alt, protocol: HTTP}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http: $v3, alt: $v3}}]
        """,
    ),
    case(
        "D-4-a-subset-without-endpoints-is-503",
        get().gives(503),
        subsets="[{name: none, labels: {version: v9}}]",
        http="    - route: [{destination: {host: $host, subset: none}}]",
    ),
    case(
        "D-4-all-labels-of-a-subset-and-none-of-an-empty-one",
        get("/both").gives(by="v3"),
        get("/empty").gives(200),
        subsets="[{name: both, labels: {version: v3, stage: live}}, {name: every}]",
        http="""
        - match: [{uri: {exact: /both}}]
          route: [{destination: {host: $host, subset: both}}]
        - route: [{destination: {host: $host, subset: every}}]
        """,
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints:
        - {address: 127.0.0.1, ports: {http: $v1}, labels: {version: v1, stage: live}}
        - {address: 127.0.0.1, ports: {http: $v2}, labels: {version: v3}}
        - {address: 127.0.0.1, ports: {http: $v3}, labels: {version: v3, stage: live, more: yes-please}}
        """,
    ),
    # --- mirrors ---
    MIRRORED,
    case(
        "V-21-mirrors-each-by-itself-and-not-by-mirrorPercentage",
        get().gives(by="v1", reached=("v1", "v2", "v3")),
        http=to_v1(
            "{uri: {prefix: /}}",
            "mirrors: [{destination: {host: $host, subset: v2}}, {destination: {host: $host, subset: v3}}]",
            "mirrorPercentage: {value: 0}",
        ),
    ),
    case(
        "V-21-a-mirror-of-no-percent",
        get().gives(by="v1", reached=("v1", "v3")),
        http=to_v1(
            "{uri: {prefix: /}}",
            "mirrors: [{destination: {host: $host, subset: v2}, percentage: {value: 0}}, "
            "{destination: {host: $host, subset: v3}, percentage: {value: 100}}]",
        ),
    ),
    case(
        "V-23-mirrorPercent-counts-where-the-other-is-absent",
        get().gives(by="v1", reached=("v1", "v2")),
        http=to_v1("{uri: {prefix: /}}", "mirror: {host: $host, subset: v2}", "mirrorPercent: 100"),
    ),
    case(
        "V-20-a-mirrors-failure-is-nobodys-failure",
        get(x_do="reset@v2").gives(by="v1", reached=("v1", "v2")),
        http=to_v1("{uri: {prefix: /}}", "mirror: {host: $host, subset: v2}"),
    ),
)

DOCUMENTS = "\n---\n".join(
    (
        case("plain", http="").documents({}),
        only(
            "ports",
            mesh="""
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: one-port}
            spec:
              hosts: [one-port.live]
              ports: [{number: 9999, name: http, protocol: HTTP}]
              resolution: STATIC
              endpoints: [{address: 127.0.0.1, ports: {http: $v2}}]
            ---
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: two-ports}
            spec:
              hosts: [two-ports.live]
              ports: [{number: 80, name: http, protocol: HTTP}, {number: 8080, name: alt, protocol: HTTP}]
              resolution: STATIC
              endpoints: [{address: 127.0.0.1, ports: {http: $v1, alt: $v2}}]
            """,
        ).documents({}),
    )
)


def test_forwards(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_weights_are_shares_and_zero_is_none(live: Live):
    """V-53. 5 standard deviations of 400 draws are 43."""
    counts = Counter(live.send(get(), WEIGHTS).by for _ in range(400))

    assert counts["v3"] == 0
    assert 257 <= counts["v1"] <= 343
    assert counts["v1"] + counts["v2"] == 400


def test_a_copy_is_the_whole_request_and_keeps_its_host(live: Live):
    """V-20. Envoy's own default would append `-shadow`."""
    posted = replace(ask("POST", "/m?x=1", x_a="1"), body=b"hello")

    answer = live.holds(MIRRORED, posted.gives(by="v1", reached=("v1", "v2")))
    (copy,) = live.copies(answer)

    assert (copy.method, copy.path, copy.body) == ("POST", "/m?x=1", b"hello")
    assert copy.all("host") == [MIRRORED.host]
    assert copy.all("x-a") == ["1"]


def test_half_of_the_requests_are_mirrored(live: Live):
    """V-22. 5 standard deviations of 200 draws are 35."""
    answers = [live.send(get(), HALF_MIRRORED) for _ in range(200)]
    live.holds(MIRRORED, get().gives(reached=("v1", "v2")))

    assert 65 <= sum(len(live.copies(answer)) for answer in answers) <= 135


def test_a_mirror_of_no_percent_gets_nothing(live: Live):
    answers = [live.send(get(), NOT_MIRRORED) for _ in range(20)]
    live.holds(MIRRORED, get().gives(reached=("v1", "v2")))

    assert not [copy for answer in answers for copy in live.copies(answer)]
