"""CorsPolicy: which other origins a browser may call from (spec 5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, Self

from meshd.fields import Duration, Message, Old, header_token, whole_seconds
from meshd.problems import Problem
from meshd.resources.finding import invalid, legacy
from meshd.resources.string_match import StringMatch, check_text

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"})


def cors_method(value: object) -> str:
    """V-92."""
    return "" if value in _METHODS else f"{value!r} is neither an HTTP method in upper case nor '*'"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Message):
    allow_origins: tuple[StringMatch, ...] = ()
    allow_origin: Annotated[tuple[str, ...], Old("allowOrigins")] = ()
    allow_methods: tuple[Annotated[str, cors_method], ...] = ()
    allow_headers: tuple[Annotated[str, header_token], ...] = ()
    expose_headers: tuple[Annotated[str, header_token], ...] = ()
    max_age: Annotated[Duration, whole_seconds] | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"

    def check(self) -> Iterator[Problem]:
        """V-90 and V-91."""
        for match in self.allow_origins:
            if match.is_empty or match.exact == "":
                yield invalid(match.origin, "an origin needs a non-empty exact, prefix or regex")
            yield from check_text(match)
        if self.allow_origin:
            yield legacy(self.origin.at("allowOrigin"), "allowOrigin is deprecated", "write allowOrigins")

    def settled(self) -> Self:
        """`allowOrigin` counts where `allowOrigins` is absent."""
        if not self.allow_origin:
            return self
        at = self.origin.at("allowOrigin")
        exact = tuple(
            StringMatch(exact=origin, origin=at.item(index)) for index, origin in enumerate(self.allow_origin)
        )
        return replace(self, allow_origins=self.allow_origins or exact, allow_origin=())
