"""All that the demo starts, and that is gone when it ends: a directory, backends, a repository, a certificate."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshd.demo import meshes
from meshd.demo.backends import backend
from meshd.demo.certificates import Certificate, issue
from meshd.demo.daemon import Place, configure, free_port
from meshd.demo.repository import Repository, create

VERSIONS: Final = ("v1", "v2", "v3")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`shop_ports` are those of the shop's versions."""

    place: Place
    repository: Repository
    certificate: Certificate
    shop_ports: Mapping[str, int]
    payments_port: int


@asynccontextmanager
async def a_world(envoy: Path | None) -> AsyncIterator[World]:
    """Everything but meshd: that starts once the repository has something to say."""
    async with AsyncExitStack() as stack:
        # Not $TMPDIR, which may be long: below it are Unix sockets, whose paths hold 108 bytes.
        directory = Path(tempfile.mkdtemp(prefix="meshd-demo-", dir="/tmp"))
        stack.callback(shutil.rmtree, directory)
        certificate = await issue(directory, meshes.PAYMENTS)
        repository = await create(directory)
        shop_ports = {version: await stack.enter_async_context(backend(version)) for version in VERSIONS}
        payments = backend("payments", certificate.server_context())
        world = World(
            place=Place(directory=directory, proxy_port=free_port()),
            repository=repository,
            certificate=certificate,
            shop_ports=shop_ports,
            payments_port=await stack.enter_async_context(payments),
        )
        configure(world.place, repository.bare, envoy)
        yield world
