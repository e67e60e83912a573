"""Listeners that only endpoints lead to are there before them, and stay until after them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from meshd.deliver.target import ProxyTarget
from meshd.envoy import assignments, render
from meshd.names import ClusterName, ListenerName
from meshd.plan import (
    ClusterEndpoints,
    Endpoint,
    InternalAddress,
    InternalBind,
    Listener,
    ProxyPlan,
    TcpChain,
    WeightedCluster,
)
from tests.deliver.clock import on_a_loop
from tests.deliver.worlds import (
    World,
    a_backend,
    a_cluster,
    a_delivery,
    a_virtual_host,
    an_envoy,
    endpoints,
    eventually,
    is_on,
    load,
)
from tests.ports import free_port

_INSIDE = ListenerName("inside")


@dataclass
class Roundabout(World):
    """Cluster `shop` leads to its backend, or `inside` to a listener that passes on to it by a cluster of its own."""

    backend: int = 0
    inside: bool = False

    def plan(self) -> ProxyPlan:
        plan = World.plan(replace(self, clusters={"shop": (self.backend,)}))
        if not self.inside:
            return plan
        passing = TcpChain(destinations=(WeightedCluster(cluster=ClusterName("beyond")),), stat_prefix="inside")
        leading = Endpoint(address=InternalAddress(listener=_INSIDE, endpoint_id="shop"), port=0)
        return replace(
            plan,
            clusters=(a_cluster("beyond", http=None), *plan.clusters),
            endpoints=(
                endpoints("beyond", self.backend),
                ClusterEndpoints(cluster=ClusterName("shop"), endpoints=(leading,)),
            ),
            listeners=(*plan.listeners, Listener(name=_INSIDE, bind=InternalBind(), chains=(passing,))),
        )

    def proxy_target(self) -> ProxyTarget:
        plan = self.plan()
        return ProxyTarget(rendered=render(plan, self.memo), assignments=assignments(plan, {}, self.memo))


@on_a_loop
async def test_no_request_fails_while_endpoints_are_led_inside_and_out_again(
    envoy_binary: Path, short_tmp: Path
) -> None:
    async with (
        a_backend("v1") as backend,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        world = Roundabout(port=free_port(), backend=backend, hosts=(a_virtual_host("shop", "shop"),))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))

        async with load(world.port, "shop") as seen:
            for turn in range(2, 32):
                world.inside = not world.inside
                await delivery.deliver(world.target(f"r{turn}"))
                assert delivery.active is not None
                assert delivery.active.number == turn

    assert {status for status, _ in seen} == {200}, seen
    assert seen.total() > 100
