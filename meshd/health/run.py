"""A probe -> what one run of it finds, within its timeout, whatever the workload does. Keeps nothing between runs."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from datetime import timedelta
from typing import assert_never

from meshd.health.connecting import connect
from meshd.health.exec_action import run_command
from meshd.health.grpc_action import ask_grpc
from meshd.health.http_action import ask_http
from meshd.health.result import HEALTHY, Result, unhealthy
from meshd.plan import ExecProbe, GrpcProbe, HttpProbe, Probe, TcpProbe


async def run(probe: Probe) -> Result:
    """Never raises but for being cancelled: what goes wrong is the workload's ill health."""
    try:
        async with asyncio.timeout(probe.timeout.total_seconds()):
            return await _run(probe)
    except TimeoutError:
        return unhealthy(f"no answer within {_seconds(probe.timeout)}")
    except (OSError, EOFError, ValueError) as error:
        return unhealthy(_words(error))


async def _run(probe: Probe) -> Result:
    match probe.action:
        case HttpProbe() as action:
            return await ask_http(action)
        case TcpProbe() as action:
            return await _connect(action)
        case ExecProbe() as action:
            return await run_command(action)
        case GrpcProbe() as action:
            return await ask_grpc(action, probe.timeout)
        case _ as unknown:
            assert_never(unknown)


async def _connect(action: TcpProbe) -> Result:
    _, writer = await connect(action.host, action.port)
    writer.close()
    return HEALTHY


def _words(error: Exception) -> str:
    """Python's own text of a refused connection repeats the address, once for each family."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return " ".join(str(error).split())[:200] or type(error).__name__


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
