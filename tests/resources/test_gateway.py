"""Gateway: its ports, hosts and TLS, judged alone."""

from __future__ import annotations

import pytest

from meshd.resources.server_tls import CIPHER_SUITES, ServerTLSSettings
from tests.resources.judging import told, verdict

SPKI = "NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="
PAIR = "serverCertificate: s.crt, privateKey: s.key"


def gateway(*servers: str, metadata: str = "name: edge") -> list[str]:
    found = verdict("Gateway", f"servers: [{', '.join(f'{{{each}}}' for each in servers)}]", metadata)
    return [problem.replace(" servers", " ") for problem in found]


def port(number: int | str = 80, protocol: str = "HTTP", more: str = "") -> str:
    return f"port: {{number: {number}, protocol: {protocol}, name: p{number}{more}}}"


def tls(settings: str, protocol: str = "HTTPS") -> list[str]:
    found = gateway(f"{port(443, protocol)}, hosts: ['*'], tls: {{{settings}}}")
    return [problem.replace(" [0].tls.", " ").replace(" [0].tls", " tls") for problem in found]


@pytest.mark.spec("G-1")
@pytest.mark.parametrize(
    ("metadata", "problems"),
    [
        ("name: edge-1", []),
        ("name: edge.shop", ["E-VALUE metadata.name"]),
        (f"name: {'a' * 63}", []),
        (f"name: {'a' * 64}", ["E-VALUE metadata.name"]),
    ],
)
def test_the_name_of_a_gateway_is_one_label(metadata: str, problems: list[str]):
    assert gateway(f"{port()}, hosts: ['*']", metadata=metadata) == problems


def test_a_wrong_name_is_told_beside_all_else_that_is_wrong():
    assert gateway(f"{port(0)}, hosts: ['*']", "hosts: [a]", metadata="name: a.b") == [
        "E-VALUE metadata.name",
        "E-REQUIRED [0].port.number",
        "E-REQUIRED [1].port",
        "E-VALUE [1].hosts[0]",
    ]


@pytest.mark.spec("G-2")
@pytest.mark.parametrize(
    ("selector", "problems"),
    [
        ("{}", []),
        ("{istio: ingressgateway, app: ''}", []),
        ("{istio: 'a b'}", ["E-VALUE selector.istio"]),
        ("{'': a}", ["E-VALUE selector."]),
        ("{istio: null}", ["E-TYPE selector.istio"]),
    ],
)
def test_a_selector_is_made_of_labels(selector: str, problems: list[str]):
    assert verdict("Gateway", f"{{selector: {selector}, servers: [{{{port()}, hosts: ['*']}}]}}") == problems


@pytest.mark.spec("G-3")
def test_a_gateway_has_servers_and_no_two_of_one_port_name():
    one = f"{port(80)}, hosts: ['*']"

    assert verdict("Gateway", "{}") == ["E-REQUIRED servers"]
    assert verdict("Gateway", "servers: []") == ["E-VALUE servers"]
    assert verdict("Gateway", "servers: [null]") == ["E-TYPE servers[0]"]
    assert gateway(one, f"{port(81)}, hosts: ['*']") == []
    assert gateway(one, "port: {number: 81, protocol: TCP, name: p80}, hosts: ['*']") == ["E-VALUE [1].port.name"]


@pytest.mark.spec("G-3.1")
def test_two_servers_of_one_name_are_doubtful():
    assert gateway(f"name: a, {port(80)}, hosts: ['*']", f"name: a, {port(81)}, hosts: ['*']") == ["W-VALUE [1].name"]
    assert gateway(f"name: '', {port(80)}, hosts: ['*']", f"name: '', {port(81)}, hosts: ['*']") == []


@pytest.mark.spec("G-3.2", "G-3.6")
@pytest.mark.parametrize(
    ("number", "bind", "problems"),
    [
        ("1", "", []),
        ("65535", "10.0.0.1", []),
        ("80", "2001:db8::1", []),
        ("80", "localhost", ["E-VALUE [0].bind"]),
        ("80", "10.0.0.0/8", ["E-VALUE [0].bind"]),
        ("0", "", ["E-REQUIRED [0].port.number"]),
        ("65536", "", ["E-VALUE [0].port.number"]),
        ("-1", "", ["E-VALUE [0].port.number"]),
        ("0", "unix:///run/edge.sock", []),
        ("0", "unix://@edge", []),
        ("80", "unix:///run/edge.sock", ["E-VALUE [0].port.number"]),
        ("0", "unix://", ["E-VALUE [0].bind"]),
        ("0", "unix://@", ["E-VALUE [0].bind"]),
        ("0", "unix://run/edge.sock", ["E-VALUE [0].bind"]),
        ("0", "unix:///run/", ["E-VALUE [0].bind"]),
        ("0", f"unix:///{'x' * 107}", ["E-VALUE [0].bind"]),
    ],
)
def test_where_a_server_listens(number: str, bind: str, problems: list[str]):
    assert gateway(f"{port(number)}, bind: '{bind}', hosts: ['*']") == problems


def test_a_unix_socket_needs_no_number():
    assert gateway("port: {protocol: HTTP, name: a}, bind: 'unix://@edge', hosts: ['*']") == []
    assert gateway("port: {protocol: HTTP, name: a}, hosts: ['*']") == ["E-REQUIRED [0].port.number"]


@pytest.mark.spec("G-3.3")
@pytest.mark.parametrize("protocol", ["HTTP", "http2", "Grpc", "GRPC-WEB", "mongo", "REDIS", "MYSQL", "TCP"])
def test_protocols_in_any_case(protocol: str):
    assert gateway(f"{port(80, protocol)}, hosts: ['*']") == []


@pytest.mark.spec("G-3.3")
@pytest.mark.parametrize("protocol", ["UDP", "HTTP_PROXY", "HTPP", "''", "WEBSOCKET"])
def test_other_protocols_are_errors(protocol: str):
    assert gateway(f"{port(80, protocol)}, hosts: ['*']") == ["E-VALUE [0].port.protocol"]


@pytest.mark.spec("G-3.3", "W-LEGACY")
def test_the_old_name_of_tls_is_read_as_tls():
    server = f"{port(443, 'TCP-TLS')}, hosts: ['*']"

    assert gateway(server) == ["E-REQUIRED [0].tls", "W-LEGACY [0].port.protocol"]
    assert gateway(f"{server}, tls: {{mode: PASSTHROUGH}}") == ["W-LEGACY [0].port.protocol"]


@pytest.mark.spec("G-3.4", "G-3.5")
@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ("number: 80, protocol: HTTP", ["E-REQUIRED [0].port.name"]),
        ("number: 80, protocol: HTTP, name: ''", ["E-VALUE [0].port.name"]),
        ("number: 80, protocol: HTTP, name: Any text!", []),
        ("number: 80, name: http", ["E-REQUIRED [0].port.protocol"]),
        ("number: 80, protocol: HTTP, name: a, targetPort: 0", []),
        ("number: 80, protocol: HTTP, name: a, target_port: 8080", ["E-VALUE [0].port.targetPort"]),
    ],
)
def test_the_rest_of_a_port(given: str, problems: list[str]):
    assert gateway(f"port: {{{given}}}, hosts: ['*']") == problems


@pytest.mark.spec("G-3.7")
@pytest.mark.parametrize(
    "host",
    [
        "*",
        "*/*",
        "./*",
        "shop/*",
        "a.example.com",
        "A.Example.COM",
        "a.example.com.",
        "*.example.com",
        "*.com",
        "shop/*.example.com",
        "*/a.example.com",
        "10.0.0.1",
        "./10.0.0.1",
    ],
)
def test_hosts_of_a_server(host: str):
    assert gateway(f"{port()}, hosts: ['{host}']") == []


@pytest.mark.spec("G-3.7")
@pytest.mark.parametrize(
    "host",
    [
        "",
        "short",
        "shop/short",
        "/a.example.com",
        "shop/",
        "~/a.example.com",
        "a/b/c.example.com",
        "Shop_/a.example.com",
        "*foo.com",
        "*-foo.com",
        "a.*.com",
        "*.*.com",
        "*.",
        "a..com",
        "a_b.com",
        "a.example.123",
        "::1",
        "10.0.0.0/8",
        f"{'a' * 64}.com",
        f"{'a.' * 127}com",
    ],
)
def test_what_is_no_host_of_a_server(host: str):
    assert gateway(f"{port()}, hosts: [b.example.com, '{host}']") == ["E-VALUE [0].hosts[1]"]


def test_a_server_has_hosts():
    assert gateway(port()) == ["E-REQUIRED [0].hosts"]
    assert gateway(f"{port()}, hosts: []") == ["E-VALUE [0].hosts"]


@pytest.mark.spec("G-3.8", "W-GW-DEFAULT-ENDPOINT")
def test_a_default_endpoint_is_used_by_nobody():
    assert gateway(f"{port()}, hosts: ['*'], defaultEndpoint: '127.0.0.1:80'") == [
        "W-GW-DEFAULT-ENDPOINT [0].defaultEndpoint"
    ]


@pytest.mark.spec("G-4")
@pytest.mark.parametrize(
    ("protocol", "settings", "problems"),
    [
        ("HTTPS", None, ["E-REQUIRED [0].tls"]),
        ("TLS", None, ["E-REQUIRED [0].tls"]),
        ("HTTP", None, []),
        ("TCP", None, []),
        ("HTTPS", f"mode: SIMPLE, {PAIR}", []),
        ("TLS", "", []),
        ("TLS", "mode: AUTO_PASSTHROUGH", []),
        ("TCP", "", ["E-VALUE [0].tls"]),
        ("MONGO", f"mode: SIMPLE, {PAIR}", ["E-VALUE [0].tls"]),
        ("HTTP", "httpsRedirect: true", []),
        ("GRPC", "httpsRedirect: true", []),
        ("HTTP", "mode: ISTIO_MUTUAL", ["E-VALUE [0].tls.mode"]),
        ("HTTP", "mode: AUTO_PASSTHROUGH", ["E-VALUE [0].tls.mode"]),
        ("HTTP", "serverCertificate: a", ["E-VALUE [0].tls.serverCertificate", "W-VALUE [0].tls.serverCertificate"]),
        ("HTTP", "caCertificates: a", ["E-VALUE [0].tls.caCertificates", "W-VALUE [0].tls.caCertificates"]),
    ],
)
def test_which_servers_have_tls(protocol: str, settings: str | None, problems: list[str]):
    given = "" if settings is None else f", tls: {{{settings}}}"

    assert gateway(f"{port(443, protocol)}, hosts: ['*']{given}") == problems


@pytest.mark.spec("G-4.1")
def test_only_plain_http_is_redirected():
    assert tls("httpsRedirect: true", "HTTP") == []
    assert tls(f"httpsRedirect: true, mode: SIMPLE, {PAIR}") == ["W-VALUE httpsRedirect"]
    assert tls("httpsRedirect: true", "TLS") == ["W-VALUE httpsRedirect"]


@pytest.mark.spec("G-4.2")
def test_modes_are_those_of_the_api():
    assert tls("mode: STRICT") == ["E-VALUE mode"]
    assert tls("mode: simple") == ["E-VALUE mode"]


@pytest.mark.spec("G-4.3", "G-4.4")
@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ("mode: SIMPLE", ["E-REQUIRED privateKey", "E-REQUIRED serverCertificate"]),
        ("mode: SIMPLE, serverCertificate: a", ["E-REQUIRED privateKey"]),
        ("mode: SIMPLE, serverCertificate: a, privateKey: ''", ["E-REQUIRED privateKey"]),
        (f"mode: SIMPLE, {PAIR}", []),
        (f"mode: MUTUAL, {PAIR}", ["E-REQUIRED caCertificates"]),
        (f"mode: OPTIONAL_MUTUAL, {PAIR}", ["E-REQUIRED caCertificates"]),
        ("mode: MUTUAL", ["E-REQUIRED caCertificates", "E-REQUIRED privateKey", "E-REQUIRED serverCertificate"]),
        (f"mode: MUTUAL, {PAIR}, caCertificates: ca.crt", []),
        (f"mode: OPTIONAL_MUTUAL, {PAIR}, caCertificates: ca.crt", []),
    ],
)
def test_what_a_mode_needs(settings: str, problems: list[str]):
    assert tls(settings) == problems


@pytest.mark.spec("G-4.2")
@pytest.mark.parametrize("mode", ["PASSTHROUGH", "AUTO_PASSTHROUGH"])
@pytest.mark.parametrize(
    "given",
    [
        "serverCertificate: a",
        "privateKey: a",
        "caCertificates: a",
        "caCrl: a",
        "credentialName: a",
        "credentialNames: [a]",
        "tlsCertificates: [{serverCertificate: a, privateKey: b}]",
    ],
)
def test_who_passes_tls_on_needs_no_certificate(mode: str, given: str):
    assert tls(f"mode: {mode}, {given}", "TLS") == [f"W-VALUE {given.partition(':')[0]}"]


@pytest.mark.spec("G-4.2")
@pytest.mark.parametrize(
    "given",
    [
        "serverCertificate: a",
        "privateKey: a",
        "caCertificates: a",
        "credentialName: a",
        "credentialNames: [a]",
        "tlsCertificates: [{serverCertificate: a, privateKey: b}]",
    ],
)
def test_the_mesh_identity_goes_with_no_other(given: str):
    assert tls("mode: ISTIO_MUTUAL") == []
    assert tls(f"mode: ISTIO_MUTUAL, {given}") == [f"E-VALUE {given.partition(':')[0]}"]
    assert tls("mode: ISTIO_MUTUAL, subjectAltNames: [a], caCrl: b") == []


@pytest.mark.spec("G-4.5")
@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        (f"mode: MUTUAL, {PAIR}, caCertificates: a, caCrl: b", []),
        (f"mode: SIMPLE, {PAIR}, caCrl: b", ["E-VALUE caCrl"]),
        ("mode: MUTUAL, credentialName: a, caCrl: b", ["E-VALUE caCrl"]),
        ("mode: OPTIONAL_MUTUAL, credentialNames: [a], caCrl: b", ["E-VALUE caCrl"]),
    ],
)
def test_revoked_certificates(settings: str, problems: list[str]):
    assert tls(settings) == problems


@pytest.mark.spec("G-4.6", "G-4.7", "G-4.8", "G-4.9")
@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ("mode: SIMPLE, credentialName: a", []),
        ("mode: MUTUAL, credentialName: shop/edge", []),
        ("mode: OPTIONAL_MUTUAL, credentialNames: [a, b]", []),
        ("mode: SIMPLE, tlsCertificates: [{serverCertificate: a, privateKey: b}]", []),
        ("mode: MUTUAL, tlsCertificates: [{serverCertificate: a, privateKey: b}], caCertificates: c", []),
        ("mode: MUTUAL, tlsCertificates: [{serverCertificate: a, privateKey: b, caCertificates: c}]",
         ["E-REQUIRED caCertificates"]),
        ("mode: SIMPLE, tlsCertificates: [{serverCertificate: a}]", ["E-REQUIRED tlsCertificates[0].privateKey"]),
        ("mode: SIMPLE, tlsCertificates: [{serverCertificate: '', privateKey: b}]",
         ["E-VALUE tlsCertificates[0].serverCertificate"]),
        (f"mode: SIMPLE, tlsCertificates: [{', '.join(3 * ['{serverCertificate: a, privateKey: b}'])}]",
         ["E-VALUE tlsCertificates"]),
        ("mode: SIMPLE, credentialNames: [a, b, c]", ["E-VALUE credentialNames"]),
        ("mode: SIMPLE, credentialName: a, credentialNames: [b]", ["E-ONEOF credentialNames"]),
        ("mode: SIMPLE, credentialName: a, credentialNames: []", []),
        (f"mode: SIMPLE, credentialName: a, {PAIR}", ["E-ONEOF credentialName"]),
        (f"mode: SIMPLE, {PAIR}, tlsCertificates: [{{serverCertificate: a, privateKey: b}}]",
         ["E-ONEOF tlsCertificates"]),
        ("mode: SIMPLE, credentialName: a, serverCertificate: b", ["W-VALUE serverCertificate"]),
        ("mode: MUTUAL, credentialName: a, caCertificates: b", ["W-VALUE caCertificates"]),
        ("mode: MUTUAL, credentialName: a, caCertCredentialName: b", []),
        (f"mode: MUTUAL, {PAIR}, caCertCredentialName: b", []),
        ("mode: SIMPLE, credentialName: a, caCertCredentialName: b", ["W-VALUE caCertCredentialName"]),
        ("mode: SIMPLE, credentialName: a/../b", ["E-VALUE credentialName"]),
        ("mode: SIMPLE, credentialName: ..", ["E-VALUE credentialName"]),
        ("mode: SIMPLE, credentialName: /etc/shadow", ["E-VALUE credentialName"]),
        ("mode: SIMPLE, credentialName: 'kubernetes://a'", ["E-VALUE credentialName"]),
        ("mode: SIMPLE, credentialName: 'sds://a'", ["E-VALUE credentialName"]),
        ("mode: SIMPLE, credentialNames: [a, 'configmap://a']", ["E-VALUE credentialNames[1]"]),
        ("mode: MUTUAL, credentialName: a, caCertCredentialName: ../b", ["E-VALUE caCertCredentialName"]),
    ],
)  # fmt: skip
def test_where_certificates_come_from(settings: str, problems: list[str]):
    assert tls(settings) == problems


@pytest.mark.spec("G-4.10", "G-4.11", "G-4.12", "G-4.16", "W-TLS-INSECURE")
@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ("mode: MUTUAL, credentialName: a, subjectAltNames: [b]", []),
        ("mode: SIMPLE, credentialName: a, subjectAltNames: [b]", ["W-VALUE subjectAltNames"]),
        ("mode: OPTIONAL_MUTUAL, credentialName: a, subjectAltNames: [b]", ["W-VALUE subjectAltNames"]),
        (f"mode: OPTIONAL_MUTUAL, credentialName: a, verifyCertificateSpki: ['{SPKI}']",
         ["W-VALUE verifyCertificateSpki"]),
        ("mode: OPTIONAL_MUTUAL, credentialName: a, subjectAltNames: [b], insecureSkipVerify: true",
         ["W-TLS-INSECURE insecureSkipVerify"]),
        ("subjectAltNames: [b]", ["W-VALUE subjectAltNames"]),
        (f"mode: MUTUAL, credentialName: a, verifyCertificateSpki: ['{SPKI}']", []),
        (f"mode: SIMPLE, credentialName: a, verifyCertificateSpki: ['{SPKI}']", ["W-VALUE verifyCertificateSpki"]),
        (f"mode: ISTIO_MUTUAL, verifyCertificateSpki: ['{SPKI}']", ["W-VALUE verifyCertificateSpki"]),
        (f"mode: MUTUAL, credentialName: a, verifyCertificateSpki: ['{SPKI}', '{SPKI[:-1]}']",
         ["E-VALUE verifyCertificateSpki[1]"]),
        (f"mode: MUTUAL, credentialName: a, verifyCertificateSpki: ['{SPKI.replace('+', '-')}']",
         ["E-VALUE verifyCertificateSpki[0]"]),
        (f"mode: MUTUAL, credentialName: a, verifyCertificateHash: ['{'aB' * 32}', '{':'.join(['0f'] * 32)}']", []),
        (f"mode: MUTUAL, credentialName: a, verifyCertificateHash: ['{'zz' * 32}']",
         ["E-VALUE verifyCertificateHash[0]"]),
        (f"mode: MUTUAL, credentialName: a, verifyCertificateHash: ['{'aa:' * 16}{'aa' * 16}']",
         ["E-VALUE verifyCertificateHash[0]"]),
        (f"verifyCertificateHash: ['{'aa' * 32}']", ["W-VALUE verifyCertificateHash"]),
        ("mode: MUTUAL, credentialName: a, insecureSkipVerify: true", ["W-TLS-INSECURE insecureSkipVerify"]),
        ("mode: ISTIO_MUTUAL, insecureSkipVerify: true", ["W-TLS-INSECURE insecureSkipVerify"]),
        ("mode: SIMPLE, credentialName: a, insecureSkipVerify: true", ["W-VALUE insecureSkipVerify"]),
        ("mode: SIMPLE, credentialName: a, insecureSkipVerify: false", []),
    ],
)  # fmt: skip
def test_what_is_asked_of_clients(settings: str, problems: list[str]):
    assert tls(settings) == problems


@pytest.mark.spec("G-4.13", "G-4.14")
@pytest.mark.parametrize(
    ("versions", "problems"),
    [
        ("minProtocolVersion: TLSV1_3", []),
        ("minProtocolVersion: TLSV1_1", ["W-VALUE minProtocolVersion"]),
        ("minProtocolVersion: TLSV1_0, cipherSuites: [AES128-SHA]", []),
        ("minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_2", []),
        ("minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2", ["W-VALUE maxProtocolVersion"]),
        ("maxProtocolVersion: TLSV1_1", ["W-VALUE maxProtocolVersion"]),
        ("minProtocolVersion: TLSV1_4", ["E-VALUE minProtocolVersion"]),
        ("maxProtocolVersion: TLSv1.2", ["E-VALUE maxProtocolVersion"]),
    ],
)
def test_versions(versions: str, problems: list[str]):
    assert tls(f"mode: SIMPLE, credentialName: a, {versions}") == problems


@pytest.mark.spec("G-4.15", "G-4.17")
@pytest.mark.parametrize(
    ("names", "problems"),
    [
        (f"cipherSuites: [{', '.join(CIPHER_SUITES)}]", []),
        ("cipherSuites: [ALL, '-AES128-SHA', '+AES256-SHA', '[AES128-SHA|AES256-SHA]']", []),
        ("cipherSuites: [AES128-SHA, AES128-SHA256, AES128-SHA]",
         ["W-VALUE cipherSuites[1]", "W-VALUE cipherSuites[2]"]),
        ("ecdhCurves: [X25519, P-256]", []),
        ("ecdhCurves: [P-224, P-256, P-256]", ["W-VALUE ecdhCurves[0]", "W-VALUE ecdhCurves[2]"]),
    ],
)  # fmt: skip
def test_ciphers_and_curves_that_are_unknown_or_given_again_are_left_out(names: str, problems: list[str]):
    assert tls(f"mode: SIMPLE, credentialName: a, {names}") == problems


@pytest.mark.spec("G-4.15", "G-4.17")
def test_what_is_left_of_ciphers_and_curves():
    settings = ServerTLSSettings(
        cipher_suites=("AES128-SHA", "NULL", "", "-AES256-SHA", "AES128-SHA"), ecdh_curves=("P-256", "P-1", "P-256")
    )

    assert settings.accepted_cipher_suites == ("AES128-SHA", "-AES256-SHA")
    assert settings.accepted_ecdh_curves == ("P-256",)


def test_a_problem_says_where_and_what_to_do():
    spec = """\
    servers:
    - port: {number: 443, protocol: HTPS, name: a}
      hosts:
      - a.example.com
      - '*b.example.com'
    - port: {number: 443, protocol: HTTPS, name: b}
      hosts: ['*']
      tls:
        mode: SIMPLE
        credentialName: kubernetes://x
    """

    assert told("Gateway", spec) == [
        "6:35: spec.servers[0].port.protocol: 'HTPS' is not a protocol of a Gateway; did you mean 'HTTPS'? [E-VALUE]",
        "9:7: spec.servers[0].hosts[1]: '*b.example.com' is not a host name, '*.' and a domain, or '*' [E-VALUE]",
        (
            "14:23: spec.servers[1].tls.credentialName: "
            "secrets are files below `secretRoot` here; there is no kubernetes:// [E-VALUE]"
        ),
    ]
