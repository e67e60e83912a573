"""VirtualService: what becomes of the requests to a host (spec section 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Between, Count, DurationOrZero, Int32, Later, Message, export_target, host_or_ip
from meshd.problems import Problem
from meshd.resources.answers import Body, HTTPDirectResponse, HTTPRedirect, HTTPRewrite, RegexRewrite
from meshd.resources.cors import CorsPolicy
from meshd.resources.destination import Destination
from meshd.resources.fault import FaultAbort, FaultDelay, HTTPFaultInjection, Percentage
from meshd.resources.finding import doubtful, invalid, legacy
from meshd.resources.headers import HeaderOperations, Headers
from meshd.resources.host_name import check_exports, wildcards_over
from meshd.resources.http_match import HTTPMatchRequest, check_gateways
from meshd.resources.l4_routes import TCPRoute, TLSRoute
from meshd.resources.resource import Resource
from meshd.resources.retry import HTTPRetry
from meshd.resources.unreachable import unreachable

__all__ = [
    "Body",
    "CorsPolicy",
    "Delegate",
    "FaultAbort",
    "FaultDelay",
    "HTTPDirectResponse",
    "HTTPFaultInjection",
    "HTTPMatchRequest",
    "HTTPMirrorPolicy",
    "HTTPRedirect",
    "HTTPRetry",
    "HTTPRewrite",
    "HTTPRoute",
    "HTTPRouteDestination",
    "HeaderOperations",
    "Headers",
    "MirrorPercentage",
    "Percentage",
    "RegexRewrite",
    "VirtualService",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPercentage(Message):
    value: Annotated[float, Between(0, 100)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMirrorPolicy(Message):
    destination: Destination
    percentage: MirrorPercentage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteDestination(Message):
    destination: Destination
    weight: Int32 = 0
    headers: Headers | None = None
    append_request_headers: Later = None
    remove_request_headers: Later = None
    append_response_headers: Later = None
    remove_response_headers: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate(Message):
    """Another VirtualService, whose routes stand in for this one; `namespace` empty is that of the root."""

    name: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRoute(Message):
    EXACTLY_ONE: ClassVar = (("route", "redirect", "direct_response", "delegate"),)

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: Annotated[tuple[HTTPRouteDestination, ...], Count(1)] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: DurationOrZero | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percentage: MirrorPercentage | None = None
    mirror_percent: Annotated[int, Between(0, 100)] | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None
    websocket_upgrade: bool | None = None
    append_headers: Later = None
    append_request_headers: Later = None
    remove_request_headers: Later = None
    append_response_headers: Later = None
    remove_response_headers: Later = None

    def check(self) -> Iterator[Problem]:
        yield from self._check_weights()
        yield from self._check_answer()
        yield from self._check_rewrite()
        yield from self._check_authority()
        yield from self._check_mirrors()
        if self.websocket_upgrade is not None:
            yield legacy(self.origin.at("websocketUpgrade"), "WebSockets are always allowed", "leave it out")

    def _check_weights(self) -> Iterator[Problem]:
        """V-53."""
        if len(self.route) > 1 and not any(to.weight for to in self.route):
            yield invalid(self.origin.at("route"), "the weights of several destinations must not all be 0")

    def _check_answer(self) -> Iterator[Problem]:
        """V-13, V-14 and V-16: what is answered here is neither rewritten nor faulted, and goes nowhere."""
        answer = "redirect" if self.redirect else "directResponse" if self.direct_response else None
        if answer is None:
            return
        for name, given in (("rewrite", self.rewrite), ("fault", self.fault)):
            if given:
                yield invalid(self.origin.at(name), f"{name} does not go with {answer}")
        in_vain = (
            ("timeout", self.timeout),
            ("retries", self.retries),
            ("mirror", self.mirror or self.mirrors),
            ("corsPolicy", self.cors_policy),  # Envoy adds no CORS headers to its own answers (measured)
        )
        for name, has_no_effect in in_vain:
            if has_no_effect:
                yield doubtful(self.origin.at(name), f"{name} has no effect beside {answer}")

    def _check_rewrite(self) -> Iterator[Problem]:
        """V-55 and V-66."""
        if self.redirect and self.redirect.prefix_rewrite:
            for match in self.match:
                if match.path_prefix is None:
                    yield invalid(match.origin.at("uri"), "a redirect with prefixRewrite needs uri matches by prefix")
        rewritten = self.rewrite.uri if self.rewrite else None
        prefixes = [match.path_prefix for match in self.match] or ["/"]
        if self.rewrite and rewritten and not rewritten.endswith("/") and "/" in prefixes:
            yield Problem(
                code="W-REWRITE-ROOT",
                at=self.rewrite.origin.at("uri"),
                message=f"this replaces only the '/' that was matched: '/foo' becomes '{rewritten}foo'",
                hint=f"write '{rewritten}/', or match by the prefix that is to be replaced",
            )

    def _check_authority(self) -> Iterator[Problem]:
        """V-25: Host is rewritten in one way at most."""
        places = self.headers.authorities() if self.headers else ()
        rewritten = self.rewrite is not None and bool(self.rewrite.authority)
        for name, at in places if rewritten else places[1:]:
            other = "rewrite.authority sets it" if rewritten else f"{places[0][0]!r} sets it"
            yield invalid(at, f"{name!r} cannot set the request's Host: {other} already")

    def _check_mirrors(self) -> Iterator[Problem]:
        """V-20 to V-23."""
        if self.mirror and self.mirrors:
            yield invalid(self.origin.at("mirrors"), "mirrors does not go with mirror", "name all of them in mirrors")
        if self.mirror_percent is not None:
            yield legacy(
                self.origin.at("mirrorPercent"), "mirrorPercent is deprecated", "write mirrorPercentage: {value: ...}"
            )
        for name, given in (("mirrorPercentage", self.mirror_percentage), ("mirrorPercent", self.mirror_percent)):
            if given is not None and not self.mirror:
                yield doubtful(self.origin.at(name), "has no effect without mirror", "each of mirrors has its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(Resource):
    KIND: ClassVar[str] = "VirtualService"

    hosts: tuple[Annotated[str, host_or_ip], ...] = ()
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[Annotated[str, export_target], ...] = ()

    def check(self) -> Iterator[Problem]:
        if not self.http:  # V-7
            yield Problem(code="E-REQUIRED", at=self.origin, message="a VirtualService needs at least one http route")
        yield from self._check_hosts()
        yield from check_gateways(self.gateways, self.origin.at("gateways"))
        yield from check_exports(self.origin, self.export_to, self.metadata.namespace)
        yield from unreachable([(route.origin, route.match) for route in self.http])

    def _check_hosts(self) -> Iterator[Problem]:
        """V-1."""
        at = self.origin.at("hosts")
        hosts = Counter(host.lower().removesuffix(".") for host in self.hosts)
        for host, count in hosts.items():
            if host == "*":
                yield invalid(at, "'*' is for VirtualServices of gateways only", "name the hosts")
            elif count > 1:
                yield invalid(at, f"{host!r} is given twice")
            for wildcard in wildcards_over(host):
                if wildcard in hosts and host != "*":
                    yield invalid(at, f"{host!r} lies inside {wildcard!r}", "give each host once")
