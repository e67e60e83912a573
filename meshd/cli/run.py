"""`meshd run`: the daemon. The only verb that imports it."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from meshd.cli.configured import config_option, configured


@click.command(name="run", short_help="the daemon, in the foreground")
@config_option
@click.pass_context
def command(context: click.Context, config_path: Path) -> None:
    """The daemon, in the foreground, as its unit starts it.

    SIGHUP reads the configuration again; SIGTERM and Ctrl-C stop it cleanly.
    """
    # Its default is to kill: it waits until the daemon can hear it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from meshd.daemon.main import run  # noqa: PLC0415  (everything heavy is behind this line)

    context.exit(run(config_path, configured(context, config_path)))
