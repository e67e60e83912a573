"""The hop from a sidecar to the egress gateway: by which subset of its service, and what that subset asks for (7.1).

Requests in plain HTTP need none. What is asked in TLS of the mesh, in HTTP/2 or by address has one: each host its own
where there is TLS, since it gives the handshake the name that chooses the server (EX-X-07).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from meshd.convert.drafts import Draft, metadata
from meshd.convert.names import hashed, of_host, provisional
from meshd.convert.outside import Outside
from meshd.convert.scene import Scene
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.registry.hosts import canonical
from meshd.registry.service import Instance
from meshd.resources.client_tls import ClientTLSSettings
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.destination_rule import DestinationRule, ProxyProtocol, Subset, TrafficPolicy
from meshd.resources.legacy import LegacyResource
from meshd.resources.legacy.egress_rule import EgressProtocol, Port
from meshd.resources.traffic_policy import ConnectionPoolSettings, HTTPSettings

_HTTP2: Final[frozenset[EgressProtocol]] = frozenset({"HTTP2", "GRPC"})
_PORTS_OF_HTTP2: Final = frozenset({"HTTP2", "GRPC", "GRPC-WEB"})
_LONGEST: Final = 63 - len("-V2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """`sni`: the name in the handshake, where there is TLS. `plain`: without it, whatever else is said of the gateway.

    `header`: a PROXY header goes first. `http2`: for gRPC and its like, where the gateway's port says nothing of it.
    """

    sni: str = ""
    plain: bool = False
    header: bool = False
    http2: bool = False


def is_mutual(scene: Scene) -> bool:
    """Q-06: unless the mesh says itself, where all of the gateways have identities, as for any other service (6.4)."""
    asked = scene.settings.egress_gateway_mtls
    if asked is not None:
        return asked
    instances = _gateways(scene)
    return scene.settings.auto_mtls and bool(instances) and all(each.speaks_mesh_tls for each in instances)


def to_gateway(there: Outside, port: Port, scene: Scene) -> Destination:
    """Where the sidecar sends what is for a port of the service."""
    return Destination(
        host=scene.settings.egress_gateway_host,
        subset=_name(there, _hop(there, port, scene)),
        port=PortSelector(number=port.port, origin=port.origin),
        origin=port.origin,
    )


def server_host(host: str) -> str:
    """What a Gateway may say: of a wildcard that begins within a label, the domain that it is in."""
    if not host.startswith("*") or host.startswith("*."):
        return host
    _, dot, parent = host.partition(".")
    return f"*.{parent}" if dot else "*"


def hop_rule(outside: Iterable[Outside], scene: Scene) -> Iterator[Draft]:
    """The DestinationRule with all the subsets that lead to the gateway; of one voice with what is said of it today."""
    ways = [
        (each, name, hop)
        for each in outside
        if each.uses_proxy
        for port in each.ports
        if (name := _name(each, hop := _hop(each, port, scene)))
    ]
    if not ways:
        return
    host = canonical(scene.settings.egress_gateway_host)
    today = scene.rules_of(host)
    sources: tuple[LegacyResource, ...] = tuple({id(s): s for there, _, _ in ways for s in there.sources}.values())
    subsets = {name: _subset(name, hop, there.origin) for there, name, hop in reversed(ways)}
    resource = DestinationRule(
        metadata=metadata(provisional(f"{of_host(host)}-egress", host), _namespace(host, ways[0][0], scene), sources),
        host=host,
        subsets=tuple(subsets[name] for name in sorted(subsets)),
        export_to=today[0].export_to if today else (),
        origin=sources[0].origin,
    )
    yield Draft(resource=resource, sources=sources)


def _namespace(host: ServiceHost, first: Outside, scene: Scene) -> str:
    today = scene.rules_of(host)
    return today[0].metadata.namespace if today else scene.home(host) or first.namespace


# --- one way --------------------------------------------------------------------------------------------------


def _hop(there: Outside, port: Port, scene: Scene) -> Hop:
    mutual = is_mutual(scene)
    return Hop(
        sni=_sni(there.host) if mutual else "",
        plain=not mutual and _is_called_in_tls(scene),
        header=port.is_tcp,
        http2=port.protocol in _HTTP2 and not _is_http2(port.port, scene),
    )


def _name(there: Outside, hop: Hop) -> str | None:
    if hop == Hop():
        return None
    if not hop.sni:
        return "egress-proxy" + ("-v2" if hop.header else "-h2" if hop.http2 else "")
    # Each host another name: single dashes are dots, and no host has capitals.
    name = there.host.replace("-", "--").replace(".", "-").replace("*", "ANY")
    end = "-V2" if hop.header else "-H2" if hop.http2 else ""
    return (name if len(name) <= _LONGEST else hashed(name[:_LONGEST], there.host)[:_LONGEST]) + end


def _sni(host: str) -> str:
    """A name that the server of a wildcard has, as it has all the others."""
    return host.replace("*", "any")


def _subset(name: str, hop: Hop, at: Origin) -> Subset:
    http2 = HTTPSettings(h2_upgrade_policy="UPGRADE", origin=at)
    policy = TrafficPolicy(
        tls=_tls(hop, at),
        connection_pool=ConnectionPoolSettings(http=http2, origin=at) if hop.http2 else None,
        proxy_protocol=ProxyProtocol(version="V2", origin=at) if hop.header else None,
        origin=at,
    )
    return Subset(name=name, traffic_policy=policy, origin=at)


def _tls(hop: Hop, at: Origin) -> ClientTLSSettings | None:
    if hop.sni:
        return ClientTLSSettings(mode="ISTIO_MUTUAL", sni=hop.sni, origin=at)
    return ClientTLSSettings(mode="DISABLE", origin=at) if hop.plain else None


# --- the gateways ---------------------------------------------------------------------------------------------


def _gateways(scene: Scene) -> tuple[Instance, ...]:
    services = scene.services(canonical(scene.settings.egress_gateway_host))
    return tuple(instance for service in services for instance in service.instances)


def _is_called_in_tls(scene: Scene) -> bool:
    """Sidecars would open it of themselves, or because a DestinationRule of today has them do so."""
    of_themselves = scene.settings.auto_mtls and any(each.speaks_mesh_tls for each in _gateways(scene))
    rules = scene.rules_of(canonical(scene.settings.egress_gateway_host))
    return of_themselves or any(rule.traffic_policy and _opens_tls(rule.traffic_policy) for rule in rules)


def _opens_tls(policy: TrafficPolicy) -> bool:
    return policy.tls is not None or any(level.tls for level in policy.port_level_settings)


def _is_http2(number: int, scene: Scene) -> bool:
    ports = scene.ports(canonical(scene.settings.egress_gateway_host))
    return any(port.number == number and port.protocol in _PORTS_OF_HTTP2 for port in ports)
