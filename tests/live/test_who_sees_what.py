"""Which rules of whom are in force here: exportTo, gateways, selectors of rules (spec V-2, V-6, D-1, D-3, D-6, 6.1)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case
from tests.live.requests import get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

TO_EVERY = "    - route: [{destination: {host: $host, subset: chosen}}]"


def rule(name: str, version: str, *fields: str, namespace: str = "default", host: str = "$host") -> str:
    """A DestinationRule whose subset `chosen` is that version."""
    head = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
    body = "".join(f"  {each}\n" for each in (f"host: '{host}'", *fields))
    subsets = f"  subsets: [{{name: chosen, labels: {{version: {version}}}}}]\n"
    return f"{head}metadata: {{name: $name-{name}, namespace: {namespace}}}\nspec:\n{body}{subsets}"


def routed(name: str, version: str, *fields: str, namespace: str = "default") -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    body = "".join(f"  {each}\n" for each in ("hosts: [$host]", *fields))
    http = f"  http: [{{route: [{{destination: {{host: $host, subset: {version}}}}}]}}]\n"
    return f"{head}metadata: {{name: $name-{name}, namespace: {namespace}}}\nspec:\n{body}{http}"


def chosen(id: str, by: str, *rules: str) -> Case:  # noqa: A002
    return case(id, *[get().gives(by=by)] * 3, http=TO_EVERY, subsets="", mesh="---\n".join(rules))


def told(id: str, by: str, *services: str) -> Case:  # noqa: A002
    return case(id, *[get().gives(by=by)] * 3, http="", mesh="---\n".join(services))


WEB, OTHER = "workloadSelector: {matchLabels: {app: web}}", "workloadSelector: {matchLabels: {app: other}}"
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: $name}
spec: {selector: {app: other}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""

CASES = (
    chosen("D-6-a-rule-for-this-workload-wins", "v2", rule("all", "v1"), rule("own", "v2", WEB)),
    chosen("D-6-a-rule-for-another-does-not-count", "v1", rule("all", "v1"), rule("own", "v2", OTHER)),
    chosen(
        "D-6-what-another-namespace-keeps-is-not-seen",
        "v1",
        rule("all", "v1"),
        rule("kept", "v2", "exportTo: ['.']", namespace="istio-system"),
    ),
    chosen(
        "D-6-a-rule-of-the-root-namespace-for-this-one",
        "v2",
        rule("given", "v2", "exportTo: [default]", namespace="istio-system"),
    ),
    chosen(
        "D-1-the-most-specific-wildcard",
        "v2",
        rule("wide", "v1", host="*wildcard.live"),
        rule("narrow", "v2", host="*-specific-wildcard.live"),
    ),
    chosen("D-3-the-first-definition-of-a-subset", "v1", rule("a", "v1"), rule("b", "v2")),
    told(
        "V-6-what-another-namespace-gives-us",
        "v2",
        routed("given", "v2", "exportTo: [default]", namespace="shop"),
    ),
    told(
        "V-6-what-another-namespace-keeps",
        "v1",
        routed("own", "v1", "exportTo: ['.']"),
        routed("kept", "v2", "exportTo: ['.']", namespace="shop"),
    ),
    told(
        "V-2-what-is-for-a-gateway-is-not-for-us",
        "v1",
        routed("own", "v1", "gateways: [mesh]"),
        routed("theirs", "v2", "gateways: [$name]"),
        GATEWAY,
    ),
    told("V-2-what-is-for-both", "v2", routed("both", "v2", "gateways: [$name, mesh]"), GATEWAY),
)


def test_who_sees_what(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)
