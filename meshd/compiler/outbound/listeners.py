"""A Sidecar's egress listeners, the HTTP proxy port and the capture -> listeners and their route tables (9.1, 7.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from meshd.compiler.connections.groups import ConnectionGroups
from meshd.compiler.destinations import NO_CAPTURE
from meshd.compiler.http.requests import RequestTables
from meshd.compiler.http.virtual_hosts import entries
from meshd.compiler.outbound.captured import Everywhere, captured_port, own_ports
from meshd.compiler.outbound.offers import Offer, offers, united
from meshd.compiler.outbound.places import LOOPBACK, Place, bound_at, bound_by, captured_at, http_proxy_at
from meshd.compiler.outbound.port_listeners import Bound, Connections, Requests, listener
from meshd.compiler.outbound.unknown_traffic import UnknownTraffic
from meshd.compiler.view import View
from meshd.mesh.visibility import Scope
from meshd.problems import Origin, Problem
from meshd.resources.protocol import Family, family, port_protocol
from meshd.resources.sidecar import HTTP_PROXY, IstioEgressListener, SidecarPort

_PROXY_TABLE = "http_proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """`everything`: what all entries import together. `captures`: this host's connections are redirected."""

    view: View
    everything: Scope
    unknown: UnknownTraffic
    captures: bool

    def listeners(self, egress: tuple[IstioEgressListener, ...], http_proxy_port: int) -> Iterator[Bound]:
        """The ports that entries name are theirs; then comes the HTTP proxy; an entry without port has what is left.

        Where nothing is said of egress, all ports are captured (SC-16).
        """
        for each in self._asked_for(egress, http_proxy_port):
            yield self._without_what_is_captured(each)

    def _asked_for(self, egress: tuple[IstioEgressListener, ...], http_proxy_port: int) -> Iterator[Bound]:
        named = [(entry, entry.port) for entry in egress if entry.port]
        taken = frozenset(port.number for _, port in named)
        for entry, port in named:
            yield from self._named(entry, port)
        settings = self.view.host.settings
        if http_proxy_port and http_proxy_port not in taken:
            place = self.view.memo.recall(http_proxy_at, LOOPBACK, http_proxy_port, settings.origin)
            yield (
                Bound(problems=(_is_taken(place),))
                if self._is_own(place)
                else self._http_proxy(self.everything, place, _PROXY_TABLE)
            )
        for entry in egress:
            if entry.port is None:
                yield from self._unnamed(entry, taken, http_proxy_port)
        if self.captures and not egress:
            yield from self._all_captured(self.everything, taken, settings.origin)

    # --- entries that name a port ---

    def _named(self, entry: IstioEgressListener, port: SidecarPort) -> Iterator[Bound]:
        within = self.view.scope(entry)
        place = self._place(entry, port)
        if self._is_own(place):
            yield Bound(problems=(_is_taken(place),))
            return
        if place.proxy:
            yield self._http_proxy(within, place, place.table_name)
            return
        speaks = family(port_protocol(port.protocol, port.name or ""))
        found = offers(self.view, within, captured=place.captured)
        offer = found.get(place.port, Offer()) if place.port else united(found.values())
        yield Bound(problems=(*self._uncaptured(entry), *_of_other_families(offer, speaks, place)))
        yield from self._of_family(within, place, offer.only(speaks), speaks, anywhere=entry.bind is None)

    def _of_family(
        self, within: Scope, place: Place, offer: Offer, speaks: Family, *, anywhere: bool
    ) -> Iterator[Bound]:
        requests = self._requests(within, place, offer) if speaks == "http" else Requests()
        groups = ConnectionGroups(self.view, within, captured=place.captured, families=(speaks,))
        if place.captured and anywhere:
            everywhere = Everywhere(view=self.view, groups=groups, unknown=self.unknown, origin=place.origin)
            yield from captured_port(everywhere, place.port, requests, offer)
            return
        connections = Connections(
            groups=groups,
            tls=tuple(offer.tls),
            tcp=tuple(offer.tcp),
            unregistered=tuple(groups.unregistered.get(place.port, ())),
        )
        rest = self.unknown.chain if place.captured else None
        found = listener(self.view, place, requests, connections, rest)
        yield found if found.listener else replace(found, problems=(*found.problems, _empty(place)))

    def _requests(self, within: Scope, place: Place, offer: Offer) -> Requests:
        if place.port == 0:
            return self._tables.of_all_ports(within, place, place.table_name, offer)
        return self._tables.bound(place, entries(self.view, within, captured=place.captured), offer)

    def _place(self, entry: IstioEgressListener, port: SidecarPort) -> Place:
        memo = self.view.memo
        if self._is_captured(entry):
            return memo.recall(captured_at, entry.bind or LOOPBACK, port.number, entry.origin)
        return memo.recall(bound_by, entry, port)

    def _http_proxy(self, within: Scope, place: Place, table: str) -> Bound:
        offer = united(offers(self.view, within, captured=False).values())
        requests = self._tables.of_all_ports(within, place, table, offer)
        return listener(self.view, place, requests, None, None)

    # --- all ports ---

    def _unnamed(self, entry: IstioEgressListener, taken: frozenset[int], http_proxy_port: int) -> Iterator[Bound]:
        within = self.view.scope(entry)
        if self._is_captured(entry):
            yield from self._all_captured(within, taken, entry.origin)
        else:
            yield Bound(problems=tuple(self._uncaptured(entry)))
            yield from self._all_bound(within, taken | {http_proxy_port}, entry.origin)

    def _all_bound(self, within: Scope, taken: frozenset[int], origin: Origin) -> Iterator[Bound]:
        """SC-11: each service port that nobody else has is bound, on the loopback address."""
        view = self.view
        found, hosts = offers(view, within, captured=False), entries(view, within)
        groups = ConnectionGroups(view, within, captured=False)
        for number in sorted(found.keys() - taken):
            offer = found[number]
            place = view.memo.recall(bound_at, LOOPBACK, number, origin)
            requests = self._tables.bound(place, hosts, offer) if offer.http else Requests()
            connections = Connections(
                groups=groups,
                tls=tuple(offer.tls),
                tcp=tuple(offer.tcp),
                unregistered=tuple(groups.unregistered.get(number, ())),
            )
            yield listener(view, place, requests, connections, None)

    def _all_captured(self, within: Scope, taken: frozenset[int], origin: Origin) -> Iterator[Bound]:
        view = self.view
        found, hosts = offers(view, within, captured=True), entries(view, within, captured=True)
        groups = ConnectionGroups(view, within, captured=True)
        everywhere = Everywhere(view=view, groups=groups, unknown=self.unknown, origin=origin)
        numbers = found.keys() | hosts.hosts.keys() | hosts.blocks.keys() | groups.unregistered.keys()
        for number in sorted(numbers - taken):
            offer = found.get(number, Offer())
            yield from captured_port(everywhere, number, self._tables.captured(number, hosts, offer), offer)

    # --- capture ---

    @property
    def _tables(self) -> RequestTables:
        return RequestTables(view=self.view, unknown=self.unknown)

    def _is_captured(self, entry: IstioEgressListener) -> bool:
        """SC-12. A Unix socket and an HTTP proxy are addressed by their clients, whatever is captured."""
        addressed = entry.is_unix or (entry.port is not None and entry.port.protocol.upper() == HTTP_PROXY)
        return self.captures and entry.capture_mode != "NONE" and not addressed

    def _without_what_is_captured(self, found: Bound) -> Bound:
        """That a bound listener cannot lead to a service is no error where captured connections do get there."""
        if not (self.captures and found.listener and found.listener.bound):
            return found
        return replace(found, problems=tuple(each for each in found.problems if each.code != NO_CAPTURE))

    def _is_own(self, place: Place) -> bool:
        """Redirected connections come in there, whoever else would like to have the port."""
        return self.captures and place.port in own_ports(self.view.host)

    def _uncaptured(self, entry: IstioEgressListener) -> Iterator[Problem]:
        if entry.capture_mode == "IPTABLES" and not self.captures:
            message = "nothing captures connections on this host, so the port is bound"
            yield Problem(code="W-SC-CAPTURE", at=entry.origin.at("captureMode"), message=message)


def _is_taken(place: Place) -> Problem:
    message = f"port {place.port} is where captured connections come in, so {place.name} is not bound"
    hint = "choose another port, or another proxyListenPort or proxyInboundPort for the mesh"
    return Problem(code="W-SC-PORT-TAKEN", at=place.origin, message=message, hint=hint)


def _empty(place: Place) -> Problem:
    message = f"no service to offer on {place.name}, so it is not bound"
    return Problem(code="W-SC-EMPTY", at=place.origin, message=message, hint="look at its hosts")


def _of_other_families(offer: Offer, speaks: Family, place: Place) -> Iterator[Problem]:
    if place.port == 0:  # a Unix socket offers whatever speaks its protocol
        return
    for each in (*offer.http, *offer.tls, *offer.tcp):
        if each.port.family != speaks:
            message = f"port {each.port.number} of {each.host} is {each.port.protocol}, so it is left out here"
            yield Problem(code="W-SC-PORT-PROTOCOL", at=place.origin.at("port"), message=message)
