"""What one proxy must do, with every default settled. The compiler writes it; `envoy/` and `explain/` read it.

It speaks of clusters, listeners and routes, but has no Envoy syntax; it names DNS names, never looked-up
addresses, so the same revision gives the same plan on any machine. No logic here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from meshd.names import ClusterName, DnsName, HostName, ListenerName, Locality, ProxyName, RouteTableName, ServiceHost
from meshd.problems import NOWHERE, Origin

# --- endpoints ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAddress:
    """An IPv4 or IPv6 address, in canonical text without brackets."""

    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixAddress:
    """A Unix socket: `/abs/path`, or `@name` for an abstract one."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsAddress:
    """A name to look up; `first_only` takes one address of each fresh answer (DNS_ROUND_ROBIN)."""

    name: DnsName
    first_only: bool = False


Address = IpAddress | UnixAddress | DnsAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place where a service answers. `port` is 0 for a Unix socket. `priority` 0 is tried first."""

    address: Address
    port: int
    weight: int = 1
    locality: Locality = field(default_factory=Locality)
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEndpoints:
    """Where the endpoints of one cluster are; apart from the cluster, since they change far more often."""

    cluster: ClusterName
    endpoints: tuple[Endpoint, ...]
    origin: Origin = NOWHERE


# --- clusters -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleBalancer:
    """`warmup` is the window in which a new endpoint grows to its full share."""

    policy: Literal["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"] = "LEAST_REQUEST"
    warmup: Warmup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmup:
    duration: timedelta
    minimum_percent: float = 10.0
    aggression: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RingHash:
    minimum_size: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Maglev:
    table_size: int


LoadBalancer = SimpleBalancer | RingHash | Maglev

UNLIMITED = 4294967295


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakers:
    """The four thresholds; all are always written, because Envoy's own defaults are low."""

    max_connections: int = UNLIMITED
    max_pending_requests: int = UNLIMITED
    max_requests: int = UNLIMITED
    max_retries: int = UNLIMITED


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    """`None` for a count: that kind of failure never ejects. `error_codes` replaces 5xx as what an error is."""

    consecutive_5xx: int | None = 5
    consecutive_gateway_failure: int | None = None
    consecutive_local_origin_failure: int | None = None
    interval: timedelta = timedelta(seconds=10)
    base_ejection_time: timedelta = timedelta(seconds=30)
    max_ejection_percent: int = 10
    split_external_local_origin_errors: bool = False
    error_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpKeepalive:
    probes: int | None = None
    time: timedelta | None = None
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Keepalive:
    interval: timedelta
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHttp:
    """How HTTP is spoken to the endpoints. `downstream`: whatever the client spoke."""

    protocol: Literal["http1", "http2", "downstream"] = "http1"
    idle_timeout: timedelta = timedelta(hours=1)
    max_connection_duration: timedelta | None = None
    max_requests_per_connection: int | None = None
    max_concurrent_streams: int | None = None
    keepalive: Http2Keepalive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """Paths on the proxy's host."""

    certificate_chain: str
    private_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """TLS that the proxy opens itself.

    `sni` None takes it from each request's Host; empty, none is sent. `ca_certificates` None verifies nothing. Exact
    `subject_alt_names` and `san_from_host` never stand together (spec D-80).
    """

    sni: str | None
    ca_certificates: str | None
    subject_alt_names: tuple[str, ...] = ()
    san_from_host: bool = False
    crl: str | None = None
    client_certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One service port, or one subset of it. `http` is None where the port is not HTTP."""

    name: ClusterName
    service: ServiceHost
    port: int
    subset: str = ""
    connect_timeout: timedelta = timedelta(seconds=10)
    load_balancer: LoadBalancer = field(default_factory=SimpleBalancer)
    locality_weighted: bool = False
    healthy_panic_percent: int = 0
    circuit_breakers: CircuitBreakers = field(default_factory=CircuitBreakers)
    outlier_detection: OutlierDetection | None = None
    tcp_keepalive: TcpKeepalive | None = None
    http: UpstreamHttp | None = None
    tls: UpstreamTls | None = None
    origin: Origin = NOWHERE


# --- routes ---------------------------------------------------------------------------------------------------


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
    """Everything given must hold. Pseudo-headers (`:method`, `:scheme`, `:authority`) are headers here."""

    path: TextMatch = TextMatch(kind="prefix", value="/")
    ignore_case: bool = False
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()


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
    """`timeout` None never ends a request. With one destination its weight has no meaning."""

    destinations: tuple[WeightedCluster, ...]
    timeout: timedelta | None = None
    retries: RetryPolicy | None = None
    path_rewrite: PathRewrite | None = None
    authority: str | None = None
    mirrors: tuple[Mirror, ...] = ()
    hash_keys: tuple[HashKey, ...] = ()


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
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Action = Forward | Redirect | Respond


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    fixed: timedelta
    millionths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Exactly one of the two. `grpc_status` is the number."""

    millionths: int
    http_status: int | None = None
    grpc_status: int | None = None


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
    delay: Delay | None = None
    abort: Abort | None = None
    cors: Cors | None = None
    request_headers: HeaderEdits = field(default_factory=HeaderEdits)
    response_headers: HeaderEdits = field(default_factory=HeaderEdits)
    stat_prefix: str = ""
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """`domains` are unique in their table; `*` takes what no other domain takes."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """The routes of one listener's port. `ignore_port`: a Host of `a:8080` is looked up as `a`."""

    name: RouteTableName
    virtual_hosts: tuple[VirtualHost, ...]
    ignore_port: bool = True


# --- listeners ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketBind:
    ip: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixBind:
    """`/abs/path` or `@name`."""

    path: str


Bind = SocketBind | UnixBind


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpChain:
    """HTTP, routed by the table of this name.

    `absolute_urls`: it is an explicit HTTP proxy. `keep_timeout_header`: the application may set its own
    timeout by `x-envoy-upstream-rq-timeout-ms` (spec 7.3).
    """

    route_table: RouteTableName
    stat_prefix: str
    absolute_urls: bool = False
    keep_timeout_header: bool = True
    grpc_web: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpChain:
    """Bytes, passed to clusters by weight. `server_names` (SNI) chooses the chain; empty takes the rest.

    `hash_source_ip`: clusters that hash see who connected (spec D-14).
    """

    destinations: tuple[WeightedCluster, ...]
    stat_prefix: str
    server_names: tuple[str, ...] = ()
    hash_source_ip: bool = False
    idle_timeout: timedelta = timedelta(hours=1)
    max_connection_duration: timedelta | None = None
    origin: Origin = NOWHERE


FilterChain = HttpChain | TcpChain


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One bound address. Nothing volatile belongs here: any change of a listener drains its connections."""

    name: ListenerName
    bind: Bind
    chains: tuple[FilterChain, ...]
    origin: Origin = NOWHERE


# --- the whole ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPlan:
    """Everything that one proxy of one host does. Each tuple is sorted by name."""

    proxy: ProxyName
    host: HostName
    clusters: tuple[Cluster, ...] = ()
    endpoints: tuple[ClusterEndpoints, ...] = ()
    listeners: tuple[Listener, ...] = ()
    route_tables: tuple[RouteTable, ...] = ()
    dns_names: tuple[DnsName, ...] = ()
