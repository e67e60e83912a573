"""HTTPRoute: what becomes of requests, judged alone."""

from __future__ import annotations

import base64

import pytest

from meshd.resources.answers import Body, content
from tests.resources.judging import verdict

TO = "route: [{destination: {host: reviews.shop}}]"


def route(spec: str) -> list[str]:
    """Paths from the route."""
    found = verdict("VirtualService", f"{{hosts: [reviews.shop], http: [{{{spec}}}]}}")
    return [problem.replace("http[0].", "").replace("http[0]", "") for problem in found]


def part(name: str, spec: str) -> list[str]:
    """Paths from one part of a route."""
    return [problem.replace(f" {name}", " ") for problem in route(f"{TO}, {name}: {{{spec}}}")]


@pytest.mark.spec("V-10", "V-12", "V-13", "V-14", "V-16")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (TO, []),
        (f"{TO}, name: any text", []),
        ("", ["E-ONEOF "]),
        ("route: []", ["E-ONEOF "]),
        ("redirect: {uri: /new}", []),
        ("redirect: {uri: /new}, route: []", []),
        (f"redirect: {{uri: /new}}, {TO}", ["E-ONEOF route"]),
        ("redirect: {uri: /new}, directResponse: {status: 200}", ["E-ONEOF directResponse"]),
        (f"{TO}, directResponse: {{status: 200}}", ["E-ONEOF directResponse"]),
        ("redirect: {uri: /new}, rewrite: {uri: /x/}", ["E-VALUE rewrite"]),
        ("redirect: {uri: /new}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}", ["E-VALUE fault"]),
        ("directResponse: {status: 200}, rewrite: {uri: /x/}", ["E-VALUE rewrite"]),
        ("directResponse: {status: 200}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}", ["E-VALUE fault"]),
        ("redirect: {uri: /new}, timeout: 1s", ["W-VALUE timeout"]),
        ("redirect: {uri: /new}, retries: {attempts: 1}", ["W-VALUE retries"]),
        ("redirect: {uri: /new}, mirror: {host: a.shop}", ["W-VALUE mirror"]),
        ("redirect: {uri: /new}, mirrors: [{destination: {host: a.shop}}]", ["W-VALUE mirrors"]),
        ("redirect: {uri: /new}, corsPolicy: {allowOrigins: [{exact: a}]}", ["W-VALUE corsPolicy"]),
        ("redirect: {uri: /new}, headers: {response: {add: {a: b}}}", []),
    ],
)
def test_a_route_does_one_thing(spec: str, problems: list[str]):
    assert route(spec) == problems


@pytest.mark.spec("V-17")
@pytest.mark.parametrize(
    ("timeout", "problems"),
    [
        ("1s", []),
        ("1ms", []),
        ("1.5s", []),
        ("1h30m", []),
        ("0s", []),
        ("36500d", []),
        ("999us", ["E-VALUE timeout"]),
        ("1.0005s", ["E-VALUE timeout"]),
        ("36501d", ["E-VALUE timeout"]),
        ("-1s", ["E-VALUE timeout"]),
        ("5", ["E-TYPE timeout"]),
        ("5 s", ["E-VALUE timeout"]),
        ("forever", ["E-VALUE timeout"]),
    ],
)
def test_a_timeout_is_whole_milliseconds_or_none(timeout: str, problems: list[str]):
    assert route(f"{TO}, timeout: {timeout}") == problems


@pytest.mark.spec("V-50", "V-51", "V-52", "V-53")
@pytest.mark.parametrize(
    ("destinations", "problems"),
    [
        ("{destination: {host: a}}", []),
        ("{destination: {host: '*.a.shop'}}", []),
        ("{}", ["E-REQUIRED [0].destination"]),
        ("null", ["E-TYPE [0]"]),
        ("{destination: {}}", ["E-REQUIRED [0].destination.host"]),
        ("{destination: {host: '*'}}", ["E-VALUE [0].destination.host"]),
        ("{destination: {host: 10.0.0.1}}", ["E-VALUE [0].destination.host"]),
        ("{destination: {host: a/b}}", ["E-VALUE [0].destination.host"]),
        ("{destination: {host: ''}}", ["E-VALUE [0].destination.host"]),
        ("{destination: {host: a, subset: v1}}", []),
        ("{destination: {host: a, subset: ''}}", []),
        ("{destination: {host: a, subset: V1}}", []),
        ("{destination: {host: a, subset: v1.0}}", ["E-VALUE [0].destination.subset"]),
        ("{destination: {host: a, port: {number: 65535}}}", []),
        ("{destination: {host: a, port: {number: 0}}}", ["E-VALUE [0].destination.port.number"]),
        ("{destination: {host: a, port: {number: 65536}}}", ["E-VALUE [0].destination.port.number"]),
        ("{destination: {host: a, port: {}}}", ["E-REQUIRED [0].destination.port"]),
        ("{destination: {host: a, port: 80}}", ["E-TYPE [0].destination.port"]),
        ("{destination: {host: a, port: {name: http}}}", ["E-PORT-NAME [0].destination.port.name"]),
        ("{destination: {host: a}, weight: 0}", []),
        ("{destination: {host: a}, weight: -1}", ["E-VALUE [0].weight"]),
        ("{destination: {host: a}, weight: 0.5}", ["E-TYPE [0].weight"]),
        ("{destination: {host: a}, weight: '50'}", ["E-TYPE [0].weight"]),
        ("{destination: {host: a}}, {destination: {host: b}}", ["E-VALUE "]),
        ("{destination: {host: a}, weight: 1}, {destination: {host: b}}", []),
        ("{destination: {host: a}, weight: 2147483648}", ["E-VALUE [0].weight"]),
        (", ".join(3 * ["{destination: {host: a}, weight: 2147483647}"]), ["E-VALUE "]),
    ],
)
def test_destinations(destinations: str, problems: list[str]):
    assert [problem.replace(" route", " ") for problem in route(f"route: [{destinations}]")] == problems


@pytest.mark.spec("V-20", "V-21", "V-22", "V-23")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("mirror: {host: a.shop}", []),
        ("mirror: {host: '*'}", ["E-VALUE mirror.host"]),
        ("mirror: {host: a}, mirrors: [{destination: {host: b}}]", ["E-VALUE mirrors"]),
        ("mirror: {host: a}, mirrors: []", []),
        ("mirrors: [{destination: {host: a}}, {destination: {host: b}, percentage: {value: 0.00001}}]", []),
        ("mirrors: [{}]", ["E-REQUIRED mirrors[0].destination"]),
        ("mirrors: [{destination: {host: a}, percentage: {value: 100.5}}]", ["E-VALUE mirrors[0].percentage.value"]),
        ("mirror: {host: a}, mirrorPercentage: {value: 0}", []),
        ("mirror: {host: a}, mirrorPercentage: {value: -1}", ["E-VALUE mirrorPercentage.value"]),
        ("mirror: {host: a}, mirrorPercentage: {value: 100.01}", ["E-VALUE mirrorPercentage.value"]),
        ("mirror: {host: a}, mirrorPercentage: 5", ["E-TYPE mirrorPercentage"]),
        ("mirror: {host: a}, mirrorPercent: 5", ["W-LEGACY mirrorPercent"]),
        ("mirror: {host: a}, mirror_percent: 5", ["W-LEGACY mirrorPercent"]),
        ("mirror: {host: a}, mirrorPercent: 101", ["E-VALUE mirrorPercent"]),
        ("mirrors: [{destination: {host: b}}], mirrorPercentage: {value: 5}", ["W-VALUE mirrorPercentage"]),
        ("mirrorPercent: 5", ["W-LEGACY mirrorPercent", "W-VALUE mirrorPercent"]),
    ],
)
def test_mirrors(spec: str, problems: list[str]):
    assert route(f"{TO}, {spec}") == problems


@pytest.mark.spec("V-55", "V-56", "V-57")
@pytest.mark.parametrize(
    ("rewrite", "problems"),
    [
        ("uri: /v1/", []),
        ("authority: a.shop", []),
        ("uri: /v1/, authority: a.shop", []),
        ("", ["E-VALUE "]),
        ("uri: ''", ["E-VALUE "]),
        ("uri: /v1", ["W-REWRITE-ROOT .uri"]),
        ("uri: /v1/, uriRegexRewrite: {match: a, rewrite: b}", ["E-ONEOF .uriRegexRewrite"]),
        ("uri: '', uriRegexRewrite: {match: a, rewrite: b}", []),
        (r"uriRegexRewrite: {match: '^/(a)/(b)', rewrite: '/\2/\1\\'}", []),
        (r"uriRegexRewrite: {match: '^/(a)', rewrite: '/\2'}", ["W-VALUE .uriRegexRewrite.rewrite"]),
        (r"uriRegexRewrite: {match: '^/(a)', rewrite: '/\n'}", ["W-VALUE .uriRegexRewrite.rewrite"]),
        ("uriRegexRewrite: {match: '(', rewrite: x}", ["E-VALUE .uriRegexRewrite.match"]),
        ("uriRegexRewrite: {match: '', rewrite: x}", ["E-VALUE .uriRegexRewrite.match"]),
        ("uriRegexRewrite: {match: a, rewrite: ''}", ["E-VALUE .uriRegexRewrite.rewrite"]),
        ("uriRegexRewrite: {match: a}", ["E-REQUIRED .uriRegexRewrite.rewrite"]),
        (f"uriRegexRewrite: {{match: {'a' * 1025}, rewrite: x}}", ["E-VALUE .uriRegexRewrite.match"]),
        ('uri: "/a\\r\\nb/"', ["E-VALUE .uri"]),
    ],
)
def test_rewrites(rewrite: str, problems: list[str]):
    assert part("rewrite", rewrite) == problems


@pytest.mark.spec("V-55")
@pytest.mark.parametrize(
    ("match", "problems"),
    [
        ("{uri: {prefix: /a}}", []),
        ("{uri: {exact: /a}}", []),
        ("{uri: {prefix: /}}", ["W-REWRITE-ROOT rewrite.uri"]),
        ("{uri: {prefix: /a}}, {method: {exact: GET}}", ["W-REWRITE-ROOT rewrite.uri"]),
    ],
)
def test_a_rewrite_of_the_root_hardly_means_what_it_says(match: str, problems: list[str]):
    assert route(f"{TO}, match: [{match}], rewrite: {{uri: /v1}}") == problems


@pytest.mark.spec("V-60", "V-61", "V-62", "V-63", "V-64", "V-65", "V-67")
@pytest.mark.parametrize(
    ("redirect", "problems"),
    [
        ("uri: /new", []),
        ("authority: a.shop", []),
        ("scheme: https", []),
        ("port: 8443", []),
        ("derivePort: FROM_REQUEST_PORT, scheme: https, authority: ''", []),
        ("", ["E-VALUE "]),
        ("redirectCode: 302", ["E-VALUE "]),
        ("derivePort: FROM_REQUEST_PORT", ["W-VALUE .derivePort"]),
        ("scheme: ''", ["E-VALUE "]),
        ("scheme: ftp", ["E-VALUE .scheme"]),
        ("port: 0", ["E-VALUE .port"]),
        ("port: 65536", ["E-VALUE .port"]),
        ("port: 80, derivePort: FROM_REQUEST_PORT", ["E-ONEOF .derivePort"]),
        ("uri: /new, derivePort: FROM_ANYWHERE", ["E-VALUE .derivePort"]),
        ("uri: /new, prefixRewrite: /new", ["E-ONEOF .prefixRewrite"]),
        ("uri: /new, redirectCode: 308", []),
        ("uri: /new, redirectCode: 304", ["E-VALUE .redirectCode"]),
        ("uri: /new, redirectCode: 200", ["E-VALUE .redirectCode"]),
        ('uri: "/a\\r\\nSet-Cookie: x"', ["E-VALUE .uri"]),
    ],
)
def test_redirects(redirect: str, problems: list[str]):
    found = route(f"redirect: {{{redirect}}}")

    assert [problem.replace(" redirect", " ", 1) for problem in found] == problems


@pytest.mark.spec("V-66")
@pytest.mark.parametrize(
    ("match", "problems"),
    [
        ("", []),
        ("{uri: {prefix: /o}}, {uri: {prefix: /p}}", []),
        ("{method: {exact: GET}}", []),
        ("{uri: {exact: /o}}", ["E-VALUE match[0].uri"]),
        ("{uri: {prefix: /o}}, {uri: {regex: /p}}", ["E-VALUE match[1].uri"]),
    ],
)
def test_a_redirect_replaces_prefixes_only(match: str, problems: list[str]):
    assert route(f"redirect: {{prefixRewrite: /n}}, match: [{match}]") == problems


@pytest.mark.spec("V-68", "V-69")
@pytest.mark.parametrize(
    ("response", "problems"),
    [
        ("status: 200", []),
        ("status: 599, body: {string: ''}", []),
        ("", ["E-REQUIRED .status"]),
        ("status: 199", ["E-VALUE .status"]),
        ("status: 600", ["E-VALUE .status"]),
        ("status: 200, body: {}", []),
        ("status: 200, body: {bytes: aGk=}", []),
        ("status: 200, body: {bytes: aGk}", []),
        ("status: 200, body: {bytes: _-8=}", []),
        ("status: 200, body: {bytes: '!'}", ["E-VALUE .body.bytes"]),
        ("status: 200, body: {bytes: abcde}", ["E-VALUE .body.bytes"]),
        ("status: 200, body: {string: a, bytes: aGk=}", ["E-ONEOF .body.bytes"]),
        ("status: 200, body: text", ["E-TYPE .body"]),
    ],
)
def test_direct_responses(response: str, problems: list[str]):
    found = route(f"directResponse: {{{response}}}")

    assert [problem.replace(" directResponse", " ", 1) for problem in found] == problems


@pytest.mark.spec("V-69")
def test_bytes_are_base64_in_either_alphabet():
    assert content(Body(bytes="_-8=")) == content(Body(bytes="/+8")) == base64.b64decode("/+8=")


@pytest.mark.spec("V-69")
@pytest.mark.parametrize(
    ("size", "problems"),
    [
        (100 * 1024, []),
        (100 * 1024 + 1, ["W-VALUE directResponse.body"]),
        (1024 * 1024, ["W-VALUE directResponse.body"]),
        (1024 * 1024 + 1, ["E-VALUE directResponse.body"]),
    ],
)
def test_a_body_may_be_large_but_not_huge(size: int, problems: list[str]):
    found = route(f"directResponse: {{status: 200, body: {{string: {'x' * size}}}}}")

    assert [problem for problem in found if "E-LIMIT" not in problem] == problems


@pytest.mark.spec("V-25")
@pytest.mark.parametrize(
    ("headers", "problems"),
    [
        ("request: {set: {x-a: b, Host: c}}", []),
        ("request: {set: {x-a: ''}}", []),
        ("request: {set: {x-a: '100%%'}, add: {x-b: '%REQ(X-Y)% %START_TIME(%Y/%m)%'}}", []),
        ("response: {set: {x-peer: '%DOWNSTREAM_PEER_URI_SAN%'}, remove: [server]}", []),
        ("request: {set: {x-a: '50%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: 'abc%123'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%START_TIME%%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%NOTHING%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%REQ%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%PROTOCOL(a)%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%START_TIME%:10%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%START_TIME:10%'}}", ["E-VALUE .request.set.x-a"]),
        ("request: {set: {x-a: '%PATH(NQ):10% %REQ(a):5%'}}", []),
        ("request: {set: {x-a: '%PATH(XX)%'}}", ["E-VALUE .request.set.x-a"]),
        ('request: {set: {x-a: "a\\nb"}}', ["E-VALUE .request.set.x-a"]),
        ('request: {set: {x-a: "a\\tb"}}', []),
        ("request: {set: {x-a: null}}", ["E-TYPE .request.set.x-a"]),
        ("request: {set: {'': b}}", ["E-VALUE .request.set."]),
        ("request: {set: {'a b': b}}", ["E-VALUE .request.set.a b"]),
        ("request: {set: {':path': b}}", ["E-VALUE .request.set.:path"]),
        ("request: {set: {host: a}, add: {':authority': b}}", ["E-VALUE .request.add.:authority"]),
        ("request: {remove: [host]}", ["E-VALUE .request.remove[0]"]),
        ("request: {remove: [':path', 'a b', '']}",
         ["E-VALUE .request.remove[0]", "E-VALUE .request.remove[1]", "E-VALUE .request.remove[2]"]),
        ("response: {set: {host: a}}", ["E-VALUE .response.set.host"]),
        ("response: {add: {':authority': a}}", ["E-VALUE .response.add.:authority"]),
        ("response: {remove: [Host]}", ["E-VALUE .response.remove[0]"]),
        ("request: {append: {a: b}}", ["E-FIELD .request.append"]),
    ],
)  # fmt: skip
def test_how_headers_are_edited(headers: str, problems: list[str]):
    assert part("headers", headers) == problems


@pytest.mark.spec("V-25", "V-54")
def test_a_destination_may_set_host_twice_but_a_rewrite_forbids_it_to_the_route():
    twice = "request: {set: {host: a}, add: {host: b}}"

    assert route(f"route: [{{destination: {{host: a.shop}}, headers: {{{twice}}}}}]") == []
    assert route(f"{TO}, rewrite: {{authority: b}}, headers: {{request: {{set: {{host: a}}}}}}") == [
        "E-VALUE headers.request.set.host"
    ]


@pytest.mark.spec("V-54")
def test_the_headers_of_a_destination_are_looked_at_like_those_of_a_route():
    wrong = "response: {set: {host: a}, remove: [':status']}"

    assert route(f"route: [{{destination: {{host: a}}, headers: {{{wrong}}}}}]") == [
        "E-VALUE route[0].headers.response.set.host",
        "E-VALUE route[0].headers.response.remove[0]",
    ]


@pytest.mark.spec("V-19", "V-70", "V-71", "V-72", "V-73", "V-74", "V-75", "V-76", "V-77", "V-78", "V-79")
@pytest.mark.parametrize(
    ("fault", "problems"),
    [
        ("delay: {fixedDelay: 1s, percentage: {value: 1}}", []),
        ("delay: {fixedDelay: 1s, percentage: {value: 1}}, abort: {httpStatus: 500, percentage: {value: 0.0001}}", []),
        ("", ["E-VALUE "]),
        ("delay: {percentage: {value: 1}}", ["W-VALUE .delay"]),
        ("delay: {fixedDelay: 1s}", ["W-VALUE .delay"]),
        ("delay: {fixedDelay: 0s, percentage: {value: 1}}", ["E-VALUE .delay.fixedDelay"]),
        ("delay: {fixedDelay: 500us, percentage: {value: 1}}", ["E-VALUE .delay.fixedDelay"]),
        ("delay: {fixedDelay: 1s, percentage: {value: 0.00001}}", ["E-VALUE .delay.percentage.value"]),
        ("delay: {fixedDelay: 1s, percentage: {value: 100.1}}", ["E-VALUE .delay.percentage.value"]),
        ("delay: {fixedDelay: 1s, percentage: {}}", []),
        ("delay: {fixedDelay: 1s, percent: 10}", ["W-LEGACY .delay.percent"]),
        ("delay: {fixedDelay: 1s, percent: 101}", ["E-VALUE .delay.percent"]),
        ("delay: {exponentialDelay: 16ms, percentage: {value: 1}}", []),
        ("delay: {exponentialDelay: 15ms, percentage: {value: 1}}", ["E-VALUE .delay.exponentialDelay"]),
        ("delay: {exponentialDelay: 1s, fixedDelay: 1s, percentage: {value: 1}}", ["E-ONEOF .delay.fixedDelay"]),
        ("abort: {percentage: {value: 1}}", ["W-VALUE .abort"]),
        ("abort: {httpStatus: 503}", ["W-VALUE .abort"]),
        ("abort: {httpStatus: 503, percent: 5}", ["W-LEGACY .abort.percent"]),
        ("abort: {httpStatus: 200, percentage: {value: 100}}", []),
        ("abort: {httpStatus: 199, percentage: {value: 1}}", ["E-VALUE .abort.httpStatus"]),
        ("abort: {httpStatus: 600, percentage: {value: 1}}", ["E-VALUE .abort.httpStatus"]),
        ("abort: {httpStatus: 500, grpcStatus: OK, percentage: {value: 1}}", ["E-ONEOF .abort.grpcStatus"]),
        ("abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}", []),
        ("abort: {grpcStatus: unavailable, percentage: {value: 1}}", ["E-VALUE .abort.grpcStatus"]),
        ("abort: {grpcStatus: '14', percentage: {value: 1}}", ["E-VALUE .abort.grpcStatus"]),
        ("abort: {http2Error: REFUSED_STREAM, percentage: {value: 1}}", ["W-VALUE .abort.http2Error"]),
        ("abort: {http2Error: STREAM_CLOSED, percentage: {value: 1}}", ["E-VALUE .abort.http2Error"]),
        ("abort: {http2Error: REFUSED, percentage: {value: 1}}", ["E-VALUE .abort.http2Error"]),
    ],
)
def test_which_faults_are_injected(fault: str, problems: list[str]):
    assert part("fault", fault) == problems


@pytest.mark.spec("V-18", "V-81", "V-82", "V-83", "V-84", "V-85", "V-86")
@pytest.mark.parametrize(
    ("retries", "problems"),
    [
        ("", []),
        ("attempts: 0, backoff: 1s, retryIgnorePreviousHosts: false", []),
        ("attempts: -1", ["E-VALUE .attempts"]),
        ("attempts: 0, perTryTimeout: 1s", ["E-VALUE .perTryTimeout"]),
        ("retryOn: 5xx", ["E-VALUE .retryOn"]),
        ("retryOn: ''", []),
        ("retryRemoteLocalities: false", ["E-VALUE .retryRemoteLocalities"]),
        ("attempts: 2, retryRemoteLocalities: true, perTryTimeout: 1ms, backoff: 1ms", []),
        ("attempts: 2, perTryTimeout: 0s", ["E-VALUE .perTryTimeout"]),
        ("attempts: 2, backoff: 100us", ["E-VALUE .backoff"]),
        ("attempts: 2, retryOn: '5xx,503,cancelled,reset-before-request,http3-post-connect-failure,418'", []),
        ("attempts: 2, retryOn: '5xx, 503'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: '5xx,,503'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: '5xx,'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: '799'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: '419'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: gateway-errors", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: [5xx]", ["E-TYPE .retryOn"]),
    ],
)
def test_when_a_request_is_tried_again(retries: str, problems: list[str]):
    assert part("retries", retries) == problems


@pytest.mark.spec("V-24", "V-90", "V-91", "V-92", "V-93", "V-94", "V-95", "V-96")
@pytest.mark.parametrize(
    ("cors", "problems"),
    [
        ("allowOrigins: [{exact: 'https://a'}], allowMethods: [GET, '*'], maxAge: 5s, allowCredentials: true", []),
        ("allowOrigins: [{prefix: 'https://a'}, {regex: '.*'}], unmatchedPreflights: IGNORE", []),
        ("", []),
        ("allowOrigins: [{}]", ["E-VALUE .allowOrigins[0]"]),
        ("allowOrigins: [{exact: ''}]", ["E-VALUE .allowOrigins[0]"]),
        ("allowOrigins: [{prefix: ''}]", ["E-VALUE .allowOrigins[0].prefix"]),
        ("allowOrigins: [{regex: ''}]", ["E-VALUE .allowOrigins[0].regex"]),
        ("allowOrigins: [{regex: '('}]", ["E-VALUE .allowOrigins[0].regex"]),
        ("allowOrigins: [{exact: a, regex: b}]", ["E-ONEOF .allowOrigins[0].regex"]),
        ("allowOrigins: ['https://a']", ["E-TYPE .allowOrigins[0]"]),
        ("allowOrigin: ['*']", ["W-LEGACY .allowOrigin"]),
        ("allowMethods: [get]", ["E-VALUE .allowMethods[0]"]),
        ("allowMethods: [GET, PURGE]", ["E-VALUE .allowMethods[1]"]),
        ("allowHeaders: [x-a, '*'], exposeHeaders: ['*', x_b]", []),
        ("allowHeaders: ['x a']", ["E-VALUE .allowHeaders[0]"]),
        ("exposeHeaders: ['']", ["E-VALUE .exposeHeaders[0]"]),
        ("maxAge: 1m30s", []),
        ("maxAge: 500ms", ["E-VALUE .maxAge"]),
        ("maxAge: 1.5s", ["E-VALUE .maxAge"]),
        ("maxAge: 0s", ["E-VALUE .maxAge"]),
        ("unmatchedPreflights: DROP", ["E-VALUE .unmatchedPreflights"]),
        ("allowCredentials: 'true'", ["E-TYPE .allowCredentials"]),
    ],
)
def test_which_origins_may_call(cors: str, problems: list[str]):
    assert part("corsPolicy", cors) == problems
