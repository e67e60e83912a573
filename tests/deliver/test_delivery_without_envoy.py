"""What a delivery does with proxies that come and go, and when the world around it fails."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import grpc.aio
import pytest
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from meshd.deliver.delivery import Secrets, Snapshots
from meshd.deliver.error import DeliveryError
from meshd.deliver.generations import Generations
from meshd.deliver.push import Patience
from meshd.deliver.target import Delivered, Refused, Target
from meshd.envoy.resource import CLUSTER
from meshd.names import RevisionId
from meshd.problems import Problems
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import World, a_delivery, an_assignment, eventually


class BrokenPreflight:
    async def judge(self, previous: Snapshots, following: Snapshots, secrets: Secrets) -> Problems:
        raise DeliveryError("no Envoy")


def both(world: World, revision: str) -> Target:
    proxy = world.proxy_target()
    return Target(revision=RevisionId(revision), proxies={"gateway": proxy, "sidecar": proxy})


def generations(directory: Path) -> list[str]:
    return sorted(entry.name for entry in (directory / "state" / "generations").iterdir())


def sockets(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.sock"))


@on_a_loop
async def test_without_a_verdict_nothing_is_delivered_and_the_revision_is_not_held_against(short_tmp: Path) -> None:
    async with a_delivery(short_tmp, preflight=BrokenPreflight()) as delivery:
        with pytest.raises(DeliveryError, match="no Envoy"):
            await delivery.deliver(World(clusters={"a": (9,)}).target("r1"))

        assert generations(short_tmp) == []
        assert not delivery.is_refused(RevisionId("r1"))
        assert delivery.states() == ()


@on_a_loop
async def test_a_proxy_that_the_host_no_longer_runs_loses_its_socket(short_tmp: Path) -> None:
    async with a_delivery(short_tmp) as delivery:
        world = World(clusters={"a": (9,)})
        await delivery.deliver(both(world, "r1"))
        assert sockets(short_tmp) == ["gateway.sock", "sidecar.sock"]

        outcome = await delivery.deliver(world.target("r2"))

        assert isinstance(outcome, Delivered)
        assert outcome.absent == ("sidecar",)
        assert sockets(short_tmp) == ["sidecar.sock"]


@on_a_loop
async def test_a_new_proxy_is_taken_back_when_another_does_not_accept(short_tmp: Path) -> None:
    patience = Patience(push=timedelta(milliseconds=100), warming=timedelta(milliseconds=50))
    async with a_delivery(short_tmp, patience=patience) as delivery:
        world = World(clusters={"a": (9,)})
        await delivery.deliver(world.target("r1"))
        async with grpc.aio.insecure_channel(f"unix:{short_tmp}/sidecar.sock") as channel:
            silent = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
            await silent.write(DeltaDiscoveryRequest(type_url=CLUSTER))
            await silent.read()

            outcome = await delivery.deliver(both(World(clusters={"b": (9,)}), "r2"))

            assert isinstance(outcome, Refused)
            assert outcome.stage == "patience"
            assert sockets(short_tmp) == ["sidecar.sock"]
            assert generations(short_tmp) == ["000001"]


@on_a_loop
async def test_a_delivery_that_is_cancelled_leaves_the_old_generation_active(short_tmp: Path) -> None:
    world = World(clusters={"a": (9,)})
    async with a_delivery(short_tmp) as delivery:
        await delivery.deliver(world.target("r1"))
        async with grpc.aio.insecure_channel(f"unix:{short_tmp}/sidecar.sock") as channel:
            silent = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
            await silent.write(DeltaDiscoveryRequest(type_url=CLUSTER))
            await silent.read()
            delivering = asyncio.create_task(delivery.deliver(World(clusters={"b": (9,)}).target("r2")))
            await silent.read()

            delivering.cancel()

            with pytest.raises(asyncio.CancelledError):
                await delivering

    async with a_delivery(short_tmp) as restarted:
        assert restarted.active is not None
        assert restarted.active.revision == "r1"
        assert generations(short_tmp) == ["000001"]
        assert isinstance(await restarted.deliver(World(clusters={"b": (9,)}).target("r2")), Delivered)


@on_a_loop
async def test_endpoints_that_came_during_a_delivery_are_in_it(short_tmp: Path) -> None:
    class MeanwhileDnsChanged:
        async def judge(self, previous: Snapshots, following: Snapshots, secrets: Secrets) -> Problems:
            delivery.push_endpoints({"sidecar": [an_assignment("b", 99)], "gateway": []})
            return ()

    async with a_delivery(short_tmp, preflight=MeanwhileDnsChanged()) as delivery:
        await delivery.deliver(World(clusters={"a": (9,)}).target("r1"))

        await delivery.deliver(World(clusters={"a": (9,), "b": (9,)}).target("r2"))

        served = delivery._servers["sidecar"].served
        assert served.endpoints["b"] == an_assignment("b", 99)
        fallback = short_tmp / "state" / "active" / "sidecar" / "fallback.pb"
        await eventually(lambda: an_assignment("b", 99).body in fallback.read_bytes())


@on_a_loop
async def test_a_fallback_that_cannot_be_rewritten_is_rewritten_once_it_can_be(
    short_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "fallback.stale" in said

    async with a_delivery(short_tmp) as delivery:
        await delivery.deliver(World(clusters={"a": (9,)}).target("r1"))
        active = short_tmp / "state" / "generations" / "000001" / "sidecar"
        active.rename(short_tmp / "away")

        delivery.push_endpoints({"sidecar": [an_assignment("a", 99)]})

        await eventually(is_said)
        (short_tmp / "away").rename(active)
        fallback = active / "fallback.pb"
        await eventually(lambda: an_assignment("a", 99).body in fallback.read_bytes())


@on_a_loop
async def test_a_fallback_that_cannot_be_rewritten_at_the_end_leaves_no_socket(short_tmp: Path) -> None:
    delivering = contextlib.AsyncExitStack()
    delivery = await delivering.enter_async_context(a_delivery(short_tmp))
    await delivery.deliver(World(clusters={"a": (9,)}).target("r1"))
    (short_tmp / "state" / "generations" / "000001" / "sidecar").rename(short_tmp / "away")
    delivery.push_endpoints({"sidecar": [an_assignment("a", 99)]})

    with pytest.raises(DeliveryError):
        await delivering.aclose()

    assert sockets(short_tmp) == []


@on_a_loop
async def test_of_a_proxy_that_comes_back_nothing_is_known(short_tmp: Path) -> None:
    async with a_delivery(short_tmp) as delivery:
        world = World(clusters={"a": (9,)})
        await delivery.deliver(both(world, "r1"))
        delivery._acknowledged["gateway"] = 1
        await delivery.deliver(world.target("r2"))

        await delivery.deliver(both(world, "r3"))

        assert {state.proxy: state.generation for state in delivery.states()} == {"gateway": None, "sidecar": None}


@on_a_loop
async def test_a_disk_that_refuses_is_the_worlds_fault(short_tmp: Path) -> None:
    (short_tmp / "state").touch()

    with pytest.raises(DeliveryError, match="state"):
        async with a_delivery(short_tmp):
            pass


@on_a_loop
async def test_without_its_fallback_a_generation_does_not_become_active(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "fallback.pb")

    async with a_delivery(short_tmp) as delivery:
        await delivery.deliver(World(clusters={"a": (9,)}).target("r1"))
        with monkeypatch.context() as disk:
            disk.setattr(Generations, "add_fallback", full)
            with pytest.raises(DeliveryError, match="No space"):
                await delivery.deliver(World(clusters={"b": (9,)}).target("r2"))
        assert delivery.active is not None
        assert delivery.active.revision == "r1"

        assert isinstance(await delivery.deliver(World(clusters={"b": (9,)}).target("r2")), Delivered)


@on_a_loop
async def test_a_socket_that_cannot_be_made_is_no_fault_of_the_revision(short_tmp: Path) -> None:
    async with a_delivery(short_tmp) as delivery:
        (short_tmp / "sidecar.sock").mkdir()

        with pytest.raises(DeliveryError, match="not a socket"):
            await delivery.deliver(World(clusters={"a": (9,)}).target("r1"))

        assert not delivery.is_refused(RevisionId("r1"))
