"""Where a proxy listens, which chain takes a connection, and what the chain makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from meshd.names import ListenerName, RouteTableName
from meshd.plan.connection_faults import ConnectionFaults
from meshd.plan.routes import WeightedCluster
from meshd.plan.tls import DownstreamTls
from meshd.problems import NOWHERE, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketBind:
    ip: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixBind:
    """`/abs/path` or `@name`."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalBind:
    """No socket: only endpoints of this very proxy lead here, by the name of the listener (`InternalAddress`)."""


Bind = SocketBind | UnixBind | InternalBind


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainMatch:
    """Which connections a chain takes: everything given must hold; nothing given, it takes the rest.

    `destination_port` and `prefix_ranges` (CIDRs) are of the original destination. `server_names` are SNI, with `*.`
    wildcards. `transport` `tls`: the client speaks TLS.
    """

    destination_port: int | None = None
    prefix_ranges: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    transport: Literal["tls", "raw_buffer"] | None = None
    alpn: tuple[str, ...] = ()
    source_prefix_ranges: tuple[str, ...] = ()


Side = Literal["outbound", "gateway", "inbound"]
"""Whom a chain serves: the host's own applications, the world, or other proxies of the mesh."""


Told = Literal["host", "server_name", "address"]
"""What clusters that are led on (`Cluster.led_on`) learn of a request or connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpChain:
    """HTTP, routed by the table of this name.

    `absolute_urls`: it is an explicit HTTP proxy. `keep_timeout_header`: the application may set its own
    timeout by `x-envoy-upstream-rq-timeout-ms` (spec 7.3). `dynamic_dns`: some route leads to such a cluster.
    `exponential_delays`: some route has one. `header_overrides`: some route leaves something to the request.
    `tells`: clusters that are led on learn whom a request is for, and an answer that comes of their failure says by
    which way it was.
    """

    route_table: RouteTableName
    stat_prefix: str
    match: ChainMatch = field(default_factory=ChainMatch)
    tls: DownstreamTls | None = None
    side: Side = "outbound"
    absolute_urls: bool = False
    keep_timeout_header: bool = True
    grpc_web: bool = False
    dynamic_dns: bool = False
    exponential_delays: bool = False
    header_overrides: bool = False
    tells: tuple[Told, ...] = ()
    origin: Origin = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """Bytes are carried in CONNECT (or POST) requests for `authority`, a `host:port` (D-90).

    `by`: who says it instead. The id of the endpoint that led here; or the connection that was led on, which told its
    `host`, for which the port is `port`, or the whole `authority`. `credentials`: a file with what the proxy is shown.
    """

    authority: str = ""
    use_post: bool = False
    by: Literal["plan", "endpoint", "host", "authority"] = "plan"
    port: int = 0
    credentials: str = ""


Filtered = Literal["mongo", "redis"]
"""A protocol that Envoy has a filter for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpChain:
    """Bytes, passed to clusters by weight; without destinations the connection is closed: at once, or when its
    `max_connection_duration` is over, and nobody hears what the client says until then.

    `hash_source_ip`: clusters that hash see who connected (spec D-14). `sni_dns_port`: the only cluster is one of
    `DynamicDns`, and what it looks up is the SNI, at this port. `filtered`: MongoDB's words are counted on their way;
    Redis is spoken by Envoy itself, which takes a single destination (spec 3.5). `tells`: clusters that are led on
    learn whom the connection is for.
    """

    destinations: tuple[WeightedCluster, ...]
    stat_prefix: str
    match: ChainMatch = field(default_factory=ChainMatch)
    tls: DownstreamTls | None = None
    hash_source_ip: bool = False
    idle_timeout: timedelta = timedelta(hours=1)
    max_connection_duration: timedelta | None = None
    tunnel: Tunnel | None = None
    sni_dns_port: int | None = None
    filtered: Filtered | None = None
    tells: Told | None = None
    faults: ConnectionFaults | None = None
    origin: Origin = NOWHERE


FilterChain = HttpChain | TcpChain


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address. Nothing volatile belongs here: any change of a listener drains its connections.

    `bound` False: it only takes connections that another listener hands over, by their original destination.
    `hands_over`: that other listener; what no listener stands for, its chains take. `captures`: connections were
    redirected to it, so it looks up where they were going. `proxy_protocol`: a PROXY header comes first, and says
    where. `ordered`: the chains are tried as they are written, instead of the most specific first (5.11).
    `server_first`: to these original ports clients send nothing until the server spoke, so nobody waits for bytes of
    theirs to choose a chain; they are taken for plain text. `tls_ports`: to these they open TLS, whichever chain that
    meets; whom they ask for is read, so that an access log can name it. `itself`: CIDRs of where its socket is reached;
    what a client has looked up must not lead back there.
    """

    name: ListenerName
    bind: Bind
    chains: tuple[FilterChain, ...]
    side: Side = "outbound"
    bound: bool = True
    captures: bool = False
    hands_over: bool = False
    proxy_protocol: bool = False
    ordered: bool = False
    server_first: tuple[int, ...] = ()
    tls_ports: tuple[int, ...] = ()
    itself: tuple[str, ...] = ()
    origin: Origin = NOWHERE
