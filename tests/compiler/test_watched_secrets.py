from __future__ import annotations

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.plan import WATCHED_SECRETS

HOST = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.0.0.1}
"""
SECURED = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api-%(number)s}
spec: {hosts: [api-%(number)s.example.com], resolution: DNS, ports: [{number: 443, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api-%(number)s}
spec:
  host: api-%(number)s.example.com
  trafficPolicy:
    tls: {mode: SIMPLE, caCertificates: /ca/%(number)s.pem}
"""


def told(services: int) -> list[str]:
    documents = [HOST, *(SECURED % {"number": f"{number:02}"} for number in range(services))]
    files = {f"{number:03}.yaml": BlobId(str(number)) for number in range(len(documents))}
    mesh = load(files, lambda blob: documents[int(blob)].encode(), Memo()).mesh
    assert mesh is not None
    problems = compile_plan(mesh, HostName("web-1"), Reach(), Memo()).problems
    return [str(problem) for problem in problems if problem.code == "W-SECRET-UNWATCHED"]


def test_as_many_secrets_as_can_be_watched_are_no_problem():
    assert told(WATCHED_SECRETS) == []


def test_more_are_told_once_where_the_last_is_named():
    (problem,) = told(WATCHED_SECRETS + 3)

    assert problem == (
        "043.yaml:12:10: spec.trafficPolicy.tls: the sidecar takes 43 secrets, of which Envoy can watch 40: this one "
        "and 2 more are not read again when they are renewed; use fewer certificates, or restart the sidecar after "
        "they are renewed [W-SECRET-UNWATCHED]"
    )
