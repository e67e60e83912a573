"""WorkloadGroup: its template and its probe, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict


def group(spec: str) -> list[str]:
    return verdict("WorkloadGroup", f"{{{spec}}}")


def probe(spec: str) -> list[str]:
    return [problem.replace(" probe.", " ") for problem in group(f"template: {{}}, probe: {{{spec}}}")]


@pytest.mark.spec("W-10")
@pytest.mark.parametrize(
    ("metadata", "problems"),
    [
        ("{}", []),
        ("{labels: {app: reviews, security.istio.io/tlsMode: istio}, annotations: {a/b: any text}}", []),
        ("{labels: {app: 'a b'}}", ["E-VALUE metadata.labels.app"]),
        ("{labels: {'a b': c}}", ["E-VALUE metadata.labels.a b"]),
        ("{annotations: {a/b/c: d}}", ["E-VALUE metadata.annotations.a/b/c"]),
        ("{name: a}", ["E-FIELD metadata.name"]),
    ],
)
def test_what_members_of_a_group_are_labelled_with(metadata: str, problems: list[str]):
    assert group(f"template: {{}}, metadata: {metadata}") == problems


@pytest.mark.spec("W-11")
@pytest.mark.parametrize(
    ("template", "problems"),
    [
        ("{}", []),
        ("{ports: {http: 8080}, network: n1, locality: a/b/c, weight: 0, serviceAccount: reviews}", []),
        ("{address: '', network: '', locality: '', serviceAccount: ''}", []),
        ("{address: 10.0.0.1}", ["W-VALUE template.address"]),
        ("{labels: {app: reviews}}", ["W-VALUE template.labels"]),
        ("{address: unix:///run/a.sock, ports: {http: 1}}", ["E-VALUE template.ports", "W-VALUE template.address"]),
        ("{ports: {http: 0}}", ["E-VALUE template.ports.http"]),
        ("{ports: {a_b: 1}}", ["E-VALUE template.ports.a_b"]),
        ("{locality: a//c}", ["W-VALUE template.locality"]),
        ("{weight: -1}", ["E-VALUE template.weight"]),
        ("null", ["E-REQUIRED template"]),
    ],
)
def test_the_template(template: str, problems: list[str]):
    assert sorted(group(f"template: {template}")) == sorted(problems)


@pytest.mark.spec("W-12")
@pytest.mark.parametrize(
    ("numbers", "problems"),
    [
        ("initialDelaySeconds: 0, timeoutSeconds: 0, periodSeconds: 0, successThreshold: 0, failureThreshold: 0", []),
        ("periodSeconds: 2147483647", []),
        ("initialDelaySeconds: -1", ["E-VALUE initialDelaySeconds"]),
        ("timeoutSeconds: -1", ["E-VALUE timeoutSeconds"]),
        ("periodSeconds: -1", ["E-VALUE periodSeconds"]),
        ("successThreshold: -1", ["E-VALUE successThreshold"]),
        ("failureThreshold: 2147483648", ["E-VALUE failureThreshold"]),
        ("periodSeconds: 5s", ["E-TYPE periodSeconds"]),
    ],
)
def test_how_often_a_probe_is_done(numbers: str, problems: list[str]):
    assert probe(f"tcpSocket: {{port: 80}}, {numbers}") == problems


@pytest.mark.spec("W-12", "E-ONEOF")
def test_a_probe_is_done_in_one_way():
    assert probe("") == ["E-ONEOF probe"]
    assert probe("periodSeconds: 1") == ["E-ONEOF probe"]
    assert probe("tcpSocket: {port: 80}, httpGet: {port: 80}") == ["E-ONEOF httpGet"]


@pytest.mark.spec("W-13", "W-14", "W-15", "W-16")
@pytest.mark.parametrize(
    ("way", "problems"),
    [
        ("httpGet: {port: 80}", []),
        (
            "httpGet: {port: 80, path: /healthz, host: 10.0.0.1, scheme: HTTPS, httpHeaders: [{name: X-A, value: b}]}",
            [],
        ),
        ("httpGet: {port: 80, path: '', host: '', scheme: ''}", []),
        ("httpGet: {path: /}", ["E-REQUIRED httpGet.port"]),
        ("httpGet: {port: 0}", ["E-VALUE httpGet.port"]),
        ("httpGet: {port: 65536}", ["E-VALUE httpGet.port"]),
        ("httpGet: {port: http}", ["E-TYPE httpGet.port"]),
        ("httpGet: {port: 80, scheme: http}", ["E-VALUE httpGet.scheme"]),
        ("httpGet: {port: 80, httpHeaders: [{value: b}]}", ["E-REQUIRED httpGet.httpHeaders[0].name"]),
        ("httpGet: {port: 80, httpHeaders: [{name: ''}]}", ["E-VALUE httpGet.httpHeaders[0].name"]),
        ("httpGet: {port: 80, httpHeaders: [{name: x_a}]}", ["E-VALUE httpGet.httpHeaders[0].name"]),
        ("tcpSocket: {port: 80, host: 127.0.0.1}", []),
        ("tcpSocket: {}", ["E-REQUIRED tcpSocket.port"]),
        ("tcpSocket: {port: 70000}", ["E-VALUE tcpSocket.port"]),
        ("exec: {command: [/bin/true, '-v']}", []),
        ("exec: {}", ["E-REQUIRED exec.command"]),
        ("exec: {command: []}", ["E-VALUE exec.command"]),
        ("exec: {command: [/bin/sh, '']}", ["E-VALUE exec.command[1]"]),
        ("exec: {command: /bin/true}", ["E-TYPE exec.command"]),
        ("grpc: {port: 80, service: a.B}", []),
        ("grpc: {}", ["E-REQUIRED grpc.port"]),
        ("grpc: {port: 0}", ["E-VALUE grpc.port"]),
    ],
)
def test_ways_of_probing(way: str, problems: list[str]):
    assert probe(way) == problems
