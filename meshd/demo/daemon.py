"""meshd itself, as a process of its own with its own Envoy, and the questions that the demo asks of it."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from meshd.control import LINE_LIMIT, ControlError, Reply, Request, Verb
from meshd.demo.commands import DemoError
from meshd.demo.meshes import HOST
from meshd.names import PROXIES, RevisionId
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.stop import stop

_START_WITHIN: Final = 20.0
_LIVE_WITHIN: Final = timedelta(seconds=30)
_STOP_WITHIN: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the daemon of the demo lives. The directory's path is short: a Unix socket's holds 108 bytes."""

    directory: Path
    proxy_port: int

    @property
    def config(self) -> Path:
        return self.directory / "meshd.yaml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def runtime(self) -> Path:
        return self.directory / "run"

    @property
    def control(self) -> Path:
        return self.runtime / "control.sock"

    @property
    def log(self) -> Path:
        return self.directory / "meshd.log"


def configure(place: Place, repository: Path, envoy: Path | None) -> None:
    place.config.write_text(
        f"""\
host: {HOST}
repository:
  url: {repository}
httpProxyPort: {place.proxy_port}
envoy:
  binary: {envoy or "auto"}
  supervisor: child
stateDirectory: {place.state}
runtimeDirectory: {place.runtime}
"""
    )


@asynccontextmanager
async def daemon(place: Place) -> AsyncIterator[None]:
    """`meshd run` until the block ends; then neither it nor its Envoy is left."""
    process = await start(place)
    try:
        await answering(place, process)
        yield
    finally:
        await end(process)
        await asyncio.to_thread(end_proxies, place)


async def start(place: Place) -> asyncio.subprocess.Process:
    """In a session of its own: Ctrl-C is for us to answer."""
    with place.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *meshd("run", "--config", str(place.config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def meshd(*arguments: str) -> tuple[str, ...]:
    """The command line of this very installation."""
    return (sys.executable, "-m", "meshd", *arguments)


async def settled(place: Place, revision: RevisionId, within: timedelta = _LIVE_WITHIN) -> Reply:
    """Waits until the daemon has made the revision live, or refused it."""
    return await ask(place, "wait", revision=revision, seconds=within.total_seconds())


async def ask(place: Place, verb: Verb, **arguments: object) -> Reply:
    reader, writer = await asyncio.open_unix_connection(place.control, limit=LINE_LIMIT)
    try:
        writer.write(Request(verb=verb, arguments=arguments).line())
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise DemoError("meshd hung up without an answer", _last_words(place))
    answer = json.loads(line)
    return Reply(ok=answer["ok"], body=answer["body"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def answering(place: Place, process: asyncio.subprocess.Process) -> None:
    deadline = asyncio.get_running_loop().time() + _START_WITHIN
    while not await _answers(place):
        if process.returncode is not None:
            raise DemoError(f"meshd ended with exit code {process.returncode}", _last_words(place))
        if asyncio.get_running_loop().time() > deadline:
            raise DemoError(f"meshd did not answer within {_START_WITHIN:g} s", _last_words(place))
        await asyncio.sleep(0.02)


async def _answers(place: Place) -> bool:
    try:
        await ask(place, "status")
    except (OSError, ControlError):
        return False
    return True


async def end(process: asyncio.subprocess.Process) -> None:
    """The daemon's clean stop, by force when it takes too long."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def end_proxies(place: Place) -> None:
    """A meshd that stops ends its Envoys first; one that was killed, or died, has left them running."""
    for proxy in PROXIES:
        stop(ProxyPaths(proxy=proxy, state=place.state, runtime=place.runtime), timedelta())


def _last_words(place: Place) -> str:
    lines = place.log.read_text(errors="replace").splitlines()
    return "its last words: " + " | ".join(lines[-3:]) if lines else "it said nothing"
