from __future__ import annotations

import pytest

from tests.resources.judging import verdict

TO = "route: [{destination: {host: reviews.shop}}]"


def routes(*http: str) -> list[str]:
    """The verdict on a VirtualService with these routes, its paths from `http`."""
    return verdict("VirtualService", "hosts: [reviews.shop]\nhttp:\n" + "\n".join(f"- {{{route}}}" for route in http))


def top(spec: str) -> list[str]:
    return verdict("VirtualService", f"{{http: [{{{TO}}}], {spec}}}")


def test_a_plain_route_is_well():
    assert routes(TO) == []


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("hosts: [reviews.shop, ratings, '*.example.com', 10.0.0.1]", []),
        ("hosts: ['*']", ["E-VALUE hosts"]),
        ("hosts: [a.shop, A.shop.]", ["E-VALUE hosts"]),
        ("hosts: [a.shop, '*.shop']", ["E-VALUE hosts"]),
        ("hosts: ['*.foo.com', '*.com']", ["E-VALUE hosts"]),
        ("hosts: [10.0.0.0/8]", ["E-VALUE hosts[0]"]),
        ("hosts: [a.shop], gateways: [mesh]", []),
        ("hosts: [a.shop], exportTo: ['.', shop]", []),
        ("hosts: [a.shop], exportTo: ['*', shop]", ["E-VALUE exportTo"]),
        ("hosts: [a.shop], exportTo: ['~']", ["E-VALUE exportTo"]),
        ("hosts: [a.shop], exportTo: ['.', default]", ["E-VALUE exportTo"]),
        ("hosts: [a.shop], gateways: [mesh, edge]", ["E-UNSUPPORTED gateways[1]"]),
    ],
)
def test_hosts_gateways_and_export(spec: str, problems: list[str]):
    assert top(spec) == problems


def test_at_least_one_route_is_needed():
    assert verdict("VirtualService", "hosts: [a.shop]") == ["E-REQUIRED spec"]


@pytest.mark.parametrize(
    ("route", "problems"),
    [
        ("redirect: {uri: /new}", []),
        ("redirect: {uri: /new}, rewrite: {uri: /x/}", ["E-VALUE http[0].rewrite"]),
        ("redirect: {uri: /new}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}", ["E-VALUE http[0].fault"]),
        ("directResponse: {status: 200}, rewrite: {uri: /x/}", ["E-VALUE http[0].rewrite"]),
        ("redirect: {uri: /new}, timeout: 1s", ["W-VALUE http[0].timeout"]),
        ("redirect: {uri: /new}, retries: {attempts: 1}", ["W-VALUE http[0].retries"]),
        ("redirect: {uri: /new}, mirror: {host: a.shop}", ["W-VALUE http[0].mirror"]),
        ("redirect: {uri: /new}, corsPolicy: {allowOrigins: [{exact: a}]}", ["W-VALUE http[0].corsPolicy"]),
        ("redirect: {redirectCode: 302}", ["E-VALUE http[0].redirect"]),
        ("redirect: {uri: /new, redirectCode: 304}", ["E-VALUE http[0].redirect.redirectCode"]),
        ("redirect: {derivePort: FROM_REQUEST_PORT}", ["E-VALUE http[0].redirect"]),
        ("redirect: {prefixRewrite: /n}, match: [{uri: {prefix: /o}}]", []),
        ("redirect: {prefixRewrite: /n}, match: [{uri: {exact: /o}}]", ["E-VALUE http[0].match[0].uri"]),
        ('redirect: {uri: "/a\\r\\nSet-Cookie: x"}', ["E-VALUE http[0].redirect.uri"]),
        ("directResponse: {status: 200, body: {bytes: aGk=}}", []),
        ("directResponse: {status: 200, body: {bytes: '!'}}", ["E-VALUE http[0].directResponse.body.bytes"]),
        (f"{TO}, rewrite: {{}}", ["E-VALUE http[0].rewrite"]),
        (f"{TO}, rewrite: {{uriRegexRewrite: {{match: '(', rewrite: x}}}}",
         ["E-VALUE http[0].rewrite.uriRegexRewrite.match"]),
        (f"{TO}, rewrite: {{uri: /v1}}", ["W-REWRITE-ROOT http[0].rewrite.uri"]),
        (f"{TO}, rewrite: {{uri: /v1/}}", []),
        (f"{TO}, match: [{{uri: {{prefix: /a}}}}], rewrite: {{uri: /v1}}", []),
        (f"{TO}, match: [{{uri: {{prefix: /}}}}], rewrite: {{uri: /v1}}", ["W-REWRITE-ROOT http[0].rewrite.uri"]),
        (f"{TO}, mirror: {{host: a.shop}}, mirrors: [{{destination: {{host: b.shop}}}}]", ["E-VALUE http[0].mirrors"]),
        (f"{TO}, mirror: {{host: a.shop}}, mirrorPercent: 5", ["W-LEGACY http[0].mirrorPercent"]),
        (f"{TO}, mirrors: [{{destination: {{host: b.shop}}}}], mirrorPercentage: {{value: 5}}",
         ["W-VALUE http[0].mirrorPercentage"]),
        (f"{TO}, websocketUpgrade: true", ["W-LEGACY http[0].websocketUpgrade"]),
        (f"{TO}, appendHeaders: {{a: b}}", ["E-UNSUPPORTED http[0].appendHeaders"]),
        ("route: [{destination: {host: a.shop}}, {destination: {host: b.shop}}]", ["E-VALUE http[0].route"]),
        ("route: [{destination: {host: a.shop}, weight: 1}, {destination: {host: b.shop}}]", []),
        ("route: [{destination: {name: a.shop}}]", ["W-LEGACY http[0].route[0].destination.name"]),
        ("route: [{destination: {host: a.shop, port: {name: http}}}]",
         ["E-PORT-NAME http[0].route[0].destination.port.name"]),
        ("route: [{destination: {host: a.shop, port: {}}}]", ["E-REQUIRED http[0].route[0].destination.port"]),
    ],
)  # fmt: skip
def test_what_a_route_does(route: str, problems: list[str]):
    assert routes(route) == problems


def test_a_body_may_be_large_but_not_huge():
    def body(size: int) -> list[str]:
        return routes(f"directResponse: {{status: 200, body: {{string: {'x' * size}}}}}")

    assert body(1000) == []
    assert body(110_000) == ["W-VALUE http[0].directResponse.body"]


@pytest.mark.parametrize(
    ("match", "problems"),
    [
        ("uri: {}", []),
        ("uri: {prefix: ''}", []),
        ("", ["W-VS-EMPTY-MATCH "]),
        ("name: all", ["W-VS-EMPTY-MATCH "]),
        ("port: 8080", []),
        ("uri: {regex: '*'}", ["E-VALUE .uri.regex"]),
        ("uri: {regex: '(?=x)'}", ["E-VALUE .uri.regex"]),
        ("uri: {regex: /a}, ignoreUriCase: true", ["W-VALUE .ignoreUriCase"]),
        ("method: {prefix: ''}", ["E-VALUE .method.prefix"]),
        ("headers: {x-user: {exact: ''}}", []),
        ("headers: {x-user: {}}", []),
        ("headers: {':method': {exact: GET}}", []),
        ("headers: {':foo': {exact: GET}}", ["E-VALUE .headers.:foo"]),
        ("headers: {'x user': {exact: a}}", ["E-VALUE .headers.x user"]),
        ("headers: {x-user: {regex: '('}}", ["E-VALUE .headers.x-user.regex"]),
        ("uri: {prefix: /a}, headers: {uri: {exact: /}}", ["W-VALUE .headers.uri"]),
        ("headers: {'@request.auth.claims[sub]': {exact: a}}", ["E-VS-JWT .headers.@request.auth.claims[sub]"]),
        ("withoutHeaders: {x-user: {regex: '*'}}", []),
        ("headers: {x-user: {regex: '*'}}", ["E-VALUE .headers.x-user.regex"]),
        ("queryParams: {v: {exact: '1'}}", []),
        ("queryParams: {'': {exact: '1'}}", ["E-VALUE .queryParams."]),
        ("gateways: [edge]", ["E-UNSUPPORTED .gateways[0]"]),
        ("gateways: [mesh], sourceNamespace: shop", ["W-VALUE .sourceNamespace"]),
    ],
)
def test_what_a_match_asks(match: str, problems: list[str]):
    found = routes(f"match: [{{{match}}}], {TO}")

    assert [problem.replace(" http[0].match[0]", " ") for problem in found] == problems


@pytest.mark.parametrize(
    ("headers", "problems"),
    [
        ("request: {set: {x-a: b, Host: c}}", []),
        ("request: {set: {x-a: '100%%'}, add: {x-b: '%REQ(X-Y)% %START_TIME(%Y/%m)%'}}", []),
        ("request: {set: {x-a: '50%'}}", ["E-VALUE .request.set.x-a"]),
        ('request: {set: {x-a: "a\\nb"}}', ["E-VALUE .request.set.x-a"]),
        ("request: {set: {'': b}}", ["E-VALUE .request.set."]),
        ("request: {set: {':path': b}}", ["E-VALUE .request.set.:path"]),
        ("request: {set: {host: a}, add: {':authority': b}}", ["E-VALUE .request.add.:authority"]),
        ("request: {remove: [host]}", ["E-VALUE .request.remove[0]"]),
        ("request: {remove: [':path', 'a b']}", ["E-VALUE .request.remove[0]", "E-VALUE .request.remove[1]"]),
        ("response: {set: {host: a}}", ["E-VALUE .response.set.host"]),
        ("response: {add: {':authority': a}}", ["E-VALUE .response.add.:authority"]),
    ],
)
def test_how_headers_are_edited(headers: str, problems: list[str]):
    found = routes(f"{TO}, headers: {{{headers}}}")

    assert [problem.replace(" http[0].headers", " ") for problem in found] == problems


def test_a_destination_may_set_host_twice_but_a_rewrite_forbids_it_to_the_route():
    twice = "request: {set: {host: a}, add: {host: b}}"

    assert routes(f"route: [{{destination: {{host: a.shop}}, headers: {{{twice}}}}}]") == []
    assert routes(f"{TO}, rewrite: {{authority: b}}, headers: {{request: {{set: {{host: a}}}}}}") == [
        "E-VALUE http[0].headers.request.set.host"
    ]


@pytest.mark.parametrize(
    ("fault", "problems"),
    [
        ("delay: {fixedDelay: 1s, percentage: {value: 1}}", []),
        ("", ["E-VALUE "]),
        ("delay: {percentage: {value: 1}}", ["W-VALUE .delay"]),
        ("abort: {percentage: {value: 1}}", ["W-VALUE .abort"]),
        ("abort: {httpStatus: 503}", ["W-VALUE .abort"]),
        ("abort: {httpStatus: 503, percent: 5}", ["W-LEGACY .abort.percent"]),
        ("abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}", []),
        ("abort: {grpcStatus: unavailable, percentage: {value: 1}}", ["E-VALUE .abort.grpcStatus"]),
    ],
)
def test_which_faults_are_injected(fault: str, problems: list[str]):
    found = routes(f"{TO}, fault: {{{fault}}}")

    assert [problem.replace(" http[0].fault", " ") for problem in found] == problems


@pytest.mark.parametrize(
    ("retries", "problems"),
    [
        ("attempts: 0, backoff: 1s", []),
        ("attempts: 0, perTryTimeout: 1s", ["E-VALUE .perTryTimeout"]),
        ("retryOn: 5xx", ["E-VALUE .retryOn"]),
        ("retryRemoteLocalities: false", ["E-VALUE .retryRemoteLocalities"]),
        ("attempts: 2, retryOn: '5xx,503,cancelled'", []),
        ("attempts: 2, retryOn: '5xx, 503'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: '5xx,,503'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: '799'", ["E-VALUE .retryOn"]),
        ("attempts: 2, retryOn: gateway-errors", ["E-VALUE .retryOn"]),
    ],
)
def test_when_a_request_is_tried_again(retries: str, problems: list[str]):
    found = routes(f"{TO}, retries: {{{retries}}}")

    assert [problem.replace(" http[0].retries", " ") for problem in found] == problems


@pytest.mark.parametrize(
    ("cors", "problems"),
    [
        ("allowOrigins: [{exact: 'https://a'}], allowMethods: [GET, '*'], maxAge: 5s", []),
        ("allowOrigins: [{}]", ["E-VALUE .allowOrigins[0]"]),
        ("allowOrigins: [{exact: ''}]", ["E-VALUE .allowOrigins[0]"]),
        ("allowOrigins: [{regex: '('}]", ["E-VALUE .allowOrigins[0].regex"]),
        ("allowOrigin: ['*']", ["W-LEGACY .allowOrigin"]),
        ("allowMethods: [get]", ["E-VALUE .allowMethods[0]"]),
    ],
)
def test_which_origins_may_call(cors: str, problems: list[str]):
    found = routes(f"{TO}, corsPolicy: {{{cors}}}")

    assert [problem.replace(" http[0].corsPolicy", " ") for problem in found] == problems


@pytest.mark.parametrize(
    ("matches", "unreachable"),
    [
        ([None, "{uri: {prefix: /a}}", "{uri: {prefix: /b}}"], ["http[1]", "http[2]"]),
        (["{uri: {prefix: /}}", "{uri: {exact: /b}}"], ["http[1]"]),
        (["{uri: {regex: '.*'}}", "{uri: {exact: /b}}"], ["http[1]"]),
        (["{uri: {prefix: /}, method: {exact: GET}}", "{uri: {exact: /b}}"], []),
        (["{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"], []),
        (["{uri: {prefix: /a}}", "{uri: {exact: /ab}}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a}}", "{uri: {regex: /a.*}}"], []),
        (["{name: x, uri: {regex: /a.*}}", "{name: z, uri: {regex: /a.*}}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /a/b}, port: 81}"], []),
        (["{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /a/b}, port: 80}"], ["http[1].match[0]"]),
        (["{headers: {x: {exact: a}}}", "{headers: {x: {exact: a}}}"], ["http[1].match[0]"]),
        (["{headers: {x: {exact: a}}}", "{headers: {x: {exact: b}}}", None], []),
    ],
)
def test_matches_that_no_request_reaches(matches: list[str | None], unreachable: list[str]):
    found = routes(*(f"match: [{match}], {TO}" if match else TO for match in matches))

    assert found == [f"W-VS-UNREACHABLE {path}" for path in unreachable]
