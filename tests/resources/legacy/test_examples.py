"""The documents of the specification that are of the older kinds, and what becomes of them when they are changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.decode.json_schema import mesh_schema
from meshd.decode.writing import written
from meshd.resources import KINDS
from meshd.resources.legacy import LEGACY_KINDS
from tests.resources.legacy.judging import file
from tests.robustness.mutations import mutations

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCUMENTS = {
    f"{path.stem}-{number}": text
    for path in sorted(EXAMPLES.glob("*.yaml"))
    for number, text in enumerate(re.split(r"^---\n", path.read_text(), flags=re.MULTILINE), start=1)
    if "config.istio.io/" in text
}
SAID = {
    "EX-003-03-1": ["W-CORS-ORIGIN-SCHEME spec.corsPolicy.allowOrigin[0]"],  # the origin of the old page has none
    "EX-003-16-1": ["W-RR-NO-ROUTE spec"],
    "EX-X-11-1": ["W-THR-SHARED spec.l4Fault.throttle"],
}


@pytest.mark.parametrize("example", DOCUMENTS)
def test_an_example_is_read_and_only_what_is_doubtful_is_told(example: str):
    found = file(DOCUMENTS[example])

    assert len(found.resources) == 1
    assert [f"{problem.code} {problem.at.path}" for problem in found.problems] == SAID.get(example, [])


def test_the_examples_are_all_there():
    assert len([example for example in DOCUMENTS if example.startswith("EX-003-")]) == 18
    assert len(DOCUMENTS) == 23


@pytest.mark.parametrize("example", DOCUMENTS)
def test_an_example_with_one_thing_wrong_is_an_object_or_has_a_problem_within_the_file(example: str):
    lines = DOCUMENTS[example].count("\n") + 1
    for mutation in mutations(DOCUMENTS[example]):
        found = file(mutation.text)

        assert found.resources or any(problem.is_error for problem in found.problems), mutation.id
        assert all(1 <= problem.at.line <= lines for problem in found.problems), mutation.id


@pytest.mark.parametrize("example", DOCUMENTS)
def test_what_an_example_says_can_be_written_again(example: str):
    (resource,) = file(DOCUMENTS[example]).resources
    spec = written(resource)
    metadata = spec.pop("metadata")

    (again,) = file(f"kind: {resource.KIND}\nmetadata: {metadata}\nspec: {spec}\n".replace("True", "true")).resources

    assert again == resource


WORDS = st.sampled_from(
    [
        *(
            "destination",
            "name",
            "service",
            "labels",
            "route",
            "weight",
            "match",
            "request",
            "headers",
            "source",
            "tcp",
        ),
        *("redirect", "rewrite", "uri", "httpFault", "delay", "abort", "percent", "fixedDelay", "httpStatus", "custom"),
        *("ports", "port", "protocol", "loadBalancing", "circuitBreaker", "simpleCb", "maxConnections", "l4Fault"),
        *("httpReqTimeout", "simpleTimeout", "timeout", "throttle", "terminate", "'@type'", "exact", "regex"),
    ]
)
VALUES = st.sampled_from(["a", "1", "100", "5s", "'*.a.com'", "http", "v1", "true", "null", "RANDOM", "''", "[]", "{}"])
SPECS = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(WORDS, inner, max_size=4).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        ),
    ),
    max_leaves=12,
)


@given(st.sampled_from([kind.KIND for kind in LEGACY_KINDS]), SPECS)
def test_any_spec_of_any_kind_is_an_object_or_has_a_problem_at_its_place(kind: str, spec: str):
    found = file(f"kind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n")

    assert bool(found.resources) != any(problem.is_error for problem in found.problems)
    assert all(problem.at.line == 3 or problem.at.path == "spec" for problem in found.problems)


def test_a_schema_can_be_made_of_them_beside_the_kinds_of_today():
    names = mesh_schema((*KINDS, *LEGACY_KINDS))["$defs"].keys()

    assert {"RouteRule", "RouteRuleSpec", "StringMatch", "legacy.StringMatch", "HTTPRetry", "legacy.HTTPRetry"} <= names
