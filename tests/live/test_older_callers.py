"""Who the older kinds are for, exactly: a caller by what runs on its host; and zeros that are meant (inventory MC-05,
DP-06, CB-14 and CB-15)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case
from tests.live.requests import Exchange, get
from tests.live.world import Live
from tests.waiting import until

pytestmark = pytest.mark.envoy

DOCUMENTS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: batch, namespace: elsewhere}
spec:
  hosts: [batch.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http}]
  endpoints:
  - {address: 10.255.255.1, labels: {version: v2}}
  - {address: 10.255.255.2, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: second}
spec:
  hosts: [second.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http}]
  workloadSelector: {labels: {app: second}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: second-1}
spec: {address: 10.255.255.1, labels: {app: second, tier: back}}
"""


def to(version: str) -> str:
    return f"route: [{{labels: {{version: {version}}}}}]"


def of_host(id: str, *exchanges: Exchange, rules: str = "", policy: str = "") -> Case:  # noqa: A002
    """`rules`: specs of RouteRules for the case's service, a line each; `policy`: of a DestinationPolicy."""
    specs = [("RouteRule", spec) for spec in rules.strip().splitlines()]
    specs += [("DestinationPolicy", spec) for spec in policy.strip().splitlines()]
    texts = [
        f"kind: {kind}\nmetadata: {{name: $name-{index}}}\nspec: {{{_for_all(spec.strip())}}}\n"
        for index, (kind, spec) in enumerate(specs)
    ]
    return case(id, *exchanges, http="", subsets="", mesh="\n---\n".join(texts))


def _for_all(spec: str) -> str:
    return spec if spec.startswith("destination:") else f"destination: {{service: $host}}, {spec}"


OF_V1 = "destination: {service: $host, labels: {version: v1}}, circuitBreaker: {simpleCb: {httpMaxRetries: 5}}"
FAILING = "httpReqRetries: {simpleRetry: {attempts: 2}}"
NO_RETRIES = of_host(
    "CB-15-no-retries-at-one-time",
    get("/", x_do="503x1").gives(503),
    rules=f"{to('v1')}, {FAILING}",
    policy="circuitBreaker: {simpleCb: {httpMaxRetries: 0}}",
)


def ejecting(id: str, percent: int) -> Case:  # noqa: A002
    breaker = f"{{httpConsecutiveErrors: 1, httpMaxEjectionPercent: {percent}}}"
    return of_host(id, policy=f"circuitBreaker: {{simpleCb: {breaker}}}")


NOBODY_EJECTED = ejecting("CB-14-nobody-is-ejected", 0)
EJECTED = ejecting("CB-14-who-fails-is-ejected", 100)

CASES = (
    of_host(
        "MC-05-an-inline-endpoint-on-this-host-is-the-caller",
        get("/").gives(by="v2"),
        rules=f"""
        precedence: 3, match: {{source: {{service: batch.example, labels: {{version: v1}}}}}}, {to("v1")}
        precedence: 2, match: {{source: {{service: batch.example, labels: {{version: v2}}}}}}, {to("v2")}
        precedence: 1, {to("v3")}
        """,
    ),
    of_host(
        "MC-05-a-second-workload-of-this-host-is-the-caller",
        get("/").gives(by="v2"),
        rules=f"""
        precedence: 3, match: {{source: {{service: second.example, labels: {{tier: front}}}}}}, {to("v1")}
        precedence: 2, match: {{source: {{service: second.example, labels: {{tier: back}}}}}}, {to("v2")}
        precedence: 1, {to("v3")}
        """,
    ),
    of_host(
        "DP-06-the-policy-of-a-caller-replaces-the-one-for-all",
        get("/", x_do="503x1").gives(503),
        rules=f"{to('v1')}, {FAILING}",
        policy="""
        circuitBreaker: {simpleCb: {httpMaxRetries: 5}}
        source: {service: batch.example, labels: {version: v2}}, circuitBreaker: {simpleCb: {httpMaxRetries: 0}}
        """,
    ),
    of_host(
        "DP-06-the-policy-of-another-caller-is-not-ours",
        get("/", x_do="503x1").gives(200, by="v1"),
        rules=f"{to('v1')}, {FAILING}",
        policy="""
        circuitBreaker: {simpleCb: {httpMaxRetries: 5}}
        source: {service: batch.example, labels: {version: v1}}, circuitBreaker: {simpleCb: {httpMaxRetries: 0}}
        """,
    ),
    of_host(
        "CB-15-a-version-with-a-breaker-of-its-own-has-retries",
        get("/", x_do="503x1").gives(200, by="v1"),
        rules=f"{to('v1')}, {FAILING}",
        policy="circuitBreaker: {simpleCb: {httpMaxRetries: 0}}\n" + OF_V1,
    ),
    NO_RETRIES,
    NOBODY_EJECTED,
    EJECTED,
)


@pytest.mark.spec("MC-05", "DP-06", "DP-09", "C-RR-05", "C-DP-06", "L-SOURCE", "CB-15")
def test_a_rule_is_for_its_caller_alone(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


@pytest.mark.spec("CB-15", "L-ZERO")
def test_with_no_retries_at_one_time_there_is_one_try(live: Live):
    answer = live.send(get("/", x_do="503x1"), NO_RETRIES)

    assert (answer.status, len(live.backends.of(answer.live))) == (503, 1)


@pytest.mark.spec("CB-14", "L-ZERO")
def test_with_a_share_of_zero_nobody_is_ejected(live: Live):
    """Envoy ejects in its main thread, one after the other: what was asked for first is done first."""
    assert "v1" in _asked(live, NOBODY_EJECTED)
    until(lambda: "v1" not in _asked(live, EJECTED), seconds=5, what="the ejection of v1")

    assert "v1" in _asked(live, NOBODY_EJECTED)


def _asked(live: Live, case: Case) -> set[str | None]:
    """Who answers, of three in turn; v1 fails."""
    return {live.send(get(x_do="503@v1"), case).by for _ in range(6)}
