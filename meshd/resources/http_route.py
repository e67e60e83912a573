"""HTTPRoute: what becomes of the requests that it takes (spec 5.2 and 5.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Self

from meshd.fields import (
    Between,
    Count,
    DurationOrZero,
    EmptyIsAbsent,
    Int32,
    Later,
    Message,
    Old,
    namespace_label,
    object_name,
)
from meshd.problems import Problem
from meshd.resources.answers import HTTPDirectResponse, HTTPRedirect, HTTPRewrite
from meshd.resources.cors import CorsPolicy
from meshd.resources.destination import Destination, check_weights
from meshd.resources.fault import HTTPFaultInjection
from meshd.resources.finding import doubtful, invalid, legacy
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.old_headers import EditsHeaders
from meshd.resources.retry import HTTPRetry


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPercentage(Message):
    value: Annotated[float, Between(0, 100)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMirrorPolicy(Message):
    destination: Destination
    percentage: MirrorPercentage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteDestination(EditsHeaders):
    destination: Destination
    weight: Int32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate(Message):
    """Another VirtualService, whose routes stand in for this one; `namespace` empty is that of the root."""

    name: Annotated[str, object_name, Count(1)]
    namespace: Annotated[str, namespace_label, EmptyIsAbsent()] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRoute(EditsHeaders):
    """`append_headers`, `mirror_percent` and `websocket_upgrade` are of 2018."""

    EXACTLY_ONE: ClassVar = (("route", "redirect", "direct_response", "delegate"),)

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
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
    mirror_percent: Annotated[int, Between(0, 100), Old("mirrorPercentage")] | None = None
    cors_policy: CorsPolicy | None = None
    session_persistence: Later = None
    websocket_upgrade: Annotated[bool, Old("nothing: WebSockets are always allowed")] | None = None
    append_headers: Annotated[Mapping[str, str], Old("headers.request.add")] = field(default_factory=dict)

    def check(self) -> Iterator[Problem]:
        yield from EditsHeaders.check(self)
        yield from self._check_added("appendHeaders", self.append_headers, to="request")
        yield from check_weights(tuple(to.weight for to in self.route), self.origin.at("route"))
        yield from self._check_answer()
        yield from self._check_rewrite()
        yield from self._check_authority()
        yield from self._check_mirrors()
        if self.websocket_upgrade is not None:
            yield legacy(self.origin.at("websocketUpgrade"), "WebSockets are always allowed", "leave it out")

    def settled(self) -> Self:
        route = EditsHeaders.settled(self)
        if route.append_headers:
            route = replace(route, append_headers={})
        if self.mirror_percent is None:
            return route
        share = self.mirror_percentage or MirrorPercentage(value=self.mirror_percent, origin=self.origin)
        return replace(route, mirror_percentage=share, mirror_percent=None)

    def _added_to_request(self) -> Mapping[str, str]:
        return {**self.append_headers, **self.append_request_headers}

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
            ("mirror", self.mirror),
            ("mirrors", self.mirrors),
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
        headers = self.settled().headers
        places = headers.authorities() if headers else ()
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
