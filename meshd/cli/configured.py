"""`--config FILE`, read or refused with all its problems at once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from meshd.cli.exits import USAGE
from meshd.config import AgentConfig, kept_config, load_config
from meshd.problems import errors
from meshd.sd_notify import notify

DEFAULT_CONFIG: Final = Path("/etc/meshd/meshd.yaml")
KEPT: Final = kept_config(Path("/var/lib/meshd"))
"""Where the units have their state: a file with errors does not say where else that may be."""


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
    config = _loaded(config_path)
    if config is None:
        context.exit(USAGE)
    return config


def configured_or_kept(context: click.Context, config_path: Path, kept: Path | None = None) -> AgentConfig:
    """For who carries the traffic: a file with errors is replaced by the one that was accepted last.

    That is the one of the daemon, unless the caller keeps a copy of his own.
    """
    kept = kept or KEPT
    config = _loaded(config_path)
    if config is not None or not kept.exists():
        return config or context.exit(USAGE)
    click.echo(f"meshd: going on with {kept}, which was accepted last", err=True)
    return configured(context, kept)


def _loaded(config_path: Path) -> AgentConfig | None:
    config, problems = load_config(config_path, socket.gethostname())
    for problem in problems:
        click.echo(str(problem), err=True)
    if config is None:
        notify(f"STATUS={errors(problems)[0]}")  # what `systemctl status` shows of the unit that ends over it
    return config
