"""Real Envoys on loopback: their bootstraps, a delta ADS server for them, and a load that counts what fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401 -- for ParseDict
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from google.protobuf.json_format import ParseDict

from meshd.proxies.admin import MODE_KEY
from meshd.proxies.child_supervisor import Backoff, ChildSupervisor
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.record import find, forget
from meshd.proxies.supervisor import Event
from tests.ports import free_port

FILTERS = "type.googleapis.com/envoy.extensions.filters"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"


@pytest.fixture
def paths(short_tmp: Path) -> Iterator[ProxyPaths]:
    paths = ProxyPaths(proxy="sidecar", state=short_tmp / "lib", runtime=short_tmp / "run")
    paths.xds_socket.parent.mkdir(parents=True)
    paths.fallback.parent.mkdir(parents=True)
    yield paths
    _end_what_is_left(paths)
    forget(paths)


def _end_what_is_left(paths: ProxyPaths) -> None:
    """A test that failed may leave its Envoys; each is ended by its pid, found by its own runtime directory."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(paths.own).encode() in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)


@pytest.fixture
def settings(envoy_binary: Path) -> EnvoySettings:
    return EnvoySettings(
        binary=envoy_binary,
        drain=timedelta(seconds=1),
        parent_shutdown=timedelta(seconds=2),
        live_within=timedelta(seconds=15),
        concurrency=1,
    )


@pytest.fixture
def port() -> int:
    return free_port()


@dataclass
class Watched:
    """A supervisor and what it told."""

    settings: EnvoySettings
    events: list[Event] = field(default_factory=list)

    def supervisor(self) -> ChildSupervisor:
        return ChildSupervisor(self.settings, self.events.append, Backoff(step=timedelta(milliseconds=20)))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


@pytest.fixture
def watched(settings: EnvoySettings) -> Watched:
    return Watched(settings)


def listener(port: int, answer: str | int) -> dict:
    """Answers by itself, or from the backend on the port that `answer` is."""
    direct = {"direct_response": {"status": 200, "body": {"inline_string": str(answer)}}}
    action = direct if isinstance(answer, str) else {"route": {"cluster": "backend"}}
    hcm = {
        "@type": f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}} | action],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
    }


def static_bootstrap(paths: ProxyPaths, port: int, answer: str | int, *, mode: str = "xds") -> bytes:
    """A configuration that needs nobody. Its answers tell which bootstrap is in force."""
    resources = {"listeners": [listener(port, answer)]}
    if isinstance(answer, int):
        address = {"socket_address": {"address": "127.0.0.1", "port_value": answer}}
        resources["clusters"] = [_static_cluster("backend", address)]
    return _bootstrap(paths, mode, {"static_resources": resources})


def _static_cluster(name: str, address: dict) -> dict:
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
    }


def ads_bootstrap(paths: ProxyPaths) -> bytes:
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster = _static_cluster("meshd", {"pipe": {"path": str(paths.xds_socket)}}) | {
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "meshd"}}],
    }
    dynamic = {"ads_config": ads, "lds_config": {"ads": {}, "resource_api_version": "V3"}}
    return _bootstrap(paths, "xds", {"static_resources": {"clusters": [cluster]}, "dynamic_resources": dynamic})


def _bootstrap(paths: ProxyPaths, mode: str, resources: dict) -> bytes:
    common = {
        "node": {"id": "sidecar~test", "cluster": "meshd", "metadata": {MODE_KEY: mode}},
        "admin": {"address": {"pipe": {"path": str(paths.admin_socket), "mode": 0o660}}},
    }
    return ParseDict(common | resources, bootstrap_pb2.Bootstrap()).SerializeToString(deterministic=True)


@contextlib.asynccontextmanager
async def ads_server(paths: ProxyPaths, port: int, body: str) -> AsyncIterator[None]:
    """The least delta ADS server: one listener for whoever asks."""
    packed = any_pb2.Any()
    packed.Pack(ParseDict(listener(port, body), listener_pb2.Listener()))

    async def serve(requests, _context):
        async for request in requests:
            if request.type_url == LISTENER and not request.response_nonce:
                resource = discovery_pb2.Resource(name="test", version=body, resource=packed)
                yield discovery_pb2.DeltaDiscoveryResponse(type_url=LISTENER, nonce="1", resources=[resource])

    handler = grpc.stream_stream_rpc_method_handler(
        serve,
        request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": handler}),)
    )
    server.add_insecure_port(f"unix:{paths.xds_socket}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)
        paths.xds_socket.unlink(missing_ok=True)


@contextlib.contextmanager
def listening(path: Path) -> Iterator[None]:
    """Stands for meshd's xDS server where a static bootstrap needs none to talk to."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(64)
        yield
    path.unlink()


async def fetch(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return (await _request(reader, writer))[0]
    finally:
        writer.close()


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, bool]:
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200"), head
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return (await reader.readexactly(length)).decode(), "connection: close" not in head


@dataclass
class Load:
    """Requests over kept-alive and fresh connections, until told to stop."""

    port: int
    answers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopping: bool = False

    async def _client(self, *, keep_alive: bool) -> None:
        while not self.stopping:
            try:
                await self._connection(keep_alive=keep_alive)
            except (OSError, asyncio.IncompleteReadError, AssertionError) as error:
                self.failures.append(repr(error))
            await asyncio.sleep(0)

    async def _connection(self, *, keep_alive: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            again = True
            while again and not self.stopping:
                body, again = await _request(reader, writer)
                self.answers.append(body)
                again = again and keep_alive
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        clients = [asyncio.create_task(self._client(keep_alive=index % 2 == 0)) for index in range(6)]
        try:
            await until(lambda: bool(self.answers))
            yield self
        finally:
            self.stopping = True
            await asyncio.gather(*clients)


async def until(condition: Callable[[], object], within: float = 15) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.005)


def envoys(paths: ProxyPaths) -> list[int]:
    """The pids of all living Envoys of this proxy."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(paths.own).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return sorted(found)


def running_pid(paths: ProxyPaths) -> int:
    record = find(paths)
    assert record is not None
    return record.process.pid
