"""ServiceEntry, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict

HTTP = "ports: [{number: 80, name: http, protocol: HTTP}]"


def entry(spec: str) -> list[str]:
    return verdict("ServiceEntry", f"{{{spec}}}")


@pytest.mark.spec("S-1")
@pytest.mark.parametrize(
    ("hosts", "problems"),
    [
        ("[a.shop, 'b.shop.', short]", []),
        ("['*.a.shop']", []),
        ("[]", ["E-VALUE hosts"]),
        ("null", ["E-REQUIRED hosts"]),
        ("['*']", ["E-VALUE hosts[0]"]),
        ("[10.0.0.1]", ["E-VALUE hosts[0]"]),
        ("[10.0.0.0/8]", ["E-VALUE hosts[0]"]),
        ("['2001:db8::1']", ["E-VALUE hosts[0]"]),
        ("[a_b.shop]", ["E-VALUE hosts[0]"]),
        ("['foo*']", ["E-VALUE hosts[0]"]),
        ("['*a.shop', '*-b.shop']", ["W-VALUE hosts[0]", "W-VALUE hosts[1]"]),
        (f"[{', '.join(f'h{number}.shop' for number in range(256))}]", []),
        (f"[{', '.join(f'h{number}.shop' for number in range(257))}]", ["E-VALUE hosts"]),
    ],
)
def test_hosts(hosts: str, problems: list[str]):
    assert entry(f"hosts: {hosts}, {HTTP}") == problems


@pytest.mark.spec("S-2")
@pytest.mark.parametrize(
    ("resolution", "addresses", "problems"),
    [
        ("STATIC", "10.0.0.0/8, 10.0.0.1", []),
        ("NONE", "'2001:db8::/32'", []),
        ("DNS", "10.0.0.1", []),
        ("DNS", "10.0.0.0/8", ["E-VALUE addresses[0]"]),
        ("DNS", "10.0.0.1/32", ["E-VALUE addresses[0]"]),
        ("DNS_ROUND_ROBIN", "10.0.0.1, 10.0.0.0/8", ["E-VALUE addresses[1]"]),
        ("STATIC", "1.2.3.4/99", ["E-VALUE addresses[0]"]),
        ("STATIC", "10.0.0.0/255.0.0.0", ["E-VALUE addresses[0]"]),
        ("STATIC", "a.shop", ["E-VALUE addresses[0]"]),
    ],
)
def test_addresses(resolution: str, addresses: str, problems: list[str]):
    assert entry(f"hosts: [a.shop], {HTTP}, addresses: [{addresses}], resolution: {resolution}") == problems


@pytest.mark.spec("S-3", "S-4", "S-5", "S-6")
@pytest.mark.parametrize(
    ("ports", "problems"),
    [
        ("", []),
        ("{number: 80, name: web}", ["W-PORT-PROTOCOL [0].protocol"]),
        ("{number: 80, name: http-web}, {number: 81, name: grpc-web}, {number: 82, name: tcp}", []),
        ("{number: 80, name: web, protocol: http2}", []),
        ("{number: 80, name: web, protocol: HTPP}", ["E-VALUE [0].protocol"]),
        ("{number: 80, name: web, protocol: HTTP_PROXY}", ["E-VALUE [0].protocol"]),
        ("{number: 53, name: dns, protocol: UDP}", ["W-UDP-IGNORED [0].protocol"]),
        ("{number: 53, name: udp-dns}", ["W-UDP-IGNORED [0].protocol"]),
        ("{number: 80, name: http}, {number: 80, name: http-b}", ["E-VALUE [1].number"]),
        ("{number: 80, name: http}, {number: 81, name: http}", ["E-VALUE [1].name"]),
        ("{number: 0, name: http}", ["E-VALUE [0].number"]),
        ("{number: 65536, name: http}", ["E-VALUE [0].number"]),
        ("{name: http}", ["E-REQUIRED [0].number"]),
        ("{number: 80}", ["E-REQUIRED [0].name"]),
        ("{number: 80, name: http_web, protocol: HTTP}", ["E-VALUE [0].name"]),
        ("{number: 80, name: '', protocol: HTTP}", ["E-VALUE [0].name"]),
        ("{number: 80, name: http, targetPort: 8080}", []),
        ("{number: 80, name: http, targetPort: 0}", []),
        ("{number: 80, name: http, targetPort: 70000}", ["E-VALUE [0].targetPort"]),
        ("null", ["E-TYPE [0]"]),
    ],
)
def test_ports(ports: str, problems: list[str]):
    found = entry(f"hosts: [a.shop], addresses: [10.0.0.1], ports: [{ports}]")

    assert [problem.replace(" ports", " ") for problem in found] == problems


@pytest.mark.spec("S-5")
@pytest.mark.parametrize(
    ("port", "problems"),
    [
        ("name: tcp", ["W-VALUE ports[0]"]),
        ("name: db, protocol: TCP", ["W-VALUE ports[0]"]),
        ("name: db", ["W-PORT-PROTOCOL ports[0].protocol", "W-VALUE ports[0]"]),
        ("name: db, protocol: MYSQL", []),
        ("name: http", []),
        ("name: tls, protocol: TLS", []),
    ],
)
def test_a_tcp_port_without_addresses_takes_the_port_for_itself(port: str, problems: list[str]):
    spec = f"hosts: [a.shop], ports: [{{number: 5432, {port}}}]"

    assert sorted(entry(spec)) == problems
    assert "W-VALUE ports[0]" not in entry(f"{spec}, addresses: [10.0.0.1]")


@pytest.mark.spec("S-7", "S-8", "S-12")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("location: MESH_INTERNAL, subjectAltNames: [spiffe://a/b]", []),
        ("location: INSIDE", ["E-VALUE location"]),
        ("resolution: DNS_SRV", ["E-VALUE resolution"]),
        ("resolution: dns", ["E-VALUE resolution"]),
        ("subjectAltNames: a", ["E-TYPE subjectAltNames"]),
    ],
)
def test_where_it_is_and_how_it_is_found(spec: str, problems: list[str]):
    assert entry(f"hosts: [a.shop], {HTTP}, {spec}") == problems


@pytest.mark.spec("S-9", "S-10")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {labels: {a: b}}", []),
        ("resolution: DNS, location: MESH_INTERNAL, workloadSelector: {labels: {a: b}}", []),
        ("resolution: STATIC, workloadSelector: {labels: {a: b}}", ["W-VALUE workloadSelector"]),
        ("location: MESH_INTERNAL, workloadSelector: {labels: {a: b}}", ["W-VALUE workloadSelector"]),
        ("resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {}", ["W-VALUE workloadSelector"]),
        ("resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {labels: {a: '*'}}",
         ["E-VALUE workloadSelector.labels.a"]),
        ("resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {labels: {'*': a}}",
         ["E-VALUE workloadSelector.labels.*"]),
        ("resolution: STATIC, location: MESH_INTERNAL, workloadSelector: {matchLabels: {a: b}}",
         ["E-FIELD workloadSelector.matchLabels"]),
        ("resolution: STATIC, endpoints: [{address: 10.0.0.1}], location: MESH_INTERNAL, workloadSelector: {}",
         ["E-ONEOF workloadSelector", "W-VALUE workloadSelector"]),
    ],
)  # fmt: skip
def test_selectors(spec: str, problems: list[str]):
    assert entry(f"hosts: [a.shop], {HTTP}, {spec}") == problems


@pytest.mark.spec("S-11")
@pytest.mark.parametrize(
    ("targets", "problems"),
    [
        ("'~'", []),
        ("foo, '.'", []),
        ("'~', shop", ["E-VALUE exportTo"]),
        ("'*', '.'", ["E-VALUE exportTo"]),
        ("default, '.'", ["E-VALUE exportTo"]),
    ],
)
def test_export(targets: str, problems: list[str]):
    assert entry(f"hosts: [a.shop], {HTTP}, exportTo: [{targets}]") == problems


@pytest.mark.spec("S-13")
@pytest.mark.parametrize(
    ("port", "problems"),
    [
        ("name: db, protocol: TCP", ["E-SE-TCP-MULTIHOST ports[0]"]),
        ("name: db, protocol: MONGO", ["E-SE-TCP-MULTIHOST ports[0]"]),
        ("name: http", ["E-SE-TCP-MULTIHOST ports[0]"]),  # Istio looks at the protocol alone
        ("name: db, protocol: GRPC", []),
        ("name: db, protocol: https", []),
    ],
)
def test_several_hosts_cannot_share_a_port_that_says_no_host(port: str, problems: list[str]):
    def several(resolution: str) -> list[str]:
        hosts = f"hosts: [a.shop, b.shop], addresses: [10.0.0.1], resolution: {resolution}"
        return entry(f"{hosts}, ports: [{{number: 80, {port}}}]")

    assert several("STATIC") == problems
    assert several("NONE") == []


@pytest.mark.spec("S-13")
def test_several_hosts_that_share_a_tls_port_and_addresses_are_doubtful():
    tls = "hosts: [a.shop, b.shop], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS"

    assert entry(tls) == []
    assert entry(tls + ", addresses: [10.0.0.1]") == ["W-VALUE ports[0]"]


@pytest.mark.spec("S-8", "S-9", "W-1", "W-2")
@pytest.mark.parametrize(
    ("resolution", "endpoint", "problems"),
    [
        ("STATIC", "address: 10.0.0.1, ports: {http: 8080}", []),
        ("STATIC", "address: 10.0.0.1, ports: {htpp: 8080}", ["E-VALUE [0].ports.htpp"]),
        ("STATIC", "address: 10.0.0.1, ports: {http: 0}", ["E-VALUE [0].ports.http"]),
        ("STATIC", "address: b.shop", ["E-VALUE [0].address"]),
        ("STATIC", "address: unix:///run/a.sock", []),
        ("STATIC", "address: unix://@a", []),
        ("STATIC", "address: unix:///run/a.sock, ports: {http: 1}", ["E-VALUE [0].ports"]),
        ("STATIC", "address: ''", ["E-REQUIRED [0].address"]),
        ("STATIC", "network: n1", ["W-VALUE [0].address"]),
        ("STATIC", "address: 10.0.0.300", ["E-VALUE [0].address"]),
        ("STATIC", "address: 10.0.0.1, serviceAccount: a, labels: {security.istio.io/tlsMode: istio}", []),
        ("DNS", "address: b.shop", []),
        ("DNS", "address: _http._tcp.shop", []),
        ("DNS", "address: _http._tcp.shop, ports: {http: 81}", ["W-VALUE [0].ports"]),
        ("STATIC", "address: _http._tcp.shop", ["E-VALUE [0].address"]),
        ("DNS", "address: 10.0.0.1", []),
        ("DNS", "address: unix:///run/a.sock", ["E-VALUE [0].address"]),
        ("DNS", "network: n1", ["W-VALUE [0].address", "E-VALUE [0].address"]),
        ("NONE", "address: 10.0.0.1", ["E-VALUE "]),
        ("DNS_ROUND_ROBIN", "address: b.shop", []),
        ("DNS_ROUND_ROBIN", "address: b.shop}, {address: c.shop", ["E-VALUE "]),
        ("DYNAMIC_DNS", "address: 10.0.0.1", ["E-VALUE "]),
    ],
)
def test_endpoints(resolution: str, endpoint: str, problems: list[str]):
    host = "'*.a.shop'" if resolution == "DYNAMIC_DNS" else "a.shop"
    found = entry(f"hosts: [{host}], {HTTP}, resolution: {resolution}, endpoints: [{{{endpoint}}}]")

    assert sorted(problem.replace(" endpoints", " ") for problem in found) == sorted(problems)


@pytest.mark.spec("S-8")
def test_records_say_one_port_so_calls_to_all_ports_would_go_there():
    ports = "ports: [{number: 80, name: http}, {number: 81, name: http-b}]"

    assert entry(f"hosts: [a.shop], {ports}, resolution: DNS, endpoints: [{{address: _http._tcp.shop}}]") == [
        "W-VALUE endpoints[0].address"
    ]


@pytest.mark.spec("S-1")
def test_no_host_is_called_like_a_service_with_records():
    assert entry(f"hosts: [_http._tcp.shop.example], {HTTP}, resolution: DNS") == ["E-VALUE hosts[0]"]


@pytest.mark.spec("S-9")
def test_a_unix_address_serves_one_port():
    ports = "ports: [{number: 80, name: http}, {number: 81, name: http-b}]"

    assert entry(f"hosts: [a.shop], {ports}, resolution: STATIC, endpoints: [{{address: unix://@a}}]") == [
        "E-VALUE endpoints[0].address"
    ]


@pytest.mark.spec("S-1", "S-8")
@pytest.mark.parametrize(
    ("resolution", "problems"),
    [("STATIC", []), ("DNS", ["E-VALUE hosts[0]"]), ("DNS_ROUND_ROBIN", ["E-VALUE hosts[0]"]), ("DYNAMIC_DNS", [])],
)
def test_a_wildcard_cannot_be_looked_up_without_endpoints(resolution: str, problems: list[str]):
    spec = f"hosts: ['*.a.shop'], {HTTP}, location: MESH_INTERNAL, resolution: {resolution}"

    assert entry(spec) == problems
    if problems:
        assert entry(f"{spec}, endpoints: [{{address: b.shop}}]") == []
        assert entry(f"{spec}, workloadSelector: {{labels: {{a: b}}}}") == problems


@pytest.mark.spec("S-8")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"hosts: ['*.a.shop'], {HTTP}", []),
        (f"hosts: ['*a.shop'], {HTTP}", []),
        (f"hosts: [a.shop, '*.b.shop'], {HTTP}", ["E-VALUE hosts[0]"]),
        (f"hosts: ['*.a.shop'], {HTTP}, addresses: [10.0.0.1]", ["E-VALUE addresses"]),
        ("hosts: ['*.a.shop'], ports: [{number: 443, name: tls, protocol: TLS}, {number: 81, name: grpc}]", []),
        ("hosts: ['*.a.shop'], ports: [{number: 1, name: tcp}, {number: 443, name: https}]",
         ["E-VALUE ports[0].protocol", "E-VALUE ports[1].protocol"]),
        (f"hosts: ['*.a.shop'], {HTTP}, location: MESH_INTERNAL, workloadSelector: {{labels: {{a: b}}}}",
         ["W-VALUE workloadSelector"]),
    ],
)  # fmt: skip
def test_dynamic_dns(spec: str, problems: list[str]):
    assert entry(f"{spec}, resolution: DYNAMIC_DNS") == problems
