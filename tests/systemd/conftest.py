"""systemd as this room sees it: on a bus of the test's own, by whatever `FakeSystemd` is told to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.systemd.units import Systemd
from tests.private_bus import FakeSystemd, PrivateBus, answering, private_bus


@pytest.fixture
def bus(short_tmp: Path) -> Iterator[PrivateBus]:
    with private_bus(short_tmp) as bus:
        yield bus


@pytest.fixture
def fake(bus: PrivateBus) -> Iterator[FakeSystemd]:
    fake = FakeSystemd()
    with answering(fake, bus.address):
        yield fake


@pytest.fixture
def systemd(bus: PrivateBus) -> Systemd:
    return Systemd(bus.address)
