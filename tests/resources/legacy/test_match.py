"""MatchCondition: which connections and requests a rule is about."""

from __future__ import annotations

import pytest

from tests.resources.legacy.judging import the, told, verdict


def match(spec: str) -> list[str]:
    """Paths from the match."""
    found = verdict("RouteRule", f"{{destination: {{name: a}}, route: [{{}}], match: {{{spec}}}}}")
    return [problem.replace(" match.", " ").replace(" match", " ") for problem in found]


def headers(spec: str) -> list[str]:
    """Paths from the headers."""
    return [problem.replace(" request.headers.", " ") for problem in match(f"request: {{headers: {{{spec}}}}}")]


@pytest.mark.spec("MC-04", "MC-07", "L4M-02", "L4M-03")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("", ["E-MATCH-EMPTY "]),
        ("request: {}", ["E-MATCH-EMPTY "]),
        ("request: {headers: {}}", ["E-MATCH-EMPTY "]),
        ("source: {name: a}", []),
        ("source: {name: a, labels: {version: v1}}", []),
        ("tcp: {}", []),
        ("tcp: {sourceSubnet: [10.0.0.1, 10.0.0.0/8, 'fd00::/8', '::1']}", []),
        ("tcp: {destinationSubnet: [10.0.0.1]}", []),
        ("tcp: {sourceSubnet: 10.0.0.1}", ["E-TYPE tcp.sourceSubnet"]),
        ("tcp: {sourceSubnet: [a.com]}", ["E-VALUE tcp.sourceSubnet[0]"]),
        ("tcp: {sourceSubnet: [10.0.0.0/33]}", ["E-VALUE tcp.sourceSubnet[0]"]),
        ("tcp: {destinationSubnet: [10.0.0.0/255.0.0.0]}", ["E-VALUE tcp.destinationSubnet[0]"]),
        ("udp: {}", ["E-UDP udp"]),
        ("udp: {sourceSubnet: [10.0.0.1]}, request: {headers: {x: a}}", ["E-UDP udp"]),
    ],
)
def test_a_match_asks_for_something(spec: str, problems: list[str]):
    assert match(spec) == problems


@pytest.mark.spec("MR-03", "MR-12", "SM-03", "SM-05")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("uri: /a, scheme: https, method: GET, authority: a.com", []),
        ("x-request-id: a", []),
        ("X-Request-Id: a", ["E-HDR-CASE X-Request-Id"]),
        ("URI: /a", ["E-HDR-CASE URI"]),
        ("x_request: a", ["W-VALUE x_request"]),
        ("x y: a", ["E-VALUE x y"]),
        ("':path': a", ["E-VALUE :path"]),
        ("x: {}", ["E-SM-EMPTY x"]),
        ("x: {exact: ''}", []),
        ("x: ''", []),
        ("x: {prefix: ''}", ["E-VALUE x.prefix"]),
        ("x: {regex: ''}", ["E-VALUE x.regex"]),
        ("x: {suffix: a}", ["E-FIELD x.suffix"]),
        ("x: [a]", ["E-TYPE x"]),
        ("x: null", ["E-TYPE x"]),
        ("x: 1", ["E-TYPE x.exact"]),
        ("x: yes", ["E-SCALAR x.exact"]),
        ("uri: ''", ["E-URI-EMPTY uri.exact"]),
        ("uri: {prefix: ''}", ["E-URI-EMPTY uri.prefix"]),
        ("uri: {regex: ''}", ["E-URI-EMPTY uri.regex"]),
        ("uri: {}", ["E-SM-EMPTY uri"]),
    ],
)
def test_headers(spec: str, problems: list[str]):
    assert headers(spec) == problems


@pytest.mark.spec("GP-03", "MR-05", "MR-06", "MR-13", "SM-02")
@pytest.mark.parametrize(
    ("text", "exact", "prefix", "regex"),
    [
        ("jason", "jason", None, None),
        ("{exact: jason}", "jason", None, None),
        ("{prefix: jas}", None, "jas", None),
        ("{regex: jas.*}", None, None, "jas.*"),
    ],
)
def test_a_text_by_itself_is_the_whole_value(text: str, exact: str | None, prefix: str | None, regex: str | None):
    spec = f"{{destination: {{name: a}}, match: {{request: {{headers: {{user: {text}}}}}}}}}"

    found = the("RouteRule", spec).match.request.headers["user"]

    assert (found.exact, found.prefix, found.regex) == (exact, prefix, regex)
    assert found.text == (exact or prefix or regex)


@pytest.mark.spec("MR-07", "SM-04")
@pytest.mark.parametrize(
    ("regex", "problems"),
    [
        (r"^(.*?;)?(user=jason)(;.*)?", []),
        (r"\d+\w*\s?[^x]{1,9}(?:a|b)", []),
        (r"(?i)websocket", []),
        (r"(?<name>a)", []),
        (1024 * "a", []),
        (1025 * "a", ["E-VALUE"]),
        (r"(?=a)", ["E-REGEX-ECMA"]),
        (r"(?!a)b", ["E-REGEX-ECMA"]),
        (r"(?<=a)b", ["E-REGEX-ECMA"]),
        (r"(?<!a)b", ["E-REGEX-ECMA"]),
        (r"(a)\1", ["E-REGEX-ECMA"]),
        (r"(?<n>a)\k<n>", ["E-REGEX-ECMA"]),
        (r"\cA", ["E-REGEX-ECMA"]),
        (r"\u0041", ["E-REGEX-ECMA"]),
        ("(", ["E-VALUE"]),
        ("*", ["E-VALUE"]),
        ("a{1001}", ["E-VALUE"]),
        ("[^]", ["E-VALUE"]),
    ],
)
def test_regular_expressions_are_those_of_envoy(regex: str, problems: list[str]):
    assert headers(f"cookie: {{regex: '{regex}'}}") == [f"{code} cookie.regex" for code in problems]


def test_what_ecmascript_has_alone_is_named():
    assert told(
        "RouteRule", "{destination: {name: a}, route: [{}], match: {request: {headers: {x: {regex: '(?!a).*'}}}}}"
    ) == [
        (
            "5:80: spec.match.request.headers.x.regex: '(?!a).*' has negative lookahead ((?!), which Envoy's regular "
            "expressions (RE2) have not; write the pattern without it [E-REGEX-ECMA]"
        )
    ]
