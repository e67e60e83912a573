"""Several hosts of one mesh in a network namespace of their own: a captured application, gateways, and the outside."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from meshd.compiler import Reach, compile_plan
from meshd.deliver.secret_files import present
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.envoy.secrets import secrets
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.mesh.mesh import Mesh
from meshd.names import BlobId, DnsName, HostName
from meshd.plan import ProxyPlan
from meshd.problems import errors
from tests.envoy.process import admin, running
from tests.live.backends import Backends
from tests.live.namespace import Namespace
from tests.live.requests import Answer, Ask, Keys, send


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """`proxies`: one for each host, by its name."""

    room: Namespace
    backends: Backends
    proxies: Mapping[str, BootstrapSettings]
    keys: Keys

    def asked(self, ask: Ask, port: int) -> Answer:
        """`ask` says from which address to which; and `listener` whether that is a proxy."""
        absolute, host = ask.listener == "proxy", ask.host or ask.target
        return self.room.within(send, port, replace(ask, listener=""), host, absolute=absolute, keys=self.keys)

    def said(self, source: str, target: str, port: int, first: bytes = b"hello\n") -> bytes:
        """What comes back first; nothing where the connection is closed."""
        with self.room.within(socket.create_connection, (target, port), 10, (source, 0)) as connection:
            try:
                if first:
                    connection.sendall(first)
                return connection.recv(10_000)
            except ConnectionResetError:
                return b""

    def within(self, host: str, path: str) -> str:
        """What its proxy says of itself."""
        return admin(self.proxies[host], path)

    def count(self, host: str, statistic: str) -> int:
        """The sum of all that have this name."""
        found = self.within(host, f"/stats?filter={statistic}").splitlines()
        return sum(int(line.rpartition(":")[2]) for line in found if line.strip())

    def connections(self, host: str, cluster: str) -> int:
        return self.count(host, rf"^cluster\.{cluster}\.upstream_cx_total$")


@contextmanager
def running_hosts(
    envoy_binary: Path,
    room: Namespace,
    backends: Backends,
    keys: Keys,
    text: str,
    hosts: Mapping[str, Reach],
    answers: Mapping[str, tuple[str, ...]],
) -> Iterator[Hosts]:
    """Each of the hosts, with its one proxy; `answers`: of DNS."""
    memo = Memo()
    mesh = _mesh(text, memo)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="m", dir="/tmp")))
        within = _within(directory / "envoy", room, envoy_binary)
        proxies = {}
        for host, reach in hosts.items():
            bootstrap, settings = _configuration(directory / host, _plan(mesh, host, reach, memo), answers)
            stack.enter_context(running(within, bootstrap, settings))
            proxies[host] = settings
        yield Hosts(room=room, backends=backends, proxies=proxies, keys=keys)


def _mesh(text: str, memo: Memo) -> Mesh:
    loaded = load({"mesh.yaml": BlobId("mesh")}, lambda _: text.encode(), memo)
    assert loaded.mesh, "\n".join(map(str, errors(loaded.problems)))
    return loaded.mesh


def _plan(mesh: Mesh, host: str, reach: Reach, memo: Memo) -> ProxyPlan:
    compiled = compile_plan(mesh, HostName(host), reach, memo)
    assert not errors(compiled.problems), "\n".join(map(str, compiled.problems))
    (plan,) = compiled.plans
    return plan


def _within(script: Path, room: Namespace, envoy_binary: Path) -> Path:
    """Envoy as a process of the namespace."""
    script.write_text(f'#!/bin/sh\nexec {" ".join(room.command(envoy_binary))} "$@"\n')
    script.chmod(0o755)
    return script


def _configuration(
    directory: Path, plan: ProxyPlan, answers: Mapping[str, tuple[str, ...]]
) -> tuple[bytes, BootstrapSettings]:
    directory.mkdir()
    settings = BootstrapSettings(
        proxy=plan.proxy,
        host=plan.host,
        xds_socket=str(directory / "xds.sock"),
        admin_socket=str(directory / "admin.sock"),
    )
    memo = Memo()
    rendered = replace(render(plan, memo), secrets=secrets(plan.secrets, present(plan.secrets), memo))
    found = {DnsName(name): addresses for name, addresses in answers.items()}
    return fallback(rendered, assignments(plan, found, memo), settings), settings
