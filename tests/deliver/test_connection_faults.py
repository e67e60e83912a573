"""Faults of connections come, change and go, and no connection fails by that."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from meshd.names import ClusterName, ListenerName
from meshd.plan import (
    BitsPerSecond,
    ConnectionFaults,
    Listener,
    ProxyPlan,
    SocketBind,
    TcpChain,
    Termination,
    Throttle,
    WeightedCluster,
)
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import World, a_backend, a_cluster, a_delivery, an_envoy, ask, eventually, is_on
from tests.ports import free_port

_NEVER = Termination(millionths=1)
_HALF, _ALL = (Throttle(millionths=share, to_client=BitsPerSecond(10**9)) for share in (500_000, 1_000_000))
_TURNS = (
    ConnectionFaults(name="rule", throttle=_HALF),
    ConnectionFaults(name="rule", throttle=_ALL, termination=_NEVER),
    ConnectionFaults(name="rule", throttle=_ALL),
    None,
)


@dataclass
class Faulty(World):
    """A port that leads to the cluster `shop`."""

    faults: ConnectionFaults | None = None
    tcp: int = 0

    def plan(self) -> ProxyPlan:
        chain = TcpChain(
            destinations=(WeightedCluster(cluster=ClusterName("shop")),), stat_prefix="shop", faults=self.faults
        )
        bind = SocketBind(ip="127.0.0.1", port=self.tcp)
        self.listeners = (Listener(name=ListenerName("tcp"), bind=bind, chains=(chain,)),)
        return World.plan(self)


@on_a_loop
async def test_no_connection_fails_while_faults_come_and_go(envoy_binary: Path, short_tmp: Path) -> None:
    async with (
        a_backend("v1") as backend,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        shop = {"shop": a_cluster("shop", http=None)}
        world = Faulty(clusters={"shop": (backend,)}, changed=shop, tcp=free_port())
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))

        seen: Counter[tuple[int, str]] = Counter()
        workers = [asyncio.create_task(_connecting(world.tcp, seen)) for _ in range(6)]
        for turn, faults in zip(range(2, 32), cycle(_TURNS), strict=False):
            world.faults = faults
            await delivery.deliver(world.target(f"r{turn}"))
            assert delivery.active is not None
            assert delivery.active.number == turn
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    assert {status for status, _ in seen} == {200}, seen
    assert seen.total() > 100


async def _connecting(port: int, seen: Counter[tuple[int, str]]) -> None:
    """One connection for each request."""
    while True:
        try:
            seen[await ask(port, "shop")] += 1
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            seen[0, repr(error)] += 1


@on_a_loop
async def test_connections_that_are_there_outlive_their_faults(envoy_binary: Path, short_tmp: Path) -> None:
    async with (
        a_backend("v1") as backend,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        shop = {"shop": a_cluster("shop", http=None)}
        most = Throttle(millionths=999_999, to_client=BitsPerSecond(10**9))
        faults = ConnectionFaults(name="rule", throttle=most)
        world = Faulty(clusters={"shop": (backend,)}, changed=shop, tcp=free_port(), faults=faults)
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        reader, writer = await asyncio.open_connection("127.0.0.1", world.tcp)
        before = await _asked(reader, writer)

        world.faults = None
        await delivery.deliver(world.target("r2"))
        await eventually(is_on(delivery, 2))
        after = await _asked(reader, writer)
        writer.close()

    assert (before, after) == (b"v1", b"v1")


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(2)
