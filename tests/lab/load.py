"""Requests of an application of a host, without a pause, while something is done to that host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.installation import Host
from tests.system.load import Load


@contextmanager
def no_request_fails(host: Host, name: str = "shop.example") -> Iterator[Load]:
    """From before the block until after it."""
    load = host.machine.network.within(Load, 15080, name)
    host.machine.network.within(load.__enter__)
    try:
        load.until_requests(100)
        yield load
        load.until_requests(100)
    finally:
        load.__exit__(None, None, None)
    assert load.failed == 0, load.summary() + host.log()
