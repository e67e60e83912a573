"""The 66 documents of the specification's examples, judged as `meshd validate` judges them: alone, and with neighbours.

Where the page says what to expect, that is the verdict here; where it says nothing, the reason stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.cli.validate import validated

EXAMPLES = Path(__file__).parent.parent / "examples"

ALONE: dict[str, list[list[str]]] = {
    **{f"EX-003-{number:02}": [[]] for number in range(1, 19)},
    "EX-003-03": [["W-CORS-ORIGIN-SCHEME spec.corsPolicy.allowOrigin[0]"]],
    "EX-003-16": [["W-RR-NO-ROUTE spec"]],
    "EX-000-01": [[]],
    "EX-000-02": [[]],
    "EX-000-03": [[], []],
    "EX-000-04": [[]],
    "EX-000-05": [[]],
    "EX-000-06": [[]],
    "EX-000-07": [[]],
    "EX-000-08": [[]],
    "EX-000-09": [[]],
    "EX-000-10": [[]],
    "EX-000-11": [[], []],
    "EX-000-12": [[], [], []],
    "EX-X-01": [[]],
    "EX-X-02": [[]],
    "EX-X-03": [[], [], []],
    "EX-X-04": [[]],
    "EX-X-05": [[], [], [], [], []],
    "EX-X-06": [[], []],
    "EX-X-07": [[], [], []],
    "EX-X-08": [[], [], []],
    "EX-X-09": [[], []],
    "EX-X-10": [[]],
    "EX-X-11": [["W-THR-SHARED spec.l4Fault.throttle"]],
    "EX-X-12": [[], [], [], [], [], []],
    # The page wants the error. The warning is due to S-5: it would take the port 5432 for itself, too.
    "EX-X-13": [["E-SE-TCP-MULTIHOST spec.ports[0]", "W-VALUE spec.ports[0]"]],
    "EX-X-14": [[], []],
}
"""By example, the problems of each document by itself: `meshd validate --isolated`. What needs another is below."""


def documents(example: str) -> list[str]:
    text = (EXAMPLES / f"{example}.yaml").read_text()
    return re.split(r"^---\n", text, flags=re.MULTILINE)


def each_document() -> Iterator[object]:
    for example, verdicts in ALONE.items():
        for index, problems in enumerate(verdicts):
            yield pytest.param(example, index, problems, id=f"{example}-{index + 1}")


def verdict(directory: Path, *texts: str, isolated: bool = False) -> list[str]:
    for index, text in enumerate(texts):
        (directory / f"{index}.yaml").write_text(text)
    problems = validated((directory,), isolated=isolated).problems
    return sorted(f"{problem.code} {problem.at.path}" for problem in problems)


def test_every_document_of_the_page_is_judged():
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == ALONE.keys()
    assert {example: len(documents(example)) for example in ALONE} == {each: len(ALONE[each]) for each in ALONE}
    assert sum(len(verdicts) for verdicts in ALONE.values()) == 66


@pytest.mark.parametrize(("example", "index", "problems"), list(each_document()))
def test_a_document_alone(tmp_path: Path, example: str, index: int, problems: list[str]):
    assert verdict(tmp_path, documents(example)[index], isolated=True) == problems


# --- with the neighbours that they need -----------------------------------------------------------------------


def a_service(host: str, port: str, *, namespace: str = "default", address: str = "192.0.2.1") -> str:
    """One with endpoints of all versions. `port`: its YAML."""
    endpoints = "".join(f"  - {{address: {address}{n}, labels: {{version: v{n}}}}}\n" for n in (1, 2, 3))
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: {host.replace('.', '-')}, namespace: {namespace}}}\n"
        f"spec:\n  hosts: [{host}]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{port}]\n"
        f"  endpoints:\n{endpoints}"
    )


def a_workload(name: str, labels: str, *, namespace: str = "default") -> str:
    return (
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{address: 192.0.2.99, labels: {{{labels}}}}}\n"
    )


HTTP = "{number: 9080, name: http, protocol: HTTP}"
BOOKINFO = [
    a_service("reviews.default.svc.cluster.local", HTTP),
    a_service("ratings.default.svc.cluster.local", HTTP, address="192.0.2.2"),
    a_service("bookratings.default.svc.cluster.local", HTTP, address="192.0.2.3"),
]
EGRESS = [
    a_service(
        "istio-egressgateway.istio-system.svc.cluster.local",
        "{number: 443, name: http, protocol: HTTP}",
        namespace="istio-system",
    ),
    a_workload("egress-1", "istio: egressgateway", namespace="istio-system"),
]
LEGACY_FOO = [
    a_service("legacy.foo.svc.cluster.local", HTTP, namespace="foo"),
    a_service("other.foo.svc.cluster.local", HTTP, namespace="foo", address="192.0.2.2"),
]


def of(*examples: str) -> list[str]:
    """Their documents, but for those of v1alpha1."""
    return [text for example in examples for text in documents(example) if "config.istio.io" not in text]


UNDEFINED = "E-VS-SUBSET-UNDEFINED spec.http"


@pytest.mark.parametrize(
    ("mesh", "problems"),
    [
        pytest.param(of("EX-000-01", "EX-000-02"), ["E-VS-DEST-UNKNOWN spec.http[0].route[0].destination.host",
                                                   "W-VALUE spec.selector"],
                     id="EX-000-02 needs reviews, and EX-000-01 a gateway host"),
        pytest.param([*of("EX-000-01", "EX-000-02"), *BOOKINFO, a_workload("edge-1", "app: edge")],
                     ["W-VALUE spec.selector"], id="an ordinary workload is no gateway"),
        pytest.param([*of("EX-000-02"), *BOOKINFO], ["E-VS-GATEWAY-UNKNOWN spec.gateways[0]"],
                     id="EX-000-02 needs its Gateway (13.1)"),
        pytest.param([*of("EX-000-04"), *BOOKINFO],
                     [f"{UNDEFINED}[0].route[0].destination.subset", f"{UNDEFINED}[1].route[0].destination.subset"],
                     id="EX-000-04 needs the subsets of EX-000-06"),
        pytest.param([*of("EX-000-04", "EX-000-06"), *BOOKINFO], [], id="EX-000-04 with EX-000-06"),
        pytest.param([*of("EX-000-05"), *BOOKINFO], [], id="EX-000-05: its host may be in no registry"),
        pytest.param([*of("EX-000-01", "EX-000-02", "EX-000-05"), *BOOKINFO],
                     ["E-DUP-RESOURCE spec", "W-VALUE spec.selector"], id="EX-000-05 has the name of EX-000-02"),
        pytest.param([*of("EX-000-06"), *BOOKINFO], [], id="EX-000-06: subsets may wait for routes"),
        pytest.param(of("EX-000-07", "EX-000-08"), ["W-TLS-ON-80 spec.trafficPolicy.tls"],
                     id="EX-000-08 with EX-000-07 opens TLS to port 80"),
        pytest.param(of("EX-000-08"), ["W-DR-UNUSED spec.host"], id="EX-000-08 matches nothing alone (6.1)"),
        pytest.param([*of("EX-000-09"), *LEGACY_FOO], [], id="EX-000-09"),
        pytest.param(of("EX-000-10"), ["W-DR-UNUSED spec.host"], id="EX-000-10 matches nothing alone (6.1)"),
        pytest.param([*of("EX-000-10"), a_service("a.foo.com", HTTP)], [], id="EX-000-10 with a service"),
        pytest.param(of("EX-000-11"), [], id="EX-000-11"),
        pytest.param(of("EX-000-12"), [], id="EX-000-12: both ways work on one port"),
        pytest.param([*of("EX-X-01"), *BOOKINFO], [], id="EX-X-01"),
        pytest.param([*of("EX-X-02"), *BOOKINFO], ["W-VALUE spec.workloadSelector"],
                     id="EX-X-02 is for a workload that must be there"),
        pytest.param([*of("EX-X-02"), *BOOKINFO, a_workload("vm-1", "app: reviews, version: v2")], [], id="EX-X-02"),
        pytest.param(of("EX-X-03"), [], id="EX-X-03"),
        pytest.param(of("EX-X-04"), [], id="EX-X-04"),
        pytest.param([*of("EX-X-05"), *EGRESS], [], id="EX-X-05"),
        pytest.param(of("EX-X-06"), [], id="EX-X-06"),
        pytest.param([*of("EX-X-07", "EX-X-06"), *EGRESS], [], id="EX-X-07 with EX-X-06"),
        pytest.param([*of("EX-X-08", "EX-000-06"), *BOOKINFO, a_workload("in-1", "istio: ingressgateway")], [],
                     id="EX-X-08 with the subsets of EX-000-03"),
        pytest.param([*of("EX-X-09"), *BOOKINFO], [], id="EX-X-09"),
        pytest.param([*of("EX-X-10"), *BOOKINFO], [], id="EX-X-10"),
        pytest.param(of("EX-X-12"), [], id="EX-X-12"),
        pytest.param(of("EX-X-13"), ALONE["EX-X-13"][0], id="EX-X-13"),
        pytest.param([*of("EX-X-14"), *BOOKINFO], [], id="EX-X-14"),
    ],
)  # fmt: skip
def test_documents_with_neighbours(tmp_path: Path, mesh: list[str], problems: list[str]):
    assert verdict(tmp_path, *mesh) == problems
