"""How others reach the applications of this host: captured connections to its services, or a Sidecar's `ingress`.

What a Sidecar says replaces what the services would have said of themselves (SC-4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from meshd.compiler.connections.server_first import SERVER_FIRST_PORTS
from meshd.compiler.host import Host
from meshd.compiler.inbound.chains import (
    PASSTHROUGH,
    SOURCES,
    chains,
    cluster,
    endpoints,
    ends_mesh_tls,
    passthrough_chains,
    route_table,
)
from meshd.compiler.inbound.identity import has_identity
from meshd.compiler.inbound.ingress import Ingress
from meshd.compiler.inbound.local_services import LocalPort, LocalService, local_ports, local_services
from meshd.compiler.inbound.ports import InboundPort, ports_of_services
from meshd.compiler.outbound.places import wildcards
from meshd.compiler.part import Part
from meshd.compiler.probes import Probing, probing
from meshd.compiler.reach import Reach
from meshd.compiler.upstream.mesh_tls import mesh_secrets
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.names import ListenerName, ServiceHost
from meshd.plan import (
    ChainMatch,
    Cluster,
    FilterChain,
    Listener,
    OriginalDestination,
    Secret,
    SocketBind,
    TcpChain,
)
from meshd.problems import Problem
from meshd.registry.settings import MeshSettings
from meshd.resources.sidecar import Sidecar

VIRTUAL_INBOUND: Final = "virtualInbound"


def inbound(mesh: Mesh, host: Host, sidecar: Sidecar | None, reach: Reach, memo: Memo) -> Part:
    """Nothing without capture and without `ingress`: a listener on a service's port would take the application's own.

    The same object on the next pass while nothing changed that concerns this host.
    """
    captures = reach.capture == "nftables"
    if not captures and not (sidecar and sidecar.ingress):
        return Part()
    probed = probing(mesh, host.name, reach, memo)
    return memo.recall(_inbound, host, sidecar, captures, probed, *local_services(mesh, host, memo))


def _inbound(
    host: Host,
    sidecar: Sidecar | None,
    captures: bool,  # noqa: FBT001
    probed: Probing,
    *services: LocalService,
) -> Part:
    problems: list[Problem] = []
    offered = [port for service in services for port in local_ports(service)]
    if sidecar and sidecar.ingress:
        wanted = _ingress(host, sidecar, offered, probed, captures=captures).ports(problems)
    else:
        wanted = ports_of_services(offered, host, sidecar, probed.workloads, problems)
    ports = tuple(_free(wanted, host.settings, problems))
    identity = has_identity(host, services)
    return Part(
        clusters=(*(cluster(port, host.settings) for port in ports), *([_passthrough(host)] if captures else [])),
        endpoints=tuple(assigned for port in ports if (assigned := endpoints(port))),
        listeners=tuple(_listeners(ports, host, captures=captures, identity=identity)),
        route_tables=tuple(table for port in ports if (table := route_table(port))),
        secrets=tuple(_secrets(ports, host.settings, captures=captures, identity=identity)),
        problems=tuple(problems),
    )


def _free(ports: Iterable[InboundPort], settings: MeshSettings, problems: list[Problem]) -> Iterator[InboundPort]:
    """Without those that the capture has for itself."""
    for port in ports:
        if port.bind is None and port.number in {settings.proxy_listen_port, settings.proxy_inbound_port}:
            message = f"port {port.number} is one of the proxy's own, so nothing can be answered there"
            hint = "answer on another port, or give the mesh another proxyInboundPort"
            problems.append(Problem(code="W-SC-PORT-TAKEN", at=port.origin, message=message, hint=hint))
        else:
            yield port


def _ingress(host: Host, sidecar: Sidecar, offered: Iterable[LocalPort], probed: Probing, *, captures: bool) -> Ingress:
    by_number: dict[int, list[LocalPort]] = {}
    for each in offered:
        by_number.setdefault(each.number, []).append(each)
    return Ingress(host=host, sidecar=sidecar, captures=captures, offered=by_number, probed=probed.workloads)


def _listeners(ports: tuple[InboundPort, ...], host: Host, *, captures: bool, identity: bool) -> Iterator[Listener]:
    for port in ports:
        if port.bind:
            yield Listener(
                name=ListenerName(f"{port.bind}_{port.number}"),
                bind=SocketBind(ip=port.bind, port=port.number),
                chains=chains(port, host.settings, has_identity=identity),
                side="inbound",
                origin=port.origin,
            )
    if captures:
        yield from _virtual([port for port in ports if port.bind is None], host, identity=identity)


def _virtual(ports: list[InboundPort], host: Host, *, identity: bool) -> Iterator[Listener]:
    """One for each family of addresses that the host has."""
    settings = host.settings
    captured: list[FilterChain] = [_trap(settings)]
    for port in ports:
        captured.extend(chains(port, settings, has_identity=identity))
    inspects = identity or any(port.termination for port in ports)
    captured.extend(passthrough_chains(settings, has_identity=identity, inspects=inspects))
    for ip in wildcards(host):
        yield Listener(
            name=ListenerName(VIRTUAL_INBOUND if "." in ip else f"{VIRTUAL_INBOUND}_ipv6"),
            bind=SocketBind(ip=ip, port=settings.proxy_inbound_port),
            chains=tuple(captured),
            side="inbound",
            captures=True,
            server_first=_silent(ports, identity=identity),
            origin=settings.origin,
        )


def _trap(settings: MeshSettings) -> TcpChain:
    """Passed on, a connection to the port of the capture itself would come back for ever."""
    match = ChainMatch(destination_port=settings.proxy_inbound_port)
    return TcpChain(destinations=(), stat_prefix=f"{VIRTUAL_INBOUND}-trap", match=match, origin=settings.origin)


def _silent(ports: list[InboundPort], *, identity: bool) -> tuple[int, ...]:
    """Where no client is asked to speak first: known ports of such protocols, and TCP that nobody wraps in TLS here."""
    plain = {each.number for each in ports if each.port.family == "tcp" and not each.termination}
    wrapped = {each.number for each in ports if each.termination or ends_mesh_tls(each, has_identity=identity)}
    return tuple(sorted((plain | SERVER_FIRST_PORTS) - wrapped))


def _passthrough(host: Host) -> Cluster:
    return Cluster(
        name=PASSTHROUGH,
        service=ServiceHost(PASSTHROUGH),
        port=0,
        discovery=OriginalDestination(),
        connect_timeout=host.settings.connect_timeout,
        sources=SOURCES,
        origin=host.settings.origin,
    )


def _secrets(
    ports: tuple[InboundPort, ...], settings: MeshSettings, *, captures: bool, identity: bool
) -> Iterator[Secret]:
    for port in ports:
        if port.termination:
            yield from port.termination.secrets
    if identity and (captures or any(ends_mesh_tls(port, has_identity=identity) for port in ports)):
        yield from mesh_secrets(settings)
