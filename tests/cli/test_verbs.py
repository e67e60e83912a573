"""The program's own usage, before any verb has a say."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from meshd.cli import meshd


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("statsu", "No such command 'statsu'. did you mean 'status'?"),
        ("endpoint", "No such command 'endpoint'. did you mean 'endpoints'?"),
        ("frobnicate", "No such command 'frobnicate'."),
    ],
)
def test_a_verb_that_is_misspelt_is_guessed(typed: str, said: str):
    result = CliRunner().invoke(meshd, [typed])

    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == f"Error: {said}"
