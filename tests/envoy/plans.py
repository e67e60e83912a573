"""Builders of plans, and one plan that uses every field there is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from meshd.names import (
    LOCAL_CLUSTER,
    ClusterName,
    DnsName,
    HostName,
    ListenerName,
    Locality,
    RouteTableName,
    SecretName,
    ServiceHost,
)
from meshd.plan import (
    Abort,
    BitsPerSecond,
    CertificateSecret,
    ChainMatch,
    CircuitBreakers,
    Cluster,
    ClusterEndpoints,
    ConnectionFaults,
    Cors,
    Custom,
    Delay,
    DnsAddress,
    DownstreamTls,
    DynamicDns,
    Endpoint,
    ExponentialDelay,
    Forward,
    HashOnCookie,
    HashOnHeader,
    HashOnQueryParameter,
    HashOnSourceIp,
    HeaderEdits,
    HeaderFault,
    HeaderMatch,
    HeaderOverrides,
    Http2Keepalive,
    HttpChain,
    IpAddress,
    Listener,
    LocalityWeight,
    Maglev,
    Mirror,
    OriginalDestination,
    OutlierDetection,
    PathRewrite,
    ProxyPlan,
    QueryMatch,
    Redirect,
    Respond,
    RetryBudget,
    RetryPolicy,
    RingHash,
    Route,
    RouteMatch,
    RouteTable,
    SimpleBalancer,
    SocketBind,
    TcpChain,
    TcpKeepalive,
    Termination,
    TextMatch,
    Throttle,
    Tunnel,
    UnixAddress,
    UnixBind,
    UpstreamHttp,
    UpstreamTls,
    ValidationSecret,
    VirtualHost,
    Warmup,
    WeightedCluster,
    ZoneAware,
)
from meshd.problems import Origin

SECOND = timedelta(seconds=1)


def text(kind: str, value: str) -> TextMatch:
    return TextMatch(kind=kind, value=value)  # type: ignore[arg-type]


def a_cluster(name: str = "reviews", **fields: object) -> Cluster:
    return Cluster(name=ClusterName(name), service=ServiceHost("reviews.shop"), port=80, **fields)  # type: ignore[arg-type]


def to(cluster: str, **fields: object) -> WeightedCluster:
    return WeightedCluster(cluster=ClusterName(cluster), **fields)  # type: ignore[arg-type]


def a_forward(*clusters: str, **fields: object) -> Forward:
    return Forward(destinations=tuple(to(cluster) for cluster in clusters or ("reviews",)), **fields)  # type: ignore[arg-type]


def a_route(action: object = None, *, match: RouteMatch | None = None, line: int = 1, **fields: object) -> Route:
    return Route(
        name=f"route-{line}",
        match=match or RouteMatch(),
        action=action or a_forward(),  # type: ignore[arg-type]
        origin=Origin("mesh/shop.yaml", line, 1),
        **fields,  # type: ignore[arg-type]
    )


def on(path: str, **fields: object) -> RouteMatch:
    return RouteMatch(path=text("prefix", path), **fields)  # type: ignore[arg-type]


def a_virtual_host(name: str = "reviews", *routes: Route) -> VirtualHost:
    return VirtualHost(name=name, domains=(name,), routes=routes or (a_route(),), origin=Origin("mesh/shop.yaml", 1, 1))


def a_table(*virtual_hosts: VirtualHost, name: str = "http_proxy") -> RouteTable:
    return RouteTable(name=RouteTableName(name), virtual_hosts=virtual_hosts)


def a_listener(name: str = "proxy", *chains: HttpChain | TcpChain, port: int = 15080) -> Listener:
    chain = HttpChain(route_table=RouteTableName("http_proxy"), stat_prefix="proxy", absolute_urls=True)
    return Listener(name=ListenerName(name), bind=SocketBind(ip="127.0.0.1", port=port), chains=chains or (chain,))


def endpoints_of(cluster: str, *endpoints: Endpoint) -> ClusterEndpoints:
    return ClusterEndpoints(cluster=ClusterName(cluster), endpoints=endpoints)


def at(ip: str, port: int = 80, **fields: object) -> Endpoint:
    return Endpoint(address=IpAddress(ip=ip), port=port, **fields)  # type: ignore[arg-type]


def named(name: str, port: int = 80, *, first_only: bool = False, **fields: object) -> Endpoint:
    return Endpoint(address=DnsAddress(name=DnsName(name), first_only=first_only), port=port, **fields)  # type: ignore[arg-type]


def a_plan(**fields: object) -> ProxyPlan:
    return ProxyPlan(proxy="sidecar", host=HostName("web-1"), **fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Certificates:
    """A throw-away CA that is its own and only certificate, valid for `localhost`."""

    certificate: str
    key: str


OWN, ROOT = SecretName("own"), SecretName("root")


def both_secrets(certificates: Certificates) -> tuple[CertificateSecret, ValidationSecret]:
    """`OWN` and `ROOT`."""
    own = CertificateSecret(name=OWN, certificate_chain=certificates.certificate, private_key=certificates.key)
    return own, ValidationSecret(name=ROOT, ca_certificates=(certificates.certificate,))


def every_cluster() -> tuple[Cluster, ...]:
    warmup = Warmup(duration=60 * SECOND, minimum_percent=20.0, aggression=2.0)
    all_outliers = OutlierDetection(
        consecutive_5xx=3,
        consecutive_gateway_failure=2,
        consecutive_local_origin_failure=4,
        split_external_local_origin_errors=True,
        interval=timedelta(milliseconds=500),
        base_ejection_time=400 * SECOND,
        max_ejection_percent=100,
        error_codes=(429, 500, 503),
    )
    return (
        a_cluster("a-plain"),
        a_cluster("b-ring", load_balancer=RingHash(minimum_size=8_388_608), http=UpstreamHttp()),
        a_cluster("c-maglev", load_balancer=Maglev(table_size=65_537), locality_weighted=True),
        a_cluster("d-least", load_balancer=SimpleBalancer(warmup=warmup)),
        a_cluster("e-robin", load_balancer=SimpleBalancer(policy="ROUND_ROBIN", warmup=warmup)),
        a_cluster("f-random", load_balancer=SimpleBalancer(policy="RANDOM", warmup=warmup)),
        a_cluster(
            "g-all",
            connect_timeout=timedelta(milliseconds=1500),
            locality_weighted=True,
            healthy_panic_percent=30,
            circuit_breakers=CircuitBreakers(max_connections=1, max_pending_requests=2, max_requests=3, max_retries=4),
            outlier_detection=all_outliers,
            tcp_keepalive=TcpKeepalive(probes=3, time=30 * SECOND, interval=5 * SECOND),
            http=UpstreamHttp(
                protocol="http2",
                idle_timeout=5 * SECOND,
                max_connection_duration=600 * SECOND,
                max_requests_per_connection=100,
                max_concurrent_streams=50,
                keepalive=Http2Keepalive(interval=30 * SECOND, timeout=5 * SECOND),
            ),
            tls=UpstreamTls(
                sni="localhost",
                validation=ROOT,
                subject_alt_names=("localhost", "spiffe://mesh/reviews"),
                certificate=OWN,
            ),
        ),
        a_cluster(
            "h-auto",
            http=UpstreamHttp(protocol="downstream"),
            tls=UpstreamTls(sni=None, validation=ROOT, san_from_host=True),
            outlier_detection=OutlierDetection(consecutive_5xx=None),
        ),
        a_cluster("i-unverified", tls=UpstreamTls(sni=None, validation=None), http=UpstreamHttp()),
        a_cluster("j-unix"),
        a_cluster("k-empty"),
        a_cluster("l-tcp", tls=UpstreamTls(sni=None, validation=ROOT), tcp_keepalive=TcpKeepalive()),
        *clusters_of_the_mesh(),
        *clusters_without_endpoints(),
    )


IN_MESH = UpstreamTls(
    sni="outbound_.80_._.reviews.shop",
    validation=ROOT,
    certificate=OWN,
    subject_alt_names=("spiffe://cluster.local/ns/default/sa/reviews",),
    alpn=("istio", "h2"),
)
BY_HOST = UpstreamTls(sni=None, validation=ROOT, san_from_host=True)


def clusters_of_the_mesh() -> tuple[Cluster, ...]:
    """TLS by endpoint, PROXY headers around whatever there is, budgets and zones."""
    return (
        a_cluster("m-mesh", http=UpstreamHttp(protocol="http2"), mesh_tls=IN_MESH),
        a_cluster("n-mesh-tcp", mesh_tls=IN_MESH, proxy_protocol="V1"),
        a_cluster("o-proxy", proxy_protocol="V1", http=UpstreamHttp()),
        a_cluster("p-proxy-tls", proxy_protocol="V2", tls=BY_HOST, http=UpstreamHttp()),
        a_cluster("q-budget", retry_budget=RetryBudget(percent=12.5, min_retry_concurrency=7, interval=2 * SECOND)),
        a_cluster("r-zones", zone_aware=ZoneAware(min_cluster_size=2)),
        a_cluster("s-zones-off", zone_aware=ZoneAware(enabled=False), load_balancer=RingHash()),
        a_cluster("sa-custom", http=UpstreamHttp(), load_balancer=RingHash(), custom=EVERY_CUSTOM_POLICY),
    )


def clusters_without_endpoints() -> tuple[Cluster, ...]:
    """Where the traffic itself says where it goes."""
    there, anywhere = OriginalDestination(), DynamicDns()
    return (
        a_cluster("t-there", discovery=there),
        a_cluster("t-there-http", discovery=OriginalDestination(port=8080), http=UpstreamHttp(), tls=BY_HOST),
        a_cluster("t-there-mesh", discovery=there, tls=IN_MESH, proxy_protocol="V2"),
        a_cluster("u-any-http", discovery=anywhere, http=UpstreamHttp(), outlier_detection=OutlierDetection()),
        a_cluster("u-any-tls", discovery=anywhere, http=UpstreamHttp(protocol="http2"), tls=BY_HOST),
        a_cluster("u-any-own-sni", discovery=anywhere, http=UpstreamHttp(), tls=replace(BY_HOST, sni="a.shop")),
        a_cluster(
            "u-any-insecure",
            discovery=anywhere,
            http=UpstreamHttp(protocol="downstream"),
            tls=UpstreamTls(sni=None, validation=None),
        ),
        a_cluster("u-any-named", discovery=anywhere, http=UpstreamHttp(), tls=replace(IN_MESH, sni=None)),
        a_cluster("u-any-sni", discovery=anywhere, retry_budget=RetryBudget()),
        a_cluster("u-any-sni-tls", discovery=anywhere, tls=replace(BY_HOST, sni="")),
    )


def every_endpoint() -> tuple[ClusterEndpoints, ...]:
    west = Locality(region="eu", zone="west", subzone="r1")
    return (
        endpoints_of("a-plain", at("10.0.0.1"), at("fd00::1", weight=3)),
        endpoints_of("b-ring", named("db.shop")),
        endpoints_of("c-maglev", at("10.0.0.1", locality=west), at("10.0.0.2")),
        endpoints_of("d-least", named("db.shop", first_only=True)),
        endpoints_of("e-robin", at("10.0.0.3", priority=2)),
        endpoints_of("f-random", at("10.0.0.3", priority=1), named("gone.shop")),
        endpoints_of("g-all", at("10.0.0.1", weight=5, locality=west), at("10.0.0.2", priority=1)),
        endpoints_of("h-auto"),
        endpoints_of("i-unverified", at("10.0.0.9")),
        endpoints_of(
            "j-unix",
            Endpoint(address=UnixAddress(path="/run/app.sock"), port=0),
            Endpoint(address=UnixAddress(path="@app"), port=0),
        ),
        endpoints_of("k-empty"),
        endpoints_of("l-tcp", at("10.0.0.9")),
        endpoints_of(LOCAL_CLUSTER, at("10.0.0.1", locality=west), at("10.0.0.2")),
        endpoints_of("m-mesh", at("10.0.0.1", speaks_mesh_tls=True), at("10.0.0.2")),
        endpoints_of("n-mesh-tcp", at("10.0.0.1", weight=4_294_967_295), at("10.0.0.2", weight=4_294_967_295)),
        ClusterEndpoints(
            cluster=ClusterName("o-proxy"),
            endpoints=(at("10.0.0.1", locality=west, workload="default/app"), at("10.0.0.2")),
            locality_weights=(LocalityWeight(priority=0, locality=west, weight=70),),
        ),
        *(endpoints_of(name) for name in ("p-proxy-tls", "q-budget", "r-zones", "s-zones-off", "sa-custom")),
    )


EDITS = HeaderEdits(set=(("x-set", "1"),), add=(("x-add", "%DOWNSTREAM_REMOTE_ADDRESS%"),), remove=("x-gone",))


EVERY_CUSTOM_POLICY = (
    Custom(type_name="envoy.extensions.load_balancing_policies.maglev.v3.Maglev", json='{"tableSize": "101"}'),
    Custom(type_name="envoy.config.cluster.v3.OutlierDetection", json='{"consecutive5xx": 3}'),
    Custom(type_name="envoy.config.cluster.v3.Cluster", json='{"connectTimeout": "0.5s"}'),
)
EVERY_CUSTOM_ACTION = (
    Custom(type_name="envoy.config.route.v3.RouteAction", json='{"idleTimeout": "5s"}'),
    Custom(type_name="envoy.config.route.v3.RetryPolicy", json='{"retryOn": "5xx", "numRetries": 2}'),
)


def every_route() -> tuple[Route, ...]:
    matched = RouteMatch(
        path=text("exact", "/exact"),
        ignore_case=True,
        headers=(
            HeaderMatch(name=":method", text=text("exact", "GET")),
            HeaderMatch(name="x-beta", text=None),
            HeaderMatch(name="x-not", text=None, invert=True),
            HeaderMatch(name="x-user", text=text("prefix", "bob"), invert=True),
            HeaderMatch(name="x-build", text=text("regex", "[a-z0-9]{1,200}")),
        ),
        query=(QueryMatch(name="debug", text=None), QueryMatch(name="v", text=text("regex", "[0-9]+"))),
    )
    busy = Forward(
        destinations=(
            to("a-plain", weight=75, request_headers=EDITS, response_headers=EDITS, authority="a.shop"),
            to("g-all", weight=25),
        ),
        timeout=3 * SECOND,
        retries=RetryPolicy(
            attempts=3,
            retry_on=("5xx", "retriable-status-codes"),
            retriable_status_codes=(429,),
            per_try_timeout=SECOND,
            base_interval=timedelta(milliseconds=50),
            remote_localities=True,
        ),
        path_rewrite=PathRewrite(regex="^/v([0-9]+)/(.*)$", substitution="/\\2"),
        mirrors=(Mirror(cluster=ClusterName("b-ring")), Mirror(cluster=ClusterName("c-maglev"), millionths=1)),
        hash_keys=(
            HashOnHeader(name="x-user"),
            HashOnCookie(name="session", path="/", ttl=timedelta(), attributes=(("SameSite", "Strict"),)),
            HashOnCookie(name="given"),
            HashOnSourceIp(),
            HashOnQueryParameter(name="user"),
        ),
    )
    cors = Cors(
        allow_origins=(text("exact", "https://a.shop"), text("regex", "https://.*")),
        allow_methods=("GET", "POST"),
        allow_headers=("x-a",),
        expose_headers=("x-b",),
        max_age=60 * SECOND,
        allow_credentials=True,
        forward_not_matching_preflights=False,
    )
    half = 500_000
    return (
        a_route(busy, match=matched, line=1, request_headers=EDITS, response_headers=EDITS, stat_prefix="busy"),
        a_route(
            a_forward("a-plain", path_rewrite=PathRewrite(prefix="/"), authority="b.shop"), match=on("/v1/"), line=2
        ),
        a_route(a_forward("a-plain"), match=RouteMatch(path=text("regex", "/r[0-9]{1,99}"), ignore_case=True), line=3),
        a_route(a_forward("a-plain"), match=on("/cors"), cors=cors, line=4),
        a_route(
            a_forward("a-plain"),
            match=on("/late"),
            delay=Delay(fixed=SECOND, millionths=half),
            abort=Abort(http_status=503, millionths=half),
            line=5,
        ),
        a_route(
            a_forward("a-plain"),
            match=on("/grpc"),
            delay=Delay(fixed=SECOND, millionths=half),
            abort=Abort(grpc_status=14, millionths=half),
            line=6,
        ),
        a_route(
            Redirect(code=308, authority="b.shop", scheme="https", port=8443, path="/new"), match=on("/old"), line=7
        ),
        a_route(Redirect(prefix="/p2"), match=on("/p1"), line=8),
        a_route(
            Respond(status=418, body=b"teapot\n", headers=(("content-type", "text/plain"),)), match=on("/tea"), line=9
        ),
        a_route(Respond(status=200, body=b"\xff\xfe"), match=on("/binary"), line=10),
        a_route(
            a_forward("a-plain", custom=EVERY_CUSTOM_ACTION),
            match=on("/asked"),
            delay=Delay(fixed=SECOND, millionths=half),
            abort=Abort(http_status=503, millionths=half),
            overrides=HeaderOverrides(
                timeout="x-timeout",
                retries="x-retries",
                delay=HeaderFault(header="x-delay", millionths=half),
                abort=HeaderFault(header="x-abort"),
            ),
            line=11,
        ),
        a_route(
            a_forward("a-plain"),
            match=on("/asked-rarely"),
            delay=ExponentialDelay(mean=SECOND),
            abort=Abort(grpc_status=14, millionths=half),
            overrides=HeaderOverrides(delay=HeaderFault(header="x-delay"), abort=HeaderFault(header="x-abort")),
            line=12,
        ),
        a_route(Respond(status=502), line=13),
    )


def every_listener() -> tuple[Listener, ...]:
    table = RouteTableName("http_proxy")
    http = HttpChain(
        route_table=table,
        stat_prefix="http",
        grpc_web=True,
        keep_timeout_header=False,
        exponential_delays=True,
        header_overrides=True,
    )
    tls = TcpChain(
        destinations=(to("a-plain"),),
        stat_prefix="tls",
        match=ChainMatch(server_names=("a.shop", "*.b.shop")),
        max_connection_duration=60 * SECOND,
    )
    tcp = TcpChain(
        destinations=(to("a-plain", weight=1), to("g-all", weight=2)), stat_prefix="tcp", hash_source_ip=True
    )
    return (
        a_listener(),
        a_listener("shared", http, tls, tcp, port=15081),
        a_listener("sni", http, tls, port=15082),
        a_listener("tcp", tcp, port=15083),
        *every_faulty_listener(tcp),
        Listener(name=ListenerName("unix"), bind=UnixBind(path="@meshd-test"), chains=(http,)),
        *every_gateway_listener(),
        *every_captured_listener(),
    )


def every_faulty_listener(chain: TcpChain) -> tuple[Listener, ...]:
    throttle = Throttle(millionths=500_000, to_client=BitsPerSecond(819_200), to_service=BitsPerSecond(1))
    late, at_once = Termination(millionths=50_000, after=30 * SECOND), Termination()
    both = replace(chain, faults=ConnectionFaults(name="both", throttle=throttle, termination=late))
    cut = replace(chain, faults=ConnectionFaults(name="cut", termination=at_once))
    carried = replace(both, tunnel=Tunnel(authority="db:5432"), destinations=chain.destinations[:1])
    tunnelled = replace(carried, faults=replace(carried.faults, name="tunnelled"))
    return (
        a_listener("faulty-1", both, port=15020),
        a_listener("faulty-2", cut, port=15021),
        a_listener("faulty-3", tunnelled, port=15022),
    )


EVERY_SERVER_TLS = DownstreamTls(
    certificates=(OWN,),
    alpn=("h2", "http/1.1"),
    validation=ROOT,
    requires_client_certificate=True,
    subject_alt_names=("a.shop", "spiffe://cluster.local/ns/shop/sa/a"),
    spki=("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",),
    hashes=("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",),
    min_version="TLSv1_0",
    max_version="TLSv1_2",
    cipher_suites=("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
    ecdh_curves=("X25519", "P-256"),
)


def every_gateway_listener() -> tuple[Listener, ...]:
    https = HttpChain(
        route_table=RouteTableName("http_proxy"),
        stat_prefix="https",
        side="gateway",
        match=ChainMatch(server_names=("a.shop", "*.b.shop")),
        tls=EVERY_SERVER_TLS,
    )
    anybody = DownstreamTls(certificates=(OWN,), accepts_untrusted=True, min_version=None)
    unjudged = replace(https, match=ChainMatch(server_names=("c.shop",)), tls=anybody)
    optional = replace(EVERY_SERVER_TLS, requires_client_certificate=False, accepts_untrusted=True)
    bytes_inside = TcpChain(
        destinations=(to("a-plain"),), stat_prefix="db", match=ChainMatch(server_names=("db.shop",)), tls=optional
    )
    closed = TcpChain(destinations=(), stat_prefix="closed", match=ChainMatch(prefix_ranges=("10.0.0.0/8", "fd00::1")))
    tunnelled = TcpChain(destinations=(to("a-plain"),), stat_prefix="tunnel", tunnel=Tunnel(authority="db:5432"))
    return (
        Listener(
            name=ListenerName("v6"),
            bind=SocketBind(ip="::", port=15443),
            chains=(https, unjudged, bytes_inside),
            side="gateway",
        ),
        replace(a_listener("proxied", closed, tunnelled, port=15084), side="gateway", proxy_protocol=True),
    )


def every_captured_listener() -> tuple[Listener, ...]:
    dynamic = HttpChain(route_table=RouteTableName("http_proxy"), stat_prefix="any", dynamic_dns=True, side="inbound")
    every_condition = ChainMatch(
        destination_port=443,
        prefix_ranges=("10.0.0.0/8", "fd00::/8"),
        server_names=("a.shop", "*.b.shop"),
        transport="tls",
        alpn=("istio", "h2"),
        source_prefix_ranges=("192.0.2.0/24",),
    )
    first = TcpChain(destinations=(to("a-plain"),), stat_prefix="first", match=every_condition)
    lookup = TcpChain(destinations=(to("dynamic"),), stat_prefix="sni", sni_dns_port=443)
    plain = replace(first, match=ChainMatch(transport="raw_buffer"))
    mongo, redis = (replace(first, match=ChainMatch(), filtered=kind) for kind in ("mongo", "redis"))
    return (
        a_listener("mongo", mongo, port=15008),
        a_listener("redis", redis, port=15009),
        replace(a_listener("virtual", dynamic, first, port=15006), captures=True, hands_over=True, side="inbound"),
        replace(a_listener("silent", first, plain, port=15010), captures=True, server_first=(25, 3306)),
        replace(a_listener("one-silent", first, plain, port=15011), captures=True, server_first=(25,)),
        replace(a_listener("unbound", first, plain, lookup, port=15007), bound=False, ordered=True),
    )


def every_field(certificates: Certificates) -> ProxyPlan:
    """Every field of the plan, at least once; with names in order, as the contract of ProxyPlan has it."""
    other = replace(a_virtual_host("*", *every_route()[-1:]), domains=("*",))
    return a_plan(
        clusters=every_cluster(),
        endpoints=every_endpoint(),
        listeners=every_listener(),
        route_tables=(a_table(a_virtual_host("a.shop", *every_route()), other),),
        secrets=both_secrets(certificates),
        dns_names=(DnsName("db.shop"), DnsName("gone.shop")),
    )


ANSWERS = {DnsName("db.shop"): ("10.1.0.2", "10.1.0.1", "fd00::5")}
