"""VirtualService: what becomes of the requests to a host (spec section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from meshd.fields import (
    Between,
    Count,
    Duration,
    DurationOrZero,
    HttpStatus,
    Int32,
    LabelMap,
    Later,
    Message,
    Percent,
    Port,
    export_target,
    header_token,
    namespace_label,
    whole_seconds,
    wildcard_host,
)
from meshd.resources.destination import Destination
from meshd.resources.resource import Resource
from meshd.resources.string_match import StringMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage(Message):
    value: Percent = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPercentage(Message):
    value: Annotated[float, Between(0, 100)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOperations(Message):
    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers(Message):
    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


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
    source_namespace: Annotated[str, namespace_label] | None = None
    gateways: tuple[str, ...] = ()
    stat_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRouteDestination(Message):
    destination: Destination
    weight: Int32 = 0
    headers: Headers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRedirect(Message):
    """`redirect_code` is checked in `check`, since other 3xx codes deserve a better hint than a list."""

    ONEOFS: ClassVar = (("uri", "prefix_rewrite"), ("port", "derive_port"))

    uri: str | None = None
    authority: str | None = None
    port: Port | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: Literal["http", "https"] | None = None
    redirect_code: int = 301
    prefix_rewrite: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Body(Message):
    ONEOFS: ClassVar = (("string", "bytes"),)

    string: str | None = None
    bytes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPDirectResponse(Message):
    status: HttpStatus
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexRewrite(Message):
    match: Annotated[str, Count(1, 1024)]
    rewrite: Annotated[str, Count(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRewrite(Message):
    ONEOFS: ClassVar = (("uri", "uri_regex_rewrite"),)

    uri: str | None = None
    authority: str | None = None
    uri_regex_rewrite: RegexRewrite | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRetry(Message):
    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str | None = None
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelay(Message):
    ONEOFS: ClassVar = (("fixed_delay", "exponential_delay"),)

    percentage: Percentage | None = None
    percent: Annotated[int, Between(0, 100)] | None = None
    fixed_delay: Duration | None = None
    exponential_delay: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAbort(Message):
    ONEOFS: ClassVar = (("http_status", "grpc_status", "http2_error"),)

    percentage: Percentage | None = None
    percent: Annotated[int, Between(0, 100)] | None = None
    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    http2_error: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPFaultInjection(Message):
    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPMirrorPolicy(Message):
    destination: Destination
    percentage: MirrorPercentage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Message):
    allow_origins: tuple[StringMatch, ...] = ()
    allow_origin: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[Annotated[str, header_token], ...] = ()
    expose_headers: tuple[Annotated[str, header_token], ...] = ()
    max_age: Annotated[Duration, whole_seconds] | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRoute(Message):
    EXACTLY_ONE: ClassVar = (("route", "redirect", "direct_response", "delegate"),)

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Later = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService(Resource):
    KIND: ClassVar[str] = "VirtualService"

    hosts: Annotated[tuple[Annotated[str, wildcard_host], ...], Count(1)]
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: Later = None
    tcp: Later = None
    export_to: tuple[Annotated[str, export_target], ...] = ()
