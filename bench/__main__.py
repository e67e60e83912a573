"""`make bench`: what a push costs, from the ref to the last ACK, on real parts; beside the budgets of the design."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path

import click

from bench.host import BenchError
from bench.report import table
from bench.run import measured
from meshd.demo.commands import DemoError
from meshd.demo.signals import until_told


@click.command()
@click.option("--envoy", type=click.Path(exists=True, path_type=Path), required=True, help="Which Envoy to run.")
@click.option("--services", "sizes", type=click.IntRange(min=4), multiple=True, default=(100, 1000), show_default=True)
@click.option("--changes", type=click.IntRange(min=1), default=100, show_default=True, help="Pushes of each kind.")
def command(envoy: Path, sizes: tuple[int, ...], changes: int) -> None:
    """Measure meshd on this machine. Nothing is left behind; everything stays on loopback."""
    try:
        results = [asyncio.run(until_told(measured(size, envoy.resolve(), changes, _progress))) for size in sizes]
    except asyncio.CancelledError:
        sys.exit(130)
    except (BenchError, DemoError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}\n")
    click.echo(table(results))
    click.echo(_NOTES)


def _progress(line: str) -> None:
    click.echo(f"... {line}", err=True)


_NOTES = """
How it is measured. A push begins when the ref of the local bare repository has moved (the time of its file), and ends
when the daemon tells a waiting client that the revision is active, after the last proxy has acknowledged it.
"push to first request by it" does not believe the daemon: a client asks through the proxy about once a millisecond,
until the other version answers. CPU is from /proc, in steps of 10 ms, divided by the number of pushes; children are
git's and the preflight's. The peer is another Envoy that reads the same clusters from a file, rewritten whole for
each change, without any check, and without the cost of rendering it. Every second service has a route and two
subsets, each has two endpoints, and the host sees them all. Other work on the machine makes every figure worse."""

if __name__ == "__main__":
    sys.exit(command())
