"""Which Sidecar is in force, and what it lets out that is unknown: a world for each answer (SC-1, SC-9, SC-14 to 16).

Names below `.localhost` are this machine by RFC 6761, so nobody is asked for them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.backends import Backends
from tests.live.cases import only
from tests.live.held import Held
from tests.live.requests import Ask, Keys, get
from tests.live.world import Live, running_world

pytestmark = pytest.mark.envoy

KNOWN = only(
    "known",
    mesh="""
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: one}
    spec:
      hosts: [one.live]
      resolution: STATIC
      ports: [{number: 80, name: http, protocol: HTTP}]
      endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]
    ---
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: two}
    spec:
      hosts: [two.localhost]
      resolution: STATIC
      ports: [{number: 80, name: http, protocol: HTTP}]
      endpoints: [{address: 127.0.0.1, ports: {http: $v2}}]
    ---
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: way-out, namespace: egress}
    spec:
      hosts: [out.live]
      resolution: STATIC
      ports: [{number: 80, name: http, protocol: HTTP}]
      endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
    """,
)
UNKNOWN = "localhost:$v2"
WEB = "workloadSelector: {labels: {app: web}}"
ONLY_ONE, ONLY_TWO = "egress: [{hosts: ['./one.live']}]", "egress: [{hosts: ['./two.localhost']}]"
OPEN, CLOSED = "outboundTrafficPolicy: {mode: ALLOW_ANY}", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"
BY_PROXY = (
    "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: out.live, port: {number: 80}}}\n"
    "  egress: [{hosts: ['*/*']}]"
)
Start = Callable[..., Live]


def sidecar(name: str, *fields: str, namespace: str = "default") -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\n"
    return f"{head}metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n" + "".join(
        f"  {each}\n" for each in fields
    )


def mesh(mode: str) -> str:
    head = "apiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
    return f"{head}spec: {{outboundTrafficPolicy: {{mode: {mode}}}}}\n"


@pytest.fixture
def start(envoy_binary: Path, backends: Backends, names: dict[str, str], keys: Keys) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(*documents: str, listeners: tuple[str, ...] = ()) -> Live:
            directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            text = "---\n".join(documents)
            world = running_world(
                *(envoy_binary, backends, directory, names, [KNOWN]),
                documents=text,
                listeners=listeners,
                address="127.0.0.79",
                keys=keys,
            )
            return stack.enter_context(world)

        yield started


def reached(live: Live, names: dict[str, str]) -> list[str]:
    """Who answers for two services of the mesh, and for a host that is unknown; nobody where it is refused."""
    hosts = ("one.live", "two.localhost", UNKNOWN.replace("$v2", names["v2"]))
    return [live.send(get().to(host), KNOWN).by for host in hosts]


ROOT_WIDE = sidecar("root", ONLY_TWO, namespace="istio-system")
NAMESPACE_WIDE = sidecar("default", ONLY_ONE, OPEN)


@pytest.mark.spec("SC-1", "SC-14", "SC-15", "SC-16")
@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param([mesh("REGISTRY_ONLY")], ["v1", "v2", ""], id="no-Sidecar"),
        pytest.param([mesh("ALLOW_ANY")], ["v1", "v2", "v2"], id="no-Sidecar-in-an-open-mesh"),
        pytest.param([ROOT_WIDE], ["", "v2", ""], id="that-of-the-root-namespace"),
        pytest.param([ROOT_WIDE, NAMESPACE_WIDE], ["v1", "", "v2"], id="that-of-the-namespace-before-it"),
        pytest.param(
            [ROOT_WIDE, NAMESPACE_WIDE, sidecar("web", WEB, CLOSED, ONLY_TWO)],
            ["", "v2", ""],
            id="that-with-a-selector-first",
        ),
        pytest.param(
            [sidecar("other", WEB.replace("web", "other"), ONLY_TWO), sidecar("theirs", ONLY_TWO, namespace="shop")],
            ["v1", "v2", ""],
            id="those-of-others-do-not-count",
        ),
        pytest.param(
            [mesh("ALLOW_ANY"), sidecar("default", "outboundTrafficPolicy: {}")],
            ["v1", "v2", ""],
            id="a-policy-without-mode-is-REGISTRY-ONLY",
        ),
        pytest.param([mesh("ALLOW_ANY"), sidecar("default", CLOSED)], ["v1", "v2", ""], id="closed-in-an-open-mesh"),
        pytest.param([sidecar("default", BY_PROXY)], ["v1", "v2", "v3"], id="by-an-egressProxy"),
    ],
)
def test_who_is_reached(start: Start, names: dict[str, str], documents: list[str], expected: list[str]):
    assert reached(start(*documents), names) == expected


@pytest.mark.spec("SC-9")
@pytest.mark.parametrize(("of_entry", "status"), [("", 503), (", connectionPool: {http: {maxRetries: 5}}", 200)])
def test_a_pool_for_all_that_comes_in_unless_an_entry_has_its_own(start: Start, of_entry: str, status: int):
    entry = f'ingress: [{{port: {{number: $own, protocol: HTTP}}, defaultEndpoint: "127.0.0.1:$v1"{of_entry}}}]'
    live = start(sidecar("web", WEB, entry, "inboundConnectionPool: {http: {http2MaxRequests: 1}}"), listeners=("own",))
    asked = get().through("own", "127.0.0.79").to("any.live")

    held = Held(live, KNOWN, Ask(headers={"x-do": "hold"}).through("own", "127.0.0.79").to("any.live"))
    meanwhile = live.send(asked, KNOWN).status

    assert (held.end().status, meanwhile) == (200, status)
