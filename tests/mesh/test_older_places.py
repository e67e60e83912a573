"""What is wrong with what became of an older object has a path that a reader finds in that object."""

from __future__ import annotations

import pytest

from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId
from tests.convert.conftest import REVIEWS, a_rule, a_service, a_workload, an_egress_rule, an_ingress_rule

GATEWAY = a_workload("out", "istio: egressgateway") + a_service(
    "istio-egressgateway.istio-system.svc.cluster.local", "{number: 80, name: tcp, protocol: TCP}"
)


@pytest.mark.parametrize(
    ("older", "today", "code", "path"),
    [
        pytest.param(
            an_ingress_rule("i", "port: 80, destination: {name: reviews}"), REVIEWS, "W-VALUE", "spec",
            id="a selector, which an IngressRule has not",
        ),
        pytest.param(
            an_egress_rule(
                "e", "destination: {service: a.example}, useEgressProxy: true, ports: [{port: 80, protocol: http}]"
            ),
            GATEWAY, "E-VS-PORT-PROTOCOL", "spec.ports[0].port",
            id="a port, which both have",
        ),
        pytest.param(
            a_rule("r", "destination: {service: a.example}, route: [{destination: {name: both}}]")
            + an_egress_rule("e", "destination: {service: a.example}, ports: [{port: 80, protocol: http}]"),
            a_service("both.default.svc.cluster.local", "{number: 1, name: http-a, protocol: HTTP}",
                      "{number: 2, name: http-b, protocol: HTTP}"),
            "E-VALUE", "spec.route[0]",
            id="an entry of a list",
        ),
    ],
)  # fmt: skip
def test_a_path_ends_where_it_leaves_the_older_object(older: str, today: str, code: str, path: str):
    loaded = load({"older.yaml": BlobId(older), "today.yaml": BlobId(today)}, str.encode, Memo())

    told = {(problem.code, problem.at.path) for problem in loaded.problems if problem.at.file == "older.yaml"}

    assert (code, path) in told
