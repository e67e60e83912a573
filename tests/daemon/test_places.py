from __future__ import annotations

from pathlib import Path

import pytest

from meshd.config import AgentConfig
from meshd.config.agent import RepositoryConfig
from meshd.daemon.places import bootstrap_settings, proxy_paths
from meshd.envoy.bootstrap import xds_bootstrap
from meshd.names import HostName, Locality

WEST = Locality(region="eu", zone="west")


def a_config(directory: Path) -> AgentConfig:
    return AgentConfig(
        host=HostName("web-1"),
        repository=RepositoryConfig(url="/srv/mesh"),
        state_directory=str(directory / "state"),
        runtime_directory=str(directory / "run"),
    )


@pytest.mark.spec("D-24")
def test_while_the_plan_is_not_known_a_proxy_stands_where_it_was_started(tmp_path: Path):
    """A meshd that starts looks after its proxies before it has read the mesh: they must not be started anew."""
    config = a_config(tmp_path)
    known = bootstrap_settings(config, "sidecar", HostName("web-1"), WEST)
    bootstrap = proxy_paths(config, "sidecar").bootstrap
    bootstrap.parent.mkdir(parents=True)
    bootstrap.write_bytes(xds_bootstrap(known))

    assert bootstrap_settings(config, "sidecar", HostName("web-1"), None) == known


@pytest.mark.parametrize("written", [None, b"\xff no bootstrap"])
def test_a_proxy_that_was_never_started_stands_nowhere_yet(tmp_path: Path, written: bytes | None):
    config = a_config(tmp_path)
    bootstrap = proxy_paths(config, "sidecar").bootstrap
    bootstrap.parent.mkdir(parents=True)
    if written:
        bootstrap.write_bytes(written)

    assert bootstrap_settings(config, "sidecar", HostName("web-1"), None).locality == Locality()
