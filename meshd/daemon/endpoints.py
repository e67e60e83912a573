"""What `meshd endpoints` is told: of each service, where its endpoints come from, how fresh that is, and how they are.

The plan says whom a cluster calls, the resolver what names stand for, and Envoy what it makes of both.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, assert_never

from meshd.control import Json, Reply
from meshd.daemon.delivering import resolved
from meshd.envoy.answers import as_text, spots
from meshd.names import DnsName, ProxyName, ServiceHost
from meshd.plan import (
    ByEds,
    Circle,
    Cluster,
    ClusterEndpoints,
    DnsAddress,
    DynamicDns,
    Endpoint,
    InternalAddress,
    IpAddress,
    OriginalDestination,
    ProxyPlan,
    UnixAddress,
)
from meshd.problems import closest
from meshd.proxies.admin import Upstream
from meshd.resolve.answer import Answer, nothing


class Host(Protocol):
    """Whose endpoints they are."""

    @property
    def host(self) -> str: ...
    def plans(self) -> tuple[ProxyPlan, ...]:
        """What the proxies were told, as far as this process understands it."""

    def answers(self) -> Mapping[DnsName, Answer]: ...
    async def upstreams(self, proxy: ProxyName, clusters: str, /) -> Mapping[str, tuple[Upstream, ...]] | None:
        """Of the clusters that match, as Envoy has them; None when it does not say."""


Discovery = Literal["eds", "original_dst", "dynamic_dns"]
Seen = Mapping[str, tuple[Upstream, ...]]
"""The endpoints of each cluster, as Envoy has them."""

ALL: Final = r"^outbound\|"
"""What leads to services; the rest is a proxy's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """`seen`: None of a proxy whose Envoy does not answer."""

    plans: tuple[ProxyPlan, ...]
    answers: Mapping[DnsName, Answer]
    seen: Mapping[ProxyName, Seen | None]
    now: datetime


async def tell_endpoints(host: Host, wanted: str | None) -> Reply:
    """Of the services that are wanted, or of all; a no when there are none of that name."""
    plans = host.plans()
    services = _chosen(plans, wanted)
    if wanted is not None and not services:
        message = f"this host calls no service {wanted}"
        return Reply(ok=False, body={"message": message, "hint": _nearest(plans, wanted)})
    seen = await asyncio.gather(*(host.upstreams(plan.proxy, _pattern(services, wanted)) for plan in plans))
    known = Known(
        plans=plans,
        answers=host.answers(),
        seen={plan.proxy: found for plan, found in zip(plans, seen, strict=True)},
        now=datetime.now(UTC),
    )
    told = await asyncio.to_thread(endpoints, known, services)
    silent = [proxy for proxy, found in known.seen.items() if found is None]
    return Reply(ok=True, body={"host": host.host, "silent": silent, "services": told})


def _chosen(plans: Iterable[ProxyPlan], wanted: str | None) -> frozenset[ServiceHost]:
    """The services that somebody asks for: by the whole name, or else by its beginning (`reviews`); None is all."""
    hosts = frozenset(cluster.service for plan in plans for cluster in _outbound(plan))
    if wanted is None:
        return hosts
    name = wanted.lower().rstrip(".")
    exact = frozenset(host for host in hosts if host == name)
    return exact or frozenset(host for host in hosts if host.startswith(f"{name}."))


def _nearest(plans: Iterable[ProxyPlan], wanted: str) -> str:
    near = closest(wanted, _chosen(plans, None))
    return f"did you mean {near}?" if near else "`meshd endpoints` lists those that this host calls"


def _pattern(services: frozenset[ServiceHost], wanted: str | None) -> str:
    """Which clusters Envoy is asked about: when one was asked for, not ten thousand."""
    if wanted is None:
        return ALL
    return ALL + r"[0-9]+\|[^|]*\|(" + "|".join(re.escape(service) for service in sorted(services)) + ")$"


def endpoints(known: Known, services: frozenset[ServiceHost]) -> list[Json]:
    """The stable keys of `endpoints -o json`: one object for each cluster, by service, port, subset and proxy."""
    rows = [row for plan in known.plans for row in _rows(plan, known, services)]
    return sorted(rows, key=lambda row: (row["service"], row["port"], row["subset"], row["proxy"]))


def _outbound(plan: ProxyPlan) -> Iterator[Cluster]:
    return (cluster for cluster in plan.clusters if cluster.name.startswith("outbound|"))


def _rows(plan: ProxyPlan, known: Known, services: frozenset[ServiceHost]) -> Iterator[Json]:
    assigned = {each.cluster: each for each in plan.endpoints}
    seen = known.seen.get(plan.proxy)
    for cluster in (each for each in _outbound(plan) if each.service in services):
        upstreams = None if seen is None else seen.get(cluster.name, ())
        yield _row(plan, known, cluster, assigned.get(cluster.name), upstreams)


def _row(
    plan: ProxyPlan,
    known: Known,
    cluster: Cluster,
    given: ClusterEndpoints | None,
    upstreams: tuple[Upstream, ...] | None,
) -> Json:
    discovery = _discovery(cluster)
    members = given.endpoints if given is not None else ()
    names = {each.address.name for each in members if isinstance(each.address, DnsAddress)}
    circles = given.circles if given is not None else ()
    found = _given(members, circles, known, upstreams) if discovery == "eds" else _of_envoy(discovery, upstreams or ())
    return {
        "service": cluster.service,
        "port": cluster.port,
        "subset": cluster.subset,
        "proxy": plan.proxy,
        "cluster": cluster.name,
        "discovery": discovery,
        "names": [_name(name, known) for name in sorted(names)],
        "endpoints": list(found),
    }


def _discovery(cluster: Cluster) -> Discovery:
    match cluster.discovery:
        case ByEds():
            return "eds"
        case OriginalDestination():
            return "original_dst"
        case DynamicDns():
            return "dynamic_dns"
        case _ as unknown:
            assert_never(unknown)


def _name(name: DnsName, known: Known) -> Json:
    """`ttl`: what is left of it; None where nobody said how long the answer holds."""
    answer = known.answers.get(name) or nothing("", None, known.now)
    fresh = answer.source in {"dns", "srv"}
    return {
        "name": name,
        "source": answer.source,
        "addresses": len(answer.targets or answer.addresses),
        "age": _seconds(answer.looked_up, known.now) if answer.addresses else None,
        "ttl": max(0.0, _seconds(known.now, answer.expires)) if fresh else None,
        "error": answer.error,
        "culprit": answer.culprit,
        "since": answer.failing_since.isoformat() if answer.failing_since is not None else None,
    }


def _seconds(since: datetime, until: datetime) -> float:
    return round((until - since).total_seconds(), 3)


def _given(
    members: Iterable[Endpoint], circles: tuple[Circle, ...], known: Known, upstreams: tuple[Upstream, ...] | None
) -> Iterator[Json]:
    """Of those that share an address Envoy has one."""
    health = None if upstreams is None else {each.address: each.health for each in upstreams}
    told = set[str]()
    for each in sorted(members, key=lambda member: member.priority):
        for place in _places(each, known.answers):
            if place.address not in told:
                told.add(place.address)
                yield _endpoint(each, place, health, _circle(place, circles))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """`ip` and `port`: None of a socket, and of what is inside."""

    address: str
    source: str
    ip: str | None = None
    port: int = 0
    name: str | None = None
    weight: int = 1
    rank: int = 0


def _circle(place: _Place, circles: tuple[Circle, ...]) -> Circle | None:
    found = (each for each in circles if place.ip is not None and each.takes(place.ip, place.port))
    return next(found, None)


def _places(endpoint: Endpoint, answers: Mapping[DnsName, Answer]) -> Iterator[_Place]:
    match endpoint.address:
        case IpAddress(ip=ip):
            yield _Place(address=_with_port(ip, endpoint.port), source="static", ip=ip, port=endpoint.port)
        case UnixAddress(path=path):
            yield _Place(address=path, source="static")
        case InternalAddress(listener=listener, endpoint_id=within):
            yield _Place(address=f"{listener} {within}".rstrip(), source="internal")
        case DnsAddress(name=name, first_only=first_only):
            yield from _answered(name, endpoint.port, answers.get(name), first_only=first_only)
        case _ as unknown:
            assert_never(unknown)


def _answered(name: DnsName, port: int, answer: Answer | None, *, first_only: bool) -> Iterator[_Place]:
    """As `envoy/endpoints.py` has them."""
    if answer is None:
        return
    for spot in spots(as_text(resolved(answer)), first_only=first_only):
        at = port if spot.port is None else spot.port
        yield _Place(
            address=_with_port(spot.address, at),
            source=answer.source,
            ip=spot.address,
            port=at,
            name=name,
            weight=spot.weight,
            rank=spot.rank,
        )


def _endpoint(endpoint: Endpoint, place: _Place, health: Mapping[str, str] | None, circle: Circle | None) -> Json:
    """Of whom Envoy knows nothing it was told nothing: the probe of a workload here leaves it out, or it would call
    itself there."""
    where = endpoint.locality
    return {
        "address": place.address,
        "source": place.source,
        "name": place.name,
        "health": None if health is None else health.get(place.address, "absent"),
        "weight": endpoint.weight * place.weight,
        "priority": endpoint.priority + place.rank,
        "locality": "/".join(filter(None, [where.region, where.zone, where.subzone])),
        "itself": None if circle is None else circle.listener,
    }


def _of_envoy(discovery: Discovery, upstreams: tuple[Upstream, ...]) -> Iterator[Json]:
    """What Envoy found by itself, for whom traffic asked."""
    for each in sorted(upstreams, key=lambda upstream: (upstream.name, upstream.address)):
        yield {
            "address": each.address,
            "source": discovery,
            "name": each.name or None,
            "health": each.health,
            "weight": 1,
            "priority": 0,
            "locality": "",
            "itself": None,
        }


def _with_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
