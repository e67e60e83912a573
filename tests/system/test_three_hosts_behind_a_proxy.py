"""The same, where not even the gateway may go out: the world is reached through a company's proxy, with credentials."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.certificates import authority
from tests.live.forward_proxy import basic, running_tinyproxy, tinyproxy_binary
from tests.live.namespace import Namespace
from tests.system.network import PROXY, answers, needs_root, own_tls
from tests.system.three_hosts import MESH, ThreeHosts, access_log, changed, three_hosts
from tests.waiting import until

pytestmark = [
    pytest.mark.envoy,
    needs_root,
    pytest.mark.skipif(tinyproxy_binary() is None, reason="NO TINYPROXY: `apt-get install tinyproxy-bin` to test it"),
]

PORT = 3128
SHOP, FILES, ELSEWHERE = "203.0.113.10", "203.0.113.11", "203.0.113.12"
BEHIND = changed(
    "  outboundTrafficPolicy:",
    "  secretRoot: /etc/ssl/secrets\n"
    "  outboundProxies:\n"
    "  - selector: {istio: egressgateway}\n"
    "    host: proxy.corp.example\n"
    f"    port: {PORT}\n"
    "    credentialName: corporate-proxy\n"
    "  outboundTrafficPolicy:",
    *MESH,
)


@dataclass(frozen=True, kw_only=True)
class Behind:
    hosts: ThreeHosts
    log: Path

    def show(self, user: str, password: str) -> None:
        """As the documentation says: another file, renamed over the one before."""
        directory = own_tls(self.hosts.edge) / "secrets/corporate-proxy"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "next").write_text(basic(user, password))
        (directory / "next").rename(directory / "proxy-authorization")

    def asked(self) -> list[str]:
        """What the proxy was asked to connect to."""
        return re.findall(r"\): CONNECT (\S+)", self.log.read_text())


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, short: Path, envoy_binary: Path) -> Iterator[Behind]:
    with three_hosts(authority(tmp_path_factory.mktemp("ca")), short, envoy_binary) as hosts:
        hosts.network.site("shop.example", SHOP)
        hosts.network.site("files.example", FILES)
        hosts.network.names.set("elsewhere.example", ELSEWHERE)
        hosts.network.names.set("proxy.corp.example", PROXY)
        with hosts.network.machine(PROXY) as machine, _proxy(machine, short) as log:
            behind = Behind(hosts=hosts, log=log)
            behind.show("meshd", "s3cret")
            hosts.start(*BEHIND)
            hosts.network.passes(PROXY)
            yield behind


def _proxy(machine: Namespace, directory: Path):
    """Debian's, as it is delivered: TLS goes to port 443 only."""
    lines = (f"Port {PORT}", f"Listen {PROXY}", "ConnectPort 443", "Allow 10.0.0.0/24")
    users = {"meshd": "s3cret"}
    return running_tinyproxy(directory, lines, users, lambda: answers(machine, PROXY, PORT), machine.command())


def test_plain_http_leaves_as_verified_tls_through_the_proxy(behind: Behind):
    told = behind.hosts.curl("http://shop.example/").told

    assert (told["by"], told["peer"], told["tls"]["sni"]) == ("shop.example", PROXY, "shop.example")
    assert "shop.example:443" in behind.asked()
    assert not [name for name, value in told["headers"] if "roxy" in name or "s3cret" in value]


def test_so_does_tls_of_an_application(behind: Behind):
    told = behind.hosts.curl("https://files.example/").told

    assert (told["by"], told["peer"]) == ("files.example", PROXY)
    assert "files.example:443" in behind.asked()


def test_the_gateway_has_no_way_of_its_own(behind: Behind):
    before = behind.hosts.network.strays()

    done = subprocess.run(behind.hosts.edge.command("curl", "-sS", "http://shop.example/"), check=False, timeout=30)

    assert done.returncode == 7
    assert behind.hosts.network.strays() > before
    assert {request.peer for request in behind.hosts.network.world.received} == {PROXY}


def test_what_is_not_listed_is_refused_before_anybody_asks_the_proxy(behind: Behind):
    heard = behind.hosts.curl("http://elsewhere.example/")

    assert heard.reason == (502, "host elsewhere.example is not in the registry")
    assert not [each for each in behind.asked() if "elsewhere" in each]


def test_wrong_credentials_are_told_and_right_ones_are_taken_up_without_a_reload(behind: Behind):
    behind.show("meshd", "wrong")
    behind.hosts.network.world.hang_up()

    heard = until(lambda: _refused(behind), what="the proxy's refusal")

    assert heard.reason == (503, f"not reached through the outbound proxy proxy.corp.example:{PORT}")
    line = access_log(behind.hosts.gateway, downstream_local_address="envoy://outboundProxy/shop.example:443")
    assert line["upstream_transport_failure_reason"] == "tunnel_response:401", "as tinyproxy says 407"
    behind.show("meshd", "s3cret")
    behind.hosts.until_answered("shop.example")


def _refused(behind: Behind):
    heard = behind.hosts.curl("http://shop.example/")
    return heard if heard.status != 200 else None
