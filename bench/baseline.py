"""The peer that meshd is measured against: the same clusters by file xDS, the whole set rewritten at each change.

That is what a template engine and a rename amount to. Only the delivery is measured: rendering, checking and
preflight, which meshd does in its own figure, are left out here, to the peer's advantage.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse
from google.protobuf.any_pb2 import Any as Packed

from bench.host import PATIENCE, BenchError
from bench.measure import Series, cpu, series
from meshd.envoy.bootstrap import BootstrapSettings, foundation
from meshd.envoy.resource import CLUSTER
from meshd.names import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class FileXds:
    """Seconds from the rename until Envoy had it, and Envoy's CPU seconds, for each change."""

    durations: Series
    cpu: float


async def measure(envoy: Path, fallback: Path, changes: int) -> FileXds:
    """`fallback` is a generation's static bootstrap: the very clusters that meshd delivered."""
    return await asyncio.to_thread(_measure, envoy, fallback, changes)


def _measure(envoy: Path, fallback: Path, changes: int) -> FileXds:
    clusters = list(Bootstrap.FromString(fallback.read_bytes()).static_resources.clusters)
    with _running(envoy, clusters) as peer:
        before = cpu(peer.process.pid)
        durations = []
        for turn in range(changes):
            clusters[0].connect_timeout.FromTimedelta(timedelta(milliseconds=2000 + turn))
            durations.append(peer.replace(clusters))
        spent = cpu(peer.process.pid).since(before, changes)
    return FileXds(durations=series(durations), cpu=spent.own)


@dataclass(slots=True)
class _Peer:
    directory: Path
    process: subprocess.Popen[bytes]

    def replace(self, clusters: list[Cluster]) -> float:
        loaded = self.updates()
        _write(self.directory, clusters)
        began = time.monotonic()
        (self.directory / "next.pb").rename(self.directory / "clusters.pb")
        self.until(lambda: self.updates() > loaded)
        return time.monotonic() - began

    def updates(self) -> int:
        """How often it has taken a set of clusters. From its log: to ask for a statistic costs it far more."""
        return (self.directory / "log").read_bytes().count(b"cds: added/updated")

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"the peer's Envoy failed: {(self.directory / 'log').read_text()[-500:]}")
            time.sleep(0.002)


@contextmanager
def _running(envoy: Path, clusters: list[Cluster]) -> Iterator[_Peer]:
    directory = Path(tempfile.mkdtemp(prefix="meshd-peer-", dir="/tmp"))
    (directory / "bootstrap.pb").write_bytes(_bootstrap(directory))
    _write(directory, clusters)
    (directory / "next.pb").rename(directory / "clusters.pb")
    with (directory / "log").open("wb") as log:
        options = ("--use-dynamic-base-id", "--log-level", "error", "--component-log-level", "upstream:info")
        command = (str(envoy), "-c", str(directory / "bootstrap.pb"), *options)
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        peer = _Peer(directory, process)
        peer.until(lambda: peer.updates() > 0)
        yield peer
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def _bootstrap(directory: Path) -> bytes:
    """What meshd's own proxies start with, statistics and all, but for where the clusters come from."""
    settings = BootstrapSettings(
        proxy="sidecar", host=HostName("peer"), xds_socket="", admin_socket=str(directory / "admin.sock")
    )
    message = foundation(settings, "fallback")
    message.ClearField("cluster_manager")  # names a local cluster, for zones, which nobody has here
    source = message.dynamic_resources.cds_config
    source.path_config_source.path = str(directory / "clusters.pb")
    source.resource_api_version = ApiVersion.V3
    return message.SerializeToString()


def _write(directory: Path, clusters: list[Cluster]) -> None:
    response = DiscoveryResponse(
        type_url=CLUSTER,
        resources=[Packed(type_url=CLUSTER, value=cluster.SerializeToString()) for cluster in clusters],
    )
    (directory / "next.pb").write_bytes(response.SerializeToString())
