"""HTTPMatchRequest -> RouteMatch, and the conditions that are settled here and now (spec 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from meshd.compiler.http.faults import EVERY_REQUEST
from meshd.mesh.client import Client
from meshd.mesh.gateways import GatewayName, gateway_name, gateways_of
from meshd.names import Namespace
from meshd.plan import HeaderMatch, QueryMatch, RouteMatch, TextMatch
from meshd.resources.extras import SourceExtras
from meshd.resources.l4_routes import L4MatchAttributes, TLSMatchAttributes
from meshd.resources.string_match import StringMatch, takes_empty
from meshd.resources.virtual_service import HTTPMatchRequest, VirtualService

_EVERY_PATH: Final = TextMatch(kind="prefix", value="/")
_CATCH_ALL: Final = (_EVERY_PATH, TextMatch(kind="prefix", value=""), TextMatch(kind="regex", value=".*"))
_ANY_VALUE: Final = frozenset({"*", ".*"})  # the lone `*` is no RE2, and allowed in `withoutHeaders` only
# Istio once took these four as names of properties in `headers`; they have fields of their own (V-34).
_NOT_HEADERS: Final = frozenset({"uri", "scheme", "method", "authority"})


Scheme = Literal["http", "https"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where requests and connections come in: through these gateways (or `mesh`), of this client, for this port.

    At a gateway the client is the gateway itself (V-38), and the port the one that its server gives (G-3.2).
    `captured`: where they were going is known, so that services with resolution NONE can be called.
    """

    gateways: frozenset[GatewayName]
    client: Client
    port: int
    scheme: Scheme = "http"
    captured: bool = False


class Conditions:
    """Whether matches of one VirtualService have any meaning at an entrance.

    As in Istio, which finds rules by the gateways of the VirtualService: those of a match choose among them, and
    cannot add to them.
    """

    __slots__ = ("_entrance", "_named", "_namespace")

    def __init__(self, virtual_service: VirtualService, entrance: Entrance) -> None:
        self._entrance = entrance
        self._namespace = Namespace(virtual_service.metadata.namespace)
        self._named = entrance.gateways.intersection(gateways_of(virtual_service))

    def admit_request(self, match: HTTPMatchRequest, source: SourceExtras | None = None) -> bool:
        """Gateways of a match stand in for what the source of a request would say (V-38, V-40), but not its extras."""
        if not self._on_port(match.port):
            return False
        if match.gateways:
            return self._through(match.gateways) and (source is None or self._is(source))
        return bool(self._named) and self._from_source(match, source)

    def admit_connection(
        self, match: TLSMatchAttributes | L4MatchAttributes, source: SourceExtras | None = None
    ) -> bool:
        """Unlike those of requests, all conditions must hold (V-103, V-113)."""
        through = self._through(match.gateways) if match.gateways else bool(self._named)
        return through and self._on_port(match.port) and self._from_source(match, source)

    def admit_everything(self, source: SourceExtras | None = None) -> bool:
        """A rule without match."""
        return bool(self._named) and (source is None or self._is(source))

    def _on_port(self, port: int) -> bool:
        return port in {0, self._entrance.port}

    def _through(self, gateways: tuple[str, ...]) -> bool:
        return any(gateway_name(text, self._namespace) in self._named for text in gateways)

    def _from_source(
        self, match: HTTPMatchRequest | TLSMatchAttributes | L4MatchAttributes, source: SourceExtras | None
    ) -> bool:
        """Extras stand in for the labels and the namespace, by which others who read the object go (C-RR-05)."""
        if source is not None:
            return self._is(source)
        client = self._entrance.client
        return client.selected_by(match.source_labels) and match.source_namespace in {None, client.namespace}

    def _is(self, source: SourceExtras) -> bool:
        return self._entrance.client.is_source(source)


def route_matches(match: HTTPMatchRequest) -> Iterator[RouteMatch]:
    """A request that one of them takes is taken; nearly always there is only one."""
    path = text_match(match.uri) or _EVERY_PATH
    query = tuple(QueryMatch(name=name, text=text_match(value)) for name, value in sorted(match.query_params.items()))
    wanted = tuple(_wanted(match))
    for unwanted in product(*_unwanted(match)):
        headers = sorted((*wanted, *unwanted), key=lambda header: (header.name, header.invert))
        yield RouteMatch(
            path=path,
            ignore_case=match.ignore_uri_case and path.kind != "regex",
            headers=tuple(headers),
            query=query,
        )


def is_catch_all(match: RouteMatch) -> bool:
    return fits_all(match) and match.millionths == EVERY_REQUEST


def fits_all(match: RouteMatch) -> bool:
    """Every request fits, though not all may be taken."""
    return match.path in _CATCH_ALL and not match.headers and not match.query


def text_match(match: StringMatch | None) -> TextMatch | None:
    """None for one that says nothing: what that means, its field decides."""
    if match is None:
        return None
    if match.exact is not None:
        return TextMatch(kind="exact", value=match.exact)
    if match.prefix is not None:
        return TextMatch(kind="prefix", value=match.prefix)
    return None if match.regex is None else TextMatch(kind="regex", value=match.regex)


def _wanted(match: HTTPMatchRequest) -> Iterator[HeaderMatch]:
    for name, value in ((":scheme", match.scheme), (":method", match.method), (":authority", match.authority)):
        text = text_match(value)
        if text:  # without text these match always, and a pseudo-header is always there
            yield HeaderMatch(name=name, text=text)
    for name, value in match.headers.items():
        if name not in _NOT_HEADERS:
            yield HeaderMatch(name=name.lower(), text=text_match(value))


def _unwanted(match: HTTPMatchRequest) -> Iterator[tuple[HeaderMatch, ...]]:
    """For each header the ways in which it may be as wanted: one of them is enough (V-35).

    A negated match takes a missing header for an empty one. Where the text itself takes an empty value that would be
    wrong, so the absence of the header is a way of its own.
    """
    for name, value in match.without_headers.items():
        if name in _NOT_HEADERS:
            continue
        absent = HeaderMatch(name=name.lower(), text=None, invert=True)
        if value.is_empty or value.regex in _ANY_VALUE:
            yield (absent,)
        else:
            other = HeaderMatch(name=name.lower(), text=text_match(value), invert=True)
            yield (absent, other) if takes_empty(value) else (other,)
