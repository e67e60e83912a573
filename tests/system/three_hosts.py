"""A client that captures, an egress gateway, and the world: real daemons, that read one repository over the network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.capture.machines import APPLICATION
from tests.live.certificates import Authority
from tests.live.namespace import Namespace
from tests.project.pages import Section, blocks, section
from tests.system.host import Host
from tests.system.network import CLIENT, CLIENT_SIX, GATEWAY, GATEWAY_SIX, Network, network
from tests.system.wrk import Wrk
from tests.waiting import until

PAGE = "docs/egress.md"
AGENT = 0
"""Daemons and their Envoys are root here, and applications are not."""


def recipe(title: str) -> Section:
    return section(PAGE, title)


RECIPE = recipe("All traffic out through one gateway")
MESH = (*RECIPE.shared, *RECIPE.resources)


def changed(before: str, after: str, *texts: str) -> tuple[str, ...]:
    """These texts, of which one has that part otherwise."""
    assert sum(text.count(before) for text in texts) == 1, before
    return tuple(text.replace(before, after) for text in texts)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What curl has to tell. `told`: the words of a site, of who asked it for what, and how."""

    ended: int
    status: int = 0
    headers: Mapping[str, str]
    body: str = ""
    complaint: str = ""

    @property
    def told(self) -> dict[str, Any]:
        assert self.status == 200, self
        answer: dict[str, Any] = json.loads(self.body)
        return answer

    @property
    def reason(self) -> tuple[int, str]:
        return self.status, self.headers.get("x-meshd-reason", "")


@dataclass(frozen=True, kw_only=True)
class ThreeHosts:
    """`client` and `gateway` are daemons, `application` and `edge` the machines that they run on. `calm`: for wrk."""

    network: Network
    client: Host
    gateway: Host
    application: Namespace
    edge: Namespace
    calm: Path

    def push(self, *texts: str) -> str:
        """A mesh of nothing but these documents, until both hosts have it."""
        mesh = "---\n".join(texts)
        revision = self.client.push({"mesh.yaml": mesh})
        self.both(lambda host: host.until_live(revision))
        return revision

    def start(self, *texts: str) -> None:
        """Both daemons, on this mesh, with the table loaded and the router closed."""
        self.both(Host.start)
        self.push(*texts)
        self.capture()
        self.network.close(RECIPE)

    def both(self, act: Callable[[Host], object]) -> None:
        with ThreadPoolExecutor(2) as pool:
            tuple(pool.map(act, (self.client, self.gateway)))

    def capture(self, verb: str = "apply") -> str:
        """As root, by hand."""
        more = ("--wait", "20", "--config", self.client.config) if verb == "apply" else ()
        return self.application.run(sys.executable, "-m", "meshd", "capture", verb, *map(str, more))

    def curl(self, *words: str, user: int = APPLICATION) -> Heard:
        """Debian's, on the client; it is told of no proxy."""
        asked = ("curl", "-sS", "-i", "--max-time", "10", *words)
        done = subprocess.run(
            self.as_user(user, *asked),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={"PATH": "/usr/bin"},
        )
        head, _, body = done.stdout.partition("\n\n")
        start, *lines = head.splitlines() or [""]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(start.split()[1]) if start else 0
        return Heard(ended=done.returncode, status=status, headers=headers, body=body, complaint=done.stderr)

    def as_user(self, user: int, *words: str) -> tuple[str, ...]:
        identity = (f"--reuid={user}", f"--regid={user}", "--clear-groups")
        return self.application.command("/usr/bin/setpriv", *identity, *words)

    @contextmanager
    def load(self, name: str) -> Iterator[Wrk]:
        """Of an application of the client that asks for this site, and is answered. It leaves time for others."""
        with Wrk(80, name, self.calm, address=name, within=self.as_user(APPLICATION)) as wrk:
            self.until_more()
            yield wrk

    def until_more(self, requests: int = 50) -> None:
        """Of whoever asks whatever site."""
        target = len(self.network.world.received) + requests
        until(lambda: len(self.network.world.received) >= target, what="more requests")

    def until_answered(self, name: str, by: str = "") -> dict[str, Any]:
        """By this site, where it is another one than it is called."""
        heard = until(lambda: self._answered(name, by or name), what=f"{name} to be answered")
        return heard.told

    def _answered(self, name: str, by: str) -> Heard | None:
        heard = self.curl(f"http://{name}/")
        return heard if heard.status == 200 and heard.told["by"] == by else None


def access_log(host: Host, **words: object) -> dict[str, Any]:
    """The first line of its proxy's that says all this."""
    (proxy,) = host.runtime.with_name(f"{host.runtime.name}-envoy").iterdir()
    return until(lambda: next(_lines(proxy / "envoy.log", words), {}), what=f"{words} in the log")


def _lines(log: Path, words: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    for text in log.read_text().splitlines():
        if text.startswith("{") and words.items() <= (line := json.loads(text)).items():
            yield line


@contextmanager
def three_hosts(ca: Authority, directory: Path, envoy: Path) -> Iterator[ThreeHosts]:
    """Nothing is pushed, started or captured yet."""
    with ExitStack() as stack:
        built = stack.enter_context(network(ca))
        url = stack.enter_context(built.git_server(directory))
        application = stack.enter_context(built.machine(CLIENT, CLIENT_SIX))
        edge = stack.enter_context(built.machine(GATEWAY, GATEWAY_SIX))
        client = daemon(directory / "c", envoy, "web-1", application, url)
        client.configure(**_recipe_settings(), nftables=f"{{agentUser: {AGENT}}}")
        gateway = daemon(directory / "g", envoy, "egress-1", edge, url, beside=client)
        for host in (client, gateway):
            stack.callback(host.close)
        calm = directory / "calm.lua"
        calm.write_text("function delay() return 5 end\n")
        directory.chmod(0o711)  # for wrk, which is somebody else
        yield ThreeHosts(network=built, client=client, gateway=gateway, application=application, edge=edge, calm=calm)


def _recipe_settings() -> dict[str, str]:
    """What the documentation wants in meshd.yaml, but for the place of the repository."""
    (block,) = (text for text in blocks(RECIPE.text, "yaml") if text.startswith("repository:"))
    return dict(line.split(": ", 1) for line in block.splitlines()[1:])


def daemon(directory: Path, envoy: Path, name: str, machine: Namespace, url: str, beside: Host | None = None) -> Host:
    """On that machine. `url`: of the directory beside its own, where the first host's has the repository."""
    directory.mkdir()
    host = Host(directory, envoy, name, beside)
    host.prefix = machine.command()
    host.configure(repository=f"{{url: {url}/{host.bare.parent.name}/mesh.git, poll: 1s}}")
    return host
