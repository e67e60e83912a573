"""What the tests of the outbound side ask for: rules for connections, and the chains of listeners."""

from __future__ import annotations

from typing import Any

from meshd.compiler import Reach
from meshd.plan import FilterChain, Listener, ProxyPlan, TcpChain
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.sidecar import IstioEgressListener, SidecarPort
from tests.builders import a_destination, a_virtual_service
from tests.compiler.plans import listener

CAPTURE = Reach(capture="nftables", http_proxy_port=0)
EVERYTHING = ("*/*",)


def egress(number: int = 0, protocol: str = "HTTP", *, hosts: tuple[str, ...] = EVERYTHING, **more: Any):
    port = SidecarPort(number=number, protocol=protocol) if protocol else None
    return IstioEgressListener(port=port, hosts=hosts, **more)


def sni(*names: str, to: str, **more: Any) -> TLSRoute:
    return TLSRoute(match=(TLSMatchAttributes(sni_hosts=names, **more),), route=(_to(to),))


def tcp(*, to: str, match: bool = True, **more: Any) -> TCPRoute:
    return TCPRoute(match=(L4MatchAttributes(**more),) if match else (), route=(_to(to),))


def _to(host: str) -> RouteDestination:
    return RouteDestination(destination=a_destination(host))


def tls_rules(name: str, *rules: TLSRoute, **more: Any):
    return a_virtual_service(name, **{"http": (), "tls": rules, **more})


def tcp_rules(name: str, *rules: TCPRoute, **more: Any):
    return a_virtual_service(name, **{"http": (), "tcp": rules, **more})


def chains(plan: ProxyPlan, name: str) -> tuple[FilterChain, ...]:
    return listener(plan, name).chains


def led(listener: Listener) -> list[tuple[object, str]]:
    """Of each chain that is not HTTP, what it takes and to whom it goes."""
    return [
        (_conditions(chain), ",".join(to.cluster for to in chain.destinations))
        for chain in listener.chains
        if isinstance(chain, TcpChain)
    ]


def _conditions(chain: TcpChain) -> object:
    match = chain.match
    dimensions = (match.destination_port, *match.prefix_ranges, *match.server_names, match.transport)
    found = [each for each in dimensions if each] + [f"from {each}" for each in match.source_prefix_ranges]
    return " ".join(map(str, found)) or "*"
