"""IngressRules: ports and secrets, hosts, and the rules of their destinations behind them (C-IN)."""

from __future__ import annotations

import json

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.convert.composition import both, corrected
from meshd.memo import Memo
from meshd.names import HostName
from meshd.plan import HeaderMatch, TextMatch
from meshd.resources.answers import HTTPRewrite
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.string_match import StringMatch
from tests.convert.conftest import REVIEWS, a_rule, a_service, a_workload, an_ingress_rule, converted, loaded

EDGE = a_workload("edge-1", "istio: ingressgateway")


def match(**headers):
    listed = ", ".join(f"{name}: {value}" for name, value in headers.items())
    return f"match: {{request: {{headers: {{{listed}}}}}}}, "


def into(name="in", spec="", port=80, **more):
    return an_ingress_rule(name, f"port: {port}, destination: {{name: reviews}}, {spec}", **more)


def names(made, name):
    return [route["name"] for route in made.spec("VirtualService", name)["http"]]


@pytest.mark.parametrize(
    "text",
    [
        an_ingress_rule("in", "port: 80, destination: {name: nobody}"),
        into(spec="destinationPort: 7"),
        into(spec="destinationPortName: nothing"),
    ],
)
def test_c_in_01_what_does_not_resolve_is_left_out_and_the_rest_counts(text):
    made = converted(text, into("good"), REVIEWS)

    assert names(made, "ingress-wildcard") == ["good.meshd-default"]
    assert "W-IN-UNRESOLVED" in made.codes
    assert not any(problem.is_error for problem in made.older.problems)


def test_c_in_01_of_several_ports_one_has_to_be_named():
    reviews = a_service("reviews.default.svc.cluster.local", "{number: 1, name: http}", "{number: 2, name: http-b}")

    made = converted(into("a"), into("b", "destinationPortName: http-b"), reviews)

    (route,) = made.spec("VirtualService", "ingress-wildcard")["http"]
    assert route["route"][0]["destination"]["port"] == {"number": 2}
    assert made.problem("W-IN-UNRESOLVED").at.resource.name == "a"


def test_c_in_02_an_exact_authority_is_the_host_and_any_other_a_condition():
    made = converted(into("a", match(authority="'a.test:8080'")), into("b", match(authority="{prefix: b.}")), REVIEWS)

    assert made.spec("VirtualService", "ingress-a-test")["hosts"] == ["a.test"]
    (route,) = made.spec("VirtualService", "ingress-wildcard")["http"]
    assert route["match"] == [{"authority": {"prefix": "b."}, "port": 80}]


def test_c_in_03_a_gateway_for_each_port_and_secret():
    made = converted(
        into("a", f"tlsSecret: one, {match(authority='a.test')}", 443),
        into("b", f"tlsSecret: two, {match(authority='b.test')}", 443), into("c"), REVIEWS,
    )  # fmt: skip

    gateways = {each["metadata"]["name"]: each["spec"] for each in made.objects if each["kind"] == "Gateway"}
    assert set(gateways) == {"ingress-443-one", "ingress-443-two", "ingress-80"}
    (server,) = gateways["ingress-443-two"]["servers"]
    assert server["hosts"] == ["b.test"]
    assert server["tls"] == {"mode": "SIMPLE", "credentialName": "two"}
    assert gateways["ingress-80"]["servers"][0]["port"] == {"number": 80, "protocol": "HTTP", "name": "http-80"}


def test_c_in_03_plain_text_and_tls_on_one_port():
    made = converted(into("a", "tlsSecret: one", 443), into("b", port=443), REVIEWS)

    assert made.problem("E-IN-MIXED-TLS").at.resource.name == "b"


def test_c_in_03_two_secrets_for_one_host():
    made = converted(into("a", "tlsSecret: one", 443), into("b", "tlsSecret: two", 443), REVIEWS)

    assert made.problem("E-IN-SECRET").at.resource.name == "b"


def test_c_in_04_rules_for_every_host_have_their_place_among_those_of_each():
    made = converted(
        into("mine", f"precedence: 1, {match(authority='www.test', uri='/mine')}"),
        into("first", f"precedence: 2, {match(uri='/first')}"), into("last", match(uri="/last")), REVIEWS, EDGE,
    )  # fmt: skip

    order = ["first.meshd-default", "mine.meshd-default", "last.meshd-default"]
    assert names(made, "ingress-www-test") == order
    assert names(made, "ingress-wildcard") == ["first.meshd-default", "last.meshd-default"]
    assert made.spec("Gateway", "ingress-80")["servers"][0]["hosts"] == ["*"]


def test_c_in_04_a_rule_for_a_port_alone_ends_the_list_of_that_port():
    made = converted(into("a", "precedence: 1"), into("b"), into("c", port=81), REVIEWS)

    assert names(made, "ingress-wildcard") == ["a.meshd-default", "c.meshd-default"]


def test_c_in_05_impossible_combinations_are_left_out():
    rules = (
        a_rule("a", f"destination: {{name: reviews}}, {match(uri='{prefix: /a}')}route: [{{weight: 100}}]"),
        a_rule("b", f"destination: {{name: reviews}}, {match(uri='/b')}route: [{{weight: 100}}]"),
    )

    made = converted(*rules, into(spec=match(uri="{prefix: /b}")), REVIEWS)

    assert names(made, "ingress-wildcard") == ["in.b", "in.meshd-default"]


def test_c_in_05_rules_for_a_caller_count_where_the_gateways_are_that_caller():
    service = a_service("edge.default.svc.cluster.local", labels="istio: ingressgateway")
    others = a_service("web.default.svc.cluster.local", labels="app: web")
    rules = (
        a_rule(name, f"destination: {{name: reviews}}, match: {{source: {{name: {name}}}}}, route: [{{weight: 100}}]")
        for name in ("edge", "web")
    )

    made = converted(*rules, into(), REVIEWS, EDGE, service, others)

    (edge,) = made.spec("VirtualService", "ingress-wildcard")["http"]
    assert (edge["name"], edge["match"]) == ("in.edge", [{"port": 80}])


def exact(text):
    return StringMatch(exact=text)


def prefix(text):
    return StringMatch(prefix=text)


def regex(text):
    return StringMatch(regex=text)


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        (exact("/a"), exact("/a"), exact("/a")),
        (exact("/a"), exact("/b"), None),
        (exact("/ab"), prefix("/a"), exact("/ab")),
        (exact("/b"), prefix("/a"), None),
        (prefix("/a"), prefix("/ab"), prefix("/ab")),
        (prefix("/a"), prefix("/b"), None),
        (regex("/a+"), exact("/aa"), exact("/aa")),
        (regex("/a"), exact("/aa"), None),
    ],
)
def test_c_in_06_two_conditions_on_one_thing(one, other, result):
    for first, second in ((one, other), (other, one)):
        found = both(HTTPMatchRequest(uri=first, port=80), HTTPMatchRequest(uri=second))
        assert (found and found.match.uri) == result
        assert found is None or found.match.port == 80
        of_header = both(HTTPMatchRequest(headers={"x": first}), HTTPMatchRequest(headers={"x": second}))
        assert (of_header and of_header.match.headers["x"]) == result


def test_c_in_06_what_one_condition_cannot_say_is_in_the_extras():
    rule = a_rule("r", f"destination: {{name: reviews}}, {match(uri='{regex: /a.*b}')}route: [{{weight: 100}}]")
    text = into(spec=match(uri="{prefix: /a}"))

    made = converted(rule, text, REVIEWS)

    composed = made.spec("VirtualService", "ingress-wildcard")["http"][0]
    assert composed["match"] == [{"uri": {"regex": "/a.*b"}, "port": 80}]
    annotations = made.named("VirtualService", "ingress-wildcard")["metadata"]["annotations"]
    assert json.loads(annotations["meshd.io/extras"])["http"]["in.r"]["also"] == {"uri": {"prefix": "/a"}}
    assert "L-AND" in made.codes
    mesh = loaded(rule, text, REVIEWS, EDGE).mesh
    assert mesh is not None
    (plan,) = compile_plan(mesh, HostName("edge-1"), Reach(), Memo()).plans
    (host,) = plan.route_tables[0].virtual_hosts
    assert host.routes[0].match.path == TextMatch(kind="regex", value="/a.*b")
    assert host.routes[0].match.headers == (HeaderMatch(name=":path", text=TextMatch(kind="prefix", value="/a")),)


@pytest.mark.parametrize(
    ("rewritten", "rule", "composed", "result"),
    [
        ("/v1", prefix("/a"), prefix("/a/b"), "/v1/b"),
        ("/v1", prefix("/a"), exact("/a/b"), "/v1/b"),
        ("/v1", prefix("/a"), prefix("/a"), "/v1"),
        ("/v1/", None, prefix("/a"), "/v1/a"),
        ("/v1", exact("/a"), exact("/a"), "/v1"),
        ("/v1", regex("/a.*"), exact("/ab"), "/v1"),
    ],
)
def test_c_in_07_a_rewrite_keeps_what_lies_beyond_the_prefix_it_replaces(rewritten, rule, composed, result):
    matched = HTTPMatchRequest(uri=rule) if rule else None

    found = corrected(HTTPRewrite(uri=rewritten), matched, HTTPMatchRequest(uri=composed))

    assert found is not None
    assert found.uri == result


def test_c_in_08_connections():
    service = a_service("reviews.default.svc.cluster.local", "{number: 9000, name: tcp, protocol: TCP}")

    made = converted(into("a", port=9000), into("b", match(uri="/b"), 9000), service)

    spec = made.spec("VirtualService", "ingress-wildcard")
    destination = {"host": "reviews.default.svc.cluster.local", "port": {"number": 9000}}
    assert spec["tcp"] == [{"route": [{"destination": destination}], "match": [{"port": 9000}]}]
    assert made.spec("Gateway", "ingress-9000")["servers"][0]["port"]["protocol"] == "TCP"
    assert "W-IN-PROTOCOL" in made.codes


def test_c_in_08_conditions_on_connections():
    service = a_service("reviews.default.svc.cluster.local", "{number: 9000, name: tcp, protocol: TCP}")
    subnets = "match: {tcp: {sourceSubnet: [10.0.0.0/8, 192.0.2.1]}}"

    made = converted(into("a", subnets, 9000), service)
    of_http = converted(into("a", subnets), REVIEWS)

    assert made.spec("VirtualService", "ingress-wildcard")["tcp"][0]["match"] == [
        {"port": 9000, "sourceSubnet": "10.0.0.0/8"},
        {"port": 9000, "sourceSubnet": "192.0.2.1"},
    ]
    assert (of_http.objects, of_http.codes) == ([], ["W-IN-PROTOCOL"])


def test_a_rule_for_one_caller_does_not_become_one_for_everybody():
    made = converted(into("a", "match: {source: {name: reviews}}"), REVIEWS)

    assert (made.objects, made.codes) == ([], ["W-RR-NEVER"])


def test_rules_alone_take_the_port_at_its_word():
    made = converted(into(spec="destinationPort: 9080"))

    (route,) = made.spec("VirtualService", "ingress-wildcard")["http"]
    assert route["route"][0]["destination"]["port"] == {"number": 9080}


def test_it_loads_and_serves():
    assert [str(each) for each in loaded(into(), REVIEWS, EDGE).problems if each.is_error] == []


# --- rules for connections, behind an IngressRule -------------------------------------------------------------

DB = a_service("reviews.default.svc.cluster.local", "{number: 9000, name: tcp, protocol: TCP}")


def a_tcp_rule(name, match="", *, labels="version: v2", more=""):
    asked = f"match: {{tcp: {{{match}}}}}"
    return a_rule(name, f"destination: {{name: reviews}}, {asked}, route: [{{labels: {{{labels}}}}}]{more}")


def matches(made):
    """Of each entry: what it asks for, and to which version it leads."""
    spec = made.spec("VirtualService", "ingress-wildcard")
    return [(each["match"], each["route"][0]["destination"].get("subset")) for each in spec["tcp"]]


@pytest.mark.spec("C-IN-08", "IR-05")
def test_rules_for_connections_count_at_the_ingress_and_then_all_versions():
    made = converted(a_tcp_rule("of-ten", "sourceSubnet: [10.0.0.0/8]"), into("a", port=9000), DB, EDGE)

    assert matches(made) == [([{"port": 9000, "sourceSubnet": "10.0.0.0/8"}], "v2"), ([{"port": 9000}], None)]
    route = made.spec("VirtualService", "ingress-wildcard")["tcp"][0]["route"]
    assert route[0]["destination"]["port"] == {"number": 9000}
    rule = made.named("VirtualService", "ingress-wildcard")["metadata"]["annotations"]["meshd.io/converted-from"]
    assert rule == "IngressRule/default/a, RouteRule/default/of-ten"


@pytest.mark.spec("C-IN-08", "IR-06")
def test_connections_are_split_at_the_ingress():
    weights = "{labels: {version: v1}, weight: 30}, {labels: {version: v2}, weight: 70}"
    split = a_rule("split", f"destination: {{name: reviews}}, match: {{tcp: {{}}}}, route: [{weights}]")

    made = converted(split, into("a", port=9000), DB, EDGE)

    (entry,) = made.spec("VirtualService", "ingress-wildcard")["tcp"]
    assert [(each["destination"]["subset"], each["weight"]) for each in entry["route"]] == [("v1", 30), ("v2", 70)]


@pytest.mark.spec("C-IN-08", "C-IN-05")
@pytest.mark.parametrize(
    ("asked", "ruled", "found"),
    [
        ("sourceSubnet: [10.0.0.0/8]", "sourceSubnet: [10.1.0.0/16]", [{"sourceSubnet": "10.1.0.0/16"}]),
        ("sourceSubnet: [10.1.0.0/16]", "sourceSubnet: [10.0.0.0/8, 192.0.2.1]", [{"sourceSubnet": "10.1.0.0/16"}]),
        ("sourceSubnet: [10.1.0.0/16]", "sourceSubnet: [192.0.2.1]", []),
        ("sourceSubnet: [10.1.0.0/16]", "sourceSubnet: ['2001:db8::/32']", []),
        ("sourceSubnet: [10.0.0.0/8]", "destinationSubnet: [192.0.2.0/24]",
         [{"sourceSubnet": "10.0.0.0/8", "destinationSubnets": ["192.0.2.0/24"]}]),
        ("destinationSubnet: [192.0.2.0/24]", "destinationSubnet: [192.0.2.7, 198.51.100.1]",
         [{"destinationSubnets": ["192.0.2.7"]}]),
        ("destinationSubnet: [192.0.2.0/24]", "destinationSubnet: [198.51.100.1]", []),
    ],
)  # fmt: skip
def test_conditions_of_both_rules_have_to_hold(asked: str, ruled: str, found: list[dict[str, object]]):
    made = converted(a_tcp_rule("r", ruled), into("a", f"match: {{tcp: {{{asked}}}}}", 9000), DB, EDGE)

    composed = [match for match, subset in matches(made) if subset]
    assert composed == ([[{"port": 9000, **each} for each in found]] if found else [])


@pytest.mark.spec("C-IN-08")
def test_a_rule_for_one_caller_counts_where_the_ingress_is_that_caller():
    edge = a_service("edge.default.svc.cluster.local", labels="istio: ingressgateway")
    web = a_service("web.default.svc.cluster.local", labels="app: web")
    rules = (
        a_rule(name, f"destination: {{name: reviews}}, match: {{source: {{name: {name}}}, tcp: {{}}}}, "
               f"route: [{{labels: {{version: {version}}}}}]")
        for name, version in (("edge", "v1"), ("web", "v2"))
    )  # fmt: skip

    made = converted(*rules, into("a", port=9000), DB, EDGE, edge, web)

    assert matches(made) == [([{"port": 9000}], "v1")]


@pytest.mark.spec("C-IN-08")
def test_requests_and_bytes_do_not_share_a_port():
    both_ports = a_service(
        "reviews.default.svc.cluster.local", "{number: 9080, name: http}", "{number: 9000, name: tcp, protocol: TCP}"
    )

    made = converted(into("a", "destinationPort: 9080"), into("b", "destinationPort: 9000"), both_ports, EDGE)

    assert made.problem("E-GW-PORT-CONFLICT").at.resource.name == "b"
