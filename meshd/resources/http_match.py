"""HTTPMatchRequest: which requests a route takes (spec 5.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from meshd.fields import Between, EmptyIsAbsent, LabelMap, Message, header_token, namespace_label
from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.gateway_names import MESH, check_gateways
from meshd.resources.string_match import StringMatch, check_text

__all__ = ["IGNORED_HEADERS", "MESH", "Conditions", "HTTPMatchRequest"]

IGNORED_HEADERS: Final = frozenset({"uri", "scheme", "method", "authority"})
"""Keys of `headers` that have no effect (spec V-34)."""
_PSEUDO_HEADERS: Final = frozenset({":method", ":scheme", ":authority", ":path", ":status"})

Conditions = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMatchRequest(Message):
    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = field(default_factory=dict)
    without_headers: Mapping[str, StringMatch] = field(default_factory=dict)
    query_params: Mapping[str, StringMatch] = field(default_factory=dict)
    port: Annotated[int, Between(0, 65535)] = 0
    source_labels: LabelMap = field(default_factory=dict)
    source_namespace: Annotated[str, namespace_label, EmptyIsAbsent()] | None = None
    gateways: tuple[str, ...] = ()
    stat_prefix: str = ""

    def check(self) -> Iterator[Problem]:
        if self.uri is None and not any(self.conditions()):
            yield Problem(
                code="W-VS-EMPTY-MATCH",
                at=self.origin,
                message="an empty match takes every request",
                hint="leave `match` out where that is meant",
            )
        yield from self._check_texts()
        yield from _check_headers(self.headers, self.origin.at("headers"), star=False)
        yield from _check_headers(self.without_headers, self.origin.at("withoutHeaders"), star=True)
        yield from self._check_query()
        yield from self._check_source()
        yield from check_gateways(self.gateways, self.origin.at("gateways"))

    def conditions(self) -> Conditions:
        """All that is asked beside the uri, so that equal conditions are equal values; falsy where nothing is asked."""
        return (
            _asked(self.scheme),
            _asked(self.method),
            _asked(self.authority),
            tuple(sorted((n.lower(), str(m)) for n, m in self.headers.items() if n not in IGNORED_HEADERS)),
            tuple(sorted((n.lower(), str(m)) for n, m in self.without_headers.items() if n not in IGNORED_HEADERS)),
            tuple(sorted((name, str(match)) for name, match in self.query_params.items())),
            self.port,
            tuple(sorted(self.gateways)),
            () if self.gateways else tuple(sorted(self.source_labels.items())),
            None if self.gateways else self.source_namespace,
        )

    @property
    def path_prefix(self) -> str | None:
        """The prefix of the path that is asked for, `/` where no uri is; None for exact and regex."""
        if self.uri is None or self.uri.is_empty:
            return "/"
        return self.uri.prefix

    @property
    def takes_everything(self) -> bool:
        """Whether no request is left to what comes after (spec 5.2)."""
        every_path = self.path_prefix in {"/", ""} or (self.uri is not None and self.uri.regex == ".*")
        return every_path and not any(self.conditions())

    def _check_texts(self) -> Iterator[Problem]:
        """V-31 to V-33."""
        yield from check_text(self.uri, empty_prefix=True)
        for match in (self.scheme, self.method, self.authority):
            yield from check_text(match)
        if self.ignore_uri_case and self.uri and self.uri.regex is not None:
            yield doubtful(self.origin.at("ignoreUriCase"), "has no effect on a regex", "begin the regex with '(?i)'")

    def _check_query(self) -> Iterator[Problem]:
        """V-36."""
        for name, match in self.query_params.items():
            if not name:
                yield invalid(match.origin, "the name of a query parameter must not be empty")
            yield from check_text(match)

    def _check_source(self) -> Iterator[Problem]:
        """V-38: on a match with gateways the source is not looked at."""
        for name, given in (("sourceLabels", self.source_labels), ("sourceNamespace", self.source_namespace)):
            if given and self.gateways:
                yield doubtful(self.origin.at(name), "has no effect on a match that names gateways")


def _asked(match: StringMatch | None) -> str:
    return "" if match is None or match.is_empty else str(match)


def _check_headers(headers: Mapping[str, StringMatch], at: Origin, *, star: bool) -> Iterator[Problem]:
    """V-34 and V-35."""
    for name, match in headers.items():
        place = at.item(name)
        if name.startswith("@request.auth.claims"):
            yield Problem(code="E-VS-JWT", at=place, message="meshd checks no JWT, so it cannot match its claims")
        elif name in IGNORED_HEADERS:
            yield doubtful(place, f"{name!r} has no effect as a header", f"use the field {name!r} of the match")
        elif name not in _PSEUDO_HEADERS and header_token(name):
            yield invalid(place, header_token(name))
        yield from check_text(match, star=star)
