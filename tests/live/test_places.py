"""Who is asked first when endpoints are in many places, and who takes over when those fail (spec D-19 to D-24, W-5).

vm-1 is in here/zone-a/rack-1, and has the labels app=web and tier=front.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.cases import Case, case
from tests.live.requests import get
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy

DOCUMENTS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.live]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: web}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: beside-vm-1}
spec: {address: 10.255.255.2, labels: {app: web}, locality: here/zone-b}
"""
HTTP = "ports: [{number: 80, name: http, protocol: HTTP}]\nresolution: STATIC\nendpoints:\n"
EJECTING = "outlierDetection: {consecutive5xxErrors: 2, maxEjectionPercent: 100}\n"


def placed(id: str, policy: str, **places: str) -> Case:  # noqa: A002
    """`v1="locality: here"` is an endpoint; every failure is told at once."""
    endpoints = "".join(
        f"- {{address: 127.0.0.1, ports: {{http: ${version.partition('_')[0]}}}, {more}}}\n"
        for version, more in places.items()
    )
    http = "    - {route: [{destination: {host: $host}}], retries: {}}"
    return case(id, http=http, subsets="", policy=policy, entry=HTTP + endpoints)


def by_locality(setting: str) -> str:
    return f"loadBalancer: {{simple: ROUND_ROBIN, localityLbSetting: {{{setting}}}}}\n"


NEAR, NEXT, FAR = "locality: here/zone-a/rack-1", "locality: here/zone-b", "locality: there/zone-x"
REGIONS = {"v1": "locality: here", "v2": "locality: elsewhere", "v3": "locality: there"}

SHARED = (
    (
        placed(
            "D-20-shares-of-localities",
            by_locality("distribute: [{from: here/zone-a/*, to: {here/zone-a/*: 70, here/zone-b/*: 20, there/*: 10}}]"),
            v1=NEAR,
            v2=NEXT,
            v3=FAR,
        ),
        {"v1": 42, "v2": 12, "v3": 6},
    ),
    (
        placed(
            "D-20-what-is-not-listed-gets-nothing",
            by_locality("distribute: [{from: here/*, to: {here/*: 50, there/*: 50}}]"),
            v1="locality: elsewhere",
            v2=NEXT,
            v3=FAR,
        ),
        {"v2": 30, "v3": 30},
    ),
    (
        placed(
            "D-20-localities-of-one-entry-share-by-their-own-weights",
            by_locality("distribute: [{from: '*', to: {here/*: 80, there/*: 20}}]"),
            v1=NEAR + ", weight: 3",
            v2=NEXT + ", weight: 1",
            v3=FAR,
        ),
        {"v1": 36, "v2": 12, "v3": 12},
    ),
    (
        placed(
            "D-20-the-first-entry-that-covers-the-host-counts",
            by_locality("distribute: [{from: there/*, to: {there/*: 100}}, {from: here/*, to: {here/zone-b/*: 100}}]"),
            v1=NEAR,
            v2=NEXT,
            v3=FAR,
        ),
        {"v2": 60},
    ),
    (
        placed(
            "D-20-no-entry-for-the-host-changes-nothing",
            by_locality("distribute: [{from: there/*, to: {there/*: 100}}]"),
            v1=NEAR,
            v2=FAR,
        ),
        {"v1": 30, "v2": 30},
    ),
    (
        placed("D-19-enabled-false", by_locality("enabled: false") + EJECTING, v1=NEAR, v2=FAR),
        {"v1": 30, "v2": 30},
    ),
    (
        placed(
            "D-19-enabled-false-beside-distribute",
            by_locality("enabled: false, distribute: [{from: here/*, to: {here/*: 100}}]"),
            v1=NEAR,
            v2=FAR,
        ),
        {"v1": 30, "v2": 30},
    ),
    (
        placed("D-21-without-outlierDetection", by_locality("failover: [{from: here, to: there}]"), **REGIONS),
        {"v1": 20, "v2": 20, "v3": 20},
    ),
    (
        placed(
            "D-23-the-sub-zone-and-nobody-else",
            EJECTING,
            v1="locality: here/zone-a/rack-2",
            v2=NEAR,
            v3=FAR,
        ),
        {"v2": 60},
    ),
    (
        placed(
            "W-5-a-label-is-a-locality-where-there-is-none",
            EJECTING,
            v1="labels: {istio-locality: there.zone-x}",
            v2="labels: {istio-locality: here.zone-a.rack-1}",
        ),
        {"v2": 60},
    ),
    (
        placed(
            "W-5-the-field-wins-over-the-label",
            EJECTING,
            v1=NEAR + ", labels: {istio-locality: there.zone-x}",
            v2=NEXT,
        ),
        {"v1": 60},
    ),
    (
        placed(
            "W-6-weights-within-a-place",
            "loadBalancer: {simple: ROUND_ROBIN}\n" + EJECTING,
            v1=NEAR + ", weight: 4",
            v2=NEAR,
            v3=FAR + ", weight: 100",
        ),
        {"v1": 48, "v2": 12},
    ),
    (
        placed(
            "D-24-the-own-region-first",
            "loadBalancer: {simple: ROUND_ROBIN, zoneAwareLbSetting: {enabled: true}}",
            v1=NEAR,
            v2=NEXT,
            v3=FAR,
        ),
        {"v1": 30, "v2": 30},
    ),
    (
        placed(
            "D-24-the-own-zone-where-there-are-enough",
            "loadBalancer: {simple: ROUND_ROBIN, zoneAwareLbSetting: {minClusterSize: 2}}",
            v1=NEAR,
            v2=NEXT,
            v3=FAR,
        ),
        {"v1": 60},
    ),
    (
        placed(
            "D-24-six-are-enough-and-three-are-not",
            "loadBalancer: {simple: ROUND_ROBIN, zoneAwareLbSetting: {}}",
            v1=NEAR,
            v2=NEXT,
            v3=NEXT,
        ),
        {"v1": 20, "v2": 20, "v3": 20},
    ),
    (
        placed(
            "D-24-enabled-false",
            "loadBalancer: {simple: ROUND_ROBIN, zoneAwareLbSetting: {enabled: false, minClusterSize: 1}}",
            v1=NEAR,
            v2=NEXT,
        ),
        {"v1": 30, "v2": 30},
    ),
)
TAKING_OVER = (
    (placed("D-23-zone-then-region", EJECTING, v1=FAR, v2=NEXT, v3="locality: here/zone-a/rack-2"), "v3 v2 v1"),
    (
        placed(
            "D-21-the-region-that-is-named", by_locality("failover: [{from: here, to: there}]") + EJECTING, **REGIONS
        ),
        "v1 v3 v2",
    ),
    (
        placed(
            "D-21-only-the-entry-of-the-own-region",
            by_locality("failover: [{from: there, to: here}, {from: here, to: elsewhere}]") + EJECTING,
            **REGIONS,
        ),
        "v1 v2 v3",
    ),
    (
        placed(
            "D-22-by-labels-that-are-shared",
            by_locality("failoverPriority: [app, tier]") + EJECTING,
            v1="labels: {tier: front}",
            v2="labels: {app: web, tier: back}",
            v3="labels: {app: web, tier: front}",
        ),
        "v3 v2 v1",
    ),
    (
        placed(
            "D-22-a-value-instead-of-the-clients",
            by_locality("failoverPriority: ['app=shop', tier]") + EJECTING,
            v1="labels: {app: web, tier: front}",
            v2="labels: {app: shop, tier: front}",
            v3="labels: {app: shop}",
        ),
        "v2 v3 v1",
    ),
    (
        placed(
            "D-22-the-labels-of-a-place",
            by_locality("failoverPriority: [topology.kubernetes.io/region, topology.kubernetes.io/zone]") + EJECTING,
            v1=FAR,
            v2="locality: here/zone-a/rack-9",
            v3=NEXT,
        ),
        "v2 v3 v1",
    ),
    (
        placed(
            "D-22-failover-within-what-the-labels-leave-equal",
            by_locality("failoverPriority: [app], failover: [{from: here, to: there}]") + EJECTING,
            v1="locality: there, labels: {app: web}",
            v2="locality: elsewhere, labels: {app: web}",
            v3="locality: here, labels: {app: other}",
        ),
        "v1 v2 v3",
    ),
    (
        placed(
            "D-24-the-region-that-is-named",
            "loadBalancer: {zoneAwareLbSetting: {failover: [{from: here, to: there}]}}\n" + EJECTING,
            **REGIONS,
        ),
        "v1 v3 v2",
    ),
)

CASES = tuple(asked for asked, _ in (*SHARED, *TAKING_OVER))


@pytest.mark.parametrize(("asked", "shares"), SHARED, ids=lambda value: getattr(value, "id", ""))
def test_each_place_has_its_share(live: Live, asked: Case, shares: dict[str, int]):
    assert Counter(live.send(get(), asked).by for _ in range(60)) == shares


@pytest.mark.parametrize(("asked", "order"), TAKING_OVER, ids=lambda value: getattr(value, "id", ""))
def test_who_takes_over_when_the_nearer_fail(live: Live, asked: Case, order: str):
    """Each fails until it is ejected; Envoy does that in its main thread, a moment later."""
    first, *others = order.split()
    assert {live.send(get(), asked).by for _ in range(4)} == {first}

    failing = first
    for version in others:
        until(lambda: live.send(get(x_do=f"500@{failing}"), asked).by != failing, what=f"{version} to take over")  # noqa: B023
        assert {live.send(get(), asked).by for _ in range(4)} == {version}
        failing = version
