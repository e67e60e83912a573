"""RouteRule: where the requests and connections to a service go (inventory RR)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from meshd.fields import Needed, header_token
from meshd.problems import Origin, Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.headers import check_value
from meshd.resources.legacy.cors import CorsPolicy
from meshd.resources.legacy.destination_weight import DestinationWeight, check_weights
from meshd.resources.legacy.http_answers import HTTPRedirect, HTTPRewrite
from meshd.resources.legacy.http_fault import HTTPFaultInjection
from meshd.resources.legacy.http_policies import HTTPRetry, HTTPTimeout
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.l4_fault import L4FaultInjection
from meshd.resources.legacy.legacy_resource import LegacyResource, Precedence
from meshd.resources.legacy.match import MatchCondition

_OF_FORWARDING: Final = ("httpReqTimeout", "httpReqRetries", "mirror", "corsPolicy", "appendHeaders")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule(LegacyResource):
    """Of the rules of a destination the one with the highest precedence that matches counts (RR-10)."""

    KIND: ClassVar[str] = "RouteRule"

    destination: Annotated[IstioService, Needed("E-RR-NO-DEST")]
    precedence: Precedence = 0
    match: MatchCondition | None = None
    route: tuple[DestinationWeight, ...] = ()
    redirect: HTTPRedirect | None = None
    rewrite: HTTPRewrite | None = None
    websocket_upgrade: bool = False
    http_req_timeout: HTTPTimeout | None = None
    http_req_retries: HTTPRetry | None = None
    http_fault: HTTPFaultInjection | None = None
    l4_fault: L4FaultInjection | None = None
    mirror: IstioService | None = None
    cors_policy: CorsPolicy | None = None
    append_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_of_http(self) -> bool:
        """Whether it is about HTTP requests: unless it asks of connections alone (RR-03, RR-13)."""
        return self.match is None or self.match.asks_requests or not (self.match.tcp or self.match.udp)

    @property
    def is_of_tcp(self) -> bool:
        return self.match is not None and self.match.tcp is not None

    def check(self) -> Iterator[Problem]:
        if self.destination.labels:  # RR-09
            yield Problem(
                code="E-RR-DEST-LABELS",
                at=self.destination.origin.at("labels"),
                message="the destination of a RouteRule is all versions of a service",
                hint="give the labels to an entry of route",
            )
        yield from check_weights(self.route, self.origin.at("route"))
        yield from self._check_target()
        yield from self._check_rewrite()
        yield from self._check_protocols()
        yield from _check_headers(self.append_headers, self.origin.at("appendHeaders"))

    def _check_target(self) -> Iterator[Problem]:
        """RR-14, RR-15, RR-18, RR-24 and RR-31."""
        if self.redirect is None:
            if not self.route:
                message = "without route and redirect, all versions of the destination are meant"
                yield Problem(code="W-RR-NO-ROUTE", at=self.origin, message=message, hint="say so in route")
            return
        refused = (
            ("route", bool(self.route), "E-RR-ROUTE-REDIRECT"),
            ("rewrite", self.rewrite is not None, "E-REWRITE-REDIRECT"),
            ("httpFault", self.http_fault is not None, "E-RR-FAULT-REDIRECT"),
            ("websocketUpgrade", self.websocket_upgrade, "E-RR-WS-REDIRECT"),
        )
        for name, given, code in refused:
            if given:
                yield Problem(code=code, at=self.origin.at(name), message=f"{name} does not go with redirect")
        for name, given in self._of_http():
            if given and name in _OF_FORWARDING:
                yield doubtful(self.origin.at(name), f"{name} has no effect beside redirect")
        if self.is_of_tcp and self.is_of_http and self.match:
            message = "tcp has no effect beside redirect: a connection cannot be sent elsewhere"
            yield doubtful(self.match.origin.at("tcp"), message, "give connections a rule of their own")

    def _check_rewrite(self) -> Iterator[Problem]:
        """RWR-04."""
        uri = self.match.request.headers.get("uri") if self.match and self.match.request else None
        root = uri is None or uri.prefix == "/"
        rewritten = self.rewrite.uri if self.rewrite else None
        if self.rewrite and rewritten and root and not rewritten.endswith("/"):
            yield Problem(
                code="W-REWRITE-ROOT",
                at=self.rewrite.origin.at("uri"),
                message=f"this replaces only the '/' that was matched: '/foo' becomes '{rewritten}foo'",
                hint=f"write '{rewritten}/', or match by the prefix that is to be replaced",
            )

    def _check_protocols(self) -> Iterator[Problem]:
        """What is of requests needs requests, and what is of connections needs connections (spec section 4)."""
        yield from self.match.check_udp() if self.match else ()
        if self.l4_fault is not None and not self.is_of_tcp:
            is_udp = self.match is not None and self.match.udp is not None
            yield Problem(
                code="E-L4F-UDP" if is_udp else "E-L4F-NO-TCP",
                at=self.origin.at("l4Fault"),
                message="nothing throttles or resets UDP" if is_udp else "l4Fault is about connections: give match.tcp",
            )
        if self.is_of_http:
            return
        for name, given in self._of_http():
            if given:
                message = f"{name} is about HTTP requests, and this rule is not"
                yield Problem(code="E-RR-HTTP-ON-TCP", at=self.origin.at(name), message=message)

    def _of_http(self) -> tuple[tuple[str, bool], ...]:
        return (
            ("redirect", self.redirect is not None),
            ("rewrite", self.rewrite is not None),
            ("websocketUpgrade", self.websocket_upgrade),
            ("httpReqTimeout", self.http_req_timeout is not None),
            ("httpReqRetries", self.http_req_retries is not None),
            ("httpFault", self.http_fault is not None),
            ("mirror", self.mirror is not None),
            ("corsPolicy", self.cors_policy is not None),
            ("appendHeaders", bool(self.append_headers)),
        )


def _check_headers(headers: Mapping[str, str], at: Origin) -> Iterator[Problem]:
    """RR-30."""
    for name, value in headers.items():
        place = at.item(name)
        if name.lower() == "host" or name.startswith(":"):
            yield invalid(place, f"{name!r} cannot be appended", "rewrite.authority sets the Host")
        elif fault := header_token(name):
            yield invalid(place, fault)
        if not value:
            yield Problem(code="E-HDR-VALUE", at=place, message=f"the value of {name!r} is empty")
        yield from check_value(value, place)
