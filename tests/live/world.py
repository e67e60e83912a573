"""The cases of a module as one mesh, run by one real Envoy on the configuration that meshd renders for it."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

import pytest

from meshd.compiler import Compiled, Reach, compile_plan
from meshd.deliver.secret_files import present
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.envoy.secrets import secrets
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, DnsName, HostName, ProxyName
from meshd.plan import ProxyPlan
from meshd.problems import errors
from tests.envoy.process import admin, running
from tests.live.backends import Backends, Received
from tests.live.cases import Case
from tests.live.requests import Answer, Ask, Exchange, Keys, send
from tests.ports import free_port
from tests.waiting import until

_HOST = HostName("vm-1")
_THIS_VM = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1}
spec:
  address: $address
  labels: {app: web, tier: front}
  locality: here/zone-a/rack-1
  network: '$network'
"""


@dataclass(frozen=True, kw_only=True)
class Live:
    """The running world: the proxies of one host. `listeners`: how each is reached, by name; `proxy` is the HTTP
    proxy port of the sidecar."""

    backends: Backends
    proxies: Mapping[ProxyName, BootstrapSettings]
    listeners: Mapping[str, int | str]
    keys: Keys

    def send(self, request: Ask, case: Case) -> Answer:
        host = (request.host or "$host").replace("$host", case.host)
        absolute = request.listener.endswith("proxy")
        return send(self.listeners[request.listener], request, host, absolute=absolute, keys=self.keys)

    def statistic(self, name: str, proxy: ProxyName = "sidecar") -> int:
        """0 where nothing has been counted yet: Envoy then has no such statistic."""
        found = admin(self.proxies[proxy], f"/stats?filter=^{name}$")
        return int(found.rpartition(":")[2] or 0)

    def holds(self, case: Case, exchange: Exchange) -> Answer | None:
        """Asks, and compares all that is expected. None where no answer is."""
        expected, host = exchange.expected, case.host
        if expected.status == 0:
            with pytest.raises((OSError, http.client.HTTPException)):  # an SSLError is an OSError
                self.send(exchange.ask, case)
            return None
        answer = self.send(exchange.ask, case)
        said = f"{exchange.ask}\n  {answer}"
        assert answer.status == expected.status, said
        assert expected.by in {None, answer.by}, said
        if expected.path is not None:
            assert answer.told["path"] == expected.path, said
        if expected.sent_host is not None:
            assert answer.sent("host") == [expected.sent_host.replace("$host", host)], said
        for name, value in expected.sent.items():
            assert answer.sent(name) == _values(value, host), said
        for name, value in expected.headers.items():
            assert answer.all(name) == _values(value, host), said
        for name, value in expected.tls.items():
            assert answer.told["tls"][name] == (value and value.replace("$host", host)), said
        assert expected.body in {None, answer.body}, said
        if expected.reached is not None:
            self._reached(answer, expected.reached)
        return answer

    def _reached(self, answer: Answer, versions: tuple[str, ...]) -> None:
        """Copies are on their way when the answer comes; nothing is on its way to a version that is not named."""
        until(lambda: len(self.backends.of(answer.live)) >= len(versions), seconds=5, what=f"{versions}")
        assert sorted(each.by for each in self.backends.of(answer.live)) == sorted(versions)

    def copies(self, answer: Answer) -> list[Received]:
        return [each for each in self.backends.of(answer.live) if each.by != answer.by]


@contextmanager
def running_world(
    envoy_binary: Path,
    backends: Backends,
    directory: Path,
    names: Mapping[str, str],
    cases: Iterable[Case],
    *,
    documents: str = "",
    listeners: Iterable[str] = (),
    answers: Mapping[str, tuple[str, ...]] | None = None,
    address: str = "10.255.255.1",
    network: str = "",
    unhealthy: frozenset[str] = frozenset(),
    keys: Keys,
) -> Iterator[Live]:
    """`listeners`: each has a port of the same name in the YAML, or a path if the name ends in `_socket`.

    `unhealthy`: workloads of the VM, as their probes found them. `address`: its own, where none of its services answers
    unless it is one of the machine's.
    """
    reached: dict[str, int | str] = {
        name: str(directory / name) if name.endswith("_socket") else free_port() for name in ("proxy", *listeners)
    }
    texts = {**names, **{name: str(where) for name, where in reached.items()}, "address": address, "network": network}
    compiled = _compiled(texts, tuple(cases), documents, int(reached["proxy"]))
    with ExitStack() as stack:
        proxies = {}
        for plan in compiled.plans:
            bootstrap, settings = _configuration(directory, plan, answers, unhealthy)
            stack.enter_context(running(envoy_binary, bootstrap, settings))
            proxies[plan.proxy] = settings
        yield Live(backends=backends, proxies=proxies, listeners=reached, keys=keys)


def _compiled(texts: Mapping[str, str], cases: tuple[Case, ...], documents: str, proxy_port: int) -> Compiled:
    files = {f"{each.id}.yaml": each.documents(texts).encode() for each in cases}
    files["vm-1.yaml"] = Template(_THIS_VM).substitute(texts).encode()
    files["module.yaml"] = Template(documents).safe_substitute(texts).encode()
    contents = {BlobId(path): content for path, content in files.items()}
    memo = Memo()
    loaded = load({path: BlobId(path) for path in sorted(files)}, contents.__getitem__, memo)
    assert loaded.mesh is not None, "\n".join(str(problem) for problem in errors(loaded.problems))
    compiled = compile_plan(loaded.mesh, _HOST, Reach(http_proxy_port=proxy_port), memo)
    assert not errors(compiled.problems), "\n".join(map(str, compiled.problems))
    return compiled


def _configuration(
    directory: Path, plan: ProxyPlan, answers: Mapping[str, tuple[str, ...]] | None, unhealthy: frozenset[str]
) -> tuple[bytes, BootstrapSettings]:
    found = {DnsName(name): addresses for name, addresses in (answers or {}).items()}
    own = directory / plan.proxy
    own.mkdir()
    settings = BootstrapSettings(
        proxy=plan.proxy,
        host=plan.host,
        xds_socket=str(own / "xds.sock"),
        admin_socket=str(own / "admin.sock"),
        locality=plan.locality,
    )
    rendered = replace(render(plan, Memo()), secrets=secrets(plan.secrets, present(plan.secrets), Memo()))
    return fallback(rendered, assignments(plan, found, Memo(), unhealthy), settings), settings


def _values(value: str | list[str] | None, host: str) -> list[str]:
    if value is None:
        return []
    return [each.replace("$host", host) for each in ([value] if isinstance(value, str) else value)]
