"""One VirtualService for each host that RouteRules are about (C-RR-01)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count

from meshd.convert.drafts import Draft, metadata, origin_of
from meshd.convert.names import of_host, provisional
from meshd.convert.routes import (
    HTTPEntry,
    L4Entry,
    Subsets,
    http_entries,
    may_speak_http,
    may_take_bytes,
    tcp_entries,
    tls_entries,
)
from meshd.convert.rules import Ruled
from meshd.convert.scene import Scene
from meshd.names import ServiceHost
from meshd.resources.extras import HTTPRouteExtras, L4RouteExtras, VirtualServiceExtras
from meshd.resources.l4_routes import TCPRoute, TLSRoute
from meshd.resources.legacy import LegacyResource
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.virtual_service import VirtualService


def virtual_service(host: ServiceHost, group: tuple[Ruled, ...], subsets: Subsets, scene: Scene) -> Draft:
    sources = tuple(each.rule for each in group)
    of_http = any(each.of_http for each in group) or may_speak_http(host, scene)
    origin = origin_of(sources)
    http = tuple(http_entries(host, group, subsets, scene, origin)) if of_http else ()
    return assembled(
        name=name_of(host, group[0].rule.destination, group[0].rule.metadata.namespace),
        namespace=namespace_of(host, group[0].rule.destination, group[0].rule.metadata.namespace, scene),
        hosts=(host,),
        gateways=(),
        http=http,
        tls=tuple(tls_entries(host, group, subsets, scene)),
        tcp=tuple(tcp_entries(group, subsets, scene)) if may_take_bytes(host, scene) else (),
        sources=sources,
    )


def name_of(host: ServiceHost, service: IstioService, namespace: str) -> str:
    """C-GEN-06: provisional. `namespace`: of the object that names the service."""
    base = of_host(host) if service.service is not None else f"{service.name}-{service.namespace or namespace}"
    return provisional(base, host)


def namespace_of(host: ServiceHost, service: IstioService, namespace: str, scene: Scene) -> str:
    """C-GEN-07; but where the host is known, the namespace that it is in, so that its policies are found there."""
    return scene.home(host) or (service.namespace if service.service is None else None) or namespace


def assembled(
    *,
    name: str,
    namespace: str,
    hosts: tuple[str, ...],
    gateways: tuple[str, ...],
    http: tuple[HTTPEntry, ...] = (),
    tls: tuple[L4Entry, ...] = (),
    tcp: tuple[L4Entry, ...] = (),
    sources: tuple[LegacyResource, ...],
) -> Draft:
    http = tuple(_distinct(http))
    resource = VirtualService(
        metadata=metadata(name, namespace, sources),
        hosts=hosts,
        gateways=gateways,
        http=tuple(each.route for each in http),
        tls=tuple(each.route for each in tls if isinstance(each.route, TLSRoute)),
        tcp=tuple(each.route for each in tcp if isinstance(each.route, TCPRoute)),
        origin=origin_of(sources),
    )
    extras = VirtualServiceExtras(
        http={each.route.name: each.extras for each in http if each.extras != HTTPRouteExtras()},
        tls=_by_position(tls),
        tcp=_by_position(tcp),
    )
    return Draft(resource=resource, sources=sources, extras=extras)


def _distinct(entries: Iterable[HTTPEntry]) -> Iterator[HTTPEntry]:
    """Rules may be called the same, or as routes are that come of others; extras are kept by these names."""
    entries = tuple(entries)
    taken = {entry.route.name for entry in entries}
    seen: set[str] = set()
    for entry in entries:
        name = entry.route.name
        if name in seen:
            name = next(f"{name}.{number}" for number in count(2) if f"{name}.{number}" not in taken)
            taken.add(name)
        seen.add(name)
        yield replace(entry, route=replace(entry.route, name=name))


def _by_position(entries: Iterable[L4Entry]) -> dict[str, L4RouteExtras]:
    return {str(index): each.extras for index, each in enumerate(entries) if each.extras != L4RouteExtras()}
