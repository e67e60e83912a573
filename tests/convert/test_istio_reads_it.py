"""Whoever reads networking.istio.io, but no extras, finds only its fields and values in what is printed (C-GEN-02)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.convert.show import to_json
from meshd.memo import Memo
from meshd.mesh.load import load_older
from meshd.names import BlobId

HERE = Path(__file__).parent
STORIES = sorted((HERE.parent / "golden").glob("older-*"))
LINES = (line.partition(" ") for line in (HERE / "istio_fields.txt").read_text().splitlines() if line[0] != "#")
FIELDS = {path: frozenset(values.split("|")) if values else None for path, _, values in LINES}
MAPS = {path.removesuffix(".*").partition(".*.")[0] for path in FIELDS if ".*" in path}


def leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, f"{path}.*" if path in MAPS else f"{path}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, f"{path}[]")
    else:
        yield path, value


@pytest.mark.spec("C-GEN-02")
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_is_printed_has_fields_and_values_of_istio_alone(story: Path):
    files = {path.name: BlobId(path.read_text()) for path in story.glob("mesh/*.yaml")}

    items = json.loads(to_json(load_older(files, str.encode, Memo()).resources))["items"]

    assert {item["apiVersion"] for item in items} <= {"networking.istio.io/v1"}
    for path, value in (leaf for item in items for leaf in leaves(item["spec"], item["kind"])):
        assert path in FIELDS
        values = FIELDS[path]
        assert values is None or value in values, f"{path}: {value}"
