"""`meshd endpoints`: whom this host's proxies call, from where they know it, how old that is, and how it goes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from meshd.cli.asking import asked, json_option, say_json, socket_option, timeout_option
from meshd.cli.exits import NO
from meshd.cli.screen import mark, printable, shortened, span, wrapped

_SHOWN: Final = 10
"""Endpoints of one service among all; of the one that was asked for, all are shown."""

_FOUND_BY: Final = {
    "original_dst": "to wherever the application connects",
    "dynamic_dns": "names that Envoy looks up as they are asked for",
}
_SOURCES: Final[dict[str, str]] = {
    "hosts": "hosts file",
    "original_dst": "as dialled",
    "dynamic_dns": "looked up by Envoy",
    "internal": "inside the proxy",
}
_WELL: Final = frozenset({"healthy", None})

Row = dict[str, Any]


@click.command(name="endpoints", short_help="whom the proxies call, from where they know it, and how it goes")
@click.option("--service", metavar="HOST", help="Only this one: its whole name, or the beginning of it up to a dot.")
@socket_option
@json_option
@timeout_option(30.0, " for the daemon and its Envoys")
@click.pass_context
def command(context: click.Context, service: str | None, socket_path: Path, output: str, timeout: float) -> None:
    """Whom this host's proxies call: for each service and port, the addresses, their source and age, and their health.

    Health is what Envoy says now; `absent` is who is not in rotation, and `itself` where the proxy would call itself,
    which is left out. Exits 1 when the host calls no such service, 3
    when no daemon answers.
    """
    about = {"service": service} if service is not None else {}
    reply = asked(socket_path, "endpoints", output, timeout=timeout, **about)
    if output == "json":
        say_json(reply.body)
    elif reply.ok:
        click.echo(text(reply.body, whole=service is not None))
    else:
        click.echo(f"{reply.body['message']}: {reply.body['hint']}", err=True)
    context.exit(0 if reply.ok else NO)


def text(told: dict[str, Any], *, whole: bool) -> str:
    """At most 100 columns."""
    told = printable(told)
    lines = [line for row in told["services"] for line in ("", *_row(row, whole=whole))]
    silent = [f"the {proxy} does not say how it sees them: its Envoy gave no answer" for proxy in told["silent"]]
    if not lines:
        return "\n".join(["this host calls no services", *silent])
    return "\n".join([*lines[1:], *([""] if silent else []), *silent])


def _row(row: Row, *, whole: bool) -> list[str]:
    subset = f"  subset {row['subset']}" if row["subset"] else ""
    title = wrapped(f"{row['service']}:{row['port']}{subset}  ({row['proxy']})", 0)
    names = [line for name in row["names"] for line in _name(name)]
    found = row["endpoints"] if whole else row["endpoints"][:_SHOWN]
    places = [_endpoint(each) for each in found]
    more = len(row["endpoints"]) - len(found)
    if not places:
        places = [f"  {_nobody(row)}"]
    return title + names + places + ([f"    and {more} more: `--service {row['service']}`"] if more else [])


def _nobody(row: Row) -> str:
    return _FOUND_BY[row["discovery"]] if row["discovery"] in _FOUND_BY else f"{mark(good=False)} no endpoints"


def _name(name: Row) -> list[str]:
    """`db.example: dns, 2 addresses, age 12s, ttl 48s`"""
    count = name["addresses"]
    parts = [
        _source(name),
        f"{count} address{'' if count == 1 else 'es'}",
        f"age {span(name['age'])}" if name["age"] is not None else "",
        f"ttl {span(name['ttl'])}" if name["ttl"] is not None else "",
        _trouble(name),
    ]
    return wrapped(f"{name['name']}: {', '.join(filter(None, parts))}", 2)


def _source(told: Row) -> str:
    source = str(told["source"])
    return _SOURCES.get(source, source)


def _trouble(name: Row) -> str:
    if not name["error"]:
        return ""
    culprit = f" of {name['culprit']}" if name.get("culprit") else ""
    if name["since"] is None:
        return f"{name['error']}{culprit}"
    ago = (datetime.now(UTC) - datetime.fromisoformat(name["since"])).total_seconds()
    return f"{name['error']}{culprit} for {span(max(0.0, ago))}"


def _endpoint(endpoint: Row) -> str:
    address = f"{shortened(endpoint['address'], 50):<39}"
    source = _source(endpoint)
    known = f"{source} {endpoint['name']}" if endpoint["name"] else source
    priority = f"  priority {endpoint['priority']}" if endpoint["priority"] else ""
    health = "itself" if endpoint["itself"] else endpoint["health"] or "-"
    good = mark(good=endpoint["health"] in _WELL and not endpoint["itself"])
    return f"  {good} {address} {health:<9} {shortened(known, 73 - len(address))}{priority}"
