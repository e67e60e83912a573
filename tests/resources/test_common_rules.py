"""What holds for every kind that has the field: versions, metadata, hosts, exportTo, labels (spec section 3)."""

from __future__ import annotations

import pytest

from meshd.resources import KINDS
from tests.resources.judging import verdict

SPECS = {
    "DestinationRule": "host: a.shop",
    "Gateway": "servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ['*']}]",
    "ServiceEntry": "hosts: [a.shop], ports: [{number: 80, name: http}], resolution: STATIC",
    "Sidecar": "egress: [{hosts: ['./*']}]",
    "VirtualService": "hosts: [a.shop], http: [{route: [{destination: {host: a.shop}}]}]",
    "WorkloadEntry": "address: 10.0.0.1",
    "WorkloadGroup": "template: {}",
}
"""Of each kind of Istio, one that is right."""


def judged(kind: str, more: str = "", metadata: str = "name: a", version: str = "v1") -> list[str]:
    return verdict(kind, f"{{{SPECS[kind]}{more}}}", metadata, version)


def test_every_kind_of_istio_is_among_them():
    assert {kind.KIND for kind in KINDS if kind.GROUP == "networking.istio.io"} == SPECS.keys()


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("version", ["v1alpha3", "v1beta1", "v1"])
def test_the_versions_of_a_kind_are_read_alike(kind: str, version: str):
    assert judged(kind, version=version) == []


@pytest.mark.spec("E-KIND")
@pytest.mark.parametrize("kind", SPECS)
def test_other_versions_are_not_read(kind: str):
    assert judged(kind, version="v1alpha1") == ["E-KIND apiVersion"]


@pytest.mark.spec("E-FIELD")
@pytest.mark.parametrize("kind", SPECS)
def test_a_field_that_there_is_not_is_an_error(kind: str):
    assert judged(kind, ", bogus: 1") == ["E-FIELD bogus"]


# --- metadata (3.6) -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize(
    ("metadata", "problems"),
    [
        (f"name: {'a' * 63}", []),
        ("name: a, namespace: shop-1", []),
        ("name: a, labels: {app.kubernetes.io/name: '', A_b.c: D-e_f.g}", []),
        (f"name: a, labels: {{{'p.' * 126}p/{'n' * 63}: {'v' * 63}}}", []),
        ("name: a, creationTimestamp: '2024-01-31T12:00:00.5+02:00', annotations: {a.b/c: 'any: text'}", []),
        ("namespace: a", ["E-REQUIRED metadata.name"]),
        ("name: ''", ["E-VALUE metadata.name"]),
        ("name: -a", ["E-VALUE metadata.name"]),
        ("name: a_b", ["E-VALUE metadata.name"]),
        (f"name: {'a' * 254}", ["E-VALUE metadata.name"]),
        ("name: a, namespace: a.b", ["E-VALUE metadata.namespace"]),
        (f"name: a, namespace: {'a' * 64}", ["E-VALUE metadata.namespace"]),
        (f"name: a, labels: {{a: {'v' * 64}}}", ["E-VALUE metadata.labels.a"]),
        (f"name: a, labels: {{{'n' * 64}: v}}", [f"E-VALUE metadata.labels.{'n' * 64}"]),
        ("name: a, labels: {a: -b}", ["E-VALUE metadata.labels.a"]),
        ("name: a, labels: {a b: c}", ["E-VALUE metadata.labels.a b"]),
        ("name: a, labels: {A.B/c: d}", ["E-VALUE metadata.labels.A.B/c"]),
        ("name: a, labels: {a: null}", ["E-TYPE metadata.labels.a"]),
        ("name: a, annotations: {a b: c}", ["E-VALUE metadata.annotations.a b"]),
        ("name: a, annotations: {a: 1}", ["E-TYPE metadata.annotations.a"]),
        ("name: a, annotations: {istio.io/dry-run: 'true'}", ["E-VALUE metadata.annotations.istio.io/dry-run"]),
        ("name: a, creationTimestamp: yesterday", ["E-VALUE metadata.creationTimestamp"]),
        ("name: a, creationTimestamp: 2024-01-31", ["E-VALUE metadata.creationTimestamp"]),
    ],
)
def test_metadata(kind: str, metadata: str, problems: list[str]):
    assert judged(kind, metadata=metadata) == problems


@pytest.mark.parametrize(
    "key",
    [
        "istio.io/dry-run",
        "internal.istio.io/parents",
        "internal.istio.io/parent-namespace",
        "internal.istio.io/webhook-always-reject",
    ],
)
def test_annotations_that_would_change_what_an_object_means_are_refused(key: str):
    assert judged("VirtualService", metadata=f"name: a, annotations: {{{key}: 'true'}}") == [
        f"E-VALUE metadata.annotations.{key}"
    ]


def test_a_name_may_have_long_parts_and_dots():
    long = f"{'a' * 100}.{'b' * 152}"

    assert judged("VirtualService", metadata=f"name: {long}") == []
    assert judged("VirtualService", metadata=f"name: {long}b") == ["E-VALUE metadata.name"]


# --- exportTo (3.3) -------------------------------------------------------------------------------------------


@pytest.mark.spec("V-6", "D-4", "S-11")
@pytest.mark.parametrize("kind", ["VirtualService", "DestinationRule", "ServiceEntry"])
@pytest.mark.parametrize(
    ("targets", "right"),
    [
        ("[]", True),
        ("['*']", True),
        ("['.']", True),
        ("[., other]", True),
        ("[other, shop]", True),
        ("['*', other]", False),
        ("['*', '*']", False),
        ("[other, other]", False),
        ("[., shop]", False),
        ("[., .]", False),
        ("[Other]", False),
        ("[a.b]", False),
        ("['']", False),
        ("[null]", False),
    ],
)
def test_to_whom_an_object_is_exported(kind: str, targets: str, *, right: bool):
    found = judged(kind, f", exportTo: {targets}", "name: a, namespace: shop")

    assert (not found) == right, found
    assert all(problem.split()[1].startswith("exportTo") for problem in found)


@pytest.mark.spec("S-11")
def test_only_a_service_entry_is_exported_to_nobody():
    assert judged("ServiceEntry", ", exportTo: ['~']") == []
    assert judged("ServiceEntry", ", exportTo: ['~', shop]") != []
    assert judged("VirtualService", ", exportTo: ['~']") != []
    assert judged("DestinationRule", ", exportTo: ['~']") != []


# --- hosts (3.1) ----------------------------------------------------------------------------------------------

RIGHT = ["a.shop", "A.Shop.", "a-1.shop", "1.shop", "*.shop", f"{'a' * 63}.shop", f"{'a.' * 126}bc"]
WRONG = [
    "",
    "a_b.shop",
    "-a.shop",
    "a.-shop",
    "a..shop",
    "a.*",
    "a*.shop",
    f"{'a' * 64}.shop",
    "a.123",
    f"{'a.' * 127}bc",
    "*.",
    "*-.shop",
]


@pytest.mark.spec("S-1", "D-1")
@pytest.mark.parametrize("host", RIGHT)
def test_hosts(host: str):
    assert verdict("DestinationRule", f"host: '{host}'") == []
    assert (
        verdict("ServiceEntry", f"{{hosts: ['{host}'], ports: [{{number: 80, name: http}}], resolution: STATIC}}") == []
    )


@pytest.mark.spec("S-1", "D-1")
@pytest.mark.parametrize("host", WRONG)
def test_what_is_no_host(host: str):
    service = f"{{hosts: ['{host}'], ports: [{{number: 80, name: http}}], resolution: STATIC}}"

    assert verdict("DestinationRule", f"host: '{host}'") == ["E-VALUE host"]
    assert verdict("ServiceEntry", service) == ["E-VALUE hosts[0]"]


@pytest.mark.parametrize("host", ["10.0.0.1", "2001:db8::1"])
def test_an_ip_address_is_a_host_of_a_virtual_service_only(host: str):
    service = f"{{hosts: ['{host}'], ports: [{{number: 80, name: http}}], resolution: STATIC}}"

    assert verdict("DestinationRule", f"host: '{host}'") == ["E-VALUE host"]
    assert verdict("ServiceEntry", service) == ["E-VALUE hosts[0]"]
    assert (
        verdict("VirtualService", f"{{hosts: ['{host}'], http: [{{route: [{{destination: {{host: a.b}}}}]}}]}}") == []
    )


# --- labels and selectors (3.4) -------------------------------------------------------------------------------

SELECTORS = {
    "DestinationRule": ("workloadSelector: {matchLabels: LABELS}", "workloadSelector.matchLabels"),
    "ServiceEntry": ("location: MESH_INTERNAL, workloadSelector: {labels: LABELS}", "workloadSelector.labels"),
    "Sidecar": ("workloadSelector: {labels: LABELS}", "workloadSelector.labels"),
}


@pytest.mark.parametrize("kind", SELECTORS)
@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("{app: a}", ""),
        ("{app: ''}", ""),
        (f"{{{', '.join(f'k{each}: v' for each in range(256))}}}", ""),
        (f"{{{', '.join(f'k{each}: v' for each in range(257))}}}", "E-VALUE"),
        ("{'': a}", "E-VALUE ."),
        ("{app: 'a*'}", "E-VALUE .app"),
        ("{'ap*': a}", "E-VALUE .ap*"),
        ("{app: null}", "E-TYPE .app"),
    ],
)
def test_a_selector_of_any_kind(kind: str, labels: str, problem: str):
    spec, path = SELECTORS[kind]
    code, _, step = problem.partition(" ")

    found = judged(kind, ", " + spec.replace("LABELS", labels))

    assert found == ([f"{code} {path}{step}"] if problem else [])


@pytest.mark.parametrize("kind", SELECTORS)
def test_a_selector_without_labels_selects_everything_with_a_warning(kind: str):
    spec, path = SELECTORS[kind]

    assert judged(kind, ", " + spec.replace("LABELS", "{}")) == [f"W-VALUE {path.partition('.')[0]}"]
