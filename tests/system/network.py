"""The network that docs/egress.md speaks of: hosts on one bridge, a router with its firewall, and the world behind it.

Each machine is a network namespace, with its own /etc/resolv.conf and the trust store of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dns_server import DnsServer, serve
from tests.live.backends import Backends, running_backends
from tests.live.certificates import Authority, Pair, server_context
from tests.live.namespace import Namespace, namespace
from tests.project.pages import Section, blocks
from tests.waiting import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make machines: network namespaces")

CLIENT, GATEWAY, OTHER_GATEWAY, PROXY, ROUTER = (f"10.0.0.{last}" for last in (1, 9, 8, 31, 254))
CLIENT_SIX, GATEWAY_SIX, ROUTER_SIX = "fd10::1", "fd10::9", "fd10::254"
RESOLVER = "203.0.113.53"
_OUTSIDE, _OUTSIDE_SIX = ("192.0.2.1", "192.0.2.2"), ("fd20::1", "fd20::2")


@dataclass(frozen=True, kw_only=True)
class Network:
    """`names`: what the world's DNS server says. `world`: who answers there. `ca`: whom all machines trust."""

    switch: Namespace
    router: Namespace
    internet: Namespace
    names: DnsServer
    world: Backends
    ca: Authority

    @contextmanager
    def machine(self, *addresses: str) -> Iterator[Namespace]:
        """A host on the bridge. The first of its addresses is that by which it calls others."""
        with namespace() as room, _files(room, self.ca):
            _plug(self.switch, room, "eth0", addresses)
            room.run("ip", "route", "add", "default", "via", ROUTER)
            if any(":" in address for address in addresses):
                room.run("ip", "route", "add", "default", "via", ROUTER_SIX)
            yield room

    def site(self, name: str, address: str, *, pair: Pair | None = None, clients: Authority | None = None) -> None:
        """A web server at that name, with and without TLS. `pair`: what it shows, if not a certificate for its name."""
        self.names.set(name, address, ttl=1)
        add_address(self.internet, address, "lo")
        shown = server_context(pair or self.ca.signed(name, f"DNS:{name}"), clients=clients)
        self.world.serve_on(name, self.internet.within(_listening, address, 443), shown)
        self.world.serve_on(name, self.internet.within(_listening, address, 80))

    def close(self, firewall: Section) -> None:
        """By the table of the documentation."""
        (table,) = blocks(firewall.text, "nft")
        self.router.run("nft", "-f", "-", given=table)

    def passes(self, *addresses: str) -> None:
        """The firewall, from now on, and none of those before."""
        elements = ", ".join(addresses)
        text = f"flush set inet egress gateways; add element inet egress gateways {{ {elements} }}"
        self.router.run("nft", text)

    def strays(self) -> int:
        """Packets that tried to get past the gateway."""
        words = self.router.run("nft", "list", "counter", "inet", "egress", "strays").split()
        return int(words[words.index("packets") + 1])

    @contextmanager
    def git_server(self, below: Path) -> Iterator[str]:
        """At the router; the URL of that directory."""
        listening = f"--listen={ROUTER}"
        command = self.router.command("git", "daemon", "--export-all", "--reuseaddr", listening, f"--base-path={below}")
        with subprocess.Popen((*command, str(below)), stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: process.poll() is not None or answers(self.router, ROUTER, 9418), what="the git server")
                assert process.poll() is None
                yield f"git://{ROUTER}"
            finally:
                process.terminate()


@contextmanager
def network(ca: Authority) -> Iterator[Network]:
    with ExitStack() as stack:
        switch, router, internet = (stack.enter_context(namespace(*own)) for own in ((), (), (f"{RESOLVER}/32",)))
        switch.run("ip", "link", "add", "lan", "type", "bridge")
        switch.run("ip", "link", "set", "lan", "up")
        router.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        _plug(switch, router, "lan", (ROUTER, ROUTER_SIX))
        router.link(internet, *(f"{each}/24" for each in _OUTSIDE), *(f"{each}/64" for each in _OUTSIDE_SIX))
        for here, there, way in ((router, 1, "default"), (internet, 0, "10.0.0.0/8")):
            here.run("ip", "route", "add", way, "via", _OUTSIDE[there])
        for here, there, way in ((router, 1, "default"), (internet, 0, "fd10::/64")):
            here.run("ip", "route", "add", way, "via", _OUTSIDE_SIX[there])
        names = stack.enter_context(serve(53, RESOLVER, internet.within))
        world = stack.enter_context(running_backends())
        yield Network(switch=switch, router=router, internet=internet, names=names, world=world, ca=ca)


def _plug(switch: Namespace, room: Namespace, interface: str, addresses: tuple[str, ...]) -> None:
    """The bridge is in a namespace without a firewall: with br_netfilter, that of the router would be asked too."""
    port = f"p{room.name[-6:]}"
    switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", room.name)
    switch.run("ip", "link", "set", port, "master", "lan", "up")
    for address in addresses:
        add_address(room, address, interface)
    room.run("ip", "link", "set", interface, "up")


def answers(room: Namespace, address: str, port: int) -> bool:
    """From that machine; by whoever it is."""
    with suppress(OSError), room.within(socket.create_connection, (address, port), 1):
        return True
    return False


def own_tls(room: Namespace) -> Path:
    """What the machine has as /etc/ssl: its trust store, and room for its certificates."""
    return Path("/etc/netns") / room.name / "ssl"


def add_address(room: Namespace, address: str, interface: str = "eth0") -> None:
    length = "128" if interface == "lo" and ":" in address else "64" if ":" in address else "24"
    mask = "32" if interface == "lo" and ":" not in address else length
    more = ("nodad",) if ":" in address else ()
    room.run("ip", "address", "add", f"{address}/{mask}", "dev", interface, *more)


@contextmanager
def _files(room: Namespace, ca: Authority) -> Iterator[None]:
    """What `ip netns exec` puts in the place of /etc/resolv.conf and /etc/ssl."""
    own = own_tls(room).parent
    store = own_tls(room) / "certs/ca-certificates.crt"
    store.parent.mkdir(parents=True)
    try:
        (own / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
        shutil.copyfile(ca.file, store)
        yield
    finally:
        shutil.rmtree(own)


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family)
