"""How this host finds out whether its own workloads are healthy (spec W-12 to W-17)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from meshd.problems import NOWHERE, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Healthy is a status from 200 to 399."""

    host: str
    port: int
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """Healthy is who takes the connection."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecProbe:
    """Healthy is exit 0."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcProbe:
    """Healthy is SERVING, by `grpc.health.v1.Health/Check`."""

    host: str
    port: int
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """`workload`: `namespace/name` of the WorkloadEntry that is probed."""

    workload: str
    action: HttpProbe | TcpProbe | ExecProbe | GrpcProbe
    initial_delay: timedelta = timedelta()
    timeout: timedelta = timedelta(seconds=1)
    period: timedelta = timedelta(seconds=10)
    success_threshold: int = 1
    failure_threshold: int = 3
    origin: Origin = NOWHERE
