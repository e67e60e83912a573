"""One Envoy for each module, on the mesh of its `CASES`; backends and certificates for the whole session."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.backends import Backends, running_backends
from tests.live.certificates import Authority, Pair, authority, server_context
from tests.live.requests import Keys
from tests.live.world import Live, running_world


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`test_...(case)` runs once for each case of the module that has exchanges of its own."""
    if "case" in metafunc.fixturenames:
        told = [case for case in metafunc.module.CASES if case.exchanges]
        metafunc.parametrize("case", told, ids=[case.id for case in told])


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def client_pair(ca: Authority) -> Pair:
    return ca.signed("the client", "DNS:vm-1.live")


@pytest.fixture(scope="session")
def gateway_pair(ca: Authority) -> Pair:
    """What servers of the mesh show that are called anything below `tls.live`."""
    return ca.signed("gateway", "DNS:*.tls.live", "DNS:tls.live", "DNS:*.below.tls.live")


@pytest.fixture(scope="session")
def keys(ca: Authority, client_pair: Pair) -> Keys:
    """`client` is of the trusted authority, `stranger` of another, with the same names."""
    strangers = authority(ca.directory, "stranger clients CA")
    stranger = strangers.signed("the stranger", "DNS:vm-1.live")
    return Keys(trusted=ca.file, pairs={"client": client_pair, "stranger": stranger})


@pytest.fixture(scope="session")
def backends() -> Iterator[Backends]:
    with running_backends() as running:
        for version in ("v1", "v2", "v3"):
            running.serve(version)
        yield running


@pytest.fixture(scope="session")
def dead() -> Iterator[int]:
    """A port where connections are refused: held, so that nobody else gets it, but not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(scope="session")
def tls_backends(backends: Backends, ca: Authority) -> None:
    """`secure` is called secure.live, `mutual` wants a client certificate, `stranger` is of another authority."""
    pair = ca.signed("secure", "DNS:secure.live", "DNS:also.live", "DNS:*.pass.live", "URI:spiffe://live/secure")
    strangers = authority(ca.directory, "strangers CA")
    backends.serve("secure", server_context(pair))
    backends.serve("secure2", server_context(pair, h2=True))
    backends.serve("mutual", server_context(pair, clients=ca))
    backends.serve("stranger", server_context(strangers.signed("stranger", "DNS:secure.live")))


@pytest.fixture(scope="session")
def names(
    backends: Backends,
    tls_backends: None,
    ca: Authority,
    client_pair: Pair,
    gateway_pair: Pair,
    dead: int,
    socket_backend: Path,
) -> dict[str, str]:
    """What YAML texts may speak of with a `$`."""
    ports = {version: str(port) for version, port in backends.ports.items()}
    files = {"ca": ca.file, "client_chain": client_pair.chain, "client_key": client_pair.key, "sock": socket_backend}
    files |= {"gateway_chain": gateway_pair.chain, "gateway_key": gateway_pair.key}
    return ports | {name: str(path) for name, path in files.items()} | {"dead": str(dead)}


@pytest.fixture(scope="session")
def socket_backend(backends: Backends) -> Iterator[Path]:
    """A backend that is reached by a Unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    backends.serve_unix("sock", directory / "sock")
    yield directory / "sock"
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def live(
    request: pytest.FixtureRequest, envoy_binary: Path, backends: Backends, names: dict[str, str], keys: Keys
) -> Iterator[Live]:
    """The module may also have `DOCUMENTS` (more YAML), `LISTENERS`, `ANSWERS` (of DNS), `UNHEALTHY` (workloads), and
    the VM's `ADDRESS` and `NETWORK`."""
    module = request.module
    directory = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    try:
        with running_world(
            envoy_binary,
            backends,
            directory,
            names,
            module.CASES,
            documents=getattr(module, "DOCUMENTS", ""),
            listeners=getattr(module, "LISTENERS", ()),
            answers=getattr(module, "ANSWERS", None),
            address=getattr(module, "ADDRESS", "10.255.255.1"),
            network=getattr(module, "NETWORK", ""),
            unhealthy=getattr(module, "UNHEALTHY", frozenset()),
            keys=keys,
        ) as world:
            yield world
    finally:
        shutil.rmtree(directory, ignore_errors=True)
