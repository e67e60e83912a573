from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from meshd.daemon.aside import Aside


def test_calls_are_answered_one_at_a_time_with_what_they_return_or_raise():
    async def story():
        aside = Aside()
        with pytest.raises(ZeroDivisionError):
            await aside(divmod, 1, 0)
        return await asyncio.gather(*(aside(threading.current_thread) for _ in range(3)))

    assert len(set(asyncio.run(story()))) == 1


def test_a_call_that_was_given_up_does_not_disturb_the_next():
    async def story():
        aside, gate = Aside(), threading.Event()
        hanging = asyncio.create_task(aside(gate.wait))
        await asyncio.sleep(0)
        hanging.cancel()
        gate.set()
        return await aside(lambda: "next")

    assert asyncio.run(story()) == "next"


def test_a_call_that_never_returns_does_not_keep_the_program_from_ending():
    program = (
        "import asyncio, threading\n"
        "from meshd.daemon.aside import Aside\n"
        "async def story():\n"
        "    aside, began = Aside(), threading.Event()\n"
        "    asyncio.create_task(aside(lambda: (began.set(), threading.Event().wait())))\n"
        "    await asyncio.to_thread(began.wait)\n"
        "    aside.close()\n"
        "asyncio.run(story())\n"
    )

    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0
