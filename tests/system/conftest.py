"""A host per test; everything that it started is ended with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.backend import Backend
from tests.system.host import Host
from tests.system.load import Load


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """As `short_tmp`, for all tests of a module."""
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def host(short_tmp: Path, envoy_binary: Path) -> Iterator[Host]:
    host = Host(short_tmp, envoy_binary)
    yield host
    host.close()


@pytest.fixture
def backend() -> Iterator[Callable[..., Backend]]:
    started: list[Backend] = []

    def start(version: str, address: str = "127.0.0.1", port: int = 0) -> Backend:
        started.append(Backend(version, address, port))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def load() -> type[Load]:
    return Load
