from __future__ import annotations

import asyncio

from meshd.daemon.triggers import Triggers


def test_many_pulls_before_the_wait_are_one():
    async def story():
        triggers = Triggers()
        for _ in range(5):
            triggers.pull("push")
        triggers.pull("endpoints")
        return await triggers.wait(None), await triggers.wait(0)

    assert asyncio.run(story()) == (frozenset({"push", "endpoints"}), frozenset())


def test_a_pull_ends_a_wait():
    async def story():
        triggers = Triggers()
        asyncio.get_running_loop().call_soon(triggers.pull, "sync")
        return await triggers.wait(60)

    assert asyncio.run(story()) == {"sync"}
