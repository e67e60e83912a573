"""The destination of a route -> the cluster that takes it, or why there is none on this host (spec V-50 to V-52)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meshd.compiler.upstream.policy import Policy
from meshd.compiler.upstream.upstream import Upstream
from meshd.mesh.named import named_by
from meshd.names import ClusterName, Namespace, ServiceHost, SubsetName, cluster_name
from meshd.problems import Problem, nearest
from meshd.registry.hosts import complete
from meshd.registry.service import Port, Service
from meshd.resources.destination import Destination
from meshd.resources.virtual_service import VirtualService

NO_CAPTURE: Final = "E-SE-NONE-NOCAPTURE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cluster, the policy it follows, and the service's port that it is of."""

    cluster: ClusterName
    policy: Policy
    upstream: Upstream
    port: Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Unroutable:
    """Nothing can answer, which is 503; `problem` says why.

    That the destination exists at all was checked when the mesh was loaded; what is left depends on the host.
    """

    problem: Problem


class Destinations:
    """What the destinations of one VirtualService mean to a request that came in on `port`.

    `captured`: where a connection was going is known, so that clusters that need it can be used.
    """

    __slots__ = ("_captured", "_namespace", "_port", "_suffix", "_upstreams")

    def __init__(
        self,
        virtual_service: VirtualService,
        suffix: str,
        port: int,
        upstreams: tuple[Upstream, ...],
        *,
        captured: bool = False,
    ) -> None:
        self._namespace = Namespace(virtual_service.metadata.namespace)
        self._suffix = suffix
        self._port = port
        self._upstreams = {upstream.service.host: upstream for upstream in upstreams}
        self._captured = captured

    def find(self, destination: Destination) -> Target | Unroutable:
        host = complete(destination.host, self._namespace, self._suffix)
        upstream = self._upstreams.get(host)
        if upstream is None:
            return _unroutable(destination, "host", "W-VS-DEST-HIDDEN", f"{host} is not exported to this host", "")
        return target(destination, upstream, self._port, captured=self._captured)


def target(destination: Destination, upstream: Upstream, port: int, *, captured: bool) -> Target | Unroutable:
    """The cluster of a destination whose service is known; `port`: the one that the client addressed."""
    service = upstream.service
    chosen = _choose(destination, service, port)
    if chosen is None:
        return _no_port(destination, service, port)
    name = cluster_name(service.host, chosen.number, SubsetName(destination.subset or ""))
    policy = upstream.policies.get(name)
    if policy is None:
        return _no_subset(destination, upstream)
    if not captured and name in upstream.dialled:
        return _not_captured(destination, service)
    return Target(cluster=name, policy=policy, upstream=upstream, port=chosen)


def _choose(destination: Destination, service: Service, port: int) -> Port | None:
    """V-52: the port it names; else the service's only one; else the one that the request was sent to."""
    if destination.port:
        return service.port(destination.port.number)
    return service.ports[0] if len(service.ports) == 1 else service.port(port)


def is_callable(upstream: Upstream, port: Port, *, captured: bool) -> bool:
    """Whether the service's own cluster of a port can be used: one that goes to the address which the client dialled
    needs capture to know it (spec 7.1, D-11)."""
    return captured or cluster_name(upstream.service.host, port.number) not in upstream.dialled


def destination_hosts(virtual_service: VirtualService, suffix: str) -> tuple[ServiceHost, ...]:
    """The complete hosts that the routes of a VirtualService send requests, copies or connections to; sorted."""
    namespace = Namespace(virtual_service.metadata.namespace)
    named = (each.destination.host for each in named_by(virtual_service))
    return tuple(sorted({complete(host, namespace, suffix) for host in named}))


def _no_subset(destination: Destination, upstream: Upstream) -> Unroutable:
    wanted = destination.subset or ""
    message = f"no subset {wanted!r} of {upstream.service.host} in the DestinationRule that is in force for this host"
    hint = nearest(wanted, {cluster.subset for cluster in upstream.clusters} - {""})
    return _unroutable(destination, "subset", "E-VS-SUBSET-UNDEFINED", message, hint)


def _no_port(destination: Destination, service: Service, port: int) -> Unroutable:
    wanted = destination.port.number if destination.port else port
    known = ", ".join(str(each.number) for each in service.ports)
    message = f"{service.host} has no port {wanted}, so requests to port {port} that come here are answered 503"
    return _unroutable(destination, "port", "W-VS-DEST-PORT", message, f"name one of its ports: {known}")


def _not_captured(destination: Destination, service: Service) -> Unroutable:
    why = "resolution NONE" if service.resolution == "NONE" else "load balancer PASSTHROUGH"
    message = f"{service.host} has {why}, which needs capture: there is no address to connect to"
    return _unroutable(destination, "host", NO_CAPTURE, message, "use resolution DNS or STATIC")


def _unroutable(destination: Destination, field: str, code: str, message: str, hint: str) -> Unroutable:
    return Unroutable(problem=Problem(code=code, at=destination.origin.at(field), message=message, hint=hint))
