"""Hosts that must not be reached by the handshake of another server: their own asks more of clients (spec 4.2).

A request names its host apart from the handshake. Who came in by a wildcard could ask for the host beside it that is
only for clients with a certificate, and browsers do just that where one certificate is good for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshd.compiler.gateway.server_tls import Termination
from meshd.mesh.gateways import GatewayServer
from meshd.names import ServiceHost
from meshd.plan import DownstreamTls, Respond, Route, RouteMatch, VirtualHost
from meshd.problems import Origin
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import is_wildcard, subset_of

_MISDIRECTED = Respond(status=421)
"""Browsers then open a connection of its own for the host."""

Ended = tuple[GatewayServer, Termination]


def stricter(server: GatewayServer, termination: Termination, strict: Iterable[Ended]) -> tuple[ServiceHost, ...]:
    """`strict`: the servers of its address that ask for certificates. Their hosts below its own wildcards, unless it
    asks for the same."""
    wide = [offer.host for offer in server.hosts if is_wildcard(offer.host)]
    if not wide:
        return ()
    asked = demand(termination.tls)
    others = (other for other, end in strict if demand(end.tls) != asked)
    hosts = {offer.host for other in others for offer in other.hosts}
    return tuple(sorted(host for host in hosts if any(subset_of(host, each) for each in wide)))


def at_home(
    hosts: Iterable[ServiceHost], server: GatewayServer, elsewhere: tuple[ServiceHost, ...]
) -> Iterator[ServiceHost]:
    """Of some hosts those of which the most specific name that covers them is not one of `elsewhere`."""
    own = HostTable({**dict.fromkeys(elsewhere, False), **{offer.host: True for offer in server.hosts}})
    for host in hosts:
        if next((is_own for _, is_own in own.covering(host)), True):
            yield host


def misdirected(host: ServiceHost, port: int, origin: Origin) -> VirtualHost:
    route = Route(name="misdirected", match=RouteMatch(), action=_MISDIRECTED, origin=origin)
    return VirtualHost(name=f"{host}:{port}", domains=(host,), routes=(route,), origin=origin)


def demand(tls: DownstreamTls) -> tuple[object, ...] | None:
    """What a client must show; None: nothing. Envoy takes nobody without a certificate that has to be a certain one."""
    certain = (tls.subject_alt_names, tls.spki, tls.hashes)
    return (
        (tls.validation, tls.accepts_untrusted, *certain) if tls.requires_client_certificate or any(certain) else None
    )
