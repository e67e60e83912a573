from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from meshd.daemon.looking import Looking
from meshd.deliver.delivery import ProxyState as Served
from meshd.deliver.nack import Rejection
from meshd.envoy.resource import ENDPOINTS, LISTENER
from meshd.proxies.supervisor import ProxyState as Running

SERVED = Served(
    proxy="sidecar", connected=True, generation=7, rejections=(), node="", envoy_version="1.40.0", resources_sent=3
)


class Supervisor:
    """Answers at once, or hangs as one does that is handing its Envoy over."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.gate.set()

    async def states(self):
        await self.gate.wait()
        return (Running(name="sidecar", state="LIVE", pid=4711),)


def test_a_proxy_that_is_being_replaced_is_told_as_it_was_seen_last():
    async def story():
        delivery = SimpleNamespace(states=lambda: (SERVED,), active=SimpleNamespace(number=7))
        supervisor = Supervisor()
        looking = Looking(supervisor, delivery)
        before = await looking.proxies(timedelta(seconds=5))
        supervisor.gate.clear()
        meanwhile = await looking.proxies(timedelta(0))
        looking.close()
        return before, meanwhile

    before, meanwhile = asyncio.run(story())

    assert (before[0].state, before[0].pid, before[0].acknowledged) == ("LIVE", 4711, True)
    assert meanwhile == before


@pytest.mark.parametrize(("refused", "acknowledged"), [(LISTENER, False), (ENDPOINTS, True)])
def test_a_proxy_that_lacks_a_listener_has_not_acknowledged_whatever_it_said_of_the_rest(refused, acknowledged: bool):
    """It refused it when it came, and nothing of it was in the generations after that."""
    rejection = Rejection(type_url=refused, name="outboundProxy", text="Invalid path: /etc/x")

    async def story():
        served = replace(SERVED, rejections=(rejection,))
        delivery = SimpleNamespace(states=lambda: (served,), active=SimpleNamespace(number=7))
        (proxy,) = await Looking(Supervisor(), delivery).proxies(timedelta(seconds=5))
        return proxy

    proxy = asyncio.run(story())

    assert (proxy.acknowledged, proxy.rejections) == (acknowledged, ("Invalid path: /etc/x",))
