"""`meshd schema [KIND]`: the JSON Schema of the mesh's objects, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from meshd.cli.exits import WorldFailedError


@click.command(name="schema", short_help="the JSON Schema of the mesh's objects, for editors")
@click.argument("kind", required=False)
@click.option("-o", "output", type=click.Path(dir_okay=False, path_type=Path), help="Write it there, not to stdout.")
def command(kind: str | None, output: Path | None) -> None:
    """The JSON Schema of the mesh's objects, for editors: of one KIND, or of all.

    docs/editors.md says how VS Code, Neovim and JetBrains use it.
    """
    text = schema_text(kind)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorldFailedError(f"cannot write {output}: {error.strerror}") from error


def schema_text(kind: str | None = None) -> str:
    from meshd.decode.json_schema import kind_schema, mesh_schema  # noqa: PLC0415  (`--help` needs no kinds)
    from meshd.problems import nearest  # noqa: PLC0415
    from meshd.resources import KINDS  # noqa: PLC0415

    by_name = {each.KIND: each for each in KINDS}
    if kind is not None and kind not in by_name:
        hint = nearest(kind, by_name) or f"the kinds are {', '.join(sorted(by_name))}"
        raise click.BadParameter(f"there is no kind {kind!r}; {hint}", param_hint="KIND")
    schema = mesh_schema(KINDS) if kind is None else kind_schema(by_name[kind])
    return json.dumps(schema, indent=1) + "\n"
