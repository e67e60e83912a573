"""Meshes of older kinds, written as YAML, and what their conversion comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshd.convert.show import to_yaml
from meshd.decode import Kinds, decode_file
from meshd.memo import Memo
from meshd.mesh.load import Loaded, Older, load, load_older
from meshd.names import BlobId
from meshd.problems import Problem
from meshd.resources import KINDS

EXAMPLES = Path(__file__).parent.parent / "examples"
ALL_KINDS = Kinds(types=KINDS, not_yet={})


@dataclass(frozen=True)
class Conversion:
    """`text` is what `meshd convert` prints; objects are looked up in it as any other reader would."""

    older: Older
    text: str

    @property
    def codes(self) -> list[str]:
        return sorted(problem.code for problem in self.older.problems)

    def problem(self, code: str) -> Problem:
        found = [problem for problem in self.older.problems if problem.code == code]
        assert len(found) == 1, [str(each) for each in self.older.problems]
        return found[0]

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [each for each in yaml.load_all(self.text, yaml.CSafeLoader) if each]

    def named(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        wanted = {"name": name, "namespace": namespace}
        found = [each for each in self.objects if each["kind"] == kind and wanted.items() <= each["metadata"].items()]
        assert len(found) == 1, [(each["kind"], each["metadata"]["name"]) for each in self.objects]
        return found[0]

    def spec(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        spec: dict[str, Any] = self.named(kind, name, namespace)["spec"]
        return spec


def converted(*texts: str) -> Conversion:
    """The texts are files. What is printed is read again on the way: it has to be valid for meshd itself."""
    files = {f"{index}.yaml": BlobId(text) for index, text in enumerate(texts)}
    older = load_older(files, str.encode, Memo())
    text = to_yaml(older.resources, older.problems, older.dormant)
    again = decode_file("converted.yaml", text.encode(), ALL_KINDS)
    assert [str(problem) for problem in again.problems if problem.is_error] == []
    assert len(again.resources) == len(older.resources)
    return Conversion(older, text)


def loaded(*texts: str) -> Loaded:
    return load({f"{index}.yaml": BlobId(text) for index, text in enumerate(texts)}, str.encode, Memo())


@pytest.fixture
def convert() -> Callable[..., Conversion]:
    return converted


def a_rule(name: str = "my-rule", spec: str = "", *, kind: str = "RouteRule", namespace: str = "default") -> str:
    """`spec`: flow YAML without its braces."""
    return (
        f"---\napiVersion: config.istio.io/v1alpha2\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{{spec}}}\n"
    )


def a_policy(name: str, spec: str, *, namespace: str = "default") -> str:
    return a_rule(name, spec, kind="DestinationPolicy", namespace=namespace)


def an_egress_rule(name: str, spec: str, *, namespace: str = "default") -> str:
    return a_rule(name, spec, kind="EgressRule", namespace=namespace)


def an_ingress_rule(name: str, spec: str, *, namespace: str = "default") -> str:
    return a_rule(name, spec, kind="IngressRule", namespace=namespace)


def a_service(host: str, *ports: str, namespace: str = "default", labels: str = "", more: str = "") -> str:
    """STATIC, with endpoints of versions v1 and v2; or, with `labels`, by a selector. Port 9080 speaks HTTP."""
    short = host.partition(".")[0]
    listed = ", ".join(ports or ("{number: 9080, name: http, protocol: HTTP}",))
    where = (
        f"workloadSelector: {{labels: {{{labels}}}}}"
        if labels
        else "endpoints: [{address: 10.1.0.1, labels: {version: v1}}, {address: 10.1.0.2, labels: {version: v2}}]"
    )
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: {short}, namespace: {namespace}}}\n"
        f"spec: {{hosts: [{host}], location: MESH_INTERNAL, resolution: STATIC, ports: [{listed}], {where}{more}}}\n"
    )


def a_workload(name: str, labels: str, address: str = "10.0.0.1", *, namespace: str = "default") -> str:
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{address: {address}, labels: {{{labels}}}}}\n"
    )


REVIEWS = a_service("reviews.default.svc.cluster.local")
RATINGS = a_service("ratings.default.svc.cluster.local")
