"""EgressRules: what is outside, TLS that is opened for the application, and the way by the egress proxy (C-EG)."""

from __future__ import annotations

import json

import pytest

from tests.convert.conftest import a_policy, a_rule, a_service, a_workload, an_egress_rule, converted, loaded

GATEWAY = a_workload("egress-1", "istio: egressgateway", namespace="istio-system") + a_service(
    "istio-egressgateway.istio-system.svc.cluster.local",
    "{number: 80, name: http, protocol: HTTP}",
    "{number: 443, name: http-443, protocol: HTTP}",
    "{number: 9000, name: tcp-9000, protocol: TCP}",
    namespace="istio-system",
    labels="istio: egressgateway",
)


def out(service, *ports, more="", name="out", namespace="default"):
    listed = ", ".join(f"{{port: {number}, protocol: {protocol}}}" for number, protocol in ports)
    return an_egress_rule(name, f"destination: {{service: '{service}'}}, ports: [{listed}]{more}", namespace=namespace)


def entry(made, name="out"):
    return made.spec("ServiceEntry", name)


@pytest.mark.parametrize(
    ("service", "port", "expected"),
    [
        ("a.example", (80, "http"), {"hosts": ["a.example"], "resolution": "DNS"}),
        ("A.Example", (80, "HTTP"), {"hosts": ["a.example"], "resolution": "DNS"}),
        ("*.a.example", (80, "http"), {"hosts": ["*.a.example"], "resolution": "NONE"}),
        ("192.0.2.1", (80, "http2"), {"hosts": ["out.default.egress.invalid"], "addresses": ["192.0.2.1"],
                                      "resolution": "STATIC", "endpoints": [{"address": "192.0.2.1"}]}),
        ("192.0.2.1", (27017, "mongo"), {"hosts": ["out.default.egress.invalid"], "addresses": ["192.0.2.1"],
                                         "resolution": "STATIC", "endpoints": [{"address": "192.0.2.1"}]}),
        ("2001:db8::/32", (53, "tcp"), {"hosts": ["out.default.egress.invalid"], "addresses": ["2001:db8::/32"],
                                        "resolution": "NONE"}),
    ],
)  # fmt: skip
def test_c_eg_02_destinations(service, port, expected):
    spec = entry(converted(out(service, port)))

    assert spec.pop("location") == "MESH_EXTERNAL"
    del spec["ports"]
    assert spec == expected


@pytest.mark.parametrize(
    ("given", "name", "protocol"),
    [
        ("http", "http-8", "HTTP"),
        ("https", "http-8", "HTTP"),
        ("http2", "http2-8", "HTTP2"),
        ("grpc", "grpc-8", "GRPC"),
        ("tcp", "tcp-8", "TCP"),
        ("mongo", "mongo-8", "MONGO"),
    ],
)
def test_c_eg_04_protocols(given, name, protocol):
    made = converted(out("192.0.2.1", (8, given)))

    assert entry(made)["ports"] == [{"number": 8, "name": name, "protocol": protocol}]


def test_c_eg_03_tls_to_an_address_expects_the_address_in_the_certificate():
    made = converted(out("192.0.2.1", (443, "https")))

    (port,) = made.spec("DestinationRule", "out")["trafficPolicy"]["portLevelSettings"]
    assert port["tls"] == {"mode": "SIMPLE", "subjectAltNames": ["192.0.2.1"]}


def test_c_eg_03_servers_are_verified_unless_the_mesh_says_otherwise():
    config = (
        "---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
        "spec: {v1alpha1: {egressTlsVerify: false}}\n"
    )
    made = converted(out("a.example", (443, "https")), config)

    (port,) = made.spec("DestinationRule", "out")["trafficPolicy"]["portLevelSettings"]
    assert port["tls"] == {"mode": "SIMPLE", "insecureSkipVerify": True}
    assert "N-TLS-VERIFY" not in made.codes
    assert "W-TLS-INSECURE" in made.codes


def test_c_eg_05_requests_outside_have_the_defaults_and_connections_need_none():
    made = converted(out("a.example", (80, "http")), out("192.0.2.0/24", (81, "tcp"), name="block"))

    (route,) = made.spec("VirtualService", "out")["http"]
    assert (route["timeout"], route["retries"]) == ("15s", {"attempts": 0})
    assert [each["metadata"]["name"] for each in made.objects if each["kind"] == "VirtualService"] == ["out"]


def test_c_eg_07_rules_and_policies_of_the_same_text_count():
    made = converted(
        out("192.0.2.1", (80, "http"), namespace="shop"),
        a_rule("r", "destination: {service: 192.0.2.1}, match: {request: {headers: {uri: /a}}}, redirect: {uri: /b}"),
        a_policy("p", "destination: {service: 192.0.2.1}, loadBalancing: {name: RANDOM}"),
    )

    assert [route["name"] for route in made.spec("VirtualService", "out", "shop")["http"]] == ["r", "meshd-default"]
    assert made.spec("DestinationRule", "out", "shop")["host"] == "out.shop.egress.invalid"


def test_c_eg_08_ports_of_two_rules_are_united():
    made = converted(out("a.example", (80, "http"), name="a"), out("A.example", (443, "https"), (80, "http"), name="b"))

    assert [port["number"] for port in entry(made, "a")["ports"]] == [80, 443]


def test_c_eg_08_two_protocols_on_one_port_are_an_error():
    made = converted(out("a.example", (80, "http"), name="a"), out("a.example", (80, "http2"), name="b"))

    assert made.problem("E-EG-CONFLICT").at.resource.name == "b"


@pytest.mark.parametrize(
    ("policy", "codes"),
    [
        ("loadBalancer: {simple: RANDOM}", ["E-EG-CONFLICT"]),
        ("tls: {mode: SIMPLE}", []),
        ("portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]", []),
        ("tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 443}, loadBalancer: {simple: RANDOM}}]",
         ["E-EG-CONFLICT"]),
    ],
)  # fmt: skip
def test_https_never_leaves_in_plain_text_because_a_rule_of_today_has_the_word(policy, codes):
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\n"
        f"spec: {{host: a.example, trafficPolicy: {{{policy}}}}}\n"
    )

    made = converted(out("a.example", (443, "https")), today)

    assert [code for code in made.codes if code.startswith("E-")] == codes


def test_c_eg_09_an_allow_list_that_is_none():
    config = (
        "---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
        "spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}\n"
    )

    made = converted(out("a.example", (80, "http"), name="a"), out("b.example", (80, "http"), name="b"), config)

    assert made.problem("N-ALLOW-ANY").severity == "warning"


def test_c_eg_02_without_capture_a_wildcard_is_looked_up_name_by_name():
    made = converted(out("*.a.example", (80, "http")))

    annotations = made.named("ServiceEntry", "out")["metadata"]["annotations"]
    assert json.loads(annotations["meshd.io/extras"]) == {"resolutionWithoutCapture": "DYNAMIC_DNS"}


# --- by the egress proxy --------------------------------------------------------------------------------------

PROXY = ", useEgressProxy: true"


def test_without_a_gateway_calls_would_be_lost():
    made = converted(out("a.example", (80, "http"), more=PROXY))

    assert "istio=egressgateway" in made.problem("E-EGRESS-NO-GATEWAY").message


def test_several_ports_have_a_way_each():
    text = out("a.example", (80, "http"), (443, "https"), more=PROXY)

    made = converted(text, GATEWAY)

    names = [route["name"] for route in made.spec("VirtualService", "out")["http"]]
    assert names == ["to-egress-proxy-80", "to-egress-proxy-443", "from-egress-proxy-80", "from-egress-proxy-443"]
    servers = made.spec("Gateway", "out-egress")["servers"]
    assert [(each["port"]["number"], each["port"]["protocol"]) for each in servers] == [(80, "HTTP"), (443, "HTTP")]
    assert [str(each) for each in loaded(text, GATEWAY).problems if each.is_error] == []


def test_a_wildcard_is_looked_up_at_the_gateway():
    text = out("*.a.example", (80, "http"), more=PROXY)

    made = converted(text, GATEWAY)

    assert entry(made)["resolution"] == "DYNAMIC_DNS"
    assert made.spec("Gateway", "out-egress")["servers"][0]["hosts"] == ["*.a.example"]
    assert [str(each) for each in loaded(text, GATEWAY).problems if each.is_error] == []


def test_what_a_rule_says_counts_once_on_the_way_to_the_gateway():
    made = converted(
        out("a.example", (80, "http"), more=PROXY), GATEWAY,
        a_rule("faulty", "destination: {service: a.example}, httpFault: {abort: {httpStatus: 500}}, "
               "match: {source: {name: nobody}, request: {headers: {uri: /a}}}, route: [{weight: 100}]"),
    )  # fmt: skip

    to, default, back = made.spec("VirtualService", "out")["http"]
    assert "fault" in to
    assert to["route"][0]["destination"]["host"] == "istio-egressgateway.istio-system.svc.cluster.local"
    assert "gateways" not in to["match"][0]  # else nobody would ask who calls (V-38)
    assert (default["name"], default["match"][0]["gateways"]) == ("to-egress-proxy", ["mesh"])
    assert back["match"] == [{"gateways": ["out-egress"], "port": 80}]
    assert back["route"] == [{"destination": {"host": "a.example", "port": {"number": 80}}}]


def test_connections_carry_their_address_to_the_gateway_in_a_header():
    text = out("192.0.2.0/24", (9000, "tcp"), more=PROXY)

    made = converted(text, GATEWAY)

    to, back = made.spec("VirtualService", "out")["tcp"]
    assert to["route"][0]["destination"]["subset"] == "egress-proxy-v2"
    assert back["route"][0]["destination"]["host"] == "out.default.egress.invalid"
    annotations = made.named("Gateway", "out-egress")["metadata"]["annotations"]
    assert json.loads(annotations["meshd.io/extras"]) == {"proxyProtocolPorts": [9000]}
    assert "L-EGRESS-TCP" in made.codes
    assert [str(each) for each in loaded(text, GATEWAY).problems if each.is_error] == []


def test_blocks_that_overlap_cannot_share_a_port_of_the_gateway():
    made = converted(
        out("192.0.2.0/24", (9000, "tcp"), more=PROXY, name="a"), out("192.0.2.7", (9000, "tcp"), more=PROXY, name="b"),
        GATEWAY,
    )  # fmt: skip

    assert "E-EG-OVERLAP" in made.codes
