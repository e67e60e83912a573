"""Where connections come in on this host, and where they go on to; whoever asked for it, a service or a Sidecar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from meshd.compiler.connections.server_first import speaks_first
from meshd.compiler.gateway.server_tls import Termination
from meshd.compiler.host import Host
from meshd.compiler.inbound.identity import has_peers
from meshd.compiler.inbound.local_services import LocalPort, protocols_differ
from meshd.compiler.inbound.policy import inbound_policy
from meshd.compiler.upstream.policy import Policy
from meshd.fields import is_ip
from meshd.names import ClusterName, ServiceHost
from meshd.plan import Endpoint, IpAddress
from meshd.problems import Origin, Problem
from meshd.registry.service import Port
from meshd.resources.sidecar import Sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPort:
    """`port`: what is spoken there, and `service` who speaks it. `bind` None: connections to it are captured.

    `to` None: they go on to where they were going. `termination`: TLS that ends here instead of the mesh's.
    `peers`: some of its clients open the mesh's TLS without being asked to.
    """

    number: int
    port: Port
    service: ServiceHost
    bind: str | None = None
    to: Endpoint | None = None
    policy: Policy = field(default_factory=Policy)
    termination: Termination | None = None
    peers: bool = False
    origin: Origin

    @property
    def cluster(self) -> ClusterName:
        return ClusterName(f"inbound|{self.number}||")

    @property
    def is_http(self) -> bool:
        return self.port.family == "http"

    @property
    def speaks_first(self) -> bool:
        """Its clients say nothing before the server did, unless they open TLS."""
        return speaks_first(self.port, self.number)


def ports_of_services(
    offered: Iterable[LocalPort], host: Host, sidecar: Sidecar | None, probed: frozenset[str], problems: list[Problem]
) -> Iterator[InboundPort]:
    """One for each number; where several services have it, the first says what is spoken (spec section 10)."""
    by_number: dict[int, list[LocalPort]] = {}
    for each in offered:
        by_number.setdefault(each.number, []).append(each)
    for number, sharing in sorted(by_number.items()):
        first = sharing[0]
        problems.extend(
            protocols_differ(first, other) for other in sharing[1:] if other.port.protocol != first.port.protocol
        )
        yield InboundPort(
            number=number,
            port=first.port,
            service=first.local.service.host,
            to=probed_place(sharing, probed),
            policy=inbound_policy(first, host, sidecar),
            peers=any(has_peers(each.local, host.settings) for each in sharing),
            origin=first.port.origin,
        )


def probed_place(sharing: Iterable[LocalPort], probed: frozenset[str]) -> Endpoint | None:
    """The address of a probed workload, so that it can be taken away: nobody can withdraw an original destination.

    Where several addresses of this host answer at one number, only the client knows which of them it means.
    """
    instances = [instance for each in sharing for instance in each.instances]
    addresses = {str(ip_address(each.address)) for each in instances if is_ip(each.address)}
    workload = next((each.workload for each in instances if each.workload in probed), None)
    if workload is None or len(addresses) != 1:
        return None
    number = next(iter(sharing)).number
    return Endpoint(address=IpAddress(ip=addresses.pop()), port=number, workload=workload)


def without_tls(port: Port) -> Port:
    """What is inside, where TLS ends here: HTTPS counts as HTTP, TLS as TCP (SC-8)."""
    if port.protocol == "HTTPS":
        return replace(port, protocol="HTTP", family="http")
    return replace(port, protocol="TCP", family="tcp") if port.protocol == "TLS" else port
