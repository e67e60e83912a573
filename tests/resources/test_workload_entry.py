"""WorkloadEntry, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict


def workload(spec: str, metadata: str = "name: vm") -> list[str]:
    return verdict("WorkloadEntry", f"{{{spec}}}", metadata)


@pytest.mark.spec("W-1")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("address: 10.0.0.1", []),
        ("address: '2001:db8::1'", []),
        ("address: vm.example", []),
        ("address: unix:///run/a.sock", []),
        ("address: bücher.example", []),
        ("address: _http._tcp.shop.example", []),
        ("address: _http._tcp.shop.example, ports: {http: 80}", ["W-VALUE ports"]),
        ("address: _http._tcp", ["E-VALUE address"]),
        ("address: _http.shop.example", ["E-VALUE address"]),
        ("address: _http._tcp.10.0.0.1", ["E-VALUE address"]),
        ("address: '_*._tcp.shop.example'", ["E-VALUE address"]),
        ("address: unix://@a", []),
        ("", ["E-REQUIRED address"]),
        ("address: ''", ["E-REQUIRED address"]),
        ("address: null", ["E-REQUIRED address"]),
        ("network: n1", ["W-VALUE address"]),
        ("address: '', network: n1", ["W-VALUE address"]),
        ("address: '', network: ''", ["E-REQUIRED address"]),
        ("address: 10.0.0.1:80", ["E-VALUE address"]),
        ("address: 10.0.0.0/8", ["E-VALUE address"]),
        ("address: '*.example'", ["E-VALUE address"]),
        ("address: a_b", ["E-VALUE address"]),
        ("address: unix:///run/", ["E-VALUE address"]),
        ("address: unix://run", ["E-VALUE address"]),
        ("address: unix://", ["E-VALUE address"]),
        ("address: unix://@", ["E-VALUE address"]),
        (f"address: unix:///{'x' * 107}", ["E-VALUE address"]),
        (f"address: {'.'.join(5 * ['a' * 60])}", ["E-VALUE address"]),
    ],
)
def test_address(spec: str, problems: list[str]):
    assert workload(spec) == problems


@pytest.mark.spec("W-2", "W-3", "W-4", "W-5", "W-6", "W-7")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("ports: {http: 8080, HTTPS: 8443}, labels: {app: a}, network: n1, weight: 0, serviceAccount: sa", []),
        ("ports: {http: 99999}", ["E-VALUE ports.http"]),
        ("ports: {'@': 80}", ["E-VALUE ports.@"]),
        (f"ports: {{{', '.join(f'p{number}: 80' for number in range(129))}}}", ["E-VALUE ports"]),
        ("labels: {app: 'a b'}", ["E-VALUE labels.app"]),
        ("labels: {security.istio.io/tlsMode: istio}", []),
        ("locality: us", []),
        ("locality: us/a", []),
        ("locality: us/a/b", []),
        ("locality: ''", []),
        ("locality: us/a/b/c", ["W-VALUE locality"]),
        ("locality: us//b", ["W-VALUE locality"]),
        ("weight: -1", ["E-VALUE weight"]),
        ("weight: 4294967296", ["E-VALUE weight"]),
        ("weight: 1.5", ["E-TYPE weight"]),
        ("network: '', serviceAccount: ''", []),
    ],
)
def test_what_else_there_is_to_say_of_a_workload(spec: str, problems: list[str]):
    assert workload(f"address: 10.0.0.1, {spec}") == problems


@pytest.mark.spec("W-2")
def test_a_unix_address_has_no_ports():
    assert workload("address: unix://@a, ports: {http: 80}") == ["E-VALUE ports"]


@pytest.mark.spec("W-3", "W-8")
def test_metadata_has_labels_and_a_namespace_too():
    assert workload("address: 10.0.0.1", "name: vm, namespace: shop, labels: {app: a}") == []
    assert workload("address: 10.0.0.1", "name: vm, namespace: Shop, labels: {app: 'a b'}") == [
        "E-VALUE metadata.namespace",
        "E-VALUE metadata.labels.app",
    ]
