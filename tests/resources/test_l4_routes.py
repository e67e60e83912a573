"""The `tls` and `tcp` rules of a VirtualService, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict

TO = "route: [{destination: {host: mysql.shop}}]"


def tls(match: str, hosts: str = "'*.shop', shop", gateways: str = "mesh", to: str = TO) -> list[str]:
    """Paths from the match."""
    spec = f"{{hosts: [{hosts}], gateways: [{gateways}], tls: [{{match: [{{{match}}}], {to}}}]}}"
    found = verdict("VirtualService", spec)
    return [problem.replace("tls[0].match[0].", "") for problem in found]


def tcp(rule: str) -> list[str]:
    found = verdict("VirtualService", f"{{hosts: [mysql.shop], tcp: [{{{rule}}}]}}")
    return [problem.replace("tcp[0].", "") for problem in found]


@pytest.mark.spec("V-100", "V-104")
@pytest.mark.parametrize(
    ("rule", "problems"),
    [
        (f"match: [{{sniHosts: [a.shop]}}], {TO}", []),
        (TO, ["E-REQUIRED tls[0].match"]),
        (f"match: [], {TO}", ["E-VALUE tls[0].match"]),
        (f"match: [{{}}], {TO}", ["E-REQUIRED tls[0].match[0].sniHosts"]),
        (f"match: [{{sniHosts: []}}], {TO}", ["E-VALUE tls[0].match[0].sniHosts"]),
        ("match: [{sniHosts: [a.shop]}]", ["E-REQUIRED tls[0].route"]),
        ("match: [{sniHosts: [a.shop]}], route: []", ["E-VALUE tls[0].route"]),
        ("match: [{sniHosts: [a.shop]}], route: [{weight: 1}]", ["E-REQUIRED tls[0].route[0].destination"]),
        ("match: [{sniHosts: [a.shop]}], route: [{destination: {host: '*'}}]",
         ["E-VALUE tls[0].route[0].destination.host"]),
        ("match: [{sniHosts: [a.shop]}], route: [{destination: {host: a}}, {destination: {host: b}}]",
         ["E-VALUE tls[0].route"]),
        ("match: [{sniHosts: [a.shop]}], route: [{destination: {host: a}, weight: -1}]",
         ["E-VALUE tls[0].route[0].weight"]),
        ("match: [{sniHosts: [a.shop]}], route: [{destination: {host: a}, weight: 1}, {destination: {host: b}}]", []),
    ],
)  # fmt: skip
def test_a_tls_rule_has_matches_and_destinations(rule: str, problems: list[str]):
    assert verdict("VirtualService", f"{{hosts: [a.shop], tls: [{{{rule}}}]}}") == problems


@pytest.mark.spec("V-101")
@pytest.mark.parametrize(
    ("sni_hosts", "problems"),
    [
        ("a.shop, '*.b.shop', '*.shop', shop", []),
        ("A.Shop., a.b.c.shop", []),
        ("'*.shop.com'", ["E-VALUE sniHosts[0]"]),
        ("a.com", ["E-VALUE sniHosts[0]"]),
        ("'*'", ["E-VALUE sniHosts[0]"]),
        ("'*a.shop'", ["E-VALUE sniHosts[0]"]),
        ("'*-a.shop'", ["E-VALUE sniHosts[0]"]),
        ("a_b.shop", ["E-VALUE sniHosts[0]"]),
        ("''", ["E-VALUE sniHosts[0]"]),
        ("a.shop, 10.0.0.1, '2001:db8::1'", ["W-VALUE sniHosts[1]", "W-VALUE sniHosts[2]"]),
        ("10.0.0.0/8", ["E-VALUE sniHosts[0]"]),
        ("outbound_.80_._.a.shop", ["E-VALUE sniHosts[0]"]),
    ],
)
def test_server_names_lie_in_the_hosts_of_the_virtual_service(sni_hosts: str, problems: list[str]):
    assert tls(f"sniHosts: [{sni_hosts}]") == problems


@pytest.mark.spec("V-101")
def test_at_a_gateway_every_server_name_may_be_asked_for():
    assert tls("sniHosts: ['*']", hosts="'*'", gateways="edge") == []
    assert tls("sniHosts: [outbound_.80_._.a.shop]", hosts="'*'", gateways="edge") == []
    assert tls("sniHosts: ['*']", hosts="'*.shop'", gateways="edge") == ["E-VALUE sniHosts[0]"]


@pytest.mark.spec("V-101")
def test_hosts_are_taken_as_written_where_server_names_are_compared():
    assert tls("sniHosts: [shop]", hosts="shop") == []
    assert tls("sniHosts: [shop.default.svc.cluster.local]", hosts="shop") == ["E-VALUE sniHosts[0]"]


@pytest.mark.spec("V-102", "V-103")
@pytest.mark.parametrize(
    ("match", "problems"),
    [
        ("destinationSubnets: [10.0.0.1, 10.0.0.0/8, '2001:db8::/32']", []),
        ("destinationSubnets: [10.0.0.0/33]", ["E-VALUE destinationSubnets[0]"]),
        ("destinationSubnets: [a.shop]", ["E-VALUE destinationSubnets[0]"]),
        ("destinationSubnets: ['fe80::1%eth0']", ["E-VALUE destinationSubnets[0]"]),
        ("port: 443, sourceLabels: {app: a}, sourceNamespace: shop, gateways: [mesh]", []),
        ("port: 0, sourceNamespace: ''", []),
        ("port: 65536", ["E-VALUE port"]),
        ("sourceLabels: {'a b': c}", ["E-VALUE sourceLabels.a b"]),
        ("sourceNamespace: a.b", ["E-VALUE sourceNamespace"]),
        ("name: a", ["E-FIELD name"]),
    ],
)
def test_what_else_a_tls_match_asks(match: str, problems: list[str]):
    assert tls(f"sniHosts: [a.shop], {match}") == problems


@pytest.mark.spec("V-110", "V-111", "V-112", "V-113", "V-114")
@pytest.mark.parametrize(
    ("rule", "problems"),
    [
        (TO, []),
        (f"match: [], {TO}", []),
        (f"match: [{{destinationSubnets: [10.0.0.0/8], port: 3306, sourceLabels: {{a: b}}, gateways: [mesh]}}], {TO}",
         []),
        (f"match: [{{destinationSubnets: [10.0.0.0/40]}}], {TO}", ["E-VALUE match[0].destinationSubnets[0]"]),
        (f"match: [{{destinationSubnets: 10.0.0.0/8}}], {TO}", ["E-TYPE match[0].destinationSubnets"]),
        (f"match: [{{port: 70000}}], {TO}", ["E-VALUE match[0].port"]),
        (f"match: [{{sourceSubnet: 10.0.0.0/8}}], {TO}", []),
        (f"match: [{{sourceSubnet: ''}}], {TO}", []),
        (f"match: [{{sourceSubnet: ten}}], {TO}", ["E-VALUE match[0].sourceSubnet"]),
        (f"match: [{{sourceNamespace: shop}}], {TO}", []),
        (f"match: [null], {TO}", ["E-TYPE match[0]"]),
        ("match: [{port: 80}]", ["E-REQUIRED route"]),
        ("route: []", ["E-VALUE route"]),
        ("route: [{destination: {host: a}}, {destination: {host: b}}]", ["E-VALUE route"]),
        (f"route: [{', '.join(3 * ['{destination: {host: a}, weight: 2147483647}'])}]", ["E-VALUE route"]),
        ("route: [{destination: {host: a, port: {name: http}}}]", ["E-PORT-NAME route[0].destination.port.name"]),
    ],
)  # fmt: skip
def test_a_tcp_rule(rule: str, problems: list[str]):
    assert tcp(rule) == problems
