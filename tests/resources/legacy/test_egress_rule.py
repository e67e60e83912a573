"""EgressRule: which services outside the mesh can be called, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.legacy.judging import the, verdict

WEB = "ports: [{port: 80, protocol: http}]"


def egress(spec: str) -> list[str]:
    return verdict("EgressRule", f"{{{spec}}}")


@pytest.mark.spec("ER-05", "ER-06", "ER-10", "ER-11", "ER-13", "ER-15")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"destination: {{service: gmail.com}}, {WEB}", []),
        (f"destination: {{service: Gmail.com}}, {WEB}", []),
        (f"destination: {{service: '*.foo.com'}}, {WEB}", []),
        (f"destination: {{service: '*-bar.foo.com'}}, {WEB}", []),
        (f"destination: {{service: '*google.com'}}, {WEB}", []),
        (f"destination: {{service: 10.0.0.1}}, {WEB}", []),
        (f"destination: {{service: '2001:db8::1'}}, {WEB}", []),
        (f"destination: {{service: 'foo.*.com'}}, {WEB}", ["E-VALUE destination.service"]),
        (f"destination: {{service: '*'}}, {WEB}", ["E-VALUE destination.service"]),
        (f"destination: {{service: 'gmail.com:443'}}, {WEB}", ["E-VALUE destination.service"]),
        (f"destination: {{service: 'http://gmail.com'}}, {WEB}", ["E-VALUE destination.service"]),
        (WEB, ["E-EG-NO-DEST destination"]),
        (f"destination: {{}}, {WEB}", ["E-EG-NO-DEST destination.service"]),
        (f"destination: {{name: a}}, {WEB}", ["E-EG-NO-DEST destination.service"]),
        (f"destination: {{service: a.com, name: a}}, {WEB}", ["W-EG-IGNORED-FIELD destination.name"]),
        (f"destination: {{service: a.com, namespace: a}}, {WEB}", ["W-EG-IGNORED-FIELD destination.namespace"]),
        (f"destination: {{service: a.com, domain: a}}, {WEB}", ["W-EG-IGNORED-FIELD destination.domain"]),
        (f"destination: {{service: a.com, labels: {{a: b}}}}, {WEB}", ["W-EG-IGNORED-FIELD destination.labels"]),
    ],
)
def test_an_egress_rule_names_a_service_outside(spec: str, problems: list[str]):
    assert egress(spec) == problems


@pytest.mark.spec("ER-06", "ER-16", "ERP-02", "ERP-03")
@pytest.mark.parametrize(
    ("service", "ports", "problems"),
    [
        ("a.com", "[{port: 80, protocol: http}, {port: 443, protocol: HTTPS}]", []),
        ("a.com", "[{port: 80, protocol: Http2}, {port: 81, protocol: grpc}]", []),
        ("a.com", "[]", ["E-EG-NO-PORTS "]),
        ("a.com", "null", ["E-EG-NO-PORTS "]),
        ("a.com", "[{port: 80, protocol: http}, {port: 80, protocol: https}]", ["E-EG-DUP-PORT [1].port"]),
        ("a.com", "[{port: 0, protocol: http}]", ["E-PORT [0].port"]),
        ("a.com", "[{port: 65536, protocol: http}]", ["E-PORT [0].port"]),
        ("a.com", "[{port: -1, protocol: http}]", ["E-PORT [0].port"]),
        ("a.com", "[{protocol: http}]", ["E-PORT [0].port"]),
        ("a.com", "[{port: 80}]", ["E-REQUIRED [0].protocol"]),
        ("a.com", "[{port: 80, protocol: udp}]", ["E-VALUE [0].protocol"]),
        ("a.com", "[{port: 80, protocol: 1}]", ["E-TYPE [0].protocol"]),
        ("a.com", "[{port: 80, protocol: [http]}]", ["E-TYPE [0].protocol"]),
        ("a.com", "[{port: 5432, protocol: tcp}]", ["E-EG-TCP-DOMAIN [0].protocol"]),
        ("*.a.com", "[{port: 27017, protocol: mongo}]", ["E-EG-TCP-DOMAIN [0].protocol"]),
        ("10.0.0.1", "[{port: 5432, protocol: tcp}, {port: 27017, protocol: MONGO}]", []),
        ("10.0.0.1", "[{port: 80, protocol: http}, {port: 443, protocol: https}]", []),
        ("92.198.174.192/27", "[{port: 111, protocol: tcp}]", []),
        (
            "92.198.174.192/27",
            "[{port: 111, protocol: tcp}, {port: 80, protocol: http}]",
            ["E-EG-CIDR-HTTP [1].protocol"],
        ),
    ],
)
def test_ports(service: str, ports: str, problems: list[str]):
    found = egress(f"destination: {{service: '{service}'}}, ports: {ports}")

    assert [problem.replace(" ports", " ") for problem in found] == problems


@pytest.mark.spec("ERP-03", "ER-18")
def test_protocols_are_read_in_upper_case_and_no_egress_proxy_is_used_unasked():
    found = the(
        "EgressRule", "{destination: {service: a.com}, ports: [{port: 1, protocol: http}, {port: 2, protocol: Grpc}]}"
    )

    assert [port.protocol for port in found.ports] == ["HTTP", "GRPC"]
    assert found.use_egress_proxy is False


@pytest.mark.spec("GP-01")
def test_the_egress_proxy_may_be_asked_for_as_protobuf_spells_it():
    assert the("EgressRule", f"{{destination: {{service: a.com}}, {WEB}, use_egress_proxy: true}}").use_egress_proxy
