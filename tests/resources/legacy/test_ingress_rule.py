"""IngressRule: what an ingress proxy does, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.legacy.judging import the, verdict

TO = "destination: {name: reviews}"


@pytest.mark.spec("IR-08", "IR-13", "IR-14")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"{TO}, port: 80", []),
        (f"{TO}, port: 443, tlsSecret: bookinfo/edge, precedence: -1", []),
        (f"{TO}, port: 80, destinationPort: 9080", []),
        (f"{TO}, port: 80, destinationPortName: http", []),
        (f"{TO}, port: 80, destinationPortName: http, destinationPort: 80", ["E-ONEOF destinationPort"]),
        (f"{TO}, port: 80, destinationPortName: ''", ["E-VALUE destinationPortName"]),
        (f"{TO}, port: 80, destinationPort: 0", ["E-PORT destinationPort"]),
        (TO, ["E-REQUIRED port"]),
        (f"{TO}, port: 0", ["E-PORT port"]),
        (f"{TO}, port: 65536", ["E-PORT port"]),
        (f"{TO}, port: '80'", ["E-TYPE port"]),
        ("port: 80", ["E-IN-NO-DEST destination"]),
        ("port: 80, destination: {name: a, labels: {a: b}}", ["E-IN-LABELS destination.labels"]),
        (f"{TO}, port: 443, tlsSecret: ''", ["E-VALUE tlsSecret"]),
        (f"{TO}, port: 443, tlsSecret: ../a", ["E-VALUE tlsSecret"]),
        (f"{TO}, port: 80, match: {{}}", ["E-MATCH-EMPTY match"]),
        (f"{TO}, port: 80, match: {{request: {{headers: {{method: GET, cookie: {{regex: a.*}}}}}}}}", []),
        (f"{TO}, port: 80, match: {{udp: {{}}}}", ["E-UDP match.udp"]),
        (f"{TO}, port: 80, route: []", ["E-FIELD route"]),
    ],
)
def test_an_ingress_rule_names_a_port_and_a_destination(spec: str, problems: list[str]):
    assert verdict("IngressRule", f"{{{spec}}}") == problems


@pytest.mark.spec("IR-10")
@pytest.mark.parametrize(("given", "precedence"), [("", 0), ("precedence: 10", 10), ("precedence: -10", -10)])
def test_precedence(given: str, precedence: int):
    assert the("IngressRule", f"{{{TO}, port: 80, {given}}}").precedence == precedence
