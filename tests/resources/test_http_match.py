"""HTTPMatchRequest: which requests a rule takes, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import told, verdict

TO = "route: [{destination: {host: reviews.shop}}]"


def match(spec: str) -> list[str]:
    """Paths from the match."""
    found = verdict("VirtualService", f"{{hosts: [reviews.shop], http: [{{match: [{{{spec}}}], {TO}}}]}}")
    return [problem.replace(" http[0].match[0]", " ") for problem in found]


@pytest.mark.spec("V-11", "V-30", "V-31", "V-32", "V-33", "V-41")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("uri: {}", []),
        ("uri: {exact: ''}", []),
        ("uri: {prefix: ''}", []),
        ("", ["W-VS-EMPTY-MATCH "]),
        ("name: all, statPrefix: a", ["W-VS-EMPTY-MATCH "]),
        ("method: {}", ["W-VS-EMPTY-MATCH "]),
        ("uri: {exact: /a, prefix: /a}", ["E-ONEOF .uri.prefix"]),
        ("uri: {suffix: /a}", ["E-UNSUPPORTED .uri.suffix"]),
        ("uri: /a", ["E-TYPE .uri"]),
        ("uri: {regex: '*'}", ["E-VALUE .uri.regex"]),
        ("uri: {regex: ''}", ["E-VALUE .uri.regex"]),
        ("uri: {regex: '(?=x)'}", ["E-VALUE .uri.regex"]),
        ("uri: {regex: '(a)\\1'}", ["E-VALUE .uri.regex"]),
        (f"uri: {{regex: {'a' * 1024}}}", []),
        (f"uri: {{regex: {'a' * 1025}}}", ["E-VALUE .uri.regex"]),
        ("uri: {regex: '(?i)/a'}", []),
        ("uri: {regex: /a}, ignoreUriCase: true", ["W-VALUE .ignoreUriCase"]),
        ("uri: {prefix: /a}, ignoreUriCase: true, name: a, statPrefix: a", []),
        ("method: {exact: GET}, scheme: {exact: https}, authority: {regex: '.*\\.example\\.com'}", []),
        ("method: {prefix: ''}", ["E-VALUE .method.prefix"]),
        ("scheme: {prefix: ''}", ["E-VALUE .scheme.prefix"]),
        ("authority: {prefix: ''}", ["E-VALUE .authority.prefix"]),
        ("authority: {regex: '('}", ["E-VALUE .authority.regex"]),
        ("method: {exact: ''}", []),
    ],
)
def test_the_request_line(spec: str, problems: list[str]):
    assert match(spec) == problems


@pytest.mark.spec("V-34", "V-35")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("headers: {x-user: {exact: ''}}", []),
        ("headers: {x-user: {}}", []),
        ("headers: {x-user: null}", ["E-TYPE .headers.x-user"]),
        ("headers: {x-user: {prefix: ''}}", ["E-VALUE .headers.x-user.prefix"]),
        ("headers: {':method': {exact: GET}, ':path': {prefix: /a}}", []),
        ("headers: {':foo': {exact: GET}}", ["E-VALUE .headers.:foo"]),
        ("headers: {'x user': {exact: a}}", ["E-VALUE .headers.x user"]),
        ("headers: {'x.user~1': {exact: a}}", []),
        ("headers: {'': {exact: a}}", ["E-VALUE .headers."]),
        ("headers: {x-user: {regex: '('}}", ["E-VALUE .headers.x-user.regex"]),
        ("headers: {x-user: {regex: '*'}}", ["E-VALUE .headers.x-user.regex"]),
        ("uri: {prefix: /a}, headers: {uri: {exact: /}}", ["W-VALUE .headers.uri"]),
        ("uri: {prefix: /a}, headers: {method: {exact: GET}, scheme: {}, authority: {}}",
         ["W-VALUE .headers.method", "W-VALUE .headers.scheme", "W-VALUE .headers.authority"]),
        ("headers: {uri: {exact: /}}", ["W-VALUE .headers.uri", "W-VS-EMPTY-MATCH "]),
        ("headers: {'@request.auth.claims[sub]': {exact: a}}", ["E-VS-JWT .headers.@request.auth.claims[sub]"]),
        ("headers: {'@request.auth.claims.sub': {exact: a}}", ["E-VS-JWT .headers.@request.auth.claims.sub"]),
        ("withoutHeaders: {'@request.auth.claims.sub': {exact: a}}",
         ["E-VS-JWT .withoutHeaders.@request.auth.claims.sub"]),
        ("withoutHeaders: {x-user: {regex: '*'}}", []),
        ("withoutHeaders: {x-user: {}}", []),
        ("withoutHeaders: {x-user: null}", ["E-TYPE .withoutHeaders.x-user"]),
        ("withoutHeaders: {x-user: {prefix: ''}}", ["E-VALUE .withoutHeaders.x-user.prefix"]),
        ("withoutHeaders: {'x user': {}}", ["E-VALUE .withoutHeaders.x user"]),
    ],
)  # fmt: skip
def test_headers(spec: str, problems: list[str]):
    assert sorted(match(spec)) == sorted(problems)


@pytest.mark.spec("V-36", "V-37", "V-38", "V-39", "V-40")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("queryParams: {v: {exact: '1'}, w: {}, x: {regex: '[0-9]+'}}", []),
        ("queryParams: {'': {exact: '1'}}", ["E-VALUE .queryParams."]),
        ("queryParams: {v: {prefix: ''}}", ["E-VALUE .queryParams.v.prefix"]),
        ("queryParams: {v: {regex: '['}}", ["E-VALUE .queryParams.v.regex"]),
        ("port: 8080", []),
        ("port: 0", ["W-VS-EMPTY-MATCH "]),
        ("port: 65536", ["E-VALUE .port"]),
        ("port: -1", ["E-VALUE .port"]),
        ("sourceLabels: {app: a, env: ''}, sourceNamespace: shop", []),
        ("sourceLabels: {app: 'a b'}", ["E-VALUE .sourceLabels.app"]),
        ("sourceLabels: {app: null}", ["E-TYPE .sourceLabels.app"]),
        ("sourceNamespace: a.b", ["E-VALUE .sourceNamespace"]),
        ("sourceNamespace: ''", ["W-VS-EMPTY-MATCH "]),
        ("gateways: [mesh]", []),
        ("gateways: [mesh], sourceNamespace: shop", ["W-VALUE .sourceNamespace"]),
        ("gateways: [mesh], sourceLabels: {a: b}", ["W-VALUE .sourceLabels"]),
        ("sni_hosts: [a]", ["E-FIELD .sni_hosts"]),
    ],
)
def test_the_rest_of_a_request_and_where_it_comes_from(spec: str, problems: list[str]):
    assert match(spec) == problems


def test_a_regular_expression_of_another_dialect_is_explained():
    spec = f"{{hosts: [a], http: [{{match: [{{uri: {{regex: '/a(?!b)'}}}}], {TO}}}]}}"

    (problem,) = told("VirtualService", spec)

    assert problem.startswith("5:46: spec.http[0].match[0].uri.regex: '/a(?!b)' is not a regular expression: ")
    assert problem.endswith("; Envoy's regular expressions are RE2 [E-VALUE]")
