"""`meshd schema`: for all kinds, for one, into a file."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from meshd.cli import meshd
from meshd.cli.exits import WorldFailedError


def schema(*arguments):
    return CliRunner().invoke(meshd, ["schema", *map(str, arguments)], standalone_mode=False)


def test_the_schema_of_all_kinds_is_printed():
    printed = json.loads(schema().output)

    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"Gateway", "MeshConfig", "VirtualService"} <= printed["$defs"].keys()


def test_the_schema_of_one_kind_is_of_that_kind_only():
    printed = json.loads(schema("Sidecar").output)

    assert printed["$ref"] == "#/$defs/Sidecar"
    assert "Gateway" not in printed["$defs"]


def test_it_goes_into_a_file_and_then_nothing_is_printed(tmp_path):
    result = schema("Gateway", "-o", tmp_path / "gateway.json")

    assert result.output == ""
    assert (tmp_path / "gateway.json").read_text() == schema("Gateway").output


def test_an_unknown_kind_is_a_mistake_of_usage():
    result = schema("Gatewy")

    assert isinstance(result.exception, click.BadParameter)
    assert "did you mean 'Gateway'?" in result.exception.message


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    result = schema("-o", tmp_path / "missing" / "mesh.json")

    assert isinstance(result.exception, WorldFailedError)
    with pytest.raises(WorldFailedError, match="cannot write"):
        raise result.exception
