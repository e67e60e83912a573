"""`meshd validate`: all problems at once, for people, programs and pull requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshd.cli import meshd

MESH = Path(__file__).resolve().parents[2] / "examples" / "mesh"
BAD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example]
  http:
  - timout: 2s
    route:
    - destination: {host: shop.example}
"""


def validate(*arguments):
    return CliRunner().invoke(meshd, ["validate", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "shop.yaml").write_text(BAD)
    return tmp_path


def test_the_example_is_valid():
    result = validate(MESH)

    assert result.return_value == 0 or result.exit_code == 0
    assert "not valid" not in result.stderr
    assert "0 errors" in result.stderr


def test_problems_are_one_line_each_with_file_line_and_column(bad):
    result = validate(bad)

    line = f"{bad}/shop.yaml:7:5: spec.http[0].timout: there is no such field; did you mean 'timeout'? [E-FIELD]"
    assert line in result.stdout
    assert "not valid: " in result.stderr


def test_json_has_the_stable_keys(bad):
    report = json.loads(validate(bad, "-o", "json").stdout)

    assert report["valid"] is False
    problem = next(problem for problem in report["problems"] if problem["code"] == "E-FIELD")
    assert problem == {
        "severity": "error",
        "code": "E-FIELD",
        "message": "there is no such field",
        "hint": "did you mean 'timeout'?",
        "file": f"{bad}/shop.yaml",
        "line": 7,
        "column": 5,
        "path": "spec.http[0].timout",
        "resource": {"kind": "VirtualService", "namespace": "default", "name": "shop"},
    }


def test_github_gets_workflow_commands(bad):
    assert f"::error file={bad}/shop.yaml,line=7,col=5,title=E-FIELD::" in validate(bad, "-o", "github").stdout


def test_isolated_skips_what_needs_other_resources(tmp_path):
    (tmp_path / "shop.yaml").write_text(BAD.replace("  - timout: 2s\n    route", "  - route"))

    assert "E-VS-DEST-UNKNOWN" in validate(tmp_path).stdout
    assert "E-VS-DEST-UNKNOWN" not in validate(tmp_path, "--isolated").stdout


def test_an_empty_directory_is_valid_and_says_that_nothing_was_there(tmp_path):
    said = validate(tmp_path).stderr

    assert "0 resources" in said
    assert "nothing of a mesh is here" in said
