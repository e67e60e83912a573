"""The HTTP that a place offers: its route table, and what becomes of requests to hosts that are not in it."""

from __future__ import annotations

from dataclasses import dataclass

from meshd.compiler.connections.rules import networks
from meshd.compiler.http.virtual_hosts import Entries, block_table, entries, route_table
from meshd.compiler.outbound.offers import Offer
from meshd.compiler.outbound.places import Place
from meshd.compiler.outbound.port_listeners import Requests
from meshd.compiler.outbound.unknown_traffic import UnknownTraffic
from meshd.compiler.view import View
from meshd.mesh.visibility import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTables:
    view: View
    unknown: UnknownTraffic

    def captured(self, number: int, hosts: Entries, offer: Offer) -> Requests:
        """What goes to a port of whatever address."""
        found = hosts.hosts.get(number)
        table = route_table(self.view, str(number), found, self.unknown.captured) if found else None
        blocks = tuple(
            (networks((block.network,))[0], block_table(self.view, block)) for block in hosts.blocks.get(number, ())
        )
        return Requests(table=table, blocks=blocks, has_grpc_web=offer.has_grpc_web)

    def bound(self, place: Place, hosts: Entries, offer: Offer) -> Requests:
        """What applications send to a port of the loopback address, or another."""
        rest = self.unknown.captured if place.captured else self.unknown.bound
        table = route_table(self.view, place.table_name, hosts.hosts.get(place.port, ()), rest)
        return Requests(table=table, has_grpc_web=offer.has_grpc_web)

    def of_all_ports(self, within: Scope, place: Place, name: str, offer: Offer) -> Requests:
        """An HTTP proxy and a Unix socket have one table for the services of all ports."""
        rest = self.unknown.proxied if place.proxy else self.unknown.bound
        hosts = entries(self.view, within, with_port=True)
        table = route_table(self.view, name, hosts.all, rest, ignore_port=False)
        return Requests(
            table=table,
            has_grpc_web=offer.has_grpc_web,
            finds_unknown=place.proxy and self.unknown.forward_proxy is not None,
        )
