"""Random objects of the older kinds: whatever is accepted converts, and what comes of it is valid for meshd itself."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshd.convert.show import to_json, to_yaml
from meshd.decode import decode_file
from meshd.memo import Memo
from meshd.mesh.load import load_older
from meshd.names import BlobId
from meshd.resources.legacy import LEGACY_KINDS, LegacyResource
from tests.convert.conftest import ALL_KINDS, RATINGS, REVIEWS, a_workload
from tests.robustness.generated import _message

SERVICES = [{"name": "reviews"}, {"name": "ratings", "namespace": "default"}, {"service": "a.example"}]
EDGES = a_workload("edge", "istio: ingressgateway") + a_workload("way-out", "istio: egressgateway", "10.0.0.2")
REACHED = {"spread": 0}


def spec_of(kind: type[LegacyResource]) -> st.SearchStrategy[dict[str, Any]]:
    """With a destination that is there, or every rule would be an error of that alone."""
    destinations = [{"service": "a.example"}, {"service": "*.b.example"}, {"service": "192.0.2.1"}]
    destination = st.sampled_from(destinations if kind.KIND == "EgressRule" else SERVICES)
    return st.builds(
        lambda spec, to: {**spec, "destination": to}, _message(kind, frozenset({"origin", "metadata"})), destination
    )


OBJECTS = st.lists(
    st.sampled_from(LEGACY_KINDS).flatmap(lambda kind: st.tuples(st.just(kind.KIND), spec_of(kind))),
    min_size=1,
    max_size=5,
)


@given(OBJECTS)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def what_converts_is_valid_and_the_same_again(objects: list[tuple[str, dict[str, Any]]]):
    files = {"today.yaml": BlobId(REVIEWS + RATINGS + EDGES)}
    for index, (kind, spec) in enumerate(objects):
        document = {"kind": kind, "metadata": {"name": f"r{index}"}, "spec": spec}
        files[f"{index}.yaml"] = BlobId(yaml.safe_dump(document))

    older = load_older(files, str.encode, Memo())
    backwards = load_older(dict(reversed(files.items())), str.encode, Memo())

    text = to_yaml(older.resources, older.problems)
    read = decode_file("converted.yaml", text.encode(), ALL_KINDS)
    assert [str(problem) for problem in read.problems if problem.is_error] == []
    assert len(read.resources) == len(older.resources)
    assert to_json(older.resources) == to_json(backwards.resources)
    REACHED["spread"] += len(older.resources)


def test_what_converts_is_valid_and_the_same_again():
    what_converts_is_valid_and_the_same_again()

    assert REACHED["spread"] > 100
