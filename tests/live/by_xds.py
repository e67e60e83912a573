"""The worlds of the live tests run on the fallback; in here they are given the same configuration by xDS."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshd.deliver.snapshot import Snapshot, snapshot
from meshd.deliver.xds import ProxyServer
from meshd.envoy.bootstrap import BootstrapSettings, xds_bootstrap
from meshd.envoy.inline_secrets import watchable
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.memo import Memo
from tests.envoy.process import running
from tests.live import world
from tests.waiting import until


@contextmanager
def by_xds() -> Iterator[None]:
    """`fallback` is what a world makes its bootstrap of, and `running` runs it."""
    wanted: dict[str, Snapshot] = {}

    def bootstrap(rendered: Rendered, assigned: Sequence[EnvoyResource], settings: BootstrapSettings) -> bytes:
        wanted[settings.xds_socket] = snapshot(watchable(rendered, Memo()), assigned)
        return xds_bootstrap(settings)

    @contextmanager
    def served(envoy_binary: Path, bootstrap: bytes, settings: BootstrapSettings) -> Iterator[None]:
        server = ProxyServer(settings.proxy, Path(settings.xds_socket), wanted[settings.xds_socket])
        with serving(server), running(envoy_binary, bootstrap, settings):
            until(lambda: server.last is not None and server.last.settled, what="Envoy to have taken everything")
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "fallback", bootstrap)
        patch.setattr(world, "running", served)
        yield


@contextmanager
def serving(server: ProxyServer) -> Iterator[None]:
    """On a loop of its own: the requests of the live tests block theirs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
        yield
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
