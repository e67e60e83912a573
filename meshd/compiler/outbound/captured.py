"""Where redirected connections end: the port of the capture, and a listener for each port and address behind it.

The port of the capture takes all of them and hands each to the listener of the address that it was going to; one to
nowhere in particular is unknown traffic (spec 7.2, 11, S-2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from meshd.compiler.connections.groups import ConnectionGroups
from meshd.compiler.host import Host
from meshd.compiler.outbound.offers import Offer, Served
from meshd.compiler.outbound.places import captured_at, is_reached, virtual_ip, wildcards
from meshd.compiler.outbound.port_listeners import Bound, Connections, Requests, listener
from meshd.compiler.outbound.unknown_traffic import UnknownTraffic
from meshd.compiler.view import View
from meshd.names import ListenerName
from meshd.plan import Listener, SocketBind
from meshd.problems import Origin, Problem

VIRTUAL_OUTBOUND: Final = "virtualOutbound"
_TLS_PORTS: Final = (443,)
"""Where no server speaks first, so that one may look at what a connection to nowhere asks for."""


def virtual_outbound(view: View, unknown: UnknownTraffic) -> Iterator[Listener]:
    """One for each family of addresses that the host has."""
    for ip in wildcards(view.host):
        yield view.memo.recall(_virtual_outbound, ip, view.host.settings.proxy_listen_port, unknown)


def _virtual_outbound(ip: str, port: int, unknown: UnknownTraffic) -> Listener:
    return Listener(
        name=ListenerName(VIRTUAL_OUTBOUND if "." in ip else f"{VIRTUAL_OUTBOUND}_ipv6"),
        bind=SocketBind(ip=ip, port=port),
        chains=(unknown.loop, unknown.chain),
        captures=True,
        hands_over=True,
        tls_ports=_TLS_PORTS,
        origin=unknown.chain.origin,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Everywhere:
    """What the captured listeners of one scope share. `origin`: who asked for them."""

    view: View
    groups: ConnectionGroups
    unknown: UnknownTraffic
    origin: Origin


def own_ports(host: Host) -> frozenset[int]:
    """Where redirected connections come in."""
    return frozenset((host.settings.proxy_listen_port, host.settings.proxy_inbound_port))


def captured_port(everywhere: Everywhere, number: int, requests: Requests, offer: Offer) -> Iterator[Bound]:
    """HTTP is told by its Host wherever it goes. All else belongs to the addresses of its service, if it has any."""
    view, groups = everywhere.view, everywhere.groups
    if number in own_ports(view.host):
        yield Bound(problems=tuple(_taken(number, offer)))
        return
    connections = Connections(
        groups=groups,
        tls=tuple(each for each in offer.tls if _is_anywhere(each)),
        tcp=tuple(each for each in offer.tcp if _is_anywhere(each)),
        unregistered=tuple(groups.unregistered.get(number, ())),
    )
    for ip in wildcards(view.host):
        place = view.memo.recall(captured_at, ip, number, everywhere.origin)
        yield listener(view, place, requests, connections, everywhere.unknown.chain)
    yield from _virtual_ips(everywhere, number, requests, offer)


def _virtual_ips(everywhere: Everywhere, number: int, requests: Requests, offer: Offer) -> Iterator[Bound]:
    """Services that are not HTTP have listeners of their own there; who shares the address is found there too."""
    view = everywhere.view
    at: dict[str, list[Served]] = {}
    for each in (*offer.tls, *offer.tcp):
        for ip in each.virtual_ips:
            at.setdefault(ip, []).append(each)
    http = {ip for each in offer.http for ip in each.virtual_ips} if at else set()
    for ip in sorted(at):
        if is_reached(ip, view.host):
            connections = Connections(
                groups=everywhere.groups,
                tls=tuple(each for each in at[ip] if each.port.family == "tls"),
                tcp=tuple(each for each in at[ip] if each.port.family == "tcp"),
            )
            place = view.memo.recall(virtual_ip, ip, number, everywhere.origin)
            here = replace(requests, blocks=()) if ip in http else Requests()
            yield listener(view, place, here, connections, everywhere.unknown.chain)


def _is_anywhere(served: Served) -> bool:
    """Some of its connections go to addresses that are not its own alone: it has none, or whole networks."""
    return bool(served.networks) or not served.virtual_ips


def _taken(number: int, offer: Offer) -> Iterator[Problem]:
    for each in (*offer.http, *offer.tls, *offer.tcp):
        message = f"port {number} is one of the proxy's own, so port {number} of {each.host} cannot be captured"
        hint = "give the service another port, or the mesh another proxyListenPort"
        yield Problem(code="W-SC-PORT-TAKEN", at=each.port.origin, message=message, hint=hint)
