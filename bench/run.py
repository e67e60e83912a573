"""One size of mesh, measured from its first start to its restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import baseline, meshes
from bench.host import Host, a_host, restarted
from bench.measure import Cpu, Series, resident, series
from bench.probe import first_answer_after_push


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A kind of change, many times: how long until the last ACK, and what each one cost."""

    until_ack: Series
    meshd: Cpu
    envoy: Cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Durations in seconds, sizes in bytes."""

    services: int
    documents: int
    cold_start: float
    changes: dict[str, Change]
    first_answer: Series
    meshd_resident: int
    envoy_resident: int
    restart_served: float
    restart_acknowledged: float
    file_xds: baseline.FileXds


KINDS = {"route": meshes.route_change, "cluster": meshes.cluster_change, "endpoint": meshes.endpoint_change}


async def measured(services: int, envoy: Path, changes: int, say: Callable[[str], None]) -> Measured:
    say(f"{services} services: first start")
    async with a_host(services, envoy) as (host, cold_start):
        by_kind = {}
        for kind, files in KINDS.items():
            say(f"{services} services: {changes} pushes of a changed {kind}")
            by_kind[kind] = await _changes(host, files, services, changes)
        say(f"{services} services: {changes} pushes, judged by requests")
        first_answers = [await first_answer_after_push(host, turn) for turn in range(changes)]
        envoy_pid = await host.envoy_pid()
        sizes = resident(host.daemon.pid), resident(envoy_pid)
        say(f"{services} services: restart, and the peer")
        served, acknowledged = await restarted(host)
        fallback = host.place.state / "active" / "sidecar" / "fallback.pb"
        return Measured(
            services=services,
            documents=host.documents,
            cold_start=cold_start,
            changes=by_kind,
            first_answer=series(first_answers),
            meshd_resident=sizes[0],
            envoy_resident=sizes[1],
            restart_served=served,
            restart_acknowledged=acknowledged,
            file_xds=await baseline.measure(envoy, fallback, min(changes, 20)),
        )


async def _changes(host: Host, files: Callable[[int, int], meshes.Files], services: int, changes: int) -> Change:
    """Each push changes another service, in a way that no push before did."""
    routed = services // 2
    await host.change(files(0, changes))  # warms what every kind of change warms once
    meshd, envoy = await host.processors()
    durations = [await host.change(files(1 + turn % (routed - 1), turn)) for turn in range(changes)]
    meshd_after, envoy_after = await host.processors()
    return Change(
        until_ack=series(durations),
        meshd=meshd_after.since(meshd, changes),
        envoy=envoy_after.since(envoy, changes),
    )
