"""What the demo prints: at most 100 columns, colours only on a terminal and never with NO_COLOR."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from typing import Final

import click

from meshd.demo import meshes
from meshd.demo.traffic import REQUESTS, Question
from meshd.demo.world import World

_WIDTH: Final = 100
_DIFF_HEAD: Final = 4
_DIFF_TAIL: Final = 8
_BAR: Final = 50


def opening(world: World) -> None:
    place = world.place
    versions = "  ".join(f"{name} on port {port}" for name, port in world.shop_ports.items())
    _say(_bold("A mesh of one host, on this machine: a real repository, a real meshd, a real Envoy."))
    _say()
    _say(f"  repository  {world.repository.bare}")
    _say(f"  backends    {versions}  payments (TLS) on port {world.payments_port}")
    _say(f"  proxy       http_proxy=http://127.0.0.1:{place.proxy_port}")


def commit(number: int, title: str, revision: str, changes: Iterable[str]) -> None:
    _say()
    _say(_bold(f"{number}  {title}"))
    _say(click.style(f"   git push   {revision[:12]}", dim=True))
    for line in _shortened(tuple(_change(line) for line in changes)):
        _say(f"     {line}")


def live(after: str) -> None:
    moment = click.style(f"live {after}", fg="green", bold=True)
    _say(f"   {moment}, acknowledged by Envoy")


def refused(after: str, problems: Iterable[str]) -> None:
    verdict = click.style(f"refused {after}", fg="red", bold=True)
    _say(f"   {verdict}; the proxy keeps what it has")
    for problem in problems:
        for line in textwrap.wrap(problem, _WIDTH - 7, subsequent_indent="  ", break_long_words=False):
            _say(f"     {line}")


def traffic(question: Question, answers: Counter[str]) -> None:
    headers = "".join(f" with {name}: {value}" for name, value in question.headers.items())
    _say(f"   {REQUESTS} requests to {question.url}{headers}")
    for answer, times in sorted(answers.items()):
        bar = "█" * max(1, round(_BAR * times / REQUESTS))
        colour = "cyan" if answer in question.among else "red"
        _say(f"     {answer:<22} {click.style(bar, fg=colour)} {times}")


def command(line: str) -> None:
    _say()
    _say(_bold(f"$ {line}"))


def play(world: World) -> None:
    place, clone = world.place, world.repository.clone
    _say()
    _say(_bold("It keeps running. In another terminal:"))
    _say()
    for line in (
        f"cd {clone}",
        "$EDITOR routes.yaml && git commit -am 'my change' && git push origin main",
        f"curl --proxy http://127.0.0.1:{place.proxy_port} http://{meshes.SHOP}/",
        f"curl --proxy http://127.0.0.1:{place.proxy_port} http://{meshes.PAYMENTS}/",
        f"{sys.executable} -m meshd status --socket {place.control}",
        f"tail -f {place.log}",
    ):
        _say(f"  {line}")
    _say()
    _say("Ctrl-C here stops everything and removes it.")


def closing() -> None:
    _say()
    _say("Everything is stopped and removed.")


def _shortened(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Its beginning and its end: in a new file what matters stands in the end."""
    if len(lines) <= _DIFF_HEAD + _DIFF_TAIL:
        return lines
    left_out = click.style(f"... {len(lines) - _DIFF_HEAD - _DIFF_TAIL} lines ...", dim=True)
    return (*lines[:_DIFF_HEAD], left_out, *lines[-_DIFF_TAIL:])


def _change(line: str) -> str:
    if line.startswith("+++ b/"):
        return click.style(line.removeprefix("+++ b/"), dim=True)
    short = line if len(line) <= _WIDTH - 5 else f"{line[: _WIDTH - 8]}..."
    return click.style(short, fg="green" if line.startswith("+") else "red")


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _say(line: str = "") -> None:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(line if coloured else click.unstyle(line), color=coloured)
