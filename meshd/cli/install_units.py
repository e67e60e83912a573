"""`meshd install-units`: systemd's units for an installation without a package, and their removal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import click

from meshd.cli.exits import NO, WorldFailedError
from meshd.cli.unit_files import COMMAND, UnitFile, hidden, unit_files
from meshd.names import PROXIES

State = Literal["new", "changed", "same"]

_SYSTEM: Final = Path("/")
_OF_A_PACKAGE: Final = Path("/usr/lib/systemd/system/meshd.service")
_BOOTED: Final = Path("/run/systemd/system")
_FIRST: Final = """\
Next: write /etc/meshd/meshd.yaml (repository.url is all that it must say), then
    systemctl enable --now meshd"""
_AGAIN: Final = """\
Next, for the agent to be the new one (the proxies go on):
    systemctl restart meshd"""
_LEFT: Final = """\
Left where they are: /etc/meshd, /var/lib/meshd, /var/lib/meshd-capture, /var/log/meshd-envoy, the users meshd,
meshd-envoy and meshd-capture, the program itself, and what `meshd envoy install` installed (/usr/local/lib/meshd)."""


@click.command(name="install-units", short_help="systemd's units, for an installation without a package")
@click.option(
    "--prefix",
    type=click.Path(path_type=Path),
    default=Path("/usr/local"),
    show_default=True,
    help="Where lib/systemd/system, lib/sysusers.d and lib/tmpfiles.d are.",
)
@click.option(
    "--command", "named", type=click.Path(path_type=Path), help="What the units start.  [default: this meshd]"
)
@click.option(
    "--root", type=click.Path(path_type=Path), default=_SYSTEM, help="Write below it, for who makes a package."
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--uninstall", is_flag=True, help="Stop everything and remove the units again.")
@click.pass_context
def command(
    context: click.Context, prefix: Path, named: Path | None, root: Path, *, dry_run: bool, uninstall: bool
) -> None:
    """Write systemd's units, users, directories and the rule of polkit for a meshd that no package installed.

    Starts nothing. They name the meshd that is running; once it is elsewhere, call this again.
    """
    if uninstall:
        _uninstall(unit_files(_absolute(prefix), COMMAND), root, dry_run=dry_run)
        return
    files = unit_files(_absolute(prefix), _absolute(named) if named else _this_meshd(context, root))
    if root == _SYSTEM and prefix != Path("/usr") and _OF_A_PACKAGE.exists():
        click.echo(f"meshd: a package has its units here already ({_OF_A_PACKAGE}); remove it first", err=True)
        context.exit(NO)
    changes = [(file, _state(file, root)) for file in files]
    for file, state in changes:
        click.echo(f"{state:>7}  {_below(root, file.path)}")
    if dry_run:
        return
    _write((file for file, state in changes if state != "same"), root)
    if root == _SYSTEM:
        _announce(files)
        click.echo(_FIRST if all(state == "new" for _, state in changes) else _AGAIN)


def _this_meshd(context: click.Context, root: Path) -> Path:
    """Ends the program with exit code 1 when the units could not see what they would start."""
    started = Path(sys.argv[0]).absolute()
    needed = (started, started.resolve(), Path(sys.executable), Path(sys.base_prefix), Path(__file__).resolve())
    unseen = next((path for path in needed if hidden(path)), None)
    if unseen is not None and root == _SYSTEM:
        click.echo(
            f"meshd: the units could not see {unseen}: homes and /tmp are hidden from them; "
            "install meshd for all users, by its package or `pipx install --global ./meshd-*.whl`",
            err=True,
        )
        context.exit(NO)
    return started


def _uninstall(files: tuple[UnitFile, ...], root: Path, *, dry_run: bool) -> None:
    """The units are stopped first, the capture before the proxies; should that fail, all stays as it is."""
    present = [below for file in files if (below := _below(root, file.path)).exists()]
    for path in present:
        click.echo(f"remove  {path}")
    if dry_run:
        return
    if root == _SYSTEM and present:
        _stop_everything()
    for path in present:
        try:
            path.unlink()
            _remove_if_empty(path.parent)
        except OSError as error:
            raise WorldFailedError(f"cannot remove {path}: {error.strerror}", "run it as root") from error
    if root == _SYSTEM:
        _ask("systemctl", "daemon-reload")
        click.echo(_LEFT)


def _remove_if_empty(directory: Path) -> None:
    """Of a unit's own drop-ins. Those of the operator are in /etc/systemd/system."""
    if directory.suffix == ".d" and directory.name.endswith(".service.d") and not any(directory.iterdir()):
        directory.rmdir()


def _stop_everything() -> None:
    _ask("systemctl", "disable", "--now", "meshd-capture.service")
    _ask("systemctl", "disable", "--now", "meshd.target", "meshd.service")
    _ask("systemctl", "stop", "meshd-envoy@*.service")
    _ask("systemctl", "disable", *(f"meshd-envoy@{proxy}.service" for proxy in PROXIES))


def _state(file: UnitFile, root: Path) -> State:
    try:
        there = _below(root, file.path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return "new"
    except OSError as error:
        raise WorldFailedError(f"cannot read {file.path}: {error.strerror}", "run it as root") from error
    return "same" if there == file.text else "changed"


def _write(files: Iterable[UnitFile], root: Path) -> None:
    for file in files:
        path = _below(root, file.path)
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
            path.chmod(0o644)
        except OSError as error:
            raise WorldFailedError(f"cannot write {path}: {error.strerror}", "run it as root") from error


def _announce(files: tuple[UnitFile, ...]) -> None:
    """Users first: the directories belong to them."""
    by_directory = {file.path.parent.name: str(file.path) for file in files}
    _ask("systemd-sysusers", by_directory["sysusers.d"])
    _ask("systemd-tmpfiles", "--create", by_directory["tmpfiles.d"])
    _ask("systemctl", "daemon-reload")


def _ask(*command: str) -> None:
    """Of a systemd that is not running nothing is asked; it reads the files when it starts."""
    if command[0] == "systemctl" and not _BOOTED.exists():
        return
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorldFailedError(f"{' '.join(command)}: {error}", "this needs a host with systemd") from error
    if done.returncode != 0:
        raise WorldFailedError(f"{' '.join(command)}: {done.stderr.strip()}", "call it again when that is settled")


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to(_SYSTEM)


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))
