"""What becomes of requests: matches, actions, and the virtual hosts and tables that hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from meshd.names import ClusterName, RouteTableName
from meshd.plan.custom import Custom
from meshd.problems import NOWHERE, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMatch:
    """`regex` is RE2 and must match the whole value."""

    kind: Literal["exact", "prefix", "regex"]
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderMatch:
    """`text` None asks only whether the header is there. `invert` negates; a missing header then matches."""

    name: str
    text: TextMatch | None
    invert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryMatch:
    name: str
    text: TextMatch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """Everything given must hold. Pseudo-headers (`:method`, `:scheme`, `:authority`) are headers here.

    `millionths`: of the requests that fit, by chance, so many are taken.
    """

    path: TextMatch = TextMatch(kind="prefix", value="/")
    ignore_case: bool = False
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    millionths: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderEdits:
    """What is done to the headers of a message; `set` overwrites, `add` appends. Sorted by name."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    attempts: int
    retry_on: tuple[str, ...]
    retriable_status_codes: tuple[int, ...] = ()
    per_try_timeout: timedelta | None = None
    base_interval: timedelta | None = None
    avoid_previous_hosts: bool = True
    remote_localities: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOnHeader:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOnCookie:
    """`ttl` None: the cookie is never generated; zero: a session cookie."""

    name: str
    path: str = ""
    ttl: timedelta | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOnSourceIp:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOnQueryParameter:
    name: str


HashKey = HashOnHeader | HashOnCookie | HashOnSourceIp | HashOnQueryParameter


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedCluster:
    cluster: ClusterName
    weight: int = 100
    request_headers: HeaderEdits = field(default_factory=HeaderEdits)
    response_headers: HeaderEdits = field(default_factory=HeaderEdits)
    authority: str | None = None
    """What this destination makes of Host; the route's own `authority` wins (spec V-54)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRewrite:
    """`prefix` replaces what the match matched (the prefix, or the whole path); `regex` substitutes `\\1` style."""

    prefix: str | None = None
    regex: str | None = None
    substitution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Copies to `cluster` a share of the requests, in millionths."""

    cluster: ClusterName
    millionths: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """`timeout` None never ends a request. With one destination its weight has no meaning.

    `websockets`: whether a request may become one; who asks for it in vain is refused. `custom`: what else is said of
    timeouts and tries; it has the last word.
    """

    destinations: tuple[WeightedCluster, ...]
    timeout: timedelta | None = None
    retries: RetryPolicy | None = None
    path_rewrite: PathRewrite | None = None
    authority: str | None = None
    mirrors: tuple[Mirror, ...] = ()
    hash_keys: tuple[HashKey, ...] = ()
    websockets: bool = True
    custom: tuple[Custom, ...] = ()


RedirectCode = Literal[301, 302, 303, 307, 308]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """What is None stays as the client had it."""

    code: RedirectCode = 301
    authority: str | None = None
    scheme: Literal["http", "https"] | None = None
    port: int | None = None
    path: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """`body`: as it is. `body_format`, instead: text that Envoy fills in, as it does the values of headers."""

    status: int
    body: bytes = b""
    body_format: str = ""
    headers: tuple[tuple[str, str], ...] = ()


Action = Forward | Redirect | Respond


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    fixed: timedelta
    millionths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialDelay:
    """Of every request; drawn anew for each, from an exponential distribution."""

    mean: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Exactly one of the two. `grpc_status` is the number."""

    millionths: int
    http_status: int | None = None
    grpc_status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFault:
    """A fault for who asks for it in a header of this name: so many millionths of them get it."""

    header: str
    millionths: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOverrides:
    """Headers, by their names in lower case, in which a request has a say of its own.

    `timeout` and `delay` hold milliseconds, `retries` a number, `abort` an HTTP status. What is absent, or is no such
    number, leaves it at what the route says.
    """

    timeout: str | None = None
    retries: str | None = None
    delay: HeaderFault | None = None
    abort: HeaderFault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """`max_age` None and `allow_credentials` None leave the header out."""

    allow_origins: tuple[TextMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: timedelta | None = None
    allow_credentials: bool | None = None
    forward_not_matching_preflights: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One match and what becomes of what it matches. Routes are tried in order."""

    name: str
    match: RouteMatch
    action: Action
    delay: Delay | ExponentialDelay | None = None
    abort: Abort | None = None
    overrides: HeaderOverrides | None = None
    cors: Cors | None = None
    request_headers: HeaderEdits = field(default_factory=HeaderEdits)
    response_headers: HeaderEdits = field(default_factory=HeaderEdits)
    stat_prefix: str = ""
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """`domains` are unique in their table; `*` takes what no other domain takes.

    `requires_tls`: a request in plain text is redirected to https, whatever the routes say (G-4.1).
    """

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    requires_tls: bool = False
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """The routes of one listener's port. `ignore_port`: a Host of `a:8080` is looked up as `a`."""

    name: RouteTableName
    virtual_hosts: tuple[VirtualHost, ...]
    ignore_port: bool = True
