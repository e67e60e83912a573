"""WorkloadGroups and the entries on this host that belong to them -> what is probed here, and how (W-12 to W-16)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from meshd.compiler.reach import Reach
from meshd.memo import Memo
from meshd.mesh.gateways import workloads_on
from meshd.mesh.mesh import Mesh
from meshd.names import HostName
from meshd.plan import ExecProbe, GrpcProbe, HttpProbe, Probe, TcpProbe
from meshd.problems import Problem, Problems
from meshd.registry.groups import group_of
from meshd.registry.workloads import workload_name
from meshd.resources.workload_entry import WorkloadEntry
from meshd.resources.workload_group import HTTPHealthCheckConfig, ReadinessProbe, WorkloadGroup

Action = HttpProbe | TcpProbe | ExecProbe | GrpcProbe

_LOCALHOST: Final = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """`problems`: why somebody is not probed here, who would be elsewhere."""

    probes: tuple[Probe, ...] = ()
    problems: Problems = ()

    @property
    def workloads(self) -> frozenset[str]:
        return frozenset(probe.workload for probe in self.probes)


def probing(mesh: Mesh, host: HostName, reach: Reach, memo: Memo) -> Probing:
    """The same object on the next pass while these entries and their groups are the same."""
    entries = workloads_on(mesh, host, memo)
    grouped = [(entry, group) for entry in entries if (group := group_of(entry, mesh.workload_groups))]
    return memo.recall(_probing, reach.exec_probes, *(part for pair in grouped for part in pair))


def _probing(exec_probes: bool, *parts: WorkloadEntry | WorkloadGroup) -> Probing:  # noqa: FBT001
    """`parts`: each entry, and after it its group."""
    probes, problems = [], []
    for entry, probe in _asked(parts):
        if probe.exec and not exec_probes:
            problems.append(_not_allowed(entry, probe))
        else:
            probes.append(_probe(entry, probe))
    return Probing(probes=tuple(probes), problems=tuple(problems))


def _asked(parts: Iterable[WorkloadEntry | WorkloadGroup]) -> Iterator[tuple[WorkloadEntry, ReadinessProbe]]:
    each = iter(parts)
    for entry, group in zip(each, each, strict=True):
        if isinstance(entry, WorkloadEntry) and isinstance(group, WorkloadGroup) and group.group.probe:
            yield entry, group.group.probe


def _not_allowed(entry: WorkloadEntry, probe: ReadinessProbe) -> Problem:
    return Problem(
        code="E-WG-EXEC",
        at=probe.origin.at("exec"),
        message=f"{workload_name(entry)} is not probed: this host runs no commands of the mesh",
        hint="set `execProbes: true` in its meshd.yaml, or probe by httpGet, tcpSocket or grpc",
    )


def _probe(entry: WorkloadEntry, asked: ReadinessProbe) -> Probe:
    """A zero is the default."""
    return Probe(
        workload=workload_name(entry),
        action=_action(_address(entry), asked),
        initial_delay=timedelta(seconds=asked.initial_delay_seconds),
        timeout=timedelta(seconds=asked.timeout_seconds or 1),
        period=timedelta(seconds=asked.period_seconds or 10),
        success_threshold=asked.success_threshold or 1,
        failure_threshold=asked.failure_threshold or 3,
        origin=asked.origin,
    )


def _action(address: str, asked: ReadinessProbe) -> Action:
    """One of the four is given: decoding saw to that."""
    if asked.http_get:
        return _http(address, asked.http_get)
    if asked.tcp_socket:
        return TcpProbe(host=asked.tcp_socket.host or _LOCALHOST, port=asked.tcp_socket.port)
    if asked.grpc:
        return GrpcProbe(host=address, port=asked.grpc.port, service=asked.grpc.service)
    assert asked.exec
    return ExecProbe(command=asked.exec.command)


def _http(address: str, asked: HTTPHealthCheckConfig) -> HttpProbe:
    return HttpProbe(
        host=asked.host or address,
        port=asked.port,
        path=asked.path,
        scheme=asked.scheme,
        headers=tuple((header.name, header.value) for header in asked.http_headers),
    )


def _address(entry: WorkloadEntry) -> str:
    """Where the workload is; one with a socket, or behind a gateway, is asked at its own machine."""
    workload = entry.workload
    return _LOCALHOST if workload.is_unix or not workload.address else workload.address
