"""The `ingress` of a Sidecar -> the ports on which connections come in, bound or captured (spec SC-4 to SC-9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from meshd.compiler.gateway.server_tls import Termination, server_tls
from meshd.compiler.host import Host
from meshd.compiler.inbound.identity import has_peers
from meshd.compiler.inbound.local_services import LocalPort
from meshd.compiler.inbound.policy import inbound_policy
from meshd.compiler.inbound.ports import InboundPort, probed_place, without_tls
from meshd.compiler.upstream.endpoints import address
from meshd.fields import is_ip
from meshd.names import ServiceHost
from meshd.plan import DnsAddress, Endpoint, IpAddress, UnixAddress
from meshd.problems import Origin, Problem
from meshd.registry.service import Port
from meshd.resources.protocol import family, port_protocol
from meshd.resources.sidecar import IstioIngressListener, Sidecar, SidecarPort

_LOOPBACK: Final = "127.0.0.1"
_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 (read, not bound)
_UNIX: Final = "unix://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """Where a Sidecar's entries are read. `offered`: what the services of this host answer, by number.

    `probed`: workloads of this host that are probed.
    """

    host: Host
    sidecar: Sidecar
    captures: bool
    offered: Mapping[int, Sequence[LocalPort]]
    probed: frozenset[str]

    def ports(self, problems: list[Problem]) -> Iterator[InboundPort]:
        for entry in self.sidecar.ingress:
            problems.extend(self._uncaptured(entry))
            port = self._port(entry)
            if _calls_itself(port):
                problems.append(_loop(entry, port))
            else:
                yield port

    def _uncaptured(self, entry: IstioIngressListener) -> Iterator[Problem]:
        if entry.capture_mode == "IPTABLES" and not self.captures:
            message = "nothing captures connections on this host, so the port is bound"
            yield Problem(code="W-SC-CAPTURE", at=entry.origin.at("captureMode"), message=message)

    def _port(self, entry: IstioIngressListener) -> InboundPort:
        captured = self.captures and entry.capture_mode != "NONE"
        sharing = self.offered.get(entry.port.number, ())
        spoken = _spoken(entry.port)
        termination = self._termination(entry, spoken)
        return InboundPort(
            number=entry.port.number,
            port=without_tls(spoken) if termination else spoken,
            service=sharing[0].local.service.host if sharing else self._itself(),
            bind=None if captured else self._bind(entry),
            to=self._to(entry, sharing, captured=captured),
            policy=inbound_policy(sharing[0] if sharing else None, self.host, self.sidecar, entry.connection_pool),
            termination=termination,
            peers=any(has_peers(each.local, self.host.settings) for each in sharing),
            origin=entry.origin,
        )

    def _itself(self) -> ServiceHost:
        """A port that no service knows of: as Istio calls it."""
        metadata = self.sidecar.metadata
        return ServiceHost(f"{metadata.name}.{metadata.namespace}")

    def _termination(self, entry: IstioIngressListener, spoken: Port) -> Termination | None:
        if entry.tls is None or not entry.tls.terminates:
            return None
        speaks = "http" if without_tls(spoken).family == "http" else "tcp"
        return server_tls(entry.tls, self.host.settings, speaks)

    def _bind(self, entry: IstioIngressListener) -> str:
        """SC-5."""
        if entry.bind:
            return str(ip_address(entry.bind))
        return str(ip_address(self.host.address)) if is_ip(self.host.address) else "0.0.0.0"  # noqa: S104

    def _to(self, entry: IstioIngressListener, sharing: Sequence[LocalPort], *, captured: bool) -> Endpoint | None:
        """SC-7."""
        workload = self._workload(sharing)
        if entry.default_endpoint:
            return _endpoint(entry.default_endpoint, self.host, workload)
        if captured:
            return probed_place(sharing, self.probed) if sharing else None
        return Endpoint(address=IpAddress(ip=_LOOPBACK), port=entry.port.number, workload=workload)

    def _workload(self, sharing: Sequence[LocalPort]) -> str:
        """Whose port it is: of who answers it as a service's instance; else of the only workload on this host."""
        answering = [instance.workload for each in sharing for instance in each.instances if instance.workload]
        own = answering or (list(self.host.workloads) if len(self.host.workloads) == 1 else [])
        return next((workload for workload in own if workload in self.probed), "")


def _spoken(port: SidecarPort) -> Port:
    protocol = port_protocol(port.protocol, port.name or "")
    return Port(
        number=port.number,
        name=port.name or "",
        protocol=protocol,
        family=family(protocol),
        target_port=port.number,
        origin=port.origin,
    )


def _endpoint(text: str, host: Host, workload: str) -> Endpoint:
    """`:p` is a port of the loopback address, as in Istio; a wildcard stands for the instance's own address."""
    if text.startswith(_UNIX):
        return Endpoint(address=UnixAddress(path=text.removeprefix(_UNIX)), port=0, workload=workload)
    name, _, port = text.rpartition(":")
    ip = name.strip("[]") or _LOOPBACK
    where = _instance_address(ip, host) if ip in _WILDCARDS else IpAddress(ip=str(ip_address(ip)))
    return Endpoint(address=where, port=int(port), workload=workload)


def _instance_address(wildcard: str, host: Host) -> IpAddress | DnsAddress:
    """Of the wildcard's family, if the host has such an address; else the one that it has."""
    version = ip_address(wildcard).version
    if is_ip(host.address) and ip_address(host.address).version == version:
        return IpAddress(ip=str(ip_address(host.address)))
    same = sorted(each for each in host.addresses if ip_address(each).version == version)
    if same:
        return IpAddress(ip=same[0])
    own = address(host.address, first_only=False) if host.address else IpAddress(ip=_LOOPBACK)
    if isinstance(own, IpAddress) or (isinstance(own, DnsAddress) and not own.is_srv):
        return own
    return IpAddress(ip=_LOOPBACK)


def _calls_itself(port: InboundPort) -> bool:
    """Bound to the very place to which it passes connections on."""
    to = port.to
    if port.bind is None or to is None or to.port != port.number or not isinstance(to.address, IpAddress):
        return False
    return port.bind == to.address.ip or port.bind in _WILDCARDS


def _loop(entry: IstioIngressListener, port: InboundPort) -> Problem:
    return Problem(
        code="W-SC-LOOP",
        at=_place(entry),
        message=f"{port.bind}:{port.number} would pass connections on to itself, so it is not bound",
        hint="give it a defaultEndpoint where the application listens, on another port or address",
    )


def _place(entry: IstioIngressListener) -> Origin:
    return entry.origin.at("defaultEndpoint" if entry.default_endpoint else "port")
