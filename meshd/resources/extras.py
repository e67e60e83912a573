"""Extras: what an object means beyond the words of its API, in the annotation `meshd.io/extras` (C-GEN-02).

The conversion of older kinds writes them, as JSON; anybody may. JSON comes in; frozen messages go out, or what is
wrong, at the place of the annotation; and back to JSON again, so that both ways lead to the same configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from meshd.decode import decode_message
from meshd.decode.report import Report
from meshd.decode.writing import written
from meshd.documents.json_text import json_node
from meshd.fields import (
    Between,
    Duration,
    HostText,
    LabelMap,
    Matching,
    Message,
    Percent,
    Port,
    header_token,
    ip_or_cidr,
    service_host,
)
from meshd.problems import Origin, Problem, Problems, nearest
from meshd.resources.finding import invalid
from meshd.resources.legacy.custom import (
    IN_CIRCUIT_BREAKER,
    IN_LOAD_BALANCING,
    IN_POLICY,
    IN_RETRY,
    IN_TIMEOUT,
    Custom,
    check_custom,
)
from meshd.resources.legacy.l4_fault import L4FaultInjection
from meshd.resources.legacy.string_match import StringMatch
from meshd.resources.resource import Metadata
from meshd.resources.retry import check_retry_on

EXTRAS: Final = "meshd.io/extras"

HeaderName = Annotated[str, header_token]
Position = Annotated[str, Matching(re.compile("0|[1-9][0-9]{0,5}"), "the position of a route, such as 0")]
NoneAtAll = Annotated[int, Between(0, 0)]
"""A zero that is meant, where the API of today takes it for its default (`L-ZERO`)."""


# --- routes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceExtras(Message):
    """Who calls: a host that implements the service, by an instance that has all of the labels (C-RR-05).

    It says exactly what labels and namespaces can only come near to, and so stands in for those of a match or selector.
    """

    host: Annotated[HostText, service_host]
    labels: LabelMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutExtras(Message):
    """`header`: where a request says its own timeout, in milliseconds (TMO-09, TMO-04)."""

    header: HeaderName | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        yield from check_custom(self.custom, self.origin.at("custom"), IN_TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryExtras(Message):
    """`header`: where a request says how often it may be tried again (RTY-09, RTY-04).

    `retry_on` and `per_try_timeout` go with it where the route itself allows no retries, and so cannot say them (V-81).
    """

    header: HeaderName | None = None
    retry_on: str | None = None
    per_try_timeout: Duration | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        yield from check_custom(self.custom, self.origin.at("custom"), IN_RETRY)
        yield from check_retry_on(self.retry_on, self.origin.at("retryOn"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultExtras(Message):
    """Where a request asks for a delay in milliseconds, or for an HTTP status; absent `percent` is all (ABT-06)."""

    header: HeaderName
    percent: Percent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteExtras(Message):
    """`also`: second conditions on what the match asks of already, keyed as the headers of a RouteRule (`L-AND`)."""

    source: SourceExtras | None = None
    also: Mapping[str, StringMatch] = field(default_factory=dict)
    websocket_upgrade: bool | None = None
    timeout: TimeoutExtras | None = None
    retries: RetryExtras | None = None
    delay: FaultExtras | None = None
    abort: FaultExtras | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class L4RouteExtras(Message):
    """`source_subnets`: any of them, for a TLS route, which cannot say so itself (`L-TLS-SOURCE`)."""

    source: SourceExtras | None = None
    source_subnets: tuple[Annotated[str, ip_or_cidr], ...] = ()
    l4_fault: L4FaultInjection | None = None


_NO_L4: Final = L4RouteExtras()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualServiceExtras(Message):
    """Of HTTP routes by their names; of TLS and TCP routes, which have none, by their positions from 0."""

    http: Mapping[str, HTTPRouteExtras] = field(default_factory=dict)
    tls: Mapping[Position, L4RouteExtras] = field(default_factory=dict)
    tcp: Mapping[Position, L4RouteExtras] = field(default_factory=dict)

    def of_tls(self, position: int) -> L4RouteExtras:
        return self.tls.get(str(position), _NO_L4)

    def of_tcp(self, position: int) -> L4RouteExtras:
        return self.tcp.get(str(position), _NO_L4)


# --- policies, services and gateways --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyExtras(Message):
    """Messages of Envoy's own for a cluster: its balancer, its breaker, and any other field (C-DP-08)."""

    max_retries: NoneAtAll | None = None
    max_ejection_percent: NoneAtAll | None = None
    load_balancing: Custom | None = None
    circuit_breaker: Custom | None = None
    cluster: Custom | None = None

    def check(self) -> Iterator[Problem]:
        yield from check_custom(self.load_balancing, self.origin.at("loadBalancing"), IN_LOAD_BALANCING)
        yield from check_custom(self.circuit_breaker, self.origin.at("circuitBreaker"), IN_CIRCUIT_BREAKER)
        yield from check_custom(self.cluster, self.origin.at("cluster"), IN_POLICY)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRuleExtras(Message):
    """`traffic_policy` counts on every port, and for subsets without extras of their own. `source`: C-DP-06."""

    source: SourceExtras | None = None
    traffic_policy: PolicyExtras | None = None
    subsets: Mapping[str, PolicyExtras] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntryExtras(Message):
    """`resolution_without_capture`: at gateways, and on hosts that know no original destination (C-EG-02)."""

    resolution_without_capture: Literal["DYNAMIC_DNS"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayExtras(Message):
    """Ports whose connections begin with a PROXY protocol header (`L-EGRESS-TCP`)."""

    proxy_protocol_ports: tuple[Port, ...] = ()


E = TypeVar("E", VirtualServiceExtras, DestinationRuleExtras, ServiceEntryExtras, GatewayExtras)


# --- the annotation -------------------------------------------------------------------------------------------


def read_extras(kind: type[E], metadata: Metadata) -> E:
    """Empty ones, when there is no annotation or nothing can be read in it."""
    text = metadata.annotations.get(EXTRAS)
    return kind() if text is None else cast("E", _read(cast("Any", kind), text)[0])


def check_extras(kind: type[E], metadata: Metadata) -> Iterator[Problem]:
    text = metadata.annotations.get(EXTRAS)
    if text is None:
        return
    at = extras_place(metadata)
    for problem in _read(cast("Any", kind), text)[1]:
        path = f"{at.path}.{problem.at.path}" if problem.at.path else at.path
        place = Origin(at.file, at.line, at.column, path, at.resource)
        yield Problem(code=problem.code, at=place, message=problem.message, hint=problem.hint)


def check_names(metadata: Metadata, what: str, named: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    """Extras of what there is not would be lost in silence."""
    names = tuple(known)
    for name in named:
        if name not in names:
            message = f"extras for {what} {name!r}, which is not there"
            yield invalid(extras_place(metadata), message, nearest(name, names))


def extras_place(metadata: Metadata) -> Origin:
    return metadata.origin.at("annotations").item(EXTRAS)


def extras_text(extras: Message) -> str:
    """What to write into the annotation: the same extras are the same text."""
    return json.dumps(written(extras), sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=16384)
def _read(kind: Any, text: str) -> tuple[Message, Problems]:  # noqa: ANN401  (to mypy, a `type[E]` has no hash)
    report = Report("")
    try:
        node = json_node(text)
    except ValueError as error:
        return kind(), (invalid(Origin("", 0, 0), f"this is not JSON: {error}"),)
    extras = decode_message(kind, node, "", report)
    return extras or kind(), tuple(report.problems)
