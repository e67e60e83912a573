"""What `meshd convert` prints means the same to meshd as the older objects themselves: the same bytes for Envoy."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshd.cli import meshd
from meshd.compiler import Reach, compile_plan
from meshd.convert.show import to_json, to_yaml
from meshd.decode import decode_file
from meshd.decode.json_schema import mesh_schema
from meshd.envoy import assignments, render
from meshd.envoy.show import to_yaml as envoy_yaml
from meshd.memo import Memo
from meshd.mesh.load import Loaded, load, load_older
from meshd.names import BlobId, HostName
from meshd.problems import errors
from meshd.resources.legacy import LegacyResource
from tests.convert.conftest import ALL_KINDS, EXAMPLES

GOLDEN = Path(__file__).parent.parent / "golden"
STORIES = sorted(GOLDEN.glob("older-*"))


def files(story: Path) -> dict[str, BlobId]:
    return {str(path.relative_to(story)): BlobId(path.read_text()) for path in sorted(story.glob("mesh/*.yaml"))}


def read(blob: BlobId) -> bytes:
    return blob.encode()


def today(given: dict[str, BlobId]) -> str:
    """The documents that are of today already."""
    documents = (text for each in given.values() for text in f"\n{each}".split("\n---"))
    return "".join(f"---\n{text}\n" for text in documents if "config.istio.io" not in text)


def configurations(loaded: Loaded, capture: str) -> dict[tuple[str, str], str]:
    """For every host of the mesh."""
    assert loaded.mesh is not None, [str(problem) for problem in loaded.problems]
    found = {}
    for host in sorted(loaded.mesh.workloads):
        compiled = compile_plan(loaded.mesh, HostName(host), Reach(capture=capture), Memo())
        for plan in compiled.plans:
            found[host, plan.proxy] = envoy_yaml(render(plan, Memo()), assignments(plan, {}, Memo()))
    return found


@pytest.mark.parametrize("capture", ["none", "nftables"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_converted_yaml_gives_the_same_configuration_as_the_older_objects(story: Path, capture: str):
    given = files(story)
    older = load_older(given, read, Memo())
    printed = {"today.yaml": BlobId(today(given)), "converted.yaml": BlobId(to_yaml(older.resources, older.problems))}

    before, after = load(given, read, Memo()), load(printed, read, Memo())

    assert configurations(before, capture) == configurations(after, capture)
    assert configurations(before, capture)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_order_of_the_files_makes_no_difference(story: Path):
    given = files(story)
    split = {
        f"{index}-{name}": BlobId(f"---{text}\n")
        for name, blob in given.items()
        for index, text in enumerate(f"\n{blob}".split("\n---"))
    }

    texts = {
        to_json(load_older(dict(order), read, Memo()).resources)
        for order in (
            split.items(),
            reversed(split.items()),
            itertools.islice(itertools.cycle(split.items()), 3, 3 + len(split)),
        )
    }

    assert len(texts) == 1


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_did_not_change_is_the_very_same_object_on_the_next_pass(story: Path):
    given, memo = files(story), Memo()
    first = load_older(given, read, memo).resources
    memo.turn()
    more = BlobId("kind: EgressRule\nmetadata: {name: more}\nspec:\n  destination: {service: more.example}\n"
                  "  ports: [{port: 80, protocol: http}]\n")  # fmt: skip

    second = load_older({**given, "more.yaml": more}, read, memo).resources

    assert {id(each) for each in first} <= {id(each) for each in second}
    assert len(second) > len(first)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_yaml_and_json_say_the_same(story: Path):
    older = load_older(files(story), read, Memo())

    by_yaml = decode_file("a", to_yaml(older.resources, ()).encode(), ALL_KINDS).resources
    by_json = decode_file("a", to_json(older.resources).encode(), ALL_KINDS).resources

    assert by_yaml == by_json == older.resources
    assert not any(isinstance(each, LegacyResource) for each in by_yaml)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_is_printed_is_valid_for_the_json_schema(story: Path):
    jsonschema = pytest.importorskip("jsonschema")
    older = load_older(files(story), read, Memo())
    validator = jsonschema.Draft202012Validator(mesh_schema(ALL_KINDS.types))

    for item in json.loads(to_json(older.resources))["items"]:
        assert [error.message for error in validator.iter_errors(item)] == []


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_every_resource_has_the_place_of_an_older_object(story: Path):
    older = load_older(files(story), read, Memo())

    for resource in older.resources:
        assert resource.origin.file in files(story)
        assert resource.origin.resource
        assert resource.origin.resource.kind in {"RouteRule", "DestinationPolicy", "EgressRule", "IngressRule"}


# --- the verb -------------------------------------------------------------------------------------------------


def convert(*arguments: object):
    return CliRunner().invoke(meshd, ["convert", *map(str, arguments)], standalone_mode=False)


def test_the_verb_prints_the_same_each_time_and_reports(tmp_path: Path):
    first = convert(EXAMPLES / "EX-000-03.yaml", "--report", tmp_path / "report.json")
    second = convert(EXAMPLES / "EX-000-03.yaml")

    assert first.stdout == second.stdout
    assert "# RouteRule default/reviews-test-v2: " in first.stdout
    assert "2 of the older kinds became 2 of today's" in first.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["converted"], report["complete"]) == (2, True)
    assert {"verdict", "code", "message", "hint", "file", "line", "column", "path", "resource", "severity"} == (
        report["entries"][0].keys()
    )
    assert {each["severity"] for each in report["entries"] if each["verdict"] in {"changed", "loss"}} == {"warning"}


def test_an_object_with_an_error_is_left_out_and_the_answer_is_no(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(
        "kind: RouteRule\nmetadata: {name: bad}\nspec: {destination: {name: a}, route: [{weight: 7}]}\n"
        "---\nkind: RouteRule\nmetadata: {name: good}\n"
        "spec: {destination: {name: b}, route: [{labels: {version: v1}}]}\n"
    )

    result = convert(tmp_path, "-o", "json")

    assert result.return_value == 1 or result.exit_code == 1
    items = json.loads(result.stdout)["items"]
    assert {each["metadata"]["name"] for each in items} == {"b-default"}
    assert "[E-WEIGHT-SUM]" in result.stderr


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path):
    result = convert(EXAMPLES / "EX-000-03.yaml", "--report", tmp_path / "no" / "report.json")

    assert "No such file" in str(result.exception)


def test_load_reports_no_error_for_the_stories():
    for story in STORIES:
        assert errors(load(files(story), read, Memo()).problems) == ()
