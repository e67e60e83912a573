"""The JSON Schema for editors: it accepts what the decoder accepts, and says what is plainly wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from meshd.cli.schema import schema_text
from meshd.decode.json_schema import kind_schema, mesh_schema
from meshd.fields import Message
from meshd.resources import KINDS
from meshd.resources.gateway import Gateway
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.sidecar import Sidecar
from tests.robustness.mutations import mutations

TOP = Path(__file__).resolve().parents[2]
SHIPPED = TOP / "meshd/schemas/mesh.json"
FILES = sorted(
    [
        *TOP.glob("tests/examples/*.yaml"),
        *TOP.glob("tests/golden/*/mesh/**/*.yaml"),
        *TOP.glob("examples/mesh/**/*.yaml"),
    ]
)
MESH = jsonschema.Draft202012Validator(mesh_schema(KINDS))


def complaints(document: Any) -> list[str]:
    """`path: message` of each; of a choice, what its best branch lacks."""
    return [f"{error.json_path}: {error.message}" for error in map(_best, MESH.iter_errors(document))]


def _best(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    return jsonschema.exceptions.best_match([error])


def documents(text: str) -> Iterator[Any]:
    """As an editor reads them; a YAML 1.1 date is a text to the decoder, which is what the schema asks for."""
    loader = type("Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": _without_dates()})
    return (_given(document) for document in yaml.load_all(text, loader) if document is not None)


def _given(value: Any) -> Any:
    """Without what is null, which is absent to the decoder; an editor had better ask about it."""
    if isinstance(value, dict):
        return {key: _given(each) for key, each in value.items() if each is not None}
    return [_given(each) for each in value] if isinstance(value, list) else value


def _without_dates() -> dict[str, list[Any]]:
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    return {
        first: [each for each in known if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, known in resolvers.items()
    }


def an_object(kind: str, spec: dict[str, Any], **parts: Any) -> dict[str, Any]:
    group = "meshd.io" if kind == "MeshConfig" else "networking.istio.io"
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec} | parts


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(mesh_schema(KINDS))
    jsonschema.Draft202012Validator.check_schema(kind_schema(Gateway))


def test_two_classes_of_one_name_would_hide_each_other_and_are_a_fault_of_the_program():
    def a_class(name: str, bases: tuple[type, ...] = (Message,), /, **fields: Any) -> type:
        return make_dataclass(name, fields.items(), bases=bases, frozen=True, slots=True, kw_only=True)

    holder = a_class("Holder", one=a_class("Same", name=str), other=a_class("Same", name=int))
    kind = a_class("Kind", (Sidecar,), spec=holder)

    with pytest.raises(TypeError, match="two classes of messages are called Same"):
        kind_schema(kind)


def test_the_shipped_schema_is_up_to_date():
    assert SHIPPED.read_text() == schema_text(), "run `make schema`"


def test_every_reference_leads_somewhere():
    schema = mesh_schema(KINDS)
    text = json.dumps(schema)
    names = {part.partition('"')[0] for part in text.split('"#/$defs/')[1:]}

    assert names <= schema["$defs"].keys()
    assert {kind.KIND for kind in KINDS} <= schema["$defs"].keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_what_the_decoder_reads_without_an_error_the_schema_accepts(path: Path, decode):
    text = path.read_text()
    if any(problem.is_error for problem in decode(text).problems):
        pytest.skip("an example of errors")

    assert [complaints(document) for document in documents(text) if complaints(document)] == []


@pytest.mark.parametrize("path", FILES[::5], ids=lambda path: str(path.relative_to(TOP)))
def test_whatever_is_changed_in_a_file_the_schema_is_no_stricter_than_the_decoder(path: Path, decode):
    for mutation in list(mutations(path.read_text()))[::8]:
        if not any(problem.is_error for problem in decode(mutation.text).problems):
            assert [complaints(each) for each in documents(mutation.text) if complaints(each)] == [], mutation


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (an_object("ServiceEntri", {}), "$.kind: 'ServiceEntri' is not one of ["),
        (
            an_object("Gateway", {}, apiVersion="networking.istio.io/v2"),
            "$.apiVersion: 'networking.istio.io/v2' is not",
        ),
        (an_object("ServiceEntry", {"hosts": ["a.b"]}, metadata={}), "$.metadata: 'name' is a required property"),
        (
            an_object("ServiceEntry", {"hosts": ["a.b"]}, status={}, specs={}),
            "$: Additional properties are not allowed",
        ),
        (an_object("ServiceEntry", {}), "$.spec: 'hosts' is a required property"),
        (an_object("ServiceEntry", {"hosts": []}), "$.spec.hosts: [] should be non-empty"),
        (an_object("ServiceEntry", {"hosts": "a.b"}), "$.spec.hosts: 'a.b' is not of type 'array'"),
        (an_object("ServiceEntry", {"hosts": ["a.b"], "resolution": "dns"}), "$.spec.resolution: 'dns' is not one of"),
        (an_object("ServiceEntry", {"hosts": ["a.b"], "port": []}), "$.spec: 'port' does not match any of the regexes"),
        (an_object("Gateway", {"servers": [{"hosts": ["*"]}]}), "$.spec.servers[0]: 'port' is a required property"),
        (
            an_object("Sidecar", {"ingress": [{"port": {"number": 70000}}]}),
            "$.spec.ingress[0].port.number: 70000 is greater than the maximum of 65535",
        ),
        (
            an_object("MeshConfig", {"connectTimeout": "5 seconds"}),
            "$.spec.connectTimeout: '5 seconds' does not match",
        ),
        (
            an_object("WorkloadGroup", {"template": {}, "probe": {"tcpSocket": {"port": 1}, "httpGet": {"port": 1}}}),
            "$.spec.probe: False schema does not allow",
        ),
        (
            an_object("WorkloadGroup", {"template": {}, "probe": {}}),
            "$.spec.probe: {} is not valid under any of the given schemas",
        ),
        (an_object("WorkloadEntry", {"address": "10.0.0.1", "labels": {"a": 1}}), "$.spec.labels.a: 1 is not of type"),
        ({"apiVersion": "v1", "kind": "List", "items": [an_object("ServiceEntry", {})]}, "$.items[0].spec: 'hosts'"),
        ("text", "$: 'text' is not of type 'object'"),
        ({"apiVersion": "networking.istio.io/v1"}, "$: 'kind' is a required property"),
    ],
)
def test_what_is_plainly_wrong_is_told_at_its_place(document: Any, complaint: str):
    found = complaints(document)

    assert [each.startswith(complaint) for each in found].count(True) == 1, found


def test_objects_of_other_groups_may_be_anything():
    assert complaints({"apiVersion": "apps/v1", "kind": "Deployment", "spec": 1}) == []
    assert complaints({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}) == []


def test_names_in_snake_case_and_old_ones_are_accepted_but_not_offered():
    spec = kind_schema(ServiceEntry)["$defs"]["ServiceEntrySpec"]
    destination = mesh_schema(KINDS)["$defs"]["Destination"]

    assert (
        complaints(an_object("ServiceEntry", {"hosts": ["a.b"], "export_to": ["."], "subject_alt_names": ["c"]})) == []
    )
    assert "exportTo" in spec["properties"]
    assert "export_to" not in spec["properties"]
    assert "name" not in destination["properties"]
    assert destination["patternProperties"]["^(?:name)$"]["deprecated"]


def test_what_a_server_of_kubernetes_writes_into_metadata_is_accepted():
    metadata = {"name": "a", "uid": "1", "generation": 2, "managedFields": [], "labels": {"a": "b"}}

    assert complaints(an_object("ServiceEntry", {"hosts": ["a.b"]}, metadata=metadata, status={"x": 1})) == []


def test_an_editor_can_tell_what_a_kind_is_for():
    schema = kind_schema(Gateway)["$defs"]

    assert schema["Gateway"]["description"] == "Where a gateway proxy listens, and for which hosts."
    assert schema["ServerTLSSettings"]["properties"]["mode"]["default"] == "PASSTHROUGH"
    assert "ISTIO_MUTUAL" in schema["ServerTLSSettings"]["properties"]["mode"]["enum"]
    assert schema["TLSCertificate"]["description"].startswith("`caCertificates` is ignored")
