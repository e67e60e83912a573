"""Which objects of a file are ours, of which kind, and what is said of those that are nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.decode import Kinds, decode_document, decode_file
from meshd.documents import documents
from meshd.problems import Problem, ResourceId
from meshd.resources import KINDS, NOT_YET
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.workload_entry import WorkloadEntry

ENTRY = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: foo
spec:
  hosts:
  - foo.example.com
  ports:
  - {number: 80, name: http, protocol: HTTP}
"""
WORKLOAD = "{apiVersion: networking.istio.io/v1, kind: WorkloadEntry, metadata: {name: w}, spec: {address: 10.0.0.1}}"


def said(decode, text: str) -> list[str]:
    return [str(problem).removeprefix("a.yaml:") for problem in decode(text).problems]


def test_an_object_becomes_a_resource_of_its_kind_that_knows_where_it_stands(decode):
    decoded = decode(ENTRY)

    (entry,) = decoded.resources
    assert not decoded.problems
    assert isinstance(entry, ServiceEntry)
    assert entry.hosts == ("foo.example.com",)
    assert entry.id == ResourceId(kind="ServiceEntry", namespace="default", name="foo")
    assert (str(entry.origin), entry.origin.path, entry.origin.resource) == ("a.yaml:6:3", "spec", entry.id)
    assert (str(entry.origin.at("hosts")), entry.origin.at("hosts").path) == ("a.yaml:7:3", "spec.hosts")
    assert str(entry.ports[0].origin.at("name")) == "a.yaml:9:24"
    assert str(entry.metadata.origin.at("name")) == "a.yaml:4:9"


def test_where_one_field_is_the_whole_spec_it_takes_the_whole_spec(decode):
    (entry,) = decode(WORKLOAD).resources

    assert isinstance(entry, WorkloadEntry)
    assert entry.workload.address == "10.0.0.1"
    assert entry.origin == entry.workload.origin
    assert entry.origin.path == "spec"


@pytest.mark.parametrize("version", ["v1alpha3", "v1beta1", "v1"])
def test_all_versions_of_a_kind_have_one_schema(decode, version: str):
    assert decode(ENTRY.replace("io/v1", f"io/{version}")).resources == decode(ENTRY).resources


def test_objects_of_other_groups_are_counted_and_nothing_else(decode):
    text = "apiVersion: apps/v1\nkind: Deployment\nbogus: [1, yes]\n---\napiVersion: v1\nkind: ConfigMap\n---\n" + ENTRY

    decoded = decode(text)

    assert decoded.skipped == 2
    assert len(decoded.resources) == 1
    assert not decoded.problems


def test_a_gateway_of_another_api_is_not_ours(decode):
    assert decode("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n").skipped == 1
    assert decode("apiVersion: networking.k8s.io/v1\nkind: VirtualService\n").skipped == 1


def test_what_kubectl_prints_can_be_put_into_the_repository(decode):
    text = f"""\
apiVersion: v1
kind: List
metadata: {{resourceVersion: ""}}
items:
- {WORKLOAD}
- apiVersion: networking.istio.io/v1
  kind: WorkloadEntry
  metadata:
    name: x
    creationTimestamp: 2024-01-31T12:00:00Z
    uid: 1
    generation: 2
    resourceVersion: "3"
    managedFields: [{{manager: kubectl}}]
    finalizers: []
    annotations: {{kubectl.kubernetes.io/last-applied-configuration: "{{}}"}}
  spec: {{address: 10.0.0.2, wait: 5}}
  status: {{whatever: yes}}
- {{apiVersion: v1, kind: Secret}}
"""

    decoded = decode(text)

    assert [resource.metadata.name for resource in decoded.resources] == ["w"]
    assert decoded.skipped == 1
    assert said(decode, text) == ["17:29: items[1].spec.wait: there is no such field; did you mean 'weight'? [E-FIELD]"]
    assert decoded.problems[0].at.resource == ResourceId(kind="WorkloadEntry", namespace="default", name="x")


def test_an_empty_list_is_fine_and_a_list_of_nothing_is_not(decode):
    assert said(decode, "{apiVersion: v1, kind: List}") == []
    assert said(decode, "{apiVersion: v1, kind: List, items: {}}") == [
        "1:37: items: needs a list, not a mapping [E-TYPE]"
    ]


NOT_OURS = "keep files that are no mesh resources out of `repository.path`"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1", f"1:1: apiVersion and kind are missing; {NOT_OURS} [E-KIND]"),
        ("- 1", f"1:1: an object must be a mapping, not a list; {NOT_OURS} [E-TYPE]"),
        ("just text", f"1:1: an object must be a mapping, not text; {NOT_OURS} [E-TYPE]"),
        ("kind: ServiceEntry", "1:1: apiVersion is missing; write `apiVersion: networking.istio.io/v1` [E-KIND]"),
        ("kind: Bogus", "1:1: apiVersion is missing; every object starts with `apiVersion:` and `kind:` [E-KIND]"),
        ("apiVersion: v1", "1:1: kind is missing; every object starts with `apiVersion:` and `kind:` [E-KIND]"),
        ("{apiVersion: 1, kind: X}", '1:14: apiVersion: needs text, not a number; quote it: "1" [E-TYPE]'),
        (
            "{apiVersion: networking.istio.io/v1, kind: ServiceEntri}",
            "1:44: kind: networking.istio.io has no kind 'ServiceEntri'; did you mean 'ServiceEntry'? [E-KIND]",
        ),
        (
            "{apiVersion: networking.istio.io/v1alpha3, kind: ExternalService}",
            "1:50: kind: networking.istio.io has no kind 'ExternalService'; it is called 'ServiceEntry' now [E-KIND]",
        ),
        (
            "{apiVersion: networking.istio.io/v2, kind: ServiceEntry}",
            (
                "1:14: apiVersion: 'v2' is not a version of ServiceEntry that this version of meshd reads; "
                "use networking.istio.io/v1 [E-KIND]"
            ),
        ),
        (
            "{apiVersion: networking.isto.io/v1, kind: ServiceEntry}",
            (
                "1:14: apiVersion: no API group 'networking.isto.io' has a ServiceEntry; "
                "did you mean 'networking.istio.io'? [E-KIND]"
            ),
        ),
    ],
)
def test_an_object_that_is_nothing_says_what_it_lacks(decode, text: str, problem: str):
    assert said(decode, text) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: networking.istio.io/v1, kind: EnvoyFilter}",
        "{apiVersion: config.istio.io/v1alpha2, kind: RouteRule}",
        "{apiVersion: config.istio.io/anything, kind: RouteRule}",
        "{kind: RouteRule, type: route-rule}",
    ],
)
def test_a_kind_that_is_not_acted_on_yet_says_so(text: str):
    today = tuple(kind for kind in KINDS if kind.GROUP != "config.istio.io")
    kinds = Kinds(types=today, not_yet={"networking.istio.io": ("EnvoyFilter",), "config.istio.io": ("RouteRule",)})

    (problem,) = decode_file("a.yaml", text.encode(), kinds).problems

    assert problem.code == "E-UNSUPPORTED"
    assert problem.message.endswith("is a kind that this version of meshd reads, but does not act on yet")


def test_a_legacy_kind_that_is_acted_on_needs_no_version():
    class Legacy(WorkloadEntry):
        KIND = "RouteRule"
        GROUP = "config.istio.io"
        VERSIONS = ()

    kinds = Kinds(types=(Legacy,), not_yet={})
    body = "kind: RouteRule\nmetadata: {name: a}\nspec: {address: 10.0.0.1}\n"

    for head in ("", "apiVersion: config.istio.io/v1alpha2\n"):
        (rule,) = decode_file("a.yaml", (head + body).encode(), kinds).resources
        assert type(rule) is Legacy


METADATA = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nspec: {address: 10.0.0.1}\nmetadata: "


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("{}", "metadata.name: is required [E-REQUIRED]"),
        ("{generateName: a-}", "metadata.name: is required [E-REQUIRED]"),
        ("x", "metadata: needs a mapping, not text; "),
        ("{name: A}", "metadata.name: 'A' is not a DNS-1123 subdomain"),
        ("{name: a, namespace: a.b}", "metadata.namespace: 'a.b' is not a DNS-1123 label"),
        ("{name: a, labels: {app: 1}}", 'metadata.labels.app: needs text, not a number; quote it: "1" [E-TYPE]'),
        ("{name: a, labels: {a/b/c: x}}", "metadata.labels.a/b/c: 'a/b/c' is not a label key [E-VALUE]"),
        ("{name: a, label: {}}", "metadata.label: there is no such field; did you mean 'labels'? [E-FIELD]"),
        (
            "{name: a, annotations: {istio.io/dry-run: 'true'}}",
            "metadata.annotations.istio.io/dry-run: the annotation 'istio.io/dry-run' is not supported [E-VALUE]",
        ),
        ("{name: a, creationTimestamp: 2024-01-31}", "metadata.creationTimestamp: '2024-01-31' is not a time such as"),
        ("{name: a, creationTimestamp: 2024-02-31T00:00:00Z}", "metadata.creationTimestamp: '2024-02-31T00:00:00Z' is"),
    ],
)
def test_metadata_is_checked_like_everything_else(decode, metadata: str, problem: str):
    decoded = decode(METADATA + metadata)

    assert not decoded.resources
    assert [problem in str(found) for found in decoded.problems] == [True], decoded.problems


def test_every_object_needs_metadata_and_spec_and_has_nothing_else(decode):
    assert said(decode, "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, specs: {}, status: {}}") == [
        "1:1: metadata: is required [E-REQUIRED]",
        "1:1: spec: is required [E-REQUIRED]",
        "1:58: specs: there is no such field; did you mean 'spec'? [E-FIELD]",
    ]


def test_one_bad_object_leaves_the_others_of_the_file_alone(decode):
    decoded = decode(ENTRY.replace("hosts", "hots") + "---\n" + WORKLOAD + "\n---\n[\n---\n" + ENTRY)

    assert [resource.KIND for resource in decoded.resources] == ["WorkloadEntry", "ServiceEntry"]
    assert [problem.code for problem in decoded.problems] == ["E-FIELD", "E-REQUIRED", "E-YAML"]


def test_a_resource_whose_own_check_fails_is_left_out_and_told_once():
    class Picky(WorkloadEntry):
        KIND = "Picky"

        def check(self):
            yield Problem(code="E-PICKY", at=self.origin.at("address"), message="not this one")

    kinds = Kinds(types=(Picky,), not_yet={})

    decoded = decode_file("a.yaml", WORKLOAD.replace("WorkloadEntry", "Picky").encode(), kinds)

    assert not decoded.resources
    assert [str(problem) for problem in decoded.problems] == ["a.yaml:1:88: spec.address: not this one [E-PICKY]"]


def test_one_document_can_be_decoded_alone(kinds):
    (document,), _ = documents("a.yaml", WORKLOAD.encode())

    assert decode_document(document, kinds).resources == decode_file("b.yaml", WORKLOAD.encode(), kinds).resources


def test_the_same_bytes_decode_to_the_same_again(kinds):
    content = ENTRY.replace("HTTP", "1").encode()

    assert decode_file("a.yaml", content, kinds) == decode_file("a.yaml", content, kinds)


# --- anything at all ------------------------------------------------------------------------------------------

REAL = Kinds(types=KINDS, not_yet=NOT_YET)
SCALARS = st.sampled_from(
    [
        "a",
        "1",
        "yes",
        "null",
        "5s",
        "'x'",
        "010",
        "1.5",
        "a.example.com",
        "*.foo",
        "[]",
        "{}",
        "GET",
        "-1",
        "''",
        "SIMPLE",
    ]
)
FIELDS = (
    *("hosts", "ports", "number", "name", "protocol", "address", "labels", "http", "route", "destination", "host"),
    *("subset", "weight", "match", "uri", "exact", "prefix", "timeout", "retries", "attempts", "trafficPolicy", "tls"),
    *("mode", "loadBalancer", "simple", "subsets", "egress", "port", "bind", "fault", "delay", "abort", "headers"),
    *("request", "set", "add", "remove", "redirect", "rewrite", "mirror", "corsPolicy", "outlierDetection", "tcp"),
)
FLOW = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        ),
    ),
    max_leaves=12,
)
KIND_NAMES = st.sampled_from([kind.KIND for kind in KINDS])


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused_within_the_file(content: bytes):
    decoded = decode_file("a.yaml", content, REAL)

    lines = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(1 <= problem.at.line <= lines for problem in decoded.problems)


@given(KIND_NAMES, FLOW)
def test_any_spec_of_any_kind_is_a_resource_or_has_a_problem_at_its_place(kind: str, spec: str):
    group = next(each.GROUP for each in KINDS if kind == each.KIND)
    head = f"apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: x}}\n"

    decoded = decode_file("a.yaml", f"{head}spec: {spec}\n".encode(), REAL)

    assert bool(decoded.resources) != any(problem.is_error for problem in decoded.problems)
    assert all(
        problem.at.line == 4 or (problem.at.line == 1 and problem.at.path == "spec") for problem in decoded.problems
    )
