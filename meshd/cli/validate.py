"""`meshd validate PATH...`: all problems of files, or of a whole repository, at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from meshd.cli.exits import NO, WorldFailedError
from meshd.problems import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The same for a person, a program and a pull request."""

    resources: int
    skipped: int
    problems: Problems

    @property
    def valid(self) -> bool:
        return not any(problem.is_error for problem in self.problems)


@click.command(name="validate", short_help="all problems of files, or of a whole repository")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--isolated", is_flag=True, help="Skip the checks that need other resources.")
@click.option("-o", "output", type=click.Choice(["text", "json", "github"]), default="text", help="How to say it.")
@click.pass_context
def command(context: click.Context, paths: tuple[Path, ...], output: str, *, isolated: bool) -> None:
    """All problems of files, or of a whole repository, at once.

    Exits 0 when there is no error (warnings are allowed), 1 when there is one.
    """
    report = validated(paths, isolated=isolated)
    {"text": say_text, "json": say_json, "github": say_github}[output](report)
    context.exit(0 if report.valid else NO)


def validated(paths: Iterable[Path], *, isolated: bool) -> Report:
    from meshd.memo import Memo  # noqa: PLC0415  (`--help` need not decode anything)
    from meshd.mesh.load import load  # noqa: PLC0415
    from meshd.source.files import DirectorySource  # noqa: PLC0415
    from meshd.source.revision import SourceError  # noqa: PLC0415

    source = DirectorySource(tuple(paths))
    try:
        files = source.revision().files
    except SourceError as error:
        raise WorldFailedError(str(error), error.hint) from error
    loaded = load(files, source.read, Memo(), isolated=isolated)
    return Report(resources=loaded.resources, skipped=loaded.skipped, problems=loaded.problems)


def say_json(report: Report) -> None:
    problems = [problem.as_json() for problem in report.problems]
    click.echo(json.dumps({"valid": report.valid, "resources": report.resources, "problems": problems}, indent=2))


def say_text(report: Report) -> None:
    for problem in report.problems:
        click.echo(str(problem))
    errors = sum(problem.is_error for problem in report.problems)
    others = len(report.problems) - errors
    counts = f"{_count(report.resources, 'resource')}, {_count(errors, 'error')}, {_count(others, 'warning')}"
    skipped = f", {_count(report.skipped, 'document')} of other API groups skipped" if report.skipped else ""
    click.echo(f"{'valid' if report.valid else 'not valid'}: {counts}{skipped}", err=True)
    if not (report.resources or report.problems):
        click.echo("nothing of a mesh is here: give the directory of its files (.yaml, .yml, .json)", err=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def say_github(report: Report) -> None:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    words = {"error": "error", "warning": "warning", "note": "notice"}
    for problem in report.problems:
        text = (
            f"{problem.at.path}: {problem.message}; {problem.hint}"
            if problem.hint
            else f"{problem.at.path}: {problem.message}"
        )
        place = f"file={_escaped(problem.at.file)},line={problem.at.line},col={problem.at.column}"
        click.echo(f"::{words[problem.severity]} {place},title={problem.code}::{_escaped(text)}")


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
