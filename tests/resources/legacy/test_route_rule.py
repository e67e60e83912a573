"""RouteRule: what goes with what, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.legacy.judging import rule, the, told, verdict

V1 = "route: [{labels: {version: v1}}]"
TCP = f"match: {{tcp: {{}}}}, {V1}"


@pytest.mark.spec("RR-07", "RR-09", "IS-08", "RR-10")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"destination: {{name: reviews}}, {V1}", []),
        (V1, ["E-RR-NO-DEST destination"]),
        (f"destination: null, {V1}", ["E-RR-NO-DEST destination"]),
        (f"destination: reviews, {V1}", ["E-TYPE destination"]),
        (f"destination: {{name: reviews, labels: {{version: v1}}}}, {V1}", ["E-RR-DEST-LABELS destination.labels"]),
        (f"destination: {{name: reviews, labels: {{}}}}, {V1}", []),
        (f"destination: {{name: reviews}}, precedence: 2147483647, {V1}", []),
        (f"destination: {{name: reviews}}, precedence: -2147483648, {V1}", []),
        (f"destination: {{name: reviews}}, precedence: 2147483648, {V1}", ["E-VALUE precedence"]),
        (f"destination: {{name: reviews}}, precedence: 1.5, {V1}", ["E-TYPE precedence"]),
    ],
)
def test_whom_a_rule_is_for(spec: str, problems: list[str]):
    assert verdict("RouteRule", f"{{{spec}}}") == problems


@pytest.mark.spec("RR-10")
def test_precedence_is_zero_when_absent():
    assert the("RouteRule", f"{{destination: {{name: a}}, {V1}}}").precedence == 0


@pytest.mark.spec("RR-14", "RR-15", "RR-18", "RR-31", "RWR-02")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (V1, []),
        ("precedence: 1", ["W-RR-NO-ROUTE "]),
        ("route: []", ["W-RR-NO-ROUTE "]),
        ("redirect: {uri: /new}", []),
        ("redirect: {uri: /new}, route: []", []),
        (f"redirect: {{uri: /new}}, {V1}", ["E-RR-ROUTE-REDIRECT route"]),
        ("redirect: {uri: /new}, rewrite: {authority: a}", ["E-REWRITE-REDIRECT rewrite"]),
        ("redirect: {uri: /new}, websocketUpgrade: true", ["E-RR-WS-REDIRECT websocketUpgrade"]),
        ("redirect: {uri: /new}, websocketUpgrade: false", []),
        ("redirect: {uri: /new}, httpFault: {delay: {fixedDelay: 1s}}", ["E-RR-FAULT-REDIRECT httpFault"]),
        ("redirect: {uri: /new}, httpReqTimeout: {simpleTimeout: {timeout: 1s}}", ["W-VALUE httpReqTimeout"]),
        ("redirect: {uri: /new}, httpReqRetries: {simpleRetry: {attempts: 1}}", ["W-VALUE httpReqRetries"]),
        ("redirect: {uri: /new}, mirror: {name: a}", ["W-VALUE mirror"]),
        ("redirect: {uri: /new}, corsPolicy: {}", ["W-VALUE corsPolicy"]),
        ("redirect: {uri: /new}, appendHeaders: {x: a}", ["W-VALUE appendHeaders"]),
    ],
)
def test_a_rule_forwards_or_redirects(spec: str, problems: list[str]):
    assert rule(spec) == problems


@pytest.mark.spec("RED-06", "RWR-06", "RWR-04")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("redirect: {authority: a.com}", []),
        ("redirect: {}", ["E-REDIRECT-EMPTY redirect"]),
        ("redirect: {uri: '', authority: ''}", ["E-REDIRECT-EMPTY redirect"]),
        (f"{V1}, rewrite: {{}}", ["E-REWRITE-EMPTY rewrite"]),
        (f"{V1}, rewrite: {{authority: a.com}}", []),
        (f"{V1}, rewrite: {{uri: /v1}}", ["W-REWRITE-ROOT rewrite.uri"]),
        (f"{V1}, rewrite: {{uri: /v1/}}", []),
        (
            f"{V1}, match: {{request: {{headers: {{uri: {{prefix: /}}}}}}}}, rewrite: {{uri: /a}}",
            ["W-REWRITE-ROOT rewrite.uri"],
        ),
        (f"{V1}, match: {{request: {{headers: {{uri: {{prefix: /x}}}}}}}}, rewrite: {{uri: /a}}", []),
        (f"{V1}, match: {{request: {{headers: {{uri: /x}}}}}}, rewrite: {{uri: /a}}", []),
        (f"{V1}, match: {{request: {{headers: {{cookie: x}}}}}}, rewrite: {{uri: /a}}", ["W-REWRITE-ROOT rewrite.uri"]),
    ],
)
def test_redirects_and_rewrites_lead_somewhere(spec: str, problems: list[str]):
    assert rule(spec) == problems


def test_a_rewrite_of_the_root_is_told_by_an_example():
    assert told("RouteRule", f"{{destination: {{name: a}}, {V1}, rewrite: {{uri: /v1}}}}") == [
        (
            "5:77: spec.rewrite.uri: this replaces only the '/' that was matched: '/foo' becomes '/v1foo'; "
            "write '/v1/', or match by the prefix that is to be replaced [W-REWRITE-ROOT]"
        )
    ]


@pytest.mark.spec("DW-05", "DW-06", "DW-07", "DW-08")
@pytest.mark.parametrize(
    ("entries", "problems"),
    [
        ("{labels: {version: v1}}", []),
        ("{labels: {version: v1}, weight: 0}", []),
        ("{labels: {version: v1}, weight: 100}", []),
        ("{}", []),
        ("{labels: {version: v1}, weight: 99}", ["E-WEIGHT-SUM [0].weight"]),
        ("{labels: {version: v1}, weight: 101}", ["E-WEIGHT-RANGE [0].weight"]),
        ("{labels: {version: v1}, weight: -1}", ["E-WEIGHT-RANGE [0].weight"]),
        ("{labels: {version: v1}, weight: 1.5}", ["E-TYPE [0].weight"]),
        ("{labels: {a: b}, weight: 25}, {labels: {a: c}, weight: 75}", []),
        ("{labels: {a: b}, weight: 0}, {labels: {a: c}, weight: 100}", []),
        ("{labels: {a: b}, weight: 25}, {labels: {a: c}, weight: 70}", ["E-WEIGHT-SUM "]),
        ("{labels: {a: b}}, {labels: {a: c}}", ["E-WEIGHT-SUM "]),
        ("{labels: {a: b}, weight: 60}, {labels: {a: c}, weight: 60}", ["E-WEIGHT-SUM "]),
        ("{labels: {a: b}, weight: 50}, {weight: 50}", ["E-WEIGHT-ANON [1]"]),
        ("{labels: {a: b}, weight: 50}, {destination: {name: b}, weight: 50}", []),
        ("{destination: {name: b, labels: {a: b}}, labels: {a: b, c: d}}", []),
        ("{destination: {name: b, labels: {a: b}}, labels: {a: c}}", ["E-DW-LABELS [0].labels.a"]),
    ],
)
def test_weights(entries: str, problems: list[str]):
    assert [problem.replace(" route", " ") for problem in rule(f"route: [{entries}]")] == problems


def test_a_version_has_the_labels_of_the_entry_and_of_its_destination():
    (entry,) = the(
        "RouteRule", "{destination: {name: a}, route: [{destination: {name: b, labels: {a: b}}, labels: {c: d}}]}"
    ).route

    assert entry.version == {"a": "b", "c": "d"}


@pytest.mark.spec("RR-03", "RR-13", "RR-24", "RR-25", "L4F-08", "MC-02")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (TCP, []),
        (f"{TCP}, l4Fault: {{terminate: {{}}}}", []),
        (f"{V1}, l4Fault: {{terminate: {{}}}}", ["E-L4F-NO-TCP l4Fault"]),
        (f"{V1}, match: {{source: {{name: a}}}}, l4Fault: {{terminate: {{}}}}", ["E-L4F-NO-TCP l4Fault"]),
        (f"{V1}, match: {{udp: {{}}}}, l4Fault: {{terminate: {{}}}}", ["E-L4F-UDP l4Fault", "E-UDP match.udp"]),
        (f"{TCP}, rewrite: {{authority: a}}", ["E-RR-HTTP-ON-TCP rewrite"]),
        ("match: {tcp: {}}, redirect: {uri: /x}", ["E-RR-HTTP-ON-TCP redirect"]),
        (f"{TCP}, websocketUpgrade: true", ["E-RR-HTTP-ON-TCP websocketUpgrade"]),
        (f"{TCP}, httpReqTimeout: {{simpleTimeout: {{timeout: 1s}}}}", ["E-RR-HTTP-ON-TCP httpReqTimeout"]),
        (f"{TCP}, httpReqRetries: {{simpleRetry: {{attempts: 1}}}}", ["E-RR-HTTP-ON-TCP httpReqRetries"]),
        (f"{TCP}, httpFault: {{delay: {{fixedDelay: 1s}}}}", ["E-RR-HTTP-ON-TCP httpFault"]),
        (f"{TCP}, mirror: {{name: a}}", ["E-RR-HTTP-ON-TCP mirror"]),
        (f"{TCP}, corsPolicy: {{}}", ["E-RR-HTTP-ON-TCP corsPolicy"]),
        (f"{TCP}, appendHeaders: {{x: a}}", ["E-RR-HTTP-ON-TCP appendHeaders"]),
        (f"match: {{tcp: {{}}, request: {{headers: {{x: a}}}}}}, {V1}, mirror: {{name: a}}", []),
        (f"match: {{source: {{name: a}}}}, {V1}, mirror: {{name: a}}", []),
    ],
)
def test_what_is_about_requests_needs_requests_and_what_is_about_connections_needs_connections(
    spec: str, problems: list[str]
):
    assert sorted(rule(spec)) == sorted(problems)


@pytest.mark.spec("RR-03", "RR-13")
@pytest.mark.parametrize(
    ("match", "http", "tcp"),
    [
        ("", True, False),
        ("match: {source: {name: a}}", True, False),
        ("match: {request: {headers: {x: a}}}", True, False),
        ("match: {source: {name: a}, request: {headers: {x: a}}}", True, False),
        ("match: {tcp: {}}", False, True),
        ("match: {source: {name: a}, tcp: {}}", False, True),
        ("match: {tcp: {}, request: {headers: {}}}", False, True),
        ("match: {tcp: {}, request: {headers: {x: a}}}", True, True),
    ],
)
def test_a_rule_is_about_the_protocols_that_its_match_speaks_of(match: str, http: bool, tcp: bool):
    found = the("RouteRule", f"{{destination: {{name: a}}, {V1}, {match}}}")

    assert (found.is_of_http, found.is_of_tcp) == (http, tcp)


@pytest.mark.spec("RR-30")
@pytest.mark.parametrize(
    ("headers", "problems"),
    [
        ("{x-a: b}", []),
        ("{X-A: '%REQ(x-b)%'}", []),
        ("{x-a: ''}", ["E-HDR-VALUE .x-a"]),
        ("{host: a}", ["E-VALUE .host"]),
        ("{Host: a}", ["E-VALUE .Host"]),
        ("{':path': a}", ["E-VALUE .:path"]),
        ("{x y: a}", ["E-VALUE .x y"]),
        ("{x: '100%'}", ["E-VALUE .x"]),
        ("[x]", ["E-TYPE "]),
    ],
)
def test_appended_headers(headers: str, problems: list[str]):
    assert [problem.replace(" appendHeaders", " ") for problem in rule(f"{V1}, appendHeaders: {headers}")] == problems


@pytest.mark.spec("RTY-05", "TMO-05")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("httpReqRetries: {simpleRetry: {attempts: 3, perTryTimeout: 2s}}", []),
        ("httpReqRetries: {simpleRetry: {attempts: 0, perTryTimeout: 2s}}", []),
        ("httpReqRetries: {simpleRetry: {attempts: 3, overrideHeaderName: x-retries}}", []),
        ("httpReqRetries: {simpleRetry: {}}", ["E-RETRY-ATTEMPTS .simpleRetry.attempts"]),
        ("httpReqRetries: {simpleRetry: {attempts: -1}}", ["E-RETRY-ATTEMPTS .simpleRetry.attempts"]),
        ("httpReqRetries: {simpleRetry: {attempts: 1, perTryTimeout: 0s}}", ["E-DUR-MIN .simpleRetry.perTryTimeout"]),
        (
            "httpReqRetries: {simpleRetry: {attempts: 1, overrideHeaderName: a b}}",
            ["E-VALUE .simpleRetry.overrideHeaderName"],
        ),
        ("httpReqRetries: {}", ["W-VALUE "]),
        ("httpReqTimeout: {simpleTimeout: {timeout: 10s, overrideHeaderName: x-timeout}}", []),
        ("httpReqTimeout: {simpleTimeout: {}}", ["W-VALUE .simpleTimeout"]),
        ("httpReqTimeout: {simpleTimeout: {overrideHeaderName: x-timeout}}", ["W-VALUE .simpleTimeout"]),
        ("httpReqTimeout: {simpleTimeout: {timeout: 0s}}", ["E-DUR-MIN .simpleTimeout.timeout"]),
        (
            "httpReqTimeout: {simpleTimeout: {timeout: 1s, overrideHeaderName: ':path'}}",
            ["E-VALUE .simpleTimeout.overrideHeaderName"],
        ),
        ("httpReqTimeout: {}", ["W-VALUE "]),
    ],
)
def test_timeouts_and_retries(spec: str, problems: list[str]):
    name = spec.partition(":")[0]

    assert [problem.replace(f" {name}", " ") for problem in rule(f"{V1}, {spec}")] == problems


@pytest.mark.spec("CORS-03", "CORS-04", "CORS-05", "CORS-07", "CORS-08")
@pytest.mark.parametrize(
    ("cors", "problems"),
    [
        ("allowOrigin: ['https://example.com', 'http://a:8080', '*']", []),
        ("allowOrigin: [example.com]", ["W-CORS-ORIGIN-SCHEME .allowOrigin[0]"]),
        ("allowOrigin: ['*', '*.example.com']", ["W-CORS-ORIGIN-SCHEME .allowOrigin[1]"]),
        ("allowMethods: [GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE, '*']", []),
        ("allowMethods: [GET, get]", ["E-VALUE .allowMethods[1]"]),
        ("allowHeaders: [X-Foo-Bar, x-foo]", []),
        ("allowHeaders: [x foo]", ["E-VALUE .allowHeaders[0]"]),
        ("exposeHeaders: ['']", ["E-VALUE .exposeHeaders[0]"]),
        ("maxAge: 1d", []),
        ("maxAge: '1d'", []),
        ("maxAge: 1500ms", ["E-VALUE .maxAge"]),
        ("maxAge: 86400", ["E-TYPE .maxAge"]),
        ("allowCredentials: false", []),
        ("allowCredentials: 'no'", ["E-TYPE .allowCredentials"]),
        ("", []),
    ],
)
def test_cors(cors: str, problems: list[str]):
    assert [problem.replace(" corsPolicy", " ") for problem in rule(f"{V1}, corsPolicy: {{{cors}}}")] == problems


@pytest.mark.spec("CORS-08")
@pytest.mark.parametrize(
    ("given", "credentials"), [("", None), ("allowCredentials: false", False), ("allow_credentials: true", True)]
)
def test_credentials_have_three_states(given: str, credentials: bool | None):
    found = the("RouteRule", f"{{destination: {{name: a}}, {V1}, corsPolicy: {{{given}}}}}")

    assert found.cors_policy.allow_credentials is credentials
