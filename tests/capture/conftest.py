from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.capture.machines import Machines, running_machines


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with running_machines() as running:
        yield running
