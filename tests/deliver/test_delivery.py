"""The story of a delivery, with a real Envoy at the other end."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.deliver.push import Patience
from meshd.deliver.target import Delivered, Refused
from meshd.names import RevisionId
from meshd.plan import RingHash
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import (
    World,
    a_backend,
    a_cluster,
    a_delivery,
    a_listener,
    a_virtual_host,
    an_assignment,
    an_envoy,
    ask,
    eventually,
    is_on,
    load,
)
from tests.ports import free_port

pytestmark = pytest.mark.envoy


@on_a_loop
async def test_an_envoy_that_comes_later_gets_everything_and_its_acknowledgement_is_seen(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery:
        world = World(port=free_port(), clusters={"v1": (v1,)}, hosts=(a_virtual_host("shop", "v1"),))
        outcome = await delivery.deliver(world.target())
        assert isinstance(outcome, Delivered)
        assert outcome.absent == ("sidecar",)

        async with an_envoy(envoy_binary, short_tmp):
            await eventually(is_on(delivery, 1))

            assert await ask(world.port, "shop") == (200, "v1")
            (state,) = delivery.states()
            assert (state.node, state.envoy_version) == ("sidecar~web-1", "1.40.0")

        await eventually(lambda: not delivery.states()[0].connected)
        assert delivery.states()[0].generation == 1


@on_a_loop
async def test_of_many_clusters_only_the_changed_one_is_sent_with_its_endpoints(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world = World(clusters={f"c{i}": (9,) for i in range(50)})
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))

        world.changed = {"c7": a_cluster("c7", seconds=2)}
        outcome = await delivery.deliver(world.target("r2"))

        assert isinstance(outcome, Delivered)
        assert outcome.acknowledged == ("sidecar",)
        assert outcome.resources == 2


@on_a_loop
async def test_after_a_restart_an_envoy_that_has_everything_is_sent_nothing(
    envoy_binary: Path, short_tmp: Path
) -> None:
    world = World(port=free_port(), clusters={"v1": (9,), "v2": (9,)}, hosts=(a_virtual_host("shop", "v1"),))
    async with a_delivery(short_tmp) as delivery:
        await delivery.deliver(world.target())
        envoy = an_envoy(envoy_binary, short_tmp)
        await envoy.__aenter__()
        await eventually(is_on(delivery, 1))

    async with a_delivery(short_tmp) as restarted:
        await eventually(is_on(restarted, 1))

        assert restarted.active is not None
        assert restarted.active.revision == "r1"
        assert restarted.states()[0].resources_sent == 0
        assert (await restarted.deliver(world.target())).resources == 0  # type: ignore[union-attr]
    await envoy.__aexit__(None, None, None)


@on_a_loop
async def test_what_changed_while_meshd_was_away_is_all_that_a_reconnecting_envoy_is_sent(
    envoy_binary: Path, short_tmp: Path
) -> None:
    world = World(port=free_port(), clusters={"v1": (9,), "v2": (9,)}, hosts=(a_virtual_host("shop", "v1"),))
    async with a_delivery(short_tmp) as delivery:
        await delivery.deliver(world.target())
        envoy = an_envoy(envoy_binary, short_tmp)
        await envoy.__aenter__()
        await eventually(is_on(delivery, 1))
    async with a_backend("v3") as v3:
        async with a_delivery(short_tmp / "other") as elsewhere:
            world.clusters = {"v2": (9,), "v3": (v3,)}
            world.hosts = (a_virtual_host("shop", "v3"),)
            await elsewhere.deliver(world.target("r2"))
        (short_tmp / "state").rename(short_tmp / "old")
        (short_tmp / "other" / "state").rename(short_tmp / "state")

        async with a_delivery(short_tmp) as restarted:
            await eventually(is_on(restarted, 1))

            assert await ask(world.port, "shop") == (200, "v3")
            assert restarted.states()[0].resources_sent == 3
    await envoy.__aexit__(None, None, None)


@on_a_loop
async def test_no_request_is_lost_while_routes_move_between_clusters_that_come_and_go(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with (
        a_backend("a") as a,
        a_backend("b") as b,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        world = World(port=free_port(), clusters={"c0": (a,)}, hosts=(a_virtual_host("shop", "c0"),))
        await delivery.deliver(world.target("r0"))
        await eventually(is_on(delivery, 1))
        async with load(world.port, "shop") as seen:
            for swap in range(1, 41):
                name = f"c{swap}" if swap % 2 else "kept"
                world.clusters = {name: (a if swap % 3 else b,), "kept": (b,), f"c{swap}": (a,)}
                world.changed = {"kept": a_cluster("kept", seconds=1 + swap % 5)}
                world.hosts = (a_virtual_host("shop", name),)
                outcome = await delivery.deliver(world.target(f"r{swap}"))
                assert isinstance(outcome, Delivered), outcome

        assert {status for status, _ in seen} == {200}, seen
        assert seen.total() > 100


@on_a_loop
async def test_a_listener_on_a_taken_port_is_reported_at_its_line_and_the_last_generation_restored(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with (
        a_backend("v1") as v1,
        a_backend("v2") as v2,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        world = World(port=free_port(), clusters={"v1": (v1,)}, hosts=(a_virtual_host("shop", "v1"),))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            bad = World(
                port=world.port,
                clusters={"v2": (v2,)},
                hosts=(a_virtual_host("shop", "v2"),),
                listeners=(a_listener(port, line=14),),
            )

            outcome = await delivery.deliver(bad.target("r2"))

        assert isinstance(outcome, Refused)
        assert outcome.stage == "acknowledgement"
        (problem,) = outcome.problems
        assert str(problem) == (
            f"sidecar.yaml:14:1: spec.egress: Envoy refuses listener 127.0.0.1_{port}: cannot bind "
            f"'127.0.0.1:{port}': Address already in use [E-ENVOY-REJECTED]"
        )
        assert await ask(world.port, "shop") == (200, "v1")
        assert delivery.active is not None
        assert delivery.active.number == 1
        assert delivery.is_refused(RevisionId("r2"))
        assert delivery.states()[0].rejections == ()
        delivery.forget_refusal(RevisionId("r2"))
        assert not delivery.is_refused(RevisionId("r2"))

        again = await delivery.deliver(bad.target("r2"))

        assert isinstance(again, Delivered), again
        assert await ask(world.port, "shop") == (200, "v2")


@on_a_loop
async def test_a_cluster_that_envoy_rejects_is_reported_at_its_line_and_taken_back(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world = World(port=free_port(), clusters={"v1": (v1,)}, hosts=(a_virtual_host("shop", "v1"),))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        bad = a_cluster("bad", load_balancer=RingHash(minimum_size=9_000_000))
        world.clusters = {"bad": (v1,), "good": (v1,), "v1": (v1,)}
        world.changed = {"bad": bad}
        world.hosts = (a_virtual_host("shop", "good"),)

        outcome = await delivery.deliver(world.target("r2"))

        assert isinstance(outcome, Refused)
        (problem,) = outcome.problems
        assert problem.at == bad.origin
        assert "ring" in problem.message.lower()
        assert await ask(world.port, "shop") == (200, "v1")


@on_a_loop
async def test_endpoints_go_alone_and_the_fallback_on_disk_follows(envoy_binary: Path, short_tmp: Path) -> None:
    async with (
        a_backend("a") as a,
        a_backend("b") as b,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        world = World(port=free_port(), clusters={"v1": (a,), "v2": (a,)}, hosts=(a_virtual_host("shop", "v1"),))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        sent = delivery.states()[0].resources_sent
        on_disk = short_tmp / "state" / "active" / "sidecar" / "fallback.pb"
        before = on_disk.read_bytes()

        changed = delivery.push_endpoints({"sidecar": [an_assignment("v1", b), an_assignment("v2", a)]})

        assert changed == 1
        await eventually(is_on(delivery, 1))
        assert delivery.states()[0].resources_sent == sent + 1
        await eventually(lambda: on_disk.read_bytes() != before)
        async with asyncio.timeout(5):
            while await ask(world.port, "shop") != (200, "b"):
                pass

    async with a_delivery(short_tmp) as restarted, an_envoy(envoy_binary, short_tmp):
        await eventually(is_on(restarted, 1))


@on_a_loop
async def test_an_envoy_that_does_not_answer_is_a_timeout_and_everything_goes_back(
    envoy_binary: Path, short_tmp: Path
) -> None:
    patience = Patience(push=timedelta(milliseconds=300), warming=timedelta(milliseconds=100))
    async with a_delivery(short_tmp, patience=patience) as delivery, an_envoy(envoy_binary, short_tmp) as envoy:
        world = World(clusters={"v1": (9,)})
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        envoy.send_signal(19)
        world.clusters = {"v1": (9,), "v2": (9,)}

        outcome = await delivery.deliver(world.target("r2"))

        assert isinstance(outcome, Refused)
        (problem,) = outcome.problems
        assert problem.code == "E-ENVOY-TIMEOUT"
        assert "cluster v2" in problem.message
        envoy.send_signal(18)
        await eventually(is_on(delivery, 1))
