"""One host behind a forward proxy: its mesh, its Envoys, and what its applications ask of them."""

from __future__ import annotations

import http.client
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.answers import Resolved
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, DnsName, HostName, ProxyName
from meshd.plan import ProxyPlan
from meshd.problems import errors
from tests.envoy.process import admin, running
from tests.ports import free_port

HOST = HostName("vm-1")
_NO_ANSWERS: Final[Mapping[DnsName, Resolved]] = MappingProxyType({})
_OF_THIS_HOST = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1}
spec: {address: 10.255.255.1, labels: {app: web}}
---
"""


def settings(proxies: str, more: str = "") -> str:
    return f"""
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec:
  outboundProxies: {proxies}
  {more}
---
"""


def plans_of(mesh: str, port: int, *, captured: bool = False) -> tuple[ProxyPlan, ...]:
    memo = Memo()
    loaded = load({"mesh.yaml": BlobId("mesh")}, lambda _: (_OF_THIS_HOST + mesh).encode(), memo)
    assert loaded.mesh is not None, "\n".join(str(problem) for problem in errors(loaded.problems))
    reach = Reach(http_proxy_port=port, capture="nftables" if captured else "none")
    compiled = compile_plan(loaded.mesh, HOST, reach, memo)
    assert not errors(compiled.problems), "\n".join(map(str, compiled.problems))
    return compiled.plans


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Outside:
    """`port`: of the HTTP proxy that applications use, their sidecar's."""

    port: int
    proxies: Mapping[ProxyName, BootstrapSettings]

    def get(self, url: str, **headers: str) -> Answer:
        host = url.removeprefix("http://").partition("/")[0]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("GET", url, headers={"Host": host, **headers})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, headers=found, body=response.read())
        finally:
            connection.close()

    def statistic(self, name: str, proxy: ProxyName = "sidecar") -> int:
        found = admin(self.proxies[proxy], f"/stats?filter=^{name}$")
        return int(found.rpartition(":")[2] or 0)

    def dump(self, proxy: ProxyName = "sidecar") -> str:
        return admin(self.proxies[proxy], "/config_dump?include_eds")

    def log(self, proxy: ProxyName = "sidecar") -> str:
        return Path(self.proxies[proxy].admin_socket).with_name("run.log").read_text()


@contextmanager
def running_host(
    envoy_binary: Path,
    mesh: str,
    *,
    port: int = 0,
    captured: bool = False,
    answers: Mapping[DnsName, Resolved] = _NO_ANSWERS,
) -> Iterator[Outside]:
    """No other name of the mesh has an answer from DNS: who finds one, asked the proxy for it. `port`: of a Sidecar."""
    port, directory = port or free_port(), Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    try:
        with ExitStack() as stack:
            proxies = {}
            for plan in plans_of(mesh, port, captured=captured):
                proxies[plan.proxy] = _settings(directory, plan)
                given = assignments(plan, answers, Memo())
                bootstrap = fallback(render(plan, Memo()), given, proxies[plan.proxy])
                stack.enter_context(running(envoy_binary, bootstrap, proxies[plan.proxy]))
            yield Outside(port=port, proxies=proxies)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _settings(directory: Path, plan: ProxyPlan) -> BootstrapSettings:
    own = directory / plan.proxy
    own.mkdir()
    sockets = {"xds_socket": str(own / "xds.sock"), "admin_socket": str(own / "admin.sock")}
    return BootstrapSettings(proxy=plan.proxy, host=plan.host, **sockets)
