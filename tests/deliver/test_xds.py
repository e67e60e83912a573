"""The socket that Envoys connect to, and a client that does not behave."""

from __future__ import annotations

import asyncio
import stat
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

from meshd.deliver import xds
from meshd.deliver.error import DeliveryError
from meshd.deliver.push import Absent, Acknowledged, Patience, TimedOut, push, push_endpoints
from meshd.deliver.snapshot import Snapshot
from meshd.deliver.xds import ProxyServer
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import World, an_assignment, eventually

BRIEF = Patience(push=timedelta(milliseconds=200), warming=timedelta(milliseconds=50))


def a_snapshot(*clusters: str) -> Snapshot:
    return World(clusters=dict.fromkeys(clusters, (9,))).snapshot()


def modes(directory: Path) -> dict[str, int]:
    return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in directory.iterdir()}


@on_a_loop
async def test_the_socket_is_for_owner_and_group_and_leaves_nothing_behind(short_tmp: Path) -> None:
    server = ProxyServer("sidecar", short_tmp / "x.sock")
    await server.start()

    assert modes(short_tmp) == {"x.sock": 0o660}
    await server.stop()
    assert modes(short_tmp) == {}


@on_a_loop
async def test_a_live_socket_is_not_stolen_and_a_dead_one_is_replaced(short_tmp: Path) -> None:
    first, second = (ProxyServer("sidecar", short_tmp / "x.sock") for _ in range(2))
    await first.start()
    with pytest.raises(DeliveryError, match="served by another process"):
        await second.start()
    (short_tmp / "x.sock").rename(short_tmp / "dead.sock")
    await first.stop()

    third = ProxyServer("sidecar", short_tmp / "dead.sock")
    await third.start()

    await third.stop()


@on_a_loop
async def test_a_file_in_the_place_of_the_socket_is_left_alone(short_tmp: Path) -> None:
    (short_tmp / "x.sock").touch()

    with pytest.raises(DeliveryError, match="not a socket"):
        await ProxyServer("sidecar", short_tmp / "x.sock").start()

    assert (short_tmp / "x.sock").is_file()


@on_a_loop
async def test_a_directory_that_is_not_there_is_said_so(short_tmp: Path) -> None:
    with pytest.raises(DeliveryError, match="cannot listen"):
        await ProxyServer("sidecar", short_tmp / "none" / "x.sock").start()


@on_a_loop
async def test_only_the_delta_method_is_implemented(short_tmp: Path) -> None:
    server = ProxyServer("sidecar", short_tmp / "x.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{short_tmp}/x.sock") as channel:
        call = AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources(iter([DiscoveryRequest()]))

        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call.read()

    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED
    await server.stop()


@on_a_loop
async def test_a_client_that_never_acknowledges_is_a_timeout_and_one_that_leaves_is_absent(short_tmp: Path) -> None:
    server = ProxyServer("sidecar", short_tmp / "x.sock", a_snapshot("a"))
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{short_tmp}/x.sock") as channel:
        call = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        await call.write(DeltaDiscoveryRequest(type_url=CLUSTER))
        await call.read()

        assert await push(server, a_snapshot("a", "b"), BRIEF) == TimedOut(waiting="cluster a, cluster b")

        patient = Patience(push=timedelta(seconds=20), warming=timedelta(seconds=20))
        pushing = asyncio.create_task(push(server, a_snapshot("c"), patient))
        await call.read()
        call.cancel()
        assert await pushing == Absent()
        assert server.served == a_snapshot("c")
    await server.stop()


@on_a_loop
async def test_clusters_that_warm_for_long_do_not_hold_up_routes_but_their_verdict_is_awaited(short_tmp: Path) -> None:
    server = ProxyServer("sidecar", short_tmp / "x.sock", a_snapshot())
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{short_tmp}/x.sock") as channel:
        call = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        for type_url in (CLUSTER, LISTENER):
            await call.write(DeltaDiscoveryRequest(type_url=type_url))
            await call.write(DeltaDiscoveryRequest(type_url=type_url, response_nonce=(await call.read()).nonce))
        await eventually(lambda: any(session.settled for session in server.sessions))
        patience = Patience(push=timedelta(seconds=20), warming=timedelta(milliseconds=50))
        following = World(port=8080, clusters={"slow": (9,)}).snapshot()

        pushing = asyncio.create_task(push(server, following, patience))
        clusters, listeners = await call.read(), await call.read()

        assert (clusters.type_url, listeners.type_url) == (CLUSTER, LISTENER)
        await call.write(DeltaDiscoveryRequest(type_url=LISTENER, response_nonce=listeners.nonce))
        await eventually(lambda: server.served == following)
        assert not pushing.done()
        await call.write(DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=clusters.nonce))
        assert await pushing == Acknowledged(resources=2)
    await server.stop()


@on_a_loop
async def test_of_two_envoys_that_came_back_the_one_that_stays_counts_whichever_came_first(short_tmp: Path) -> None:
    """After a restart of meshd amid a hot restart. The one that leaves must not look like the proxy that is gone."""
    server = ProxyServer("sidecar", short_tmp / "x.sock", a_snapshot("a"))
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{short_tmp}/x.sock") as channel:
        calls = []
        for _ in range(2):
            calls.append(AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources())
            await calls[-1].write(DeltaDiscoveryRequest(type_url=CLUSTER))
            await calls[-1].read()
        stays, leaves = sorted(server.sessions, key=lambda session: session.number)

        calls[1].cancel()
        await eventually(lambda: leaves not in server.sessions)
        assert server.last is stays

        calls[0].cancel()
        await eventually(lambda: not server.sessions)
        assert server.last is stays
    await server.stop()


@on_a_loop
async def test_a_client_that_does_not_read_is_let_go(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xds, "_LONGEST_QUEUE", 3)
    server = ProxyServer("sidecar", short_tmp / "x.sock", a_snapshot("a"))
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{short_tmp}/x.sock") as channel:
        call = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        await call.write(DeltaDiscoveryRequest(type_url=ENDPOINTS, resource_names_subscribe=["a"]))
        await call.read()

        for port in range(1, 6):
            push_endpoints(server, [an_assignment("a", port)])

        await eventually(lambda: not server.sessions)
    await server.stop()
