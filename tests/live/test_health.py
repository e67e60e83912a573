"""Workloads of this host that their probes have found unhealthy, and who answers instead (spec W-17, D-23, D-56)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.cases import Case, only
from tests.live.requests import get
from tests.live.world import Live

pytestmark = pytest.mark.envoy


def probed(id: str, policy: str = "loadBalancer: {simple: ROUND_ROBIN}", **workloads: str) -> Case:  # noqa: A002
    """`v1_sick="locality: here"` is a workload of that name; who is called sick is unhealthy."""
    entries = "".join(
        f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata:
          name: {name.replace("_", "-")}-$name
          annotations: {{istio.io/autoRegistrationGroup: $name, meshd.io/host: vm-1}}
        spec: {{address: 127.0.0.1, ports: {{http: ${name.partition("_")[0]}}}, {fields}}}"""
        for name, fields in workloads.items()
    )
    return only(
        id,
        mesh=f"""
        apiVersion: networking.istio.io/v1
        kind: WorkloadGroup
        metadata: {{name: $name}}
        spec:
          metadata: {{labels: {{app: $name}}}}
          template: {{labels: {{app: $name, security.istio.io/tlsMode: disabled}}}}
          probe: {{tcpSocket: {{port: 1}}}}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: $name}}
        spec:
          hosts: [$host]
          location: MESH_INTERNAL
          resolution: STATIC
          ports: [{{number: 80, name: http, protocol: HTTP}}]
          workloadSelector: {{labels: {{app: $name}}}}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: $name}}
        spec: {{host: $host, trafficPolicy: {{{policy}, tls: {{mode: DISABLE}}}}}}
        {entries.strip()}
        """,
    )


ANYWHERE = "weight: 1"
NEAR, FAR = "locality: here/zone-a", "locality: there/zone-x"
OUTLIERS = "outlierDetection: {consecutive5xxErrors: 5}"
PANIC = "loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {minHealthPercent: 80}"

ANSWERED = (
    (probed("W-17-the-healthy-ones-answer", v1_sick=ANYWHERE, v2=ANYWHERE, v3=ANYWHERE), {"v2": 15, "v3": 15}),
    (
        probed("W-17-even-where-panic-would-ask-all", PANIC, v1_sick=ANYWHERE, v2=ANYWHERE, v3=ANYWHERE),
        {"v2": 15, "v3": 15},
    ),
    (probed("W-17-those-far-away-when-the-near-are-unhealthy", OUTLIERS, v1_sick=NEAR, v2=FAR), {"v2": 30}),
    (probed("W-17-nobody-when-all-are-unhealthy", v1_sick=ANYWHERE, v2_sick=ANYWHERE), {"": 30}),
)
ADDRESS = "127.0.0.1"
CASES = tuple(asked for asked, _ in ANSWERED)
UNHEALTHY = frozenset(f"default/{name}-sick-{case.name}" for case in CASES for name in ("v1", "v2"))


@pytest.mark.parametrize(("asked", "answers"), ANSWERED, ids=lambda value: getattr(value, "id", ""))
def test_who_is_unhealthy_is_not_asked(live: Live, asked: Case, answers: dict[str, int]):
    assert Counter(live.send(get(), asked).by for _ in range(30)) == answers
