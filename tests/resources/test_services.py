"""ServiceEntry and WorkloadEntry."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict

HTTP = "ports: [{number: 80, name: http}]"


def entry(spec: str) -> list[str]:
    return verdict("ServiceEntry", f"{{{spec}}}")


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"hosts: [a.shop], {HTTP}", []),
        ("hosts: [a.shop]", []),
        (f"hosts: [a.shop], {HTTP}, exportTo: ['~']", []),
        (f"hosts: [a.shop], {HTTP}, exportTo: ['~', shop]", ["E-VALUE exportTo"]),
        (f"hosts: ['*.a.shop'], {HTTP}, resolution: STATIC", []),
        (f"hosts: ['*a.shop'], {HTTP}, resolution: STATIC", ["W-VALUE hosts[0]"]),
        (f"hosts: ['*.a.shop'], {HTTP}, resolution: DNS", ["E-VALUE hosts[0]"]),
        (f"hosts: ['*.a.shop'], {HTTP}, resolution: DNS, endpoints: [{{address: a.shop}}]", []),
        (f"hosts: [a.shop], {HTTP}, resolution: DYNAMIC_DNS", ["E-UNSUPPORTED resolution"]),
        (f"hosts: [a.shop], {HTTP}, addresses: [10.0.0.0/8], resolution: STATIC", []),
        (f"hosts: [a.shop], {HTTP}, addresses: [10.0.0.1, 10.0.0.1/32], resolution: DNS", []),
        (f"hosts: [a.shop], {HTTP}, addresses: [10.0.0.0/8], resolution: DNS", ["E-VALUE addresses[0]"]),
        (f"hosts: [a.shop], {HTTP}, resolution: DNS, location: MESH_INTERNAL, workloadSelector: {{labels: {{a: b}}}}",
         []),
        (f"hosts: [a.shop], {HTTP}, resolution: STATIC, workloadSelector: {{labels: {{a: b}}}}",
         ["W-VALUE workloadSelector"]),
        (f"hosts: [a.shop], {HTTP}, location: MESH_INTERNAL, workloadSelector: {{labels: {{a: b}}}}",
         ["W-VALUE workloadSelector"]),
        (f"hosts: [a.shop], {HTTP}, resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {{}}",
         ["W-VALUE workloadSelector"]),
        ((f"hosts: [a.shop], {HTTP}, resolution: STATIC, location: MESH_INTERNAL, "
         "workloadSelector: {labels: {a: b}}, endpoints: [{address: 10.0.0.1}]"), ["E-ONEOF workloadSelector"]),
    ],
)  # fmt: skip
def test_hosts_addresses_and_selector(spec: str, problems: list[str]):
    assert entry(spec) == problems


@pytest.mark.parametrize(
    ("ports", "problems"),
    [
        ("{number: 80, name: web}", ["W-PORT-PROTOCOL [0].protocol"]),
        ("{number: 80, name: http-web}, {number: 81, name: grpc-web}, {number: 82, name: tcp}", []),
        ("{number: 80, name: web, protocol: http2}", []),
        ("{number: 80, name: web, protocol: HTPP}", ["E-VALUE [0].protocol"]),
        ("{number: 80, name: dns, protocol: UDP}", ["W-UDP-IGNORED [0].protocol"]),
        ("{number: 80, name: http}, {number: 80, name: http-b}", ["E-VALUE [1].number"]),
        ("{number: 80, name: http}, {number: 81, name: http}", ["E-VALUE [1].name"]),
    ],
)
def test_ports(ports: str, problems: list[str]):
    assert [each.replace(" ports", " ") for each in entry(f"hosts: [a.shop], ports: [{ports}]")] == problems


def test_several_hosts_cannot_share_a_tcp_port():
    several = "hosts: [a.shop, b.shop], ports: [{number: 80, name: tcp}], resolution: "

    assert entry(several + "STATIC") == ["E-SE-TCP-MULTIHOST ports[0]"]
    assert entry(several + "NONE") == []


def test_several_hosts_that_share_a_tls_port_and_addresses_are_doubtful():
    tls = "hosts: [a.shop, b.shop], ports: [{number: 443, name: tls}], resolution: DNS"

    assert entry(tls) == []
    assert entry(tls + ", addresses: [10.0.0.1]") == ["W-VALUE ports[0]"]


@pytest.mark.parametrize(
    ("resolution", "endpoint", "problems"),
    [
        ("STATIC", "address: 10.0.0.1, ports: {http: 8080}", []),
        ("STATIC", "address: 10.0.0.1, ports: {htpp: 8080}", ["E-VALUE [0].ports.htpp"]),
        ("STATIC", "address: b.shop", ["E-VALUE [0].address"]),
        ("STATIC", "address: unix:///run/a.sock", []),
        ("STATIC", "address: unix://@a", []),
        ("STATIC", "address: unix:///run/a.sock, ports: {http: 1}", ["E-VALUE [0].ports"]),
        ("STATIC", "address: unix:///run/", ["E-VALUE [0].address"]),
        ("STATIC", "address: unix://run", ["E-VALUE [0].address"]),
        ("STATIC", "address: unix://@", ["E-VALUE [0].address"]),
        ("STATIC", f"address: unix:///{'x' * 107}", ["E-VALUE [0].address"]),
        ("STATIC", "address: ''", ["E-VALUE [0].address"]),
        ("STATIC", "address: 10.0.0.300", ["E-VALUE [0].address"]),
        ("STATIC", "address: 10.0.0.1, locality: a/b/c/d", ["E-VALUE [0].locality"]),
        ("STATIC", "address: 10.0.0.1, locality: a/b", []),
        ("STATIC", "address: 10.0.0.1, network: n1", ["E-UNSUPPORTED [0].network"]),
        ("STATIC", "address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}",
         ["E-UNSUPPORTED [0].labels.security.istio.io/tlsMode"]),
        ("DNS", "address: b.shop", []),
        ("DNS", "address: unix:///run/a.sock", ["E-VALUE [0].address"]),
        ("NONE", "address: 10.0.0.1", ["E-VALUE "]),
        ("DNS_ROUND_ROBIN", "address: b.shop", []),
        ("DNS_ROUND_ROBIN", "address: b.shop}, {address: c.shop", ["E-VALUE "]),
    ],
)  # fmt: skip
def test_endpoints(resolution: str, endpoint: str, problems: list[str]):
    found = entry(f"hosts: [a.shop], {HTTP}, resolution: {resolution}, endpoints: [{{{endpoint}}}]")

    assert [problem.replace(" endpoints", " ") for problem in found] == problems


def test_a_unix_address_serves_one_port():
    ports = "ports: [{number: 80, name: http}, {number: 81, name: http-b}]"

    assert entry(f"hosts: [a.shop], {ports}, resolution: STATIC, endpoints: [{{address: unix://@a}}]") == [
        "E-VALUE endpoints[0].address"
    ]


def test_a_workload_of_the_mesh_mtls_is_refused_by_its_metadata_too():
    labels = "name: vm, labels: {security.istio.io/tlsMode: istio}"

    assert verdict("WorkloadEntry", "address: 10.0.0.1", labels) == [
        "E-UNSUPPORTED metadata.labels.security.istio.io/tlsMode"
    ]
