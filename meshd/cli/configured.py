"""`--config FILE`, read or refused with all its problems at once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from meshd.cli.exits import USAGE
from meshd.config import AgentConfig, load_config

DEFAULT_CONFIG: Final = Path("/etc/meshd/meshd.yaml")


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=DEFAULT_CONFIG,
        show_default=True,
        help="The agent's configuration.",
    )(function)


def configured(context: click.Context, config_path: Path) -> AgentConfig:
    """Ends the program with exit code 2 when the file has errors; warnings are printed too."""
    config, problems = load_config(config_path, socket.gethostname())
    for problem in problems:
        click.echo(str(problem), err=True)
    if config is None:
        context.exit(USAGE)
    return config
