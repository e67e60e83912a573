"""`meshd convert PATH...`: the older kinds in files become today's, on stdout, and a report says what that costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from meshd.cli.exits import NO, WorldFailedError
from meshd.convert import VERDICTS, verdict
from meshd.convert.show import report_json, report_lines, to_json, to_yaml
from meshd.memo import Memo
from meshd.mesh.load import Older, load_older
from meshd.problems import errors
from meshd.source.files import DirectorySource
from meshd.source.revision import SourceError


@click.command(name="convert", short_help="RouteRules and their like become today's kinds")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "output", type=click.Choice(["yaml", "json"]), default="yaml", help="In which form.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here, as JSON.")
@click.pass_context
def command(context: click.Context, paths: tuple[Path, ...], output: str, report: Path | None) -> None:
    """RouteRule, DestinationPolicy, EgressRule and IngressRule become today's kinds, on standard output.

    Files with today's kinds, where they are given too, are what the rules are about; they are not printed again.
    Exits 1 when some object has an error; the others are converted all the same.
    """
    found = _load(paths)
    if report:
        _write(report, report_json(len(found.resources), found.problems))
    for line in report_lines(found.problems):
        click.echo(line, err=True)
    click.echo(_summary(found), err=True)
    text = to_json(found.resources) if output == "json" else to_yaml(found.resources, found.problems, found.dormant)
    click.echo(text, nl=False)
    context.exit(NO if errors(found.problems) else 0)


def _load(paths: tuple[Path, ...]) -> Older:
    source = DirectorySource(paths)
    try:
        return load_older(source.revision().files, source.read, Memo())
    except SourceError as error:
        raise WorldFailedError(str(error), error.hint) from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise WorldFailedError(f"{path}: {error.strerror}", "choose another file for --report") from error


def _summary(found: Older) -> str:
    counts = Counter(verdict(problem) for problem in found.problems)
    told = ", ".join(f"{each}: {counts[each]}" for each in VERDICTS if counts[each])
    asleep = f" and {len(found.dormant)} that wait for their hosts" if found.dormant else ""
    became = f"{found.given} of the older kinds became {len(found.resources)} of today's{asleep}"
    return f"{became} ({told})" if told else became
