"""Sidecar: its listeners, in and out, and what it imports, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import told, verdict

PAIR = "serverCertificate: s.crt, privateKey: s.key"


def egress(*listeners: str) -> list[str]:
    found = verdict(
        "Sidecar", f"{{egress: [{', '.join(f'{{{each}}}' for each in listeners)}]}}", "name: a, namespace: shop"
    )
    return [problem.replace(" egress", " ") for problem in found]


def ingress(*listeners: str) -> list[str]:
    found = verdict("Sidecar", f"{{ingress: [{', '.join(f'{{{each}}}' for each in listeners)}]}}")
    return [problem.replace(" ingress", " ") for problem in found]


# --- the whole ------------------------------------------------------------------------------------------------


@pytest.mark.spec("SC-1")
@pytest.mark.parametrize(
    ("selector", "problems"),
    [
        ("{labels: {app: reviews, version: ''}}", []),
        ("{}", ["W-VALUE workloadSelector"]),
        ("{labels: {}}", ["W-VALUE workloadSelector"]),
        ("{labels: {'': a}}", ["E-VALUE workloadSelector.labels."]),
        ("{labels: {'a*': b}}", ["E-VALUE workloadSelector.labels.a*"]),
        ("{labels: {a: 'b*'}}", ["E-VALUE workloadSelector.labels.a"]),
        ("{labels: {a: 1}}", ["E-TYPE workloadSelector.labels.a"]),
        ("{labels: {a: null}}", ["E-TYPE workloadSelector.labels.a"]),
        ("{labels: {'a b': c}}", ["W-VALUE workloadSelector.labels.a b"]),
        ("{labels: {a: 'b c'}}", ["W-VALUE workloadSelector.labels.a"]),
        (f"{{labels: {{{', '.join(f'k{each}: v' for each in range(256))}}}}}", []),
        (f"{{labels: {{{', '.join(f'k{each}: v' for each in range(257))}}}}}", ["E-VALUE workloadSelector.labels"]),
    ],
)
def test_which_hosts_a_sidecar_is_for(selector: str, problems: list[str]):
    assert verdict("Sidecar", f"{{workloadSelector: {selector}, egress: [{{hosts: ['./*']}}]}}") == problems


@pytest.mark.spec("SC-3")
def test_a_sidecar_says_something():
    assert verdict("Sidecar", "{}") == ["E-REQUIRED spec"]
    assert verdict("Sidecar", "{ingress: [], egress: []}") == ["E-REQUIRED spec"]
    assert verdict("Sidecar", "workloadSelector: {labels: {a: b}}") == ["E-REQUIRED spec"]
    assert verdict("Sidecar", "outboundTrafficPolicy: {}") == []
    assert verdict("Sidecar", "inboundConnectionPool: {tcp: {maxConnections: 1}}") == []
    assert verdict("Sidecar", "ingress: [{port: {number: 80, protocol: HTTP}}]") == []


@pytest.mark.spec("SC-14", "SC-15")
@pytest.mark.parametrize(
    ("policy", "problems"),
    [
        ("mode: REGISTRY_ONLY", []),
        ("mode: ALLOW_ANY", []),
        ("mode: ALLOW_ANY_DYNAMIC_DNS", ["E-VALUE mode"]),
        ("mode: ALLOW_ANY, egressProxy: {host: egress.shop.example, port: {number: 80}}", []),
        ("mode: ALLOW_ANY, egressProxy: {host: egress, subset: v1, port: {number: 80}}", []),
        ("mode: ALLOW_ANY, egressProxy: {host: egress.shop.example}", ["E-REQUIRED egressProxy.port"]),
        ("mode: ALLOW_ANY, egressProxy: {host: '*.example', port: {number: 80}}", ["E-VALUE egressProxy.host"]),
        ("mode: ALLOW_ANY, egressProxy: {port: {number: 80}}", ["E-REQUIRED egressProxy.host"]),
        ("egressProxy: {host: egress.shop.example, port: {number: 80}}", ["E-VALUE egressProxy"]),
        ("mode: REGISTRY_ONLY, egressProxy: {host: a.example, port: {number: 80}}", ["E-VALUE egressProxy"]),
    ],
)
def test_what_becomes_of_unknown_traffic(policy: str, problems: list[str]):
    found = verdict("Sidecar", f"outboundTrafficPolicy: {{{policy}}}")

    assert [problem.replace("outboundTrafficPolicy.", "") for problem in found] == problems


# --- ingress --------------------------------------------------------------------------------------------------


@pytest.mark.spec("SC-4")
@pytest.mark.parametrize(
    ("port", "problems"),
    [
        ("{number: 80, protocol: HTTP, name: Web-1}", []),
        ("{number: 80, protocol: grpc}", []),
        ("{number: 80, name: http-web}", []),
        ("{number: 80, protocol: HTTP, name: ''}", []),
        ("{number: 80}", ["W-PORT-PROTOCOL [0].port"]),
        ("{protocol: HTTP}", ["E-REQUIRED [0].port.number"]),
        ("{number: 0, protocol: HTTP}", ["E-REQUIRED [0].port.number"]),
        ("{number: 65536, protocol: HTTP}", ["E-VALUE [0].port.number"]),
        ("{number: 80, protocol: HTTP, name: a.b}", ["E-VALUE [0].port.name"]),
        ("{number: 80, protocol: UDP}", ["E-VALUE [0].port.protocol"]),
        ("{number: 80, protocol: FOO}", ["E-VALUE [0].port.protocol"]),
        ("{number: 80, protocol: HTTP_PROXY}", ["E-VALUE [0].port.protocol"]),
        ("{number: 80, protocol: HTTP, targetPort: 8080}", ["E-VALUE [0].port.targetPort"]),
        ("{number: 80, protocol: HTTP, targetPort: 0}", []),
    ],
)
def test_ports_of_ingress(port: str, problems: list[str]):
    assert ingress(f"port: {port}") == problems


@pytest.mark.spec("SC-4", "SC-5", "SC-6")
def test_each_ingress_listener_has_a_port_of_its_own():
    http = "port: {number: 80, protocol: HTTP}"

    assert ingress("") == ["E-REQUIRED [0].port"]
    assert ingress(http, "port: {number: 81, protocol: HTTP}, captureMode: IPTABLES") == []
    assert ingress(f"{http}, bind: 10.0.0.1", f"{http}, bind: 10.0.0.2") == ["E-VALUE [1].port.number"]
    assert ingress(f"{http}, bind: ''") == []
    assert ingress(f"{http}, bind: '::'") == []
    assert ingress(f"{http}, bind: unix:///run/a.sock") == ["E-VALUE [0].bind"]
    assert ingress(f"{http}, bind: localhost") == ["E-VALUE [0].bind"]
    assert ingress(f"{http}, captureMode: NFTABLES") == ["E-VALUE [0].captureMode"]


@pytest.mark.spec("SC-7")
@pytest.mark.parametrize(
    ("endpoint", "right"),
    [
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("0.0.0.0:8080", True),
        ("[::]:65535", True),
        (":1", True),
        ("", True),
        ("unix:///run/app.sock", True),
        ("unix://@app", True),
        ("10.0.0.1:8080", False),
        ("localhost:8080", False),
        ("::1:8080", False),
        ("127.0.0.1", False),
        ("127.0.0.1:", False),
        ("127.0.0.1:http", False),
        ("127.0.0.1:0", False),
        ("127.0.0.1:65536", False),
        (f":{'1' * 5000}", False),
        ("127.0.0.1:-1", False),
        ("unix://run/app.sock", False),
        ("unix:///run/", False),
    ],
)
def test_where_the_application_listens(endpoint: str, *, right: bool):
    found = ingress(f"port: {{number: 80, protocol: HTTP}}, defaultEndpoint: '{endpoint}'")

    assert found == ([] if right else ["E-VALUE [0].defaultEndpoint"])


@pytest.mark.spec("SC-8")
@pytest.mark.parametrize(
    ("protocol", "tls", "problems"),
    [
        ("HTTPS", f"mode: SIMPLE, {PAIR}", []),
        ("TLS", f"mode: MUTUAL, {PAIR}, caCertificates: ca", []),
        ("HTTPS", f"mode: OPTIONAL_MUTUAL, {PAIR}, caCertificates: ca", []),
        ("HTTPS", "mode: SIMPLE", ["E-REQUIRED tls.privateKey", "E-REQUIRED tls.serverCertificate"]),
        ("HTTP", f"mode: SIMPLE, {PAIR}", ["E-VALUE port.protocol"]),
        ("TCP", f"mode: SIMPLE, {PAIR}", ["E-VALUE port.protocol"]),
        ("HTTPS", "", ["W-VALUE tls"]),
        ("HTTPS", "mode: ISTIO_MUTUAL", ["E-VALUE tls.mode"]),
        ("HTTPS", "mode: AUTO_PASSTHROUGH", ["E-VALUE tls.mode"]),
        ("HTTPS", f"mode: MUTUAL, {PAIR}, caCertificates: ca, subjectAltNames: [a]", ["E-VALUE tls.subjectAltNames"]),
        ("HTTPS", f"mode: SIMPLE, {PAIR}, httpsRedirect: true", ["E-VALUE tls.httpsRedirect"]),
        ("HTTPS", "mode: SIMPLE, credentialName: a", ["E-VALUE tls.credentialName"]),
        ("HTTPS", "mode: SIMPLE, credentialNames: [a]", ["E-VALUE tls.credentialNames"]),
        ("HTTPS", f"mode: MUTUAL, {PAIR}, caCertCredentialName: a", ["E-VALUE tls.caCertCredentialName"]),
        ("HTTPS", "mode: SIMPLE, tlsCertificates: [{serverCertificate: a, privateKey: b}]",
         ["E-VALUE tls.tlsCertificates"]),
    ],
)  # fmt: skip
def test_tls_that_ends_at_ingress(protocol: str, tls: str, problems: list[str]):
    found = ingress(f"port: {{number: 443, protocol: {protocol}}}, tls: {{{tls}}}")

    assert [problem.replace("[0].", "") for problem in found] == problems


@pytest.mark.spec("SC-9")
@pytest.mark.parametrize(
    ("listener", "problems"),
    [
        ("port: {number: 80, protocol: HTTP}, connectionPool: {http: {maxRetries: 1}}", []),
        ("port: {number: 80, name: http}, connectionPool: {http: {maxRetries: 1}}", []),
        ("port: {number: 80, protocol: TCP}, connectionPool: {tcp: {maxConnections: 1}}", []),
        ("port: {number: 80, protocol: TCP}, connectionPool: {http: {maxRetries: 1}}",
         ["W-VALUE [0].connectionPool.http"]),
        ("port: {number: 80, protocol: HTTPS}, connectionPool: {http: {maxRetries: 1}}",
         ["W-VALUE [0].connectionPool.http"]),
        ((f"port: {{number: 80, protocol: HTTPS}}, tls: {{mode: SIMPLE, {PAIR}}}, "
         "connectionPool: {http: {maxRetries: 1}}"), []),
        ("port: {number: 80, protocol: HTTP}, connectionPool: {}", ["E-VALUE [0].connectionPool"]),
        ("port: {number: 80, protocol: HTTP}, connectionPool: {tcp: {maxConnections: -1}}",
         ["E-VALUE [0].connectionPool.tcp.maxConnections"]),
    ],
)  # fmt: skip
def test_connection_pools_of_ingress(listener: str, problems: list[str]):
    assert ingress(listener) == problems


@pytest.mark.spec("SC-9")
def test_the_connection_pool_of_all_ingress():
    assert verdict("Sidecar", "inboundConnectionPool: {}") == ["E-VALUE inboundConnectionPool"]
    assert verdict("Sidecar", "inboundConnectionPool: {http: {idleTimeout: 0s}}") == [
        "E-VALUE inboundConnectionPool.http.idleTimeout"
    ]


# --- egress ---------------------------------------------------------------------------------------------------

ALL = "hosts: ['./*']"
HTTP = f"port: {{number: 80, name: http}}, {ALL}"


@pytest.mark.spec("SC-10", "SC-11", "SC-12", "W-PORT-PROTOCOL")
@pytest.mark.parametrize(
    ("listeners", "problems"),
    [
        ([HTTP, ALL], []),
        ([ALL, HTTP], ["E-VALUE [0]"]),
        ([ALL, ALL], ["E-VALUE [0]"]),
        ([HTTP, HTTP], ["E-VALUE [1].port.number"]),
        ([f"{HTTP}, bind: 10.0.0.1", f"{HTTP}, bind: 10.0.0.2"], ["E-VALUE [1].port.number"]),
        ([f"port: {{number: 80, protocol: HTTP_PROXY}}, {ALL}"], []),
        ([f"port: {{number: 80, protocol: UDP}}, {ALL}"], ["E-VALUE [0].port.protocol"]),
        ([f"port: {{number: 80}}, {ALL}"], ["W-PORT-PROTOCOL [0].port"]),
        ([f"port: {{number: 80, protocol: HTTP, targetPort: 1}}, {ALL}"], ["E-VALUE [0].port.targetPort"]),
        ([f"port: {{number: 80, protocol: HTTP, name: a_b}}, {ALL}"], ["E-VALUE [0].port.name"]),
        ([f"port: {{number: 0, name: http}}, {ALL}"], ["E-VALUE [0].port.number"]),
        ([f"port: {{number: 0, name: http}}, bind: 'unix:///run/a.sock', {ALL}"], []),
        ([f"port: {{name: http}}, bind: 'unix://@a', {ALL}"], []),
        ([f"port: {{name: http}}, bind: 'unix://@a', {ALL}", f"port: {{name: http}}, bind: 'unix://@a', {ALL}"],
         ["E-VALUE [1].bind"]),
        ([f"port: {{number: 80, name: http}}, bind: 'unix:///run/a.sock', {ALL}"], ["E-VALUE [0].port.number"]),
        ([f"port: {{name: http}}, bind: 'unix:///run/', {ALL}"], ["E-VALUE [0].bind"]),
        ([f"bind: 127.0.0.1, {ALL}"], ["E-VALUE [0].bind"]),
        ([f"{HTTP}, bind: localhost"], ["E-VALUE [0].bind"]),
        ([f"{HTTP}, captureMode: IPTABLES"], []),
        ([f"{HTTP}, captureMode: NONE"], []),
        ([f"port: {{name: http}}, bind: 'unix://@a', captureMode: NONE, {ALL}"], []),
        ([f"port: {{name: http}}, bind: 'unix://@a', captureMode: IPTABLES, {ALL}"], ["E-VALUE [0].captureMode"]),
    ],
)  # fmt: skip
def test_listeners_of_egress(listeners: list[str], problems: list[str]):
    assert egress(*listeners) == problems


@pytest.mark.spec("SC-13")
@pytest.mark.parametrize(
    "host",
    [
        "./*",
        "*/*",
        "*/a.example.com",
        "shop/a.example.com",
        "shop/*.example.com",
        "./*.com",
        "~/*",
    ],
)
def test_what_can_be_imported(host: str):
    assert egress(f"hosts: ['{host}']") == []


@pytest.mark.spec("SC-13")
@pytest.mark.parametrize(
    "host",
    ["a.shop", "", "/a.shop", "shop/", "./reviews", "./*foo.com", "./*-foo.com", "./10.0.0.1", "Shop_/*", "~~/*",
     "./a/b.shop", "./*.", "*.shop/*"],
)  # fmt: skip
def test_what_cannot_be_imported(host: str):
    assert egress(f"hosts: ['./a.example', '{host}']") == ["E-VALUE [0].hosts[1]"]


@pytest.mark.spec("SC-13")
@pytest.mark.parametrize("host", ["~/a.shop", "~*/a.shop", "~./a.shop", "~shop/*", "~shop/*.example"])
def test_what_can_be_excluded(host: str):
    assert egress(f"hosts: ['*/*', '{host}']") == []
    assert egress(f"hosts: ['{host}']") == ["W-VALUE [0].hosts"]


@pytest.mark.spec("SC-13")
@pytest.mark.parametrize(
    ("hosts", "problems"),
    [
        ("[]", ["E-VALUE [0].hosts"]),
        ("['*/*', './a.shop']", ["W-VALUE [0].hosts[1]"]),
        ("['./a.shop', '*/*']", ["W-VALUE [0].hosts[0]"]),
        ("['*/*', 'other/*']", ["W-VALUE [0].hosts[1]"]),
        ("['./*', './a.shop']", ["W-VALUE [0].hosts[1]"]),
        ("['shop/*', './a.shop']", ["W-VALUE [0].hosts[1]"]),
        ("['./a.shop', 'shop/A.shop']", ["W-VALUE [0].hosts[1]"]),
        ("['./a.shop', './a.shop']", ["W-VALUE [0].hosts[1]"]),
        ("['./*', 'other/a.shop', '~shop/b.shop']", []),
        ("['*/*', '~/a.shop', '~*/a.shop']", ["W-VALUE [0].hosts[2]"]),
    ],
)
def test_hosts_that_add_nothing_are_doubtful(hosts: str, problems: list[str]):
    assert egress(f"hosts: {hosts}") == problems


def test_an_egress_listener_has_hosts():
    assert egress("port: {number: 80, name: http}") == ["E-REQUIRED [0].hosts"]


def test_what_is_taken_is_told_with_its_line():
    spec = """\
    egress:
    - port: {number: 80, protocol: HTTP}
      hosts: ['./*']
    - port:
        protocol: TCP
        number: 80
      hosts: ['./*']
    """

    assert told("Sidecar", spec) == [
        "10:15: spec.egress[1].port.number: port 80 is taken at line 6; each egress listener needs its own [E-VALUE]"
    ]
