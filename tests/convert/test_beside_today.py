"""Older objects beside today's for the same hosts: who counts, and who is told of it (C-GEN-05, MIG-05)."""

from __future__ import annotations

import pytest

from tests.convert.conftest import REVIEWS, a_policy, a_rule, a_service, an_egress_rule, converted, loaded

TO_V1 = "destination: {name: reviews}, route: [{labels: {version: v1}}]"
OUT = "destination: {service: a.example}, ports: [{port: 443, protocol: https}]"


def a_wide_rule(namespace: str = "default", host: str = "*.default.svc.cluster.local") -> str:
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        f"metadata: {{name: wide, namespace: {namespace}}}\n"
        f"spec: {{host: '{host}', trafficPolicy: {{tls: {{mode: SIMPLE}}}}}}\n"
    )


@pytest.mark.spec("C-GEN-04", "W-MIXED-HOST")
@pytest.mark.parametrize("namespace", ["default", "istio-system"])
def test_who_speaks_of_one_host_is_told_that_a_rule_for_many_counts_no_longer_for_it(namespace: str):
    made = converted(a_rule(spec=TO_V1), a_wide_rule(namespace), REVIEWS)

    problem = made.problem("W-MIXED-HOST")
    assert f"DestinationRule {namespace}/wide (1.yaml:5:7) counts no longer for reviews.default" in problem.message
    assert (problem.at.file, problem.at.resource and problem.at.resource.kind) == ("0.yaml", "RouteRule")


@pytest.mark.parametrize(
    "wide",
    [
        pytest.param(a_wide_rule(host="*.other.svc.cluster.local"), id="for other hosts"),
        pytest.param(a_wide_rule("elsewhere"), id="in a namespace that decides for its own clients alone"),
    ],
)
def test_a_rule_for_many_that_counts_on_is_not_told_of(wide: str):
    policy = a_policy("p", "destination: {name: reviews}, loadBalancing: {name: RANDOM}")

    assert "W-MIXED-HOST" not in converted(policy, wide, REVIEWS).codes


@pytest.mark.spec("MIG-05", "W-MIXED-HOST")
@pytest.mark.parametrize("name", ["a", "z"])
def test_a_service_entry_of_today_counts_and_not_the_egress_rule_whatever_they_are_called(name: str):
    rule, today = an_egress_rule(name, OUT), a_service("a.example").replace("name: a,", "name: m,")

    made = converted(rule, today)
    mesh = loaded(rule, today).mesh

    assert made.problem("W-MIXED-HOST").at.path == "spec"
    assert made.objects == []
    assert mesh is not None
    assert [[port.number for port in each.ports] for (each,) in mesh.services.values()] == [[9080]]


@pytest.mark.spec("C-EG-06")
def test_a_service_entry_of_today_that_agrees_is_one_service_with_the_egress_rule():
    today = (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: more}\nspec: {hosts: [a.example], "
        "location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 9000, name: tls, protocol: TLS}]}\n"
    )

    found = loaded(an_egress_rule("out", OUT), today)

    assert "W-MIXED-HOST" not in {problem.code for problem in found.problems}
    assert found.mesh is not None
    assert [[port.number for port in each.ports] for (each,) in found.mesh.services.values()] == [[9000, 443]]


@pytest.mark.spec("ER-12")
@pytest.mark.parametrize("text", ["a.example.", "A.Exampel"])
def test_a_rule_that_nearly_names_a_service_outside_gets_a_hint(text: str):
    rule = a_rule(spec=f"destination: {{service: a.example}}, {TO_V1.partition(', ')[2]}")

    made = converted(rule, an_egress_rule("out", OUT.replace("a.example", text)), REVIEWS)

    assert made.problem("W-DEST-UNKNOWN").hint == f"did you mean {text.lower()!r}?"
