"""Plan endpoints and looked-up addresses -> one ClusterLoadAssignment per cluster: the only place where they meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, assert_never

from envoy.config.core.v3 import base_pb2
from envoy.config.core.v3.address_pb2 import Address
from envoy.config.endpoint.v3 import endpoint_components_pb2 as endpoint
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from meshd.envoy.addresses import pipe_address, socket_address
from meshd.envoy.resource import ENDPOINTS, EnvoyResource
from meshd.envoy.scalars import uint32
from meshd.envoy.wire import resource, serialised
from meshd.memo import Memo
from meshd.names import DnsName, Locality
from meshd.plan import Address as PlanAddress
from meshd.plan import ClusterEndpoints, DnsAddress, IpAddress, ProxyPlan, UnixAddress


class _Place(NamedTuple):
    """One address to connect to. Sorts as it is written: failover group, locality, then address."""

    priority: int
    locality: Locality
    address: str
    port: int
    weight: int


def assignments(plan: ProxyPlan, addresses: Mapping[DnsName, tuple[str, ...]], memo: Memo) -> tuple[EnvoyResource, ...]:
    """A name without an answer has no endpoints. An assignment is rendered again only if its own answers changed.

    DNS changes make passes of their own, without `render`: give them a memory of their own, or the turn of the one
    forgets what the other remembered.
    """
    names = memo.recall(_names, plan.endpoints)
    # The memory goes by identity, and only strings by value: the resolver hands out equal tuples, not the same.
    answers = {name: " ".join(found) for name, found in addresses.items()}
    return tuple(
        memo.recall(_assignment, each, *[answers.get(name, "") for name in its_names])
        for each, its_names in zip(plan.endpoints, names, strict=True)
    )


def _names(endpoints: tuple[ClusterEndpoints, ...]) -> tuple[tuple[DnsName, ...], ...]:
    """For each cluster the names of its DNS endpoints, in order."""
    return tuple(
        tuple(each.address.name for each in cluster.endpoints if isinstance(each.address, DnsAddress))
        for cluster in endpoints
    )


def _assignment(endpoints: ClusterEndpoints, *answers: str) -> EnvoyResource:
    """`answers` belong to the DNS endpoints, in order: addresses with a space between."""
    places = _distinct(sorted(_places(endpoints, iter(answers))))
    groups = groupby(places, key=lambda place: (place.priority, place.locality))
    message = ClusterLoadAssignment(
        cluster_name=endpoints.cluster,
        endpoints=[_locality_endpoints(priority, locality, list(group)) for (priority, locality), group in groups],
    )
    return resource(ENDPOINTS, endpoints.cluster, serialised(message), endpoints.origin)


def _places(endpoints: ClusterEndpoints, answers: Iterator[str]) -> Iterator[_Place]:
    for each in endpoints.endpoints:
        for address in _found(each.address, answers):
            yield _Place(each.priority, each.locality, address, each.port, each.weight)


def _found(address: PlanAddress, answers: Iterator[str]) -> Sequence[str]:
    match address:
        case IpAddress():
            return (address.ip,)
        case UnixAddress():
            return (address.path,)
        case DnsAddress():
            answer = next(answers).split()
            return answer[:1] if address.first_only else answer
        case _ as unknown:
            assert_never(unknown)


def _distinct(places: list[_Place]) -> Iterator[_Place]:
    """Names may share an address. Envoy takes the first and would still count the others' weight."""
    seen = set[tuple[str, int]]()
    for place in places:
        if (place.address, place.port) not in seen:
            seen.add((place.address, place.port))
            yield place


def _locality_endpoints(priority: int, locality: Locality, places: list[_Place]) -> endpoint.LocalityLbEndpoints:
    return endpoint.LocalityLbEndpoints(
        locality=base_pb2.Locality(region=locality.region, zone=locality.zone, sub_zone=locality.subzone),
        lb_endpoints=[_lb_endpoint(place) for place in places],
        load_balancing_weight=uint32(sum(place.weight for place in places)),
        priority=priority,
    )


def _lb_endpoint(place: _Place) -> endpoint.LbEndpoint:
    return endpoint.LbEndpoint(
        endpoint=endpoint.Endpoint(address=_envoy_address(place)), load_balancing_weight=uint32(place.weight)
    )


def _envoy_address(place: _Place) -> Address:
    if place.address.startswith(("/", "@")):
        return pipe_address(place.address)
    return socket_address(place.address, place.port)
