"""A proxy answers by xDS as it does on its fallback: modules whose cases hold there, once more."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.live import test_forwarding, test_gateway_requests, test_matching, test_tls
from tests.live.backends import Backends
from tests.live.by_xds import by_xds
from tests.live.requests import Keys
from tests.live.world import running_world

pytestmark = pytest.mark.envoy


@pytest.mark.parametrize("module", [test_matching, test_forwarding, test_tls, test_gateway_requests])
def test_what_the_fallback_answers_is_answered_by_xds(
    module: ModuleType,
    envoy_binary: Path,
    backends: Backends,
    names: dict[str, str],
    keys: Keys,
    short_tmp: Path,
) -> None:
    told = {name.lower(): getattr(module, name) for name in ("DOCUMENTS", "LISTENERS") if hasattr(module, name)}
    with (
        by_xds(),
        running_world(envoy_binary, backends, short_tmp, names, module.CASES, **told, keys=keys) as live,
    ):
        for case in module.CASES:
            for exchange in case.exchanges:
                live.holds(case, exchange)
