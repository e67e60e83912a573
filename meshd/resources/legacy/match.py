"""MatchCondition: which connections and requests a rule is about (inventory MC, MR and L4M)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from meshd.fields import Message, header_token, ip_or_cidr
from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.string_match import StringMatch

REQUEST_PROPERTIES: Final = frozenset({"uri", "scheme", "method", "authority"})
"""Keys of `headers` that are no headers (MR-08 to MR-11)."""

Subnet = Annotated[str, ip_or_cidr]


@dataclass(frozen=True, slots=True, kw_only=True)
class L4MatchAttributes(Message):
    """Any of the source subnets, and any of the destination subnets; none is all."""

    source_subnet: tuple[Subnet, ...] = ()
    destination_subnet: tuple[Subnet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRequest(Message):
    """All of the headers; `uri`, `scheme`, `method` and `authority` are not headers, but what they are called."""

    headers: Mapping[str, StringMatch] = field(default_factory=dict)

    def check(self) -> Iterator[Problem]:
        for name, match in self.headers.items():
            yield from _check_name(name, match.origin)
            yield from _check_text(name, match)


def _check_name(name: str, at: Origin) -> Iterator[Problem]:
    """MR-03."""
    if fault := header_token(name):
        yield invalid(at, fault)
    elif name != name.lower():
        message = f"{name!r} has upper-case letters, and the headers of a request have none here"
        yield Problem(code="E-HDR-CASE", at=at, message=message, hint=f"write {name.lower()!r}")
    elif "_" in name:
        yield doubtful(at, f"{name!r} has an underscore, which many servers drop", f"write {name.replace('_', '-')!r}")


def _check_text(name: str, match: StringMatch) -> Iterator[Problem]:
    """MR-12 and SM-03."""
    if match.text != "":
        return
    kind = next(kind for kind in ("exact", "prefix", "regex") if getattr(match, kind) is not None)
    at = match.origin.at(kind)
    if name == "uri":
        message = f"an empty {kind} of the uri: no uri is empty"
        yield Problem(code="E-URI-EMPTY", at=at, message=message, hint="leave uri out to match every uri")
    elif kind != "exact":
        yield invalid(at, f"an empty {kind} matches everything or nothing", "leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchCondition(Message):
    """All of what is given. Each of `tcp`, `udp` and `request` is about ports of its protocol only (RR-03)."""

    source: IstioService | None = None
    tcp: L4MatchAttributes | None = None
    udp: L4MatchAttributes | None = None
    request: MatchRequest | None = None

    @property
    def asks_requests(self) -> bool:
        """Whether it says something of HTTP requests themselves."""
        return self.request is not None and bool(self.request.headers)

    def check(self) -> Iterator[Problem]:
        """MC-04."""
        if not (self.source or self.tcp or self.udp or self.asks_requests):
            hint = "leave match out to mean all HTTP requests"
            message = "a match needs a source, a request header or tcp conditions"
            yield Problem(code="E-MATCH-EMPTY", at=self.origin, message=message, hint=hint)

    def check_udp(self) -> Iterator[Problem]:
        """MC-07. Asked by the rule, which may have more to say of UDP."""
        if self.udp is not None:
            yield Problem(
                code="E-UDP",
                at=self.origin.at("udp"),
                message="meshd does not route UDP: no capture sees it, and no service declares it",
                hint="remove the condition",
            )
