"""What a real Envoy has against words of its own API is told at the line that has them, before anything is pushed."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.deliver.preflight import Preflight
from meshd.deliver.snapshot import NOTHING, snapshot
from meshd.envoy import render
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from tests.convert.conftest import REVIEWS, a_workload
from tests.deliver.clock import on_a_loop
from tests.deliver.test_preflight import a_validator

pytestmark = pytest.mark.envoy

URL = "type.googleapis.com/envoy.config"
RULE = f"""kind: RouteRule
metadata: {{name: one}}
spec:
  destination: {{name: reviews}}
  route: [{{labels: {{version: v1}}}}]
  httpReqRetries:
    custom: {{'@type': {URL}.route.v3.RetryPolicy, retryOn: 5xx, retryBackOff: {{baseInterval: 0s}}}}
"""
POLICIES = f"""kind: DestinationPolicy
metadata: {{name: well}}
spec:
  destination: {{name: reviews}}
  custom: {{'@type': {URL}.cluster.v3.Cluster, connectTimeout: 1s}}
---
kind: DestinationPolicy
metadata: {{name: wrong}}
spec:
  destination: {{name: reviews, labels: {{version: v1}}}}
  circuitBreaker:
    custom: {{'@type': {URL}.cluster.v3.OutlierDetection, interval: 0s}}
---
kind: RouteRule
metadata: {{name: one}}
spec: {{destination: {{name: reviews}}, route: [{{labels: {{version: v1}}}}]}}
"""


@on_a_loop
@pytest.mark.spec("CB-03", "DP-12", "RTY-04")
@pytest.mark.parametrize(
    ("document", "line", "words"),
    [(RULE, 4, "RetryBackOffValidationError.BaseInterval"), (POLICIES, 10, "OutlierDetectionValidationError.Interval")],
)
async def test_envoys_complaint_is_told_at_the_older_object(
    envoy_binary: Path, short_tmp: Path, document: str, line: int, words: str
) -> None:
    files = {"older.yaml": document, "web.yaml": a_workload("web-1", "app: web"), "reviews.yaml": REVIEWS}
    loaded = load({name: BlobId(text) for name, text in files.items()}, str.encode, Memo())
    assert loaded.mesh
    (plan,) = compile_plan(loaded.mesh, HostName("web-1"), Reach(), Memo()).plans
    following = snapshot(render(plan, Memo()), ())

    async with a_validator(envoy_binary, short_tmp) as validator:
        problems = await Preflight(validator).judge({"sidecar": NOTHING}, {"sidecar": following}, {})

    assert [(problem.at.file, problem.at.line) for problem in problems] == [("older.yaml", line)]
    assert words in problems[0].message
