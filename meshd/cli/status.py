"""`meshd status`: what the daemon serves and what is wrong, in under 100 ms (so: few imports)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshd.cli.asking import asked, json_option, say_json, socket_option
from meshd.cli.certificates import certificate_lines
from meshd.cli.exits import NO
from meshd.cli.screen import mark, printable, wrapped

Status = dict[str, Any]
_GOOD = {
    "Ready": "True",
    "ProxiesHealthy": "True",
    "EndpointsFresh": "True",
    "WorkloadsHealthy": "True",
    "Captured": "True",
    "CertificatesValid": "True",
    "Stalled": "False",
}
_NO_PROXY = "none: this host runs no proxy"
_NOT_KNOWN = "none yet: a revision says which this host runs, and none is active"


@click.command(name="status", short_help="what the daemon of this host serves, and what is wrong")
@socket_option
@json_option
@click.pass_context
def command(context: click.Context, socket_path: Path, output: str) -> None:
    """What the daemon of this host serves, and what is wrong.

    Exits 0 when the host is ready, 1 when it is not, 3 when no daemon answers.
    """
    reply = asked(socket_path, "status", output)
    if output == "json":
        say_json(reply.body)
    else:
        click.echo(text(reply.body))
    context.exit(0 if reply.body["ready"] else NO)


def text(status: Status) -> str:
    """At most 100 columns; a section that has nothing to say is left out."""
    status = printable(status)
    revision = status["revision"]
    lines = [
        _title(status),
        "",
        f"revision   active    {_revision(revision['active'])}",
        f"           fetched   {_revision(revision['fetched'])}",
    ]
    if revision["rejected"]:
        lines.append(f"           rejected  {_revision(revision['rejected'])}")
    lines += ["", *_section("source", _source(status["source"]))]
    proxies = [line for proxy in status["proxies"] for line in _proxy(proxy)]
    lines += ["", *_section("proxies", proxies or [_NO_PROXY if revision["active"] else _NOT_KNOWN])]
    lines += ["", *_section("endpoints", _endpoints(status["endpoints"]))]
    workloads = [line for workload in status.get("workloads", []) for line in _workload(workload)]
    lines += ["", *_section("workloads", workloads)] if workloads else []
    certificates = certificate_lines(status.get("certificates", []))
    lines += ["", *_section("certs", certificates)] if certificates else []
    told = [line for condition in status["conditions"] for line in _condition(condition)]
    lines += ["", *_section("conditions", told)]
    if status["problems"]:
        lines += ["", "problems", *(line for problem in status["problems"] for line in wrapped(problem["text"], 2))]
    return "\n".join(lines)


def _title(status: Status) -> str:
    word = "ready" if status["ready"] else "not ready"
    return f"{status['host']}  {mark(good=status['ready'])} {word}   meshd {status['version']}"


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title if index == 0 else '':<11}{line}" for index, line in enumerate(lines)]


def _revision(commit: dict[str, str] | None) -> str:
    if not commit:
        return "-"
    return f"{commit['id'][:12]}  {commit.get('subject', '')[:60]}".rstrip()


def _source(source: dict[str, Any]) -> list[str]:
    ailment = [f"pushes are not noticed at once: {source['ailment']}"] if source.get("ailment") else []
    return [line for text in (f"{source['url']}  branch {source['branch']}", *ailment) for line in wrapped(text, 0, 11)]


def _proxy(proxy: dict[str, Any]) -> list[str]:
    good = proxy["acknowledged"] and proxy["state"] in {"LIVE", "running"}
    words = "acknowledged" if proxy["acknowledged"] else "not acknowledged"
    process = f"pid {proxy['pid']}" if proxy["pid"] else "no process"
    line = (
        f"{mark(good=good)} {proxy['name']:<8} {proxy['state']:<10} {process:<12} "
        f"generation {proxy['generation'] or '-'} {words}"
    )
    rejections = [] if proxy["acknowledged"] else proxy.get("rejections", [])
    return [line, *(part for text in rejections for part in wrapped(text, 2, room=11))]


def _endpoints(endpoints: dict[str, Any]) -> list[str]:
    count, stale = endpoints["names"], endpoints["stale"]
    if not count:
        return ["no DNS names"]
    lines = [f"{mark(good=not stale)} {count} DNS names, {len(stale)} not fresh"]
    more = [f"and {len(stale) - 10} more"] if len(stale) > 10 else []
    told = [*(entry.get("text", entry["name"]) for entry in stale[:10]), *more]
    return lines + [part for text in told for part in wrapped(text, 2, room=11)]


def _workload(workload: dict[str, Any]) -> list[str]:
    word = "healthy" if workload["healthy"] else "unhealthy"
    return [
        f"{mark(good=workload['healthy'])} {workload['workload'][:70]} {word}",
        *wrapped(workload["reason"], 2, room=11),
    ]


def _condition(condition: dict[str, Any]) -> list[str]:
    good = _GOOD.get(condition["type"], condition["status"]) == condition["status"]
    shape = mark(good=good) if condition["type"] in _GOOD else " "
    line = f"{shape} {condition['type']:<17} {condition['status']:<8} {condition['reason']}"
    return [line, *wrapped(condition["message"], 2, room=11)]
