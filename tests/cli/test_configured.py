"""A configuration that somebody broke must not keep the proxies from starting."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from meshd.cli import configured
from meshd.cli.envoy import command


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "meshd.yaml"
    path.write_text("repository: {ulr: /mesh.git}\n")
    return path


@pytest.mark.parametrize("verb", ["run", "reload", "stop"])
def test_a_broken_configuration_is_exit_code_2_where_none_was_accepted_yet(broken, tmp_path, monkeypatch, verb):
    monkeypatch.setattr(configured, "KEPT", tmp_path / "none.yaml")

    result = CliRunner().invoke(command, [verb, "sidecar", "--config", str(broken)])

    assert result.exit_code == 2
    assert "did you mean 'url'?" in result.output


def test_it_is_replaced_by_the_one_that_was_accepted_last(broken, tmp_path, monkeypatch):
    kept = tmp_path / "kept.yaml"
    kept.write_text(f"repository: {{url: /mesh.git}}\nstateDirectory: {tmp_path}\nruntimeDirectory: {tmp_path}/run\n")
    monkeypatch.setattr(configured, "KEPT", kept)

    result = CliRunner().invoke(command, ["stop", "sidecar", "--config", str(broken)])

    assert f"going on with {kept}" in result.output
    assert "did you mean 'url'?" in result.output
    assert result.exit_code != 2
