"""The cases of a module as one mesh, run by one real Envoy on the configuration that meshd renders for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from meshd.compiler import Reach, compile_plan
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, DnsName, HostName
from meshd.problems import errors
from tests.envoy.process import admin, running
from tests.live.backends import Backends, Received
from tests.live.cases import Case
from tests.live.requests import Answer, Ask, Exchange, send
from tests.ports import free_port
from tests.waiting import until

_HOST = HostName("vm-1")
_THIS_VM = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1}
spec:
  address: 10.255.255.1
  labels: {app: web, tier: front}
  locality: here/zone-a/rack-1
"""


@dataclass(frozen=True, kw_only=True)
class Live:
    """The running world. `listeners`: how each is reached, by name; `proxy` is the HTTP proxy port."""

    backends: Backends
    settings: BootstrapSettings
    listeners: Mapping[str, int | str]

    def send(self, request: Ask, case: Case) -> Answer:
        host = (request.host or "$host").replace("$host", case.host)
        absolute = request.listener.endswith("proxy")
        return send(self.listeners[request.listener], request, host, absolute=absolute)

    def statistic(self, name: str) -> int:
        """0 where nothing has been counted yet: Envoy then has no such statistic."""
        found = admin(self.settings, f"/stats?filter=^{name}$")
        return int(found.rpartition(":")[2] or 0)

    def holds(self, case: Case, exchange: Exchange) -> Answer:
        """Asks, and compares all that is expected."""
        expected, host = exchange.expected, case.host
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
) -> Iterator[Live]:
    """`listeners`: each has a port of the same name in the YAML, or a path if the name ends in `_socket`."""
    reached: dict[str, int | str] = {
        name: str(directory / name) if name.endswith("_socket") else free_port() for name in ("proxy", *listeners)
    }
    texts = {**names, **{name: str(where) for name, where in reached.items()}}
    bootstrap, settings = _configuration(directory, texts, tuple(cases), documents, int(reached["proxy"]), answers)
    with running(envoy_binary, bootstrap, settings):
        yield Live(backends=backends, settings=settings, listeners=reached)


def _configuration(
    directory: Path,
    texts: Mapping[str, str],
    cases: tuple[Case, ...],
    documents: str,
    proxy_port: int,
    answers: Mapping[str, tuple[str, ...]] | None,
) -> tuple[bytes, BootstrapSettings]:
    files = {f"{each.id}.yaml": each.documents(texts).encode() for each in cases}
    files["vm-1.yaml"] = _THIS_VM.encode()
    files["module.yaml"] = Template(documents).safe_substitute(texts).encode()
    contents = {BlobId(path): content for path, content in files.items()}
    memo = Memo()
    loaded = load({path: BlobId(path) for path in sorted(files)}, contents.__getitem__, memo)
    assert loaded.mesh is not None, "\n".join(str(problem) for problem in errors(loaded.problems))
    compiled = compile_plan(loaded.mesh, _HOST, Reach(http_proxy_port=proxy_port), memo)
    assert not errors(compiled.problems), "\n".join(map(str, compiled.problems))
    (plan,) = compiled.plans
    found = {DnsName(name): addresses for name, addresses in (answers or {}).items()}
    settings = BootstrapSettings(
        proxy=plan.proxy,
        host=plan.host,
        xds_socket=str(directory / "xds.sock"),
        admin_socket=str(directory / "admin.sock"),
    )
    return fallback(render(plan, memo), assignments(plan, found, Memo()), settings), settings


def _values(value: str | list[str] | None, host: str) -> list[str]:
    if value is None:
        return []
    return [each.replace("$host", host) for each in ([value] if isinstance(value, str) else value)]
