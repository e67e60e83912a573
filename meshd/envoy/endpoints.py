"""Plan endpoints and looked-up addresses -> one ClusterLoadAssignment per cluster: the only place where they meet.

With them comes what else is known only now: which workloads of this host their probes found unhealthy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, assert_never

from envoy.config.core.v3 import base_pb2
from envoy.config.core.v3.address_pb2 import Address
from envoy.config.core.v3.health_check_pb2 import HealthStatus
from envoy.config.endpoint.v3 import endpoint_components_pb2 as endpoint
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.struct_pb2 import Struct, Value

from meshd.envoy.addresses import internal_address, pipe_address, socket_address
from meshd.envoy.answers import Resolved, Spot, as_text, spots
from meshd.envoy.resource import ENDPOINTS, EnvoyResource
from meshd.envoy.scalars import uint32
from meshd.envoy.wire import resource, serialised
from meshd.memo import Memo
from meshd.names import DnsName, Locality
from meshd.plan import Address as PlanAddress
from meshd.plan import (
    ClusterEndpoints,
    DnsAddress,
    InternalAddress,
    IpAddress,
    LocalityWeight,
    ProxyPlan,
    UnixAddress,
)

_MOST_WEIGHT: Final = 4_294_967_295
"""Envoy refuses localities of one priority that weigh more together."""

_LAST_PRIORITY: Final = 128
"""Envoy knows no more."""

MESH_TLS: Final = Struct(fields={"tlsMode": Value(string_value="istio")})
"""What the endpoint of a cluster says of itself where it speaks the mesh's TLS, and the cluster asks for."""

_INTERNAL: Final = "listener "
"""What the text of an internal address begins with; its name and the endpoint's id follow, with a space between."""

_SOCKET_MATCH: Final = "envoy.transport_socket_match"


class _Place(NamedTuple):
    """One address to connect to. Sorts as it is written: failover group, locality, then address.

    `rank`: the order of failover that SRV records give, inside the group of their endpoint.
    """

    priority: int
    rank: int
    locality: Locality
    address: str
    port: int
    weight: int
    speaks_mesh_tls: bool
    unhealthy: bool

    @property
    def order(self) -> tuple[int, int]:
        return self.priority, self.rank


class _Uses(NamedTuple):
    """What the assignment of a cluster depends on: the names of its DNS endpoints, in order, and local workloads."""

    names: tuple[DnsName, ...]
    workloads: frozenset[str]


def assignments(
    plan: ProxyPlan,
    addresses: Mapping[DnsName, Resolved],
    memo: Memo,
    unhealthy: frozenset[str] = frozenset(),
) -> tuple[EnvoyResource, ...]:
    """A name without an answer has no endpoints. An assignment is rendered again only if what it depends on changed.

    DNS changes make passes of their own, without `render`: give them a memory of their own, or the turn of the one
    forgets what the other remembered.
    """
    answers = {name: as_text(found) for name, found in addresses.items()}
    return tuple(
        memo.recall(
            _assignment,
            each,
            _among(uses, unhealthy) if unhealthy else "",
            *[answers.get(name, "") for name in uses.names],
        )
        for each, uses in zip(plan.endpoints, memo.recall(_all_uses, plan.endpoints), strict=True)
    )


def affected(
    plan: ProxyPlan,
    names: Collection[str],
    addresses: Mapping[DnsName, Resolved],
    memo: Memo,
    unhealthy: frozenset[str] = frozenset(),
) -> tuple[EnvoyResource, ...]:
    """Those assignments that depend on any of `names`, of DNS or of workloads of this host, as they are now.

    It costs nothing for the clusters that do not, however many there are. Of the memory it takes the index only.
    """
    users = memo.recall(_users, plan.endpoints)
    chosen = [plan.endpoints[position] for position in sorted({p for name in names for p in users.get(name, ())})]
    return tuple(
        _assignment(each, _among(uses, unhealthy), *[as_text(addresses.get(name, ())) for name in uses.names])
        for each, uses in zip(chosen, _all_uses(tuple(chosen)), strict=True)
    )


def _all_uses(endpoints: tuple[ClusterEndpoints, ...]) -> tuple[_Uses, ...]:
    return tuple(_uses(cluster) for cluster in endpoints)


def _uses(cluster: ClusterEndpoints) -> _Uses:
    names = tuple(each.address.name for each in cluster.endpoints if isinstance(each.address, DnsAddress))
    return _Uses(names, frozenset(each.workload for each in cluster.endpoints if each.workload))


def _users(endpoints: tuple[ClusterEndpoints, ...]) -> Mapping[str, Sequence[int]]:
    """Where each name and each workload occurs. The latter has a `/` in it, the former never."""
    users: dict[str, list[int]] = {}
    for position, uses in enumerate(_all_uses(endpoints)):
        for name in {*uses.names, *uses.workloads}:
            users.setdefault(name, []).append(position)
    return users


def _among(uses: _Uses, unhealthy: frozenset[str]) -> str:
    return " ".join(sorted(unhealthy & uses.workloads))


def _assignment(endpoints: ClusterEndpoints, unhealthy: str, *answers: str) -> EnvoyResource:
    """`answers` belong to the DNS endpoints, in order, as text."""
    places = list(_distinct(sorted(_places(endpoints, frozenset(unhealthy.split()), iter(answers)))))
    groups = _groups(_bearable(places), endpoints.locality_weights)
    message = ClusterLoadAssignment(cluster_name=endpoints.cluster, endpoints=list(groups))
    return resource(ENDPOINTS, endpoints.cluster, serialised(message), endpoints.origin)


def _places(endpoints: ClusterEndpoints, unhealthy: frozenset[str], answers: Iterator[str]) -> Iterator[_Place]:
    for each in endpoints.endpoints:
        is_unhealthy = each.workload in unhealthy
        found = _found(each.address, answers)  # even of one that is left out: the answers come in order
        for spot in () if is_unhealthy and endpoints.drops_unhealthy else found:
            port = each.port if spot.port is None else spot.port
            if any(circle.takes(spot.address, port) for circle in endpoints.circles):
                continue
            yield _Place(
                priority=each.priority,
                rank=spot.rank,
                locality=each.locality,
                address=spot.address,
                port=port,
                weight=each.weight * spot.weight,
                speaks_mesh_tls=each.speaks_mesh_tls,
                unhealthy=is_unhealthy,
            )


def _found(address: PlanAddress, answers: Iterator[str]) -> Sequence[Spot]:
    match address:
        case IpAddress():
            return (Spot(address.ip),)
        case UnixAddress():
            return (Spot(address.path),)
        case InternalAddress():
            return (Spot(f"{_INTERNAL}{address.listener} {address.endpoint_id}"),)
        case DnsAddress():
            return spots(next(answers), first_only=address.first_only)
        case _ as unknown:
            assert_never(unknown)


def _distinct(places: list[_Place]) -> Iterator[_Place]:
    """Names may share an address. Envoy takes the first and would still count the others' weight."""
    seen = set[tuple[str, int]]()
    for place in places:
        if (place.address, place.port) not in seen:
            seen.add((place.address, place.port))
            yield place


def _bearable(places: list[_Place]) -> list[_Place]:
    """The same, or where they are too heavy for Envoy, in proportion and lighter."""
    total = sum(place.weight for place in places)
    if total <= _MOST_WEIGHT:
        return places
    room = _MOST_WEIGHT - len(places)  # nobody weighs less than 1
    return [place._replace(weight=max(1, place.weight * room // total)) for place in places]


def _groups(places: list[_Place], weights: tuple[LocalityWeight, ...]) -> Iterator[endpoint.LocalityLbEndpoints]:
    """Envoy wants priorities without gaps: those that somebody has at the moment are numbered from 0."""
    given = {(each.priority, each.locality): each.weight for each in weights}
    orders = sorted({place.order for place in places})
    numbers = {order: min(number, _LAST_PRIORITY) for number, order in enumerate(orders)}
    numbered = sorted((numbers[place.order], place.locality, place) for place in places)
    for (number, locality), group in groupby(numbered, key=lambda each: each[:2]):
        members = [place for _, _, place in group]
        yield _locality_endpoints(number, locality, members, given.get((members[0].priority, locality)))


def _locality_endpoints(
    priority: int, locality: Locality, places: list[_Place], weight: int | None
) -> endpoint.LocalityLbEndpoints:
    return endpoint.LocalityLbEndpoints(
        locality=base_pb2.Locality(region=locality.region, zone=locality.zone, sub_zone=locality.subzone),
        lb_endpoints=[_lb_endpoint(place) for place in places],
        load_balancing_weight=uint32(sum(place.weight for place in places) if weight is None else weight),
        priority=priority,
    )


def _lb_endpoint(place: _Place) -> endpoint.LbEndpoint:
    return endpoint.LbEndpoint(
        endpoint=endpoint.Endpoint(address=_envoy_address(place)),
        health_status=HealthStatus.UNHEALTHY if place.unhealthy else HealthStatus.UNKNOWN,
        load_balancing_weight=uint32(place.weight),
        metadata=base_pb2.Metadata(filter_metadata={_SOCKET_MATCH: MESH_TLS}) if place.speaks_mesh_tls else None,
    )


def _envoy_address(place: _Place) -> Address:
    if place.address.startswith(("/", "@")):
        return pipe_address(place.address)
    if place.address.startswith(_INTERNAL):
        return internal_address(*place.address.removeprefix(_INTERNAL).split(" ", 1))
    return socket_address(place.address, place.port)
