"""One host under measurement: a repository of the wanted size, the real meshd, the real Envoy, and a probe service."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench import meshes
from bench.measure import Cpu, cpu
from meshd.demo.backends import backend
from meshd.demo.daemon import Place, answering, ask, configure, end, end_proxies, free_port, settled, start
from meshd.demo.repository import Repository, create
from meshd.names import RevisionId

PATIENCE = timedelta(minutes=3)


class BenchError(Exception):
    """What was to be measured did not happen."""


@dataclass(slots=True)
class Host:
    place: Place
    repository: Repository
    daemon: asyncio.subprocess.Process
    documents: int

    async def change(self, files: meshes.Files) -> float:
        """Seconds from the moment the bare repository's ref moved to the daemon's word that Envoy acknowledged."""
        waiting = await self.commit(files)
        pushed = await self.repository.push()
        return await waiting - pushed

    async def commit(self, files: meshes.Files) -> asyncio.Task[float]:
        """Not pushed yet. The task gives the time at which the revision was active."""
        revision = await self.repository.commit(files, "change")
        return asyncio.create_task(self.active_at(revision))

    async def active_at(self, revision: RevisionId) -> float:
        reply = await settled(self.place, revision, PATIENCE)
        now = time.time()
        if not reply.ok:
            told = [problem["text"] for problem in reply.body.get("problems", ())]
            raise BenchError(f"{reply.body.get('message')}: {told[:3]}")
        return now

    async def proxy(self) -> dict[str, object]:
        proxies = (await ask(self.place, "status")).body["proxies"]
        return dict(proxies[0]) if proxies else {}

    async def envoy_pid(self) -> int:
        return int(str((await self.proxy())["pid"]))

    async def processors(self) -> tuple[Cpu, Cpu]:
        """Of meshd and of Envoy."""
        return cpu(self.daemon.pid), cpu(await self.envoy_pid())

    async def until_acknowledged(self) -> None:
        """The proxy is connected and has what meshd serves."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while not (await self.proxy()).get("acknowledged"):
            if time.monotonic() > deadline:
                raise BenchError(f"the proxy did not acknowledge; see {self.place.log}")
            await asyncio.sleep(0.005)


@asynccontextmanager
async def a_host(services: int, envoy: Path) -> AsyncIterator[tuple[Host, float]]:
    """The host, and the seconds from meshd's first start, with nothing cached, until its first revision was live."""
    async with AsyncExitStack() as stack:
        # Not $TMPDIR, which may be long: below it are Unix sockets, whose paths hold 108 bytes.
        directory = Path(tempfile.mkdtemp(prefix="meshd-bench-", dir="/tmp"))
        stack.callback(shutil.rmtree, directory)
        ports = [await stack.enter_async_context(backend(version)) for version in ("v1", "v2")]
        repository = await create(directory)
        place = Place(directory=directory, proxy_port=free_port())
        configure(place, repository.bare, envoy)
        files = meshes.mesh(services, (ports[0], ports[1]))
        for folder in ("hosts", "services"):
            (repository.clone / folder).mkdir()
        revision = await repository.commit(files, f"{services} services")
        await repository.push()
        began = time.time()
        daemon = await start(place)
        host = Host(place=place, repository=repository, daemon=daemon, documents=meshes.documents(files))
        stack.push_async_callback(_stop, host)
        await answering(place, daemon)
        live = await host.active_at(revision) - began
        await host.until_acknowledged()
        yield host, live


async def restarted(host: Host) -> tuple[float, float]:
    """meshd is killed and starts again, its Envoy goes on (a clean stop would end it: `supervisor: child`).

    Seconds from the start of the process until its xDS socket is served, and until Envoy has acknowledged.
    """
    host.daemon.kill()
    await host.daemon.wait()
    began = time.time()
    host.daemon = await start(host.place)
    await _connectable(host.place.runtime / "xds" / "sidecar.sock")
    served = time.time() - began
    await answering(host.place, host.daemon)
    await host.until_acknowledged()
    return served, time.time() - began


async def _connectable(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except OSError:
            await asyncio.sleep(0.002)
        else:
            writer.close()
            return
    raise BenchError(f"nobody serves {path}")


async def _stop(host: Host) -> None:
    await end(host.daemon)
    await asyncio.to_thread(end_proxies, host.place)
