"""VirtualService: its hosts, gateways and export, and what no rule of it can reach."""

from __future__ import annotations

import pytest

from tests.resources.judging import told, verdict

TO = "route: [{destination: {host: reviews.shop}}]"
CONNECTED = "route: [{destination: {host: mysql.shop}}]"


def routes(*http: str) -> list[str]:
    """The verdict on a VirtualService with these routes."""
    return verdict("VirtualService", "hosts: [reviews.shop]\nhttp:\n" + "\n".join(f"- {{{route}}}" for route in http))


def top(spec: str) -> list[str]:
    return verdict("VirtualService", f"{{http: [{{{TO}}}], {spec}}}")


def sni(*hosts: str) -> str:
    return f"tls: [{{match: [{{sniHosts: [{', '.join(hosts)}]}}], {CONNECTED}}}]"


@pytest.mark.spec("V-1")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("hosts: [reviews.shop, ratings, '*.example.com', 10.0.0.1]", []),
        ("hosts: [2001:db8::1]", []),
        ("hosts: [reviews.shop.]", []),
        ("hosts: ['*foo.com', '*-bar.com']", []),
        ("hosts: [10.0.0.0/8, '2001:db8::/32']", []),
        ("hosts: [10.0.0.0/8, 10.1.0.0/16]", ["E-VALUE hosts"]),
        ("hosts: [10.0.0.0/8, 10.1.2.3]", ["E-VALUE hosts"]),
        ("hosts: [10.0.0.0/255.0.0.0]", ["E-VALUE hosts[0]"]),
        ("hosts: [10.0.0.0/33]", ["E-VALUE hosts[0]"]),
        ("hosts: ['*-.foo.com']", ["E-VALUE hosts[0]"]),
        ("hosts: [foo*.com]", ["E-VALUE hosts[0]"]),
        ("hosts: ['foo.*.com']", ["E-VALUE hosts[0]"]),
        ("hosts: [foo_bar.com]", ["E-VALUE hosts[0]"]),
        ("hosts: [example.123]", ["E-VALUE hosts[0]"]),
        ("hosts: ['']", ["E-VALUE hosts[0]"]),
        ("hosts: ['*']", ["E-VALUE hosts"]),
        ("hosts: ['*'], gateways: [mesh, edge]", ["E-VALUE hosts"]),
        ("hosts: ['*'], gateways: [edge]", []),
        ("hosts: ['*', a.shop], gateways: [edge]", ["E-VALUE hosts"]),
        ("hosts: [a.shop, A.shop.]", ["E-VALUE hosts"]),
        ("hosts: [a.shop, '*.shop']", ["E-VALUE hosts"]),
        ("hosts: [a.foo.com, foo.com, '*.foo.org']", []),
        ("hosts: ['*.foo.com', '*.com']", ["E-VALUE hosts"]),
        ("hosts: [outbound_.80_._.e2e.foobar.mesh], gateways: [edge]", ["E-VALUE hosts[0]"]),
        (f"hosts: [outbound_.80_._.e2e.foobar.mesh], {sni('outbound_.80_._.e2e.foobar.mesh')}, gateways: [edge]", []),
        (f"hosts: [outbound_.80_.v1_.e2e.foobar.mesh], {sni('outbound_.80_.v1_.e2e.foobar.mesh')}, gateways: [edge]",
         []),
        (f"hosts: [outbound_.http_._.e2e.foobar.mesh, a.mesh], {sni('a.mesh')}, gateways: [edge]",
         ["E-VALUE hosts[0]"]),
        (f"hosts: [outbound_.80_._.e2e.foobar.mesh, a.mesh], {sni('a.mesh')}, gateways: [edge, mesh]",
         ["E-VALUE hosts[0]"]),
    ],
)  # fmt: skip
def test_hosts(spec: str, problems: list[str]):
    assert top(spec) == problems


@pytest.mark.spec("V-2", "V-40")
@pytest.mark.parametrize(
    ("gateways", "problems"),
    [
        ("mesh", []),
        ("mesh, edge, shop/edge", []),
        ("Shop/Edge", []),
        ("edge.shop", ["W-LEGACY [0]"]),
        ("mesh, edge.shop.svc.cluster.local", ["W-LEGACY [1]"]),
        ("./edge", ["E-VALUE [0]"]),
        ("'*/edge'", ["E-VALUE [0]"]),
        ("shop/", ["E-VALUE [0]"]),
        ("/edge", ["E-VALUE [0]"]),
        ("shop/edge.b", ["E-VALUE [0]"]),
        ("shop/a/b", ["E-VALUE [0]"]),
        ("edge_1, mesh, a_b", ["E-VALUE [0]", "E-VALUE [2]"]),
        ("''", ["E-VALUE [0]"]),
    ],
)
def test_gateways_are_named_alike_at_the_top_and_in_matches(gateways: str, problems: list[str]):
    at_top = top(f"hosts: [a.shop], gateways: [{gateways}]")
    of_http = routes(f"match: [{{uri: {{prefix: /a}}, gateways: [{gateways}]}}], {TO}")
    of_tls = verdict(
        "VirtualService",
        f"{{hosts: [a], tls: [{{match: [{{sniHosts: [a], gateways: [{gateways}]}}], {CONNECTED}}}]}}",
    )
    of_tcp = verdict("VirtualService", f"{{hosts: [a], tcp: [{{match: [{{gateways: [{gateways}]}}], {CONNECTED}}}]}}")

    assert [problem.replace("gateways", "") for problem in at_top] == problems
    assert [problem.replace("http[0].match[0].gateways", "") for problem in of_http] == problems
    assert [problem.replace("tls[0].match[0].gateways", "") for problem in of_tls] == problems
    assert [problem.replace("tcp[0].match[0].gateways", "") for problem in of_tcp] == problems


def test_the_present_name_of_a_gateway_is_told():
    assert told("VirtualService", f"{{hosts: [a], gateways: [edge.shop.svc.cluster.local], http: [{{{TO}}}]}}") == [
        "5:27: spec.gateways[0]: a gateway is no longer named by host name; write 'shop/edge' [W-LEGACY]"
    ]


@pytest.mark.spec("V-6")
@pytest.mark.parametrize(
    ("targets", "problems"),
    [
        ("'.', shop", []),
        ("'*'", []),
        ("'*', shop", ["E-VALUE exportTo"]),
        ("'~'", ["E-VALUE exportTo"]),
        ("'.', default", ["E-VALUE exportTo"]),
        ("shop, shop", ["E-VALUE exportTo"]),
        ("a.b", ["E-VALUE exportTo[0]"]),
    ],
)
def test_export(targets: str, problems: list[str]):
    assert top(f"hosts: [a.shop], exportTo: [{targets}]") == problems


@pytest.mark.spec("V-3", "V-4", "V-5", "V-7")
@pytest.mark.parametrize(
    ("rules", "problems"),
    [
        ("", ["E-REQUIRED spec"]),
        (", http: [], tls: [], tcp: []", ["E-REQUIRED spec"]),
        (f", http: [{{{TO}}}]", []),
        (f", {sni('a.shop')}", []),
        (f", tcp: [{{{CONNECTED}}}]", []),
        (", http: [null]", ["E-TYPE http[0]"]),
    ],
)
def test_at_least_one_rule_is_needed(rules: str, problems: list[str]):
    assert verdict("VirtualService", f"{{hosts: [a.shop]{rules}}}") == problems


@pytest.mark.spec("V-15")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"http: [{{{TO}}}]", []),
        (f"hosts: [], http: [{{{TO}}}]", []),
        (f"http: [{{{TO}}}], gateways: [mesh]", ["E-VALUE gateways"]),
        (f"http: [{{{TO}}}], {sni('a')}",
         ["E-VALUE tls", "E-VALUE tls[0].match[0].sniHosts[0]"]),
        (f"tcp: [{{{CONNECTED}}}]", ["E-VALUE tcp"]),
        ("http: [{delegate: {name: other}}]", ["E-VALUE http[0].delegate"]),
        ("hosts: [a], http: [{delegate: {name: other}}]", []),
        ("hosts: [a], http: [{delegate: {name: other, namespace: shop}, timeout: 5s, rewrite: {uri: /a/}}]", []),
        ("hosts: [a], http: [{delegate: {name: other, namespace: ''}}]", []),
        ("hosts: [a], http: [{delegate: {}}]", ["E-REQUIRED http[0].delegate.name"]),
        ("hosts: [a], http: [{delegate: {name: a_b}}]", ["E-VALUE http[0].delegate.name"]),
        (f"hosts: [a], http: [{{delegate: {{name: other}}, {TO}}}]", ["E-ONEOF http[0].route"]),
        ("hosts: [a], http: [{delegate: {name: other}, redirect: {uri: /b}}]", ["E-ONEOF http[0].redirect"]),
        ("hosts: [a], http: [{delegate: {name: other}, directResponse: {status: 200}}]",
         ["E-ONEOF http[0].directResponse"]),
    ],
)  # fmt: skip
def test_delegates_and_their_roots(spec: str, problems: list[str]):
    assert verdict("VirtualService", f"{{{spec}}}") == problems


@pytest.mark.spec("V-38", "V-39")
def test_the_source_of_a_request_at_a_gateway_is_the_gateway():
    match = "match: [{uri: {prefix: /a}, sourceLabels: {app: a}, sourceNamespace: shop}]"
    bound = f"{{hosts: [a.shop], gateways: [%s], http: [{{{match}, {TO}}}]}}"

    assert verdict("VirtualService", bound % "edge, mesh") == []
    assert verdict("VirtualService", bound % "edge") == [
        "W-VALUE http[0].match[0].sourceLabels",
        "W-VALUE http[0].match[0].sourceNamespace",
    ]


@pytest.mark.spec("V-9")
@pytest.mark.parametrize(
    ("matches", "unreachable"),
    [
        ([None, "{uri: {prefix: /a}}", "{uri: {prefix: /b}}"], ["http[1]", "http[2]"]),
        (["{uri: {prefix: /}}", "{uri: {exact: /b}}"], ["http[1]"]),
        (["{uri: {prefix: ''}}", "{uri: {exact: /b}}"], ["http[1]"]),
        (["{uri: {regex: '.*'}}", "{uri: {exact: /b}}"], ["http[1]"]),
        (["{uri: {prefix: /}, method: {exact: GET}}", "{uri: {exact: /b}}"], []),
        (["{uri: {prefix: /}, port: 80}", "{uri: {exact: /b}}"], []),
        (["{uri: {prefix: /}, gateways: [mesh]}", "{uri: {exact: /b}}"], []),
        (["{gateways: [mesh]}", "{gateways: [edge]}"], []),
        (["{gateways: [mesh]}", "{gateways: [mesh]}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"], []),
        (["{uri: {prefix: /a}}", "{uri: {exact: /ab}}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a}}", "{uri: {regex: /a.*}}"], []),
        (["{uri: {prefix: /a}, ignoreUriCase: true}", "{uri: {prefix: /a/b}}"], []),
        (["{name: x, uri: {regex: /a.*}}", "{name: z, uri: {regex: /a.*}}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /a/b}, port: 81}"], []),
        (["{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /a/b}, port: 80}"], ["http[1].match[0]"]),
        (["{uri: {prefix: /a}, sourceLabels: {a: b}}", "{uri: {prefix: /a}, sourceLabels: {a: c}}"], []),
        (["{headers: {x: {exact: a}}}", "{headers: {x: {exact: a}}}"], ["http[1].match[0]"]),
        (["{headers: {x: {exact: a}}}", "{headers: {x: {exact: b}}}", None], []),
    ],
)
def test_matches_that_no_request_reaches(matches: list[str | None], unreachable: list[str]):
    found = routes(*(f"match: [{match}], {TO}" if match else TO for match in matches))

    assert found == [f"W-VS-UNREACHABLE {path}" for path in unreachable]


@pytest.mark.spec("V-9")
def test_one_rule_may_ask_the_same_twice_in_vain():
    assert routes(f"match: [{{uri: {{exact: /a}}}}, {{uri: {{exact: /a}}}}], {TO}") == [
        "W-VS-UNREACHABLE http[0].match[1]"
    ]


@pytest.mark.spec("V-9")
@pytest.mark.parametrize(
    ("matches", "unreachable"),
    [
        ([None, "{port: 80}"], ["tcp[1]"]),
        (["{}", "{port: 80}"], ["tcp[1]"]),
        (["{port: 80}", "{port: 80}"], ["tcp[1].match[0]"]),
        (["{port: 80}", "{port: 81}", None], []),
        (["{sourceSubnet: 10.0.0.0/8}", "{sourceSubnet: 10.0.0.0/9}"], []),
        (["{destinationSubnets: [10.0.0.1, 10.0.0.2]}", "{destinationSubnets: [10.0.0.2, 10.0.0.1]}"],
         ["tcp[1].match[0]"]),
        (["{gateways: [mesh]}", "{gateways: [edge]}"], []),
    ],
)  # fmt: skip
def test_matches_that_no_tcp_connection_reaches(matches: list[str | None], unreachable: list[str]):
    rules = ", ".join(f"{{match: [{match}], {CONNECTED}}}" if match else f"{{{CONNECTED}}}" for match in matches)

    assert verdict("VirtualService", f"{{hosts: [mysql.shop], tcp: [{rules}]}}") == [
        f"W-VS-UNREACHABLE {path}" for path in unreachable
    ]


@pytest.mark.spec("V-9")
@pytest.mark.parametrize(
    ("second", "unreachable"),
    [
        ("sniHosts: [a.shop]", ["W-VS-UNREACHABLE tls[1].match[0]"]),
        ("sniHosts: [A.shop]", ["W-VS-UNREACHABLE tls[1].match[0]"]),
        ("sniHosts: [a.shop], port: 443", []),
        ("sniHosts: [b.shop]", []),
    ],
)
def test_matches_that_no_tls_connection_reaches(second: str, unreachable: list[str]):
    rules = ", ".join(f"{{match: [{{{match}}}], {CONNECTED}}}" for match in ("sniHosts: [a.shop]", second))

    assert verdict("VirtualService", f"{{hosts: [a.shop, b.shop], tls: [{rules}]}}") == unreachable
