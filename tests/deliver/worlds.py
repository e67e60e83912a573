"""Small worlds for the tests of delivery: rendered targets, backends that say their name, and requests without end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from meshd.deliver.delivery import Delivery, Judge, Secrets, Snapshots
from meshd.deliver.generations import Generations
from meshd.deliver.push import Patience
from meshd.deliver.refusals import Versions
from meshd.deliver.snapshot import Snapshot, snapshot
from meshd.deliver.target import ProxyTarget, Target
from meshd.envoy.bootstrap import BootstrapSettings, xds_bootstrap
from meshd.envoy.endpoints import assignments
from meshd.envoy.fallback import fallback
from meshd.envoy.render import render
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.memo import Memo
from meshd.names import ClusterName, HostName, ListenerName, RevisionId, RouteTableName, ServiceHost
from meshd.plan import (
    Action,
    Cluster,
    ClusterEndpoints,
    Endpoint,
    Forward,
    HttpChain,
    IpAddress,
    Listener,
    ProxyPlan,
    Route,
    RouteMatch,
    RouteTable,
    Secret,
    SocketBind,
    TextMatch,
    UpstreamHttp,
    VirtualHost,
    WeightedCluster,
)
from meshd.problems import Origin, Problems
from tests.deliver.clock import now

HOST = HostName("web-1")


class NoPreflight:
    """What Envoy refuses is then found out when it is pushed."""

    async def judge(self, previous: Snapshots, following: Snapshots, secrets: Secrets) -> Problems:
        return ()


def a_cluster(name: str, seconds: int = 1, **given: object) -> Cluster:
    http = UpstreamHttp()
    origin = Origin(f"{name}.yaml", 3, 1, "spec")
    timeout = timedelta(seconds=seconds)
    described = {"service": ServiceHost(name), "port": 80, "connect_timeout": timeout, "http": http, "origin": origin}
    return Cluster(name=ClusterName(name), **{**described, **given})  # type: ignore[arg-type]


def endpoints(cluster: str, *ports: int) -> ClusterEndpoints:
    address = IpAddress(ip="127.0.0.1")
    return ClusterEndpoints(
        cluster=ClusterName(cluster), endpoints=tuple(Endpoint(address=address, port=port) for port in ports)
    )


def to(cluster: str) -> Action:
    return Forward(destinations=(WeightedCluster(cluster=ClusterName(cluster)),))


def a_route(action: Action, prefix: str = "/", line: int = 1, file: str = "routes.yaml") -> Route:
    match = RouteMatch(path=TextMatch(kind="prefix", value=prefix))
    return Route(name=prefix, match=match, action=action, origin=Origin(file, line, 1, "spec.http"))


def a_virtual_host(domain: str, *routes: Route | str) -> VirtualHost:
    """A string is the name of a cluster, to which everything goes."""
    full = tuple(a_route(to(route), file=f"{domain}.yaml") if isinstance(route, str) else route for route in routes)
    return VirtualHost(name=domain, domains=(domain,), routes=full, origin=Origin(f"{domain}.yaml", 1, 1))


def a_listener(port: int, table: str = "", line: int = 1) -> Listener:
    chain = HttpChain(route_table=RouteTableName(table or str(port)), stat_prefix="http")
    name = ListenerName(f"127.0.0.1_{port}")
    origin = Origin("sidecar.yaml", line, 1, "spec.egress")
    return Listener(name=name, bind=SocketBind(ip="127.0.0.1", port=port), chains=(chain,), origin=origin)


@dataclass
class World:
    """`clusters`: where each one's endpoints listen on loopback. `hosts`: domains of the one route table."""

    port: int = 0
    clusters: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    hosts: tuple[VirtualHost, ...] = ()
    changed: Mapping[str, Cluster] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    secrets: tuple[Secret, ...] = ()
    memo: Memo = field(default_factory=Memo)

    def plan(self) -> ProxyPlan:
        names = sorted(self.clusters)
        own = (a_listener(self.port, "http"),) if self.port else ()
        table = RouteTable(name=RouteTableName("http"), virtual_hosts=self.hosts)
        return ProxyPlan(
            proxy="sidecar",
            host=HOST,
            clusters=tuple(self.changed.get(name) or a_cluster(name) for name in names),
            endpoints=tuple(endpoints(name, *self.clusters[name]) for name in names),
            listeners=(*own, *self.listeners),
            route_tables=(table,),
            secrets=self.secrets,
        )

    def proxy_target(self) -> ProxyTarget:
        plan = self.plan()
        rendered, assigned = render(plan, self.memo), assignments(plan, {}, self.memo)
        return ProxyTarget(rendered=rendered, assignments=assigned, secrets=self.secrets)

    def target(self, revision: str = "r1") -> Target:
        return Target(revision=RevisionId(revision), proxies={"sidecar": self.proxy_target()})

    def snapshot(self) -> Snapshot:
        target = self.proxy_target()
        return snapshot(target.rendered, target.assignments)


def an_assignment(cluster: str, *ports: int) -> EnvoyResource:
    plan = ProxyPlan(proxy="sidecar", host=HOST, endpoints=(endpoints(cluster, *ports),))
    return assignments(plan, {}, Memo())[0]


def settings(directory: Path) -> BootstrapSettings:
    return BootstrapSettings(
        proxy="sidecar",
        host=HOST,
        xds_socket=str(directory / "sidecar.sock"),
        admin_socket=str(directory / "admin.sock"),
    )


def a_store(directory: Path, meshd: str = "1.0") -> Generations:
    return Generations(directory / "state", Versions(meshd=meshd, envoy="1.40.0"), now)


@contextlib.asynccontextmanager
async def a_delivery(
    directory: Path, preflight: Judge | None = None, patience: Patience | None = None
) -> AsyncIterator[Delivery]:
    def rendered_fallback(rendered: Rendered, given: object) -> bytes:
        return fallback(rendered, given, settings(directory))  # type: ignore[arg-type]

    delivery = Delivery(
        sockets=directory,
        generations=a_store(directory),
        preflight=preflight or NoPreflight(),
        fallback=rendered_fallback,
        patience=patience,
        endpoints_settle=timedelta(milliseconds=10),
    )
    await delivery.start()
    try:
        yield delivery
    finally:
        await delivery.stop()


@contextlib.asynccontextmanager
async def an_envoy(binary: Path, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Connects to `sidecar.sock` of the directory; ended by its own process id."""
    bootstrap = directory / "run.pb"
    bootstrap.write_bytes(xds_bootstrap(settings(directory)))
    with (directory / "envoy.log").open("wb") as log:
        flags = ("--use-dynamic-base-id", "--concurrency", "2", "-l", "warning")
        process = await asyncio.create_subprocess_exec(binary, "-c", bootstrap, *flags, stdout=log, stderr=log)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def eventually(condition: Callable[[], object], what: str = "", seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what or condition}"
        await asyncio.sleep(0.005)


def is_on(delivery: Delivery, generation: int) -> Callable[[], bool]:
    return lambda: all(state.connected and state.generation == generation for state in delivery.states())


@contextlib.asynccontextmanager
async def a_backend(name: str) -> AsyncIterator[int]:
    """Its port. It answers every request with its name."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int, host: str) -> tuple[int, str]:
    """Waits for the listener: an Envoy that starts acknowledges one, or refuses another, before any is bound."""
    await eventually(lambda: _is_bound(port), f"port {port}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await _ask(reader, writer, host)
    finally:
        writer.close()
        await writer.wait_closed()


def _is_bound(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def load(port: int, host: str, workers: int = 6) -> AsyncIterator[Counter[tuple[int, str]]]:
    """Requests without a pause; counts each (status, body). A broken connection counts as status 0."""
    seen: Counter[tuple[int, str]] = Counter()

    async def work() -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while True:
                    seen[await _ask(reader, writer, host)] += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                seen[0, "broken"] += 1
            finally:
                writer.close()

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> tuple[int, str]:
    writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next((int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:")), 0)
    return int(head.split()[1]), (await reader.readexactly(length)).decode()
