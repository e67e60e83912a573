"""EgressRules: what is outside, TLS that is opened for the application, and the way by the egress proxy (C-EG)."""

from __future__ import annotations

import json

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.show import to_yaml as envoy_yaml
from meshd.memo import Memo
from meshd.names import HostName
from tests.convert.conftest import (
    a_policy,
    a_rule,
    a_service,
    a_workload,
    an_egress_rule,
    an_ingress_rule,
    converted,
    loaded,
)

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


@pytest.mark.spec("E-EG-OVERLAP")
@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (("192.0.2.0/24", 9000), ("192.0.2.7", 9000), True),
        (("192.0.2.7", 9000), ("192.0.2.0/25", 9000), True),
        (("192.0.2.0/25", 9000), ("192.0.2.128/25", 9000), False),
        (("192.0.2.0/24", 9000), ("192.0.2.7", 443), False),
        (("2001:db8::/32", 9000), ("2001:db8::1", 9000), True),
        (("0.0.0.0/0", 9000), ("2001:db8::1", 9000), False),
    ],
)
def test_what_overlaps_at_the_gateway(one: tuple[str, int], other: tuple[str, int], overlap: bool):
    texts = (
        out(text, (number, "tcp"), more=PROXY, name=name)
        for name, (text, number) in (("a", one), ("b", other))
    )  # fmt: skip

    made = converted(*texts, GATEWAY)

    assert ("E-EG-OVERLAP" in made.codes) is overlap


@pytest.mark.spec("C-EG-10")
def test_at_a_sidecar_all_that_is_for_the_address_goes_to_the_gateway():
    """Were the block said again, a port that a Sidecar binds would let connections past the gateway."""
    made = converted(out("192.0.2.0/24", (9000, "tcp"), more=PROXY), GATEWAY)

    to, back = made.spec("VirtualService", "out")["tcp"]
    assert to["match"] == [{"gateways": ["mesh"], "port": 9000}]
    assert back["match"] == [{"gateways": ["out-egress"], "port": 9000, "destinationSubnets": ["192.0.2.0/24"]}]


CHAOS = "destination: {service: 192.0.2.7}, match: {tcp: {%s}}, l4Fault: {terminate: {percent: 5.0}}"
CUT = {"l4Fault": {"terminate": {"percent": 5.0}}}


@pytest.mark.spec("C-EG-07", "C-TCP-01", "C-TCP-06", "ER-03", "L-L4FAULT")
def test_rules_of_connections_count_outside_too():
    made = converted(
        out("192.0.2.7", (9000, "tcp"), (80, "http")),
        a_rule("chaos", CHAOS % "sourceSubnet: [10.0.0.0/8], destinationSubnet: [192.0.2.0/29]"),
    )

    to = [{"destination": {"host": "out.default.egress.invalid"}}]
    match = {"sourceSubnet": "10.0.0.0/8", "destinationSubnets": ["192.0.2.0/29"]}
    made_of_it = made.named("VirtualService", "out")
    assert made_of_it["spec"]["tcp"] == [{"match": [match], "route": to}]
    assert [route["name"] for route in made_of_it["spec"]["http"]] == ["meshd-default"]
    assert json.loads(made_of_it["metadata"]["annotations"]["meshd.io/extras"])["tcp"] == {"0": CUT}
    assert "L-L4FAULT" in made.codes


@pytest.mark.spec("C-EG-07", "C-EG-10")
def test_by_the_egress_proxy_rules_of_connections_count_once_at_the_sidecar():
    made = converted(
        out("192.0.2.7", (9000, "tcp"), (443, "tcp"), more=PROXY),
        a_rule("chaos", CHAOS % "sourceSubnet: [10.0.0.0/8]"),
        GATEWAY.replace("name: http-443, protocol: HTTP", "name: tcp-443, protocol: TCP"),
    )

    found = made.named("VirtualService", "out")
    tcp = found["spec"]["tcp"]
    ruled = {"gateways": ["mesh"], "sourceSubnet": "10.0.0.0/8"}
    assert [each["match"] for each in tcp[:2]] == [[{**ruled, "port": 443}], [{**ruled, "port": 9000}]]
    assert [each["route"] for each in tcp[:2]] == [each["route"] for each in tcp[2:4]]
    assert json.loads(found["metadata"]["annotations"]["meshd.io/extras"])["tcp"] == {"0": CUT, "1": CUT}


HOP = "istio-egressgateway-istio-system-svc-cluster-local-egress"


def subsets(made):
    found = made.spec("DestinationRule", HOP, "istio-system")["subsets"]
    return {each["name"]: each["trafficPolicy"] for each in found}


@pytest.mark.spec("C-EG-10", "X-10")
def test_all_rules_have_one_subset_for_connections():
    made = converted(
        out("192.0.2.0/24", (9000, "tcp"), more=PROXY, name="a"),
        out("198.51.100.0/24", (9000, "mongo"), more=PROXY, name="b"), GATEWAY,
    )  # fmt: skip

    assert subsets(made) == {"egress-proxy-v2": {"proxyProtocol": {"version": "V2"}}}
    assert "W-DR-DUP-SUBSET" not in made.codes


@pytest.mark.spec("ERP-06", "ERP-07")
@pytest.mark.parametrize("protocol", ["http2", "grpc"])
def test_http2_asks_for_itself_where_the_port_of_the_gateway_does_not(protocol: str):
    text = out("a.example", (80, protocol), more=PROXY)

    plain = converted(text, GATEWAY)
    spoken = converted(text, GATEWAY.replace("{number: 80, name: http, protocol: HTTP}", "{number: 80, name: grpc}"))

    (to, _) = plain.spec("VirtualService", "out")["http"]
    assert to["route"][0]["destination"]["subset"] == "egress-proxy-h2"
    assert subsets(plain) == {"egress-proxy-h2": {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}}}}
    (to, _) = spoken.spec("VirtualService", "out")["http"]
    assert "subset" not in to["route"][0]["destination"]


# --- in TLS of the mesh ---------------------------------------------------------------------------------------

MEMBER = GATEWAY.replace("{istio: egressgateway}", "{istio: egressgateway}, serviceAccount: egress", 1)


def settings(text):
    return f"---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {{name: mesh}}\nspec: {{{text}}}\n"


@pytest.mark.spec("Q-06", "X-7", "C-EG-10")
def test_the_hop_is_tls_of_the_mesh_where_the_gateways_have_an_identity():
    text = out("a.example", (80, "http"), (81, "grpc"), more=PROXY)

    made = converted(text, MEMBER)

    first, second = made.spec("Gateway", "out-egress")["servers"]
    assert first["port"] == {"number": 80, "protocol": "HTTPS", "name": "https-80"}
    assert (first["hosts"], first["tls"]) == (["a.example"], {"mode": "ISTIO_MUTUAL"})
    assert second["port"]["protocol"] == "HTTPS"
    tls = {"tls": {"mode": "ISTIO_MUTUAL", "sni": "a.example"}}
    http2 = {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE"}}}
    assert subsets(made) == {"a-example": tls, "a-example-H2": {**http2, **tls}}
    assert made.spec("VirtualService", "out")["http"][0]["route"][0]["destination"]["subset"] == "a-example"


@pytest.mark.spec("Q-06", "X-7", "X-10")
def test_behind_the_proxy_header_there_may_be_tls_of_the_mesh():
    made = converted(out("192.0.2.0/24", (9000, "tcp"), more=PROXY), MEMBER)

    (server,) = made.spec("Gateway", "out-egress")["servers"]
    assert server["port"]["protocol"] == "TLS"
    assert server["hosts"] == ["out.default.egress.invalid"]
    (policy,) = subsets(made).values()
    assert policy == {
        "tls": {"mode": "ISTIO_MUTUAL", "sni": "out.default.egress.invalid"},
        "proxyProtocol": {"version": "V2"},
    }
    assert made.spec("Gateway", "out-egress")["servers"][0]["tls"] == {"mode": "ISTIO_MUTUAL"}


@pytest.mark.spec("Q-06")
@pytest.mark.parametrize(
    ("gateway", "config", "mutual"),
    [
        (GATEWAY, "", False),
        (MEMBER, "", True),
        (MEMBER, "autoMtls: false", False),
        (MEMBER, "egressGateway: {mtls: false}", False),
        (GATEWAY, "egressGateway: {mtls: true}", True),
        (MEMBER + a_workload("egress-2", "istio: egressgateway", "10.0.0.2", namespace="istio-system"), "", False),
    ],
)
def test_the_mesh_may_say_whether_the_hop_is_tls(gateway: str, config: str, mutual: bool):
    made = converted(out("a.example", (80, "http"), more=PROXY), gateway, settings(config) if config else "")

    (server,) = made.spec("Gateway", "out-egress")["servers"]
    assert ("tls" in server) is mutual


OPENS_TLS = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mine, namespace: istio-system}
spec: {host: istio-egressgateway, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
"""


@pytest.mark.spec("Q-06")
@pytest.mark.parametrize(
    "more",
    [
        settings("egressGateway: {mtls: false}"),
        OPENS_TLS,
    ],
)
def test_a_hop_in_plain_text_is_in_plain_text_whoever_would_open_tls(more: str):
    gateway = MEMBER if "mtls" in more else GATEWAY

    made = converted(out("a.example", (80, "http"), more=PROXY), gateway, more)

    assert subsets(made) == {"egress-proxy": {"tls": {"mode": "DISABLE"}}}
    assert made.spec("VirtualService", "out")["http"][0]["route"][0]["destination"]["subset"] == "egress-proxy"


@pytest.mark.spec("C-EG-11", "X-7")
@pytest.mark.parametrize(
    ("host", "server", "sni", "subset"),
    [
        ("*.a.example", "*.a.example", "any.a.example", "ANY-a-example"),
        ("*-b.a.example", "*.a.example", "any-b.a.example", "ANY--b-a-example"),
        ("*a.example", "*.example", "anya.example", "ANYa-example"),
        ("a-b.example", "a-b.example", "a-b.example", "a--b-example"),
    ],
)
def test_names_of_the_hop(host: str, server: str, sni: str, subset: str):
    text = out(host, (80, "http"), more=PROXY)

    made = converted(text, MEMBER)

    assert made.spec("Gateway", "out-egress")["servers"][0]["hosts"] == [server]
    assert subsets(made) == {subset: {"tls": {"mode": "ISTIO_MUTUAL", "sni": sni}}}
    assert [str(each) for each in loaded(text, MEMBER).problems if each.is_error] == []


def test_names_that_are_too_long_for_a_subset_are_cut_and_told_apart():
    hosts = [f"{'a' * 50}.{name}.{'b' * 20}.example" for name in ("one", "two")]
    texts = [out(host, (80, "grpc"), more=PROXY, name=f"r{number}") for number, host in enumerate(hosts)]

    made = converted(*texts, MEMBER)

    names = list(subsets(made))
    assert len(set(names)) == 2
    assert all(len(name) <= 63 and name.endswith("-H2") for name in names)


@pytest.mark.spec("Q-06")
def test_who_called_stays_within_the_mesh():
    made = converted(out("a.example", (80, "http"), more=PROXY), MEMBER)

    back = made.spec("VirtualService", "out")["http"][-1]
    assert back["headers"] == {"request": {"remove": ["x-forwarded-client-cert"]}}


# --- what rules say, on the way to the gateway -----------------------------------------------------------------


def asking(path, more):
    return a_rule(path[1:], "destination: {service: a.example}, match: {request: {headers: {uri: "
                  f"{path}}}}}}}, {more}")  # fmt: skip


@pytest.mark.spec("C-EG-10", "C-EG-07")
def test_the_gateway_has_the_patience_of_the_most_patient_rule():
    slow = asking("/slow", "httpReqTimeout: {simpleTimeout: {timeout: 60s}}")

    made = converted(out("a.example", (80, "http"), more=PROXY), slow, GATEWAY)

    routes = made.spec("VirtualService", "out")["http"]
    assert [each["timeout"] for each in routes] == ["1m", "15s", "1m"]
    assert routes[-1]["name"] == "from-egress-proxy"


@pytest.mark.spec("C-EG-10", "C-EG-07")
def test_a_rewritten_authority_travels_in_a_header_since_the_gateway_goes_by_the_name():
    renamed = asking("/a", "rewrite: {uri: /b, authority: b.example}")

    made = converted(out("a.example", (80, "http"), more=PROXY), renamed, GATEWAY)

    to, _, back, plain = made.spec("VirtualService", "out")["http"]
    header = "x-meshd-egress-authority"
    assert to["rewrite"] == {"uri": "/b"}
    assert to["route"][0]["headers"] == {"request": {"set": {header: "b.example"}}}
    assert back["match"][0]["headers"] == {header: {"exact": "b.example"}}
    assert (back["rewrite"], back["headers"]) == ({"authority": "b.example"}, {"request": {"remove": [header]}})
    assert "rewrite" not in plain


@pytest.mark.spec("C-EG-10", "C-EG-02")
@pytest.mark.parametrize(
    ("address", "port", "literal"),
    [
        ("192.0.2.1", (80, "http"), "192.0.2.1"),
        ("192.0.2.1", (443, "https"), "192.0.2.1"),
        ("192.0.2.1", (81, "http"), "192.0.2.1:81"),
        ("2001:db8::1", (80, "http"), "[2001:db8::1]"),
        ("2001:db8::1", (443, "http"), "[2001:db8::1]:443"),
    ],
)
def test_requests_to_an_address_have_its_name_up_to_the_gateway(address: str, port: tuple[int, str], literal: str):
    made = converted(out(address, port, more=PROXY), GATEWAY)

    to, back = made.spec("VirtualService", "out")["http"]
    assert to["route"][0]["headers"] == {"request": {"set": {"host": "out.default.egress.invalid"}}}
    assert back["rewrite"] == {"authority": literal}


@pytest.mark.spec("C-EG-07", "C-EG-10")
def test_a_share_that_stays_in_the_mesh_stays_there_and_keeps_its_authority():
    inside = a_service("cache.default.svc.cluster.local")
    shares = "route: [{destination: {service: 192.0.2.1}, weight: 90}, {destination: {name: cache}, weight: 10}]"
    rule = a_rule("r", f"destination: {{service: 192.0.2.1}}, {shares}, rewrite: {{authority: b.example}}")

    made = converted(out("192.0.2.1", (80, "http"), more=PROXY), rule, GATEWAY, inside)

    outside, cache = made.spec("VirtualService", "out")["http"][0]["route"]
    assert outside["destination"]["host"].startswith("istio-egressgateway")
    assert cache["destination"] == {"host": "cache.default.svc.cluster.local"}
    assert cache["headers"] == {"request": {"set": {"host": "b.example"}}}


@pytest.mark.spec("C-EG-10", "ER-17")
def test_copies_leave_by_the_gateway_too():
    rule = a_rule("r", "destination: {service: a.example}, mirror: {service: a.example}, route: [{weight: 100}]")

    made = converted(out("a.example", (80, "http"), more=PROXY), rule, GATEWAY)

    assert made.spec("VirtualService", "out")["http"][0]["mirror"]["host"].startswith("istio-egressgateway")


A_SHARE = "{destination: {service: a.example}, weight: 1}"
B_SHARE = "{destination: {service: b.example}, weight: 99}"


@pytest.mark.spec("E-EG-PAST-PROXY", "ER-17")
@pytest.mark.parametrize(
    "text",
    [
        a_rule("r", "destination: {name: web}, route: [{destination: {service: a.example}, weight: 100}]"),
        a_rule("r", "destination: {name: web}, mirror: {service: a.example}, route: [{weight: 100}]"),
        a_rule("r", f"destination: {{service: b.example}}, route: [{A_SHARE}, {B_SHARE}]"),
        an_ingress_rule("r", "port: 80, destination: {service: a.example}"),
    ],
)  # fmt: skip
def test_nothing_goes_past_the_gateway(text: str):
    web = a_service("web.default.svc.cluster.local")
    proxied = out("a.example", (80, "http"), more=PROXY), out("b.example", (80, "http"), more=PROXY, name="b")

    made = converted(*proxied, text, web, GATEWAY)

    assert made.problem("E-EG-PAST-PROXY").at.resource.name == "r"


@pytest.mark.spec("C-GEN-05", "C-EG-10")
def test_where_a_virtual_service_of_today_has_the_word_the_gateway_still_knows_the_way():
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: mine}\n"
        "spec: {hosts: [a.example], http: [{route: [{destination: {host: istio-egressgateway.istio-system.svc."
        "cluster.local, port: {number: 80}}}]}]}\n"
    )
    text = out("a.example", (80, "http"), more=PROXY)

    made = converted(text, today, GATEWAY)

    spec = made.spec("VirtualService", "out")
    assert (spec["gateways"], [each["name"] for each in spec["http"]]) == (["out-egress"], ["from-egress-proxy"])
    assert [str(each) for each in loaded(text, today, GATEWAY).problems if each.is_error] == []


@pytest.mark.spec("C-EG-10")
def test_a_port_that_the_gateway_has_not_is_told_at_the_rule():
    problems = loaded(out("a.example", (8080, "http"), more=PROXY), GATEWAY).problems

    (problem,) = (each for each in problems if each.is_error)
    assert problem.at.resource.kind == "EgressRule"
    assert "has no port 8080" in problem.message


@pytest.mark.spec("C-GEN-02", "C-EG-10")
@pytest.mark.parametrize("gateway", [GATEWAY, MEMBER])
def test_what_is_printed_leads_the_same_way(gateway: str):
    """Round trip: the extras of the Gateway are part of it."""
    texts = (out("192.0.2.0/24", (9000, "tcp"), more=PROXY), out("a.example", (80, "http"), more=PROXY, name="b"))

    made = converted(*texts, gateway)

    assert plans_of(loaded(*texts, gateway)) == plans_of(loaded(made.text, gateway))


def plans_of(found):
    assert found.mesh is not None, [str(each) for each in found.problems]
    memo = Memo()
    plans = compile_plan(found.mesh, HostName("egress-1"), Reach(), memo).plans
    return [envoy_yaml(render(plan, memo), assignments(plan, {}, memo)) for plan in plans]
