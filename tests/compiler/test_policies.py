"""Clusters and their endpoints: which policy a DestinationRule gives them, and what it means."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd import plan
from meshd.compiler.host import host_of
from meshd.compiler.upstream.policy import effective_policy
from meshd.compiler.upstream.upstream import Upstream, upstream
from meshd.memo import Memo
from meshd.names import ProxyName
from meshd.plan import (
    UNLIMITED,
    CircuitBreakers,
    Cluster,
    DnsAddress,
    DynamicDns,
    IpAddress,
    Maglev,
    OriginalDestination,
    OutlierDetection,
    RingHash,
    SimpleBalancer,
    TcpKeepalive,
    UnixAddress,
    UpstreamHttp,
    Warmup,
)
from meshd.resources import traffic_policy as tp
from meshd.resources.destination import PortSelector
from meshd.resources.destination_rule import (
    PortTrafficPolicy,
    ProxyProtocol,
    RetryBudget,
    Subset,
    TrafficPolicy,
    TunnelSettings,
)
from meshd.resources.resource import Resource
from tests.builders import (
    a_destination_rule,
    a_mesh,
    a_mesh_config,
    a_port,
    a_service_entry,
    a_subset,
    a_workload_entry,
    an_endpoint,
)
from tests.compiler.plans import HOST, a_plan, cluster, endpoints

REVIEWS = "outbound|80||reviews.shop"
V1 = "outbound|80|v1|reviews.shop"


def a_policy(**parts: object) -> TrafficPolicy:
    return TrafficPolicy(**parts)


def a_pool(tcp: dict[str, object] | None = None, **http: object) -> tp.ConnectionPoolSettings:
    return tp.ConnectionPoolSettings(tcp=tp.TCPSettings(**tcp or {}), http=tp.HTTPSettings(**http))


def with_policy(**parts: object):
    return cluster(a_plan(a_service_entry(), a_destination_rule(traffic_policy=a_policy(**parts))), REVIEWS)


@pytest.mark.spec("D-10", "D-30", "D-36", "D-39", "D-56")
def test_without_a_rule_every_default_is_settled():
    made = a_plan(a_service_entry())

    assert cluster(made, REVIEWS).circuit_breakers == CircuitBreakers(max_connections=UNLIMITED)
    assert cluster(made, REVIEWS).load_balancer == SimpleBalancer(policy="LEAST_REQUEST")
    assert cluster(made, REVIEWS).http == UpstreamHttp(protocol="http1", idle_timeout=timedelta(hours=1))
    assert cluster(made, REVIEWS).outlier_detection is None
    assert cluster(made, REVIEWS).healthy_panic_percent == 0


@pytest.mark.spec("D-93")
def test_a_port_has_its_own_policy_instead_of_the_rules():
    block = PortTrafficPolicy(port=PortSelector(number=80), load_balancer=tp.LoadBalancerSettings(simple="RANDOM"))
    policy = a_policy(connection_pool=a_pool({"max_connections": 9}), port_level_settings=(block,))

    found = cluster(a_plan(a_service_entry(), a_destination_rule(traffic_policy=policy)), REVIEWS)

    assert found.load_balancer == SimpleBalancer(policy="RANDOM")
    assert found.circuit_breakers.max_connections == UNLIMITED


@pytest.mark.spec("D-5")
def test_a_subset_replaces_only_what_it_sets():
    subset = a_subset("v1", a_policy(load_balancer=tp.LoadBalancerSettings(simple="RANDOM")))
    policy = a_policy(connection_pool=a_pool({"max_connections": 9}))

    found = cluster(a_plan(a_service_entry(), a_destination_rule("reviews", subset, traffic_policy=policy)), V1)

    assert found.load_balancer == SimpleBalancer(policy="RANDOM")
    assert found.circuit_breakers.max_connections == 9


@pytest.mark.spec("D-5", "D-93")
def test_a_subsets_block_for_the_port_replaces_all_four_parts():
    block = PortTrafficPolicy(port=PortSelector(number=80), load_balancer=tp.LoadBalancerSettings(simple="RANDOM"))
    subset = a_subset("v1", a_policy(port_level_settings=(block,)))
    policy = a_policy(connection_pool=a_pool({"max_connections": 9}), tls=tp.ClientTLSSettings(mode="SIMPLE"))

    found = cluster(a_plan(a_service_entry(), a_destination_rule("reviews", subset, traffic_policy=policy)), V1)

    assert found.circuit_breakers.max_connections == UNLIMITED
    assert found.tls is None


@pytest.mark.spec("D-10", "D-14", "D-16", "D-17", "D-18", "D-25", "D-26")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"simple": "LEAST_CONN"}, SimpleBalancer(policy="LEAST_REQUEST")),
        ({"simple": "UNSPECIFIED"}, SimpleBalancer(policy="LEAST_REQUEST")),
        (
            {"simple": "ROUND_ROBIN", "warmup_duration_secs": timedelta(seconds=30)},
            SimpleBalancer(policy="ROUND_ROBIN", warmup=Warmup(duration=timedelta(seconds=30))),
        ),
        (
            {"warmup": tp.Warmup(duration=timedelta(seconds=5), minimum_percent=0, aggression=2.0)},
            SimpleBalancer(warmup=Warmup(duration=timedelta(seconds=5), minimum_percent=0, aggression=2.0)),
        ),
        ({"simple": "RANDOM", "warmup": tp.Warmup(duration=timedelta(seconds=5))}, SimpleBalancer(policy="RANDOM")),
        ({"consistent_hash": tp.ConsistentHashLB(use_source_ip=True)}, RingHash(minimum_size=1024)),
        ({"consistent_hash": tp.ConsistentHashLB(minimum_ring_size=7).settled()}, RingHash(minimum_size=7)),
        (
            {"consistent_hash": tp.ConsistentHashLB(ring_hash=tp.RingHash(minimum_ring_size=0))},
            RingHash(minimum_size=1024),
        ),
        ({"consistent_hash": tp.ConsistentHashLB(maglev=tp.MagLev(table_size=101))}, Maglev(table_size=101)),
    ],
)
def test_a_load_balancer_means_what_the_api_says(settings: dict[str, object], expected: object):
    assert with_policy(load_balancer=tp.LoadBalancerSettings(**settings)).load_balancer == expected


@pytest.mark.spec("D-37", "D-44")
def test_a_zero_in_a_connection_pool_means_the_default():
    pool = a_pool({"max_connections": 0}, max_requests_per_connection=0, http2_max_requests=0)

    assert with_policy(connection_pool=pool).circuit_breakers == CircuitBreakers()
    assert with_policy(connection_pool=pool).http == UpstreamHttp()


@pytest.mark.spec("D-34", "D-39")
def test_the_idle_timeout_of_tcp_serves_http_where_http_has_none():
    off = a_pool({"idle_timeout": timedelta()})
    own = a_pool({"idle_timeout": timedelta()}, idle_timeout=timedelta(seconds=5))

    assert with_policy(connection_pool=off).http == UpstreamHttp(idle_timeout=timedelta())
    assert with_policy(connection_pool=own).http == UpstreamHttp(idle_timeout=timedelta(seconds=5))


@pytest.mark.spec("D-32")
def test_keepalive_times_are_whole_seconds_and_never_none_at_all():
    keepalive = tp.TcpKeepalive(time=timedelta(milliseconds=1500), interval=timedelta(milliseconds=200))

    found = with_policy(connection_pool=a_pool({"tcp_keepalive": keepalive})).tcp_keepalive

    assert found
    assert (found.time, found.interval, found.probes) == (timedelta(seconds=1), timedelta(seconds=1), None)


@pytest.mark.spec("D-40", "D-41")
@pytest.mark.parametrize(
    ("port", "http", "protocol"),
    [
        ("http", {}, "http1"),
        ("grpc", {}, "http2"),
        ("http2", {"h2_upgrade_policy": "DO_NOT_UPGRADE"}, "http2"),
        ("grpc-web", {}, "http2"),
        ("http", {"h2_upgrade_policy": "UPGRADE"}, "http2"),
        ("http", {"use_client_protocol": True}, "downstream"),
        ("tls", {"h2_upgrade_policy": "UPGRADE"}, "http2"),
        ("tcp", {}, None),
    ],
)
def test_which_http_is_spoken_to_a_port(port: str, http: dict[str, object], protocol: str | None):
    rule = a_destination_rule(traffic_policy=a_policy(connection_pool=a_pool(**http)))

    found = cluster(a_plan(a_service_entry(ports=(a_port(name=port),)), rule), REVIEWS).http

    assert (found.protocol if found else None) == protocol


@pytest.mark.spec("D-42", "D-43")
def test_http2_settings_are_for_http2_only():
    keepalive = tp.HTTP2KeepAlive(interval=timedelta(seconds=9), timeout=timedelta(seconds=3))
    settings = {"max_concurrent_streams": 5, "http2_keep_alive": keepalive}

    assert with_policy(connection_pool=a_pool(**settings)).http == UpstreamHttp()
    upgraded = with_policy(connection_pool=a_pool(h2_upgrade_policy="UPGRADE", **settings)).http

    assert upgraded
    assert upgraded.max_concurrent_streams == 5
    assert upgraded.keepalive


@pytest.mark.spec("D-50", "D-51", "D-52", "D-55", "D-56", "D-57", "D-58")
def test_outlier_detection_counts_what_the_api_says():
    assert with_policy(outlier_detection=tp.OutlierDetection()).outlier_detection == OutlierDetection(consecutive_5xx=5)
    given = tp.OutlierDetection(
        consecutive_5xx_errors=0,
        consecutive_gateway_errors=4,
        max_ejection_percent=0,
        min_health_percent=40,
        split_external_local_origin_errors=True,
    )

    found = with_policy(outlier_detection=given)

    assert found.healthy_panic_percent == 40
    assert found.outlier_detection == OutlierDetection(
        consecutive_5xx=None,
        consecutive_gateway_failure=4,
        consecutive_local_origin_failure=5,
        max_ejection_percent=10,
        split_external_local_origin_errors=True,
    )


@pytest.mark.spec("D-31")
def test_the_meshs_connect_timeout_is_for_who_has_none():
    made = a_plan(a_service_entry(), a_mesh_config(connect_timeout=timedelta(seconds=3)))

    assert cluster(made, REVIEWS).connect_timeout == timedelta(seconds=3)


@pytest.mark.spec("D-30", "D-31", "D-33", "D-35", "D-36", "D-37", "D-38", "D-39")
def test_a_connection_pool_is_taken_as_it_is_written():
    tcp = {
        "max_connections": 1,
        "connect_timeout": timedelta(seconds=2),
        "max_connection_duration": timedelta(seconds=3),
        "tcp_keepalive": tp.TcpKeepalive(probes=4, time=timedelta(seconds=5)),
    }
    http = {
        "http1_max_pending_requests": 6,
        "http2_max_requests": 7,
        "max_retries": 8,
        "max_requests_per_connection": 9,
        "idle_timeout": timedelta(seconds=10),
    }

    found = with_policy(connection_pool=a_pool(tcp, **http))

    assert found.circuit_breakers == CircuitBreakers(
        max_connections=1, max_pending_requests=6, max_requests=7, max_retries=8
    )
    assert found.connect_timeout == timedelta(seconds=2)
    assert found.tcp_keepalive == TcpKeepalive(probes=4, time=timedelta(seconds=5))
    assert found.http == UpstreamHttp(
        idle_timeout=timedelta(seconds=10),
        max_connection_duration=timedelta(seconds=3),
        max_requests_per_connection=9,
    )


@pytest.mark.spec("D-53", "D-54", "D-55", "D-58", "D-59", "D-60")
def test_outlier_detection_is_taken_as_it_is_written():
    given = tp.OutlierDetection(
        consecutive_gateway_errors=3,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=2),
        max_ejection_percent=50,
        split_external_local_origin_errors=True,
        consecutive_local_origin_failures=0,
        outlier_detection_http_error_codes=(503, 429, 503),
    )

    assert with_policy(outlier_detection=given).outlier_detection == OutlierDetection(
        consecutive_5xx=5,
        consecutive_gateway_failure=3,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=2),
        max_ejection_percent=50,
        split_external_local_origin_errors=True,
        error_codes=(429, 503),
    )


@pytest.mark.spec("D-27")
def test_a_balancer_that_no_release_of_istio_knows_is_the_default_one():
    assert with_policy(load_balancer=tp.LoadBalancerSettings()).load_balancer == SimpleBalancer()


# --- retry budgets, PROXY headers, tunnels ----------------------------------------------------------------------

BUDGET = RetryBudget(percent=50, min_retry_concurrency=0, budget_interval=timedelta(seconds=1))
TUNNEL = TunnelSettings(target_host="a.example", target_port=443)


@pytest.mark.spec("D-92")
def test_a_retry_budget_settles_its_defaults():
    assert with_policy(retry_budget=RetryBudget()).retry_budget == plan.RetryBudget()
    assert with_policy(retry_budget=BUDGET).retry_budget == plan.RetryBudget(
        percent=50, min_retry_concurrency=3, interval=timedelta(seconds=1)
    )


@pytest.mark.spec("D-91")
def test_a_proxy_header_has_the_version_that_is_asked_for():
    assert with_policy(proxy_protocol=ProxyProtocol()).proxy_protocol == "V1"
    assert with_policy(proxy_protocol=ProxyProtocol(version="V2")).proxy_protocol == "V2"
    assert with_policy(retry_budget=RetryBudget()).proxy_protocol is None


def beside(subset: TrafficPolicy | None, *, blocked: bool = False) -> Cluster:
    """The cluster of a subset whose rule asks for a budget and a PROXY header, and for the port, or for all of them."""
    block = PortTrafficPolicy(port=PortSelector(number=80), connection_pool=a_pool({"max_connections": 1}))
    rule = a_policy(
        retry_budget=BUDGET, proxy_protocol=ProxyProtocol(), port_level_settings=(block,) if blocked else ()
    )
    return cluster(
        a_plan(a_service_entry(), a_destination_rule("reviews", a_subset("v1", subset), traffic_policy=rule)), V1
    )


@pytest.mark.spec("D-91", "D-92", "D-93")
def test_a_block_for_the_port_does_away_with_budget_and_header_of_its_own_level_only():
    block = PortTrafficPolicy(port=PortSelector(number=80), connection_pool=a_pool({"max_connections": 1}))

    at_the_rule = beside(None, blocked=True)
    at_the_subset = beside(a_policy(port_level_settings=(block,), retry_budget=RetryBudget(percent=1)))

    assert (at_the_rule.retry_budget, at_the_rule.proxy_protocol) == (None, None)
    assert at_the_subset.retry_budget is not None
    assert (at_the_subset.retry_budget.percent, at_the_subset.proxy_protocol) == (50, "V1")


@pytest.mark.spec("D-91", "D-92")
def test_a_subset_inherits_budget_and_header_unless_it_has_its_own():
    silent, own = beside(None), beside(a_policy(retry_budget=RetryBudget(percent=1)))

    assert silent.retry_budget is not None
    assert own.retry_budget is not None
    assert (silent.retry_budget.percent, silent.proxy_protocol) == (50, "V1")
    assert (own.retry_budget.percent, own.proxy_protocol) == (1, "V1")


@pytest.mark.spec("D-90")
def test_a_tunnel_survives_a_block_for_the_port_and_is_never_inherited_by_a_subset():
    block = PortTrafficPolicy(port=PortSelector(number=80), connection_pool=a_pool({"max_connections": 1}))
    policy = a_policy(tunnel=TUNNEL, port_level_settings=(block,))
    own = a_subset("own", a_policy(tunnel=TUNNEL))
    (rule,) = a_mesh(a_destination_rule("reviews", a_subset("bare"), own, traffic_policy=policy)).destination_rules[
        "reviews.shop"
    ]

    tunnels = {subset: effective_policy(rule, subset, 80).tunnel for subset in ("", "bare", "own")}

    assert tunnels == {"": TUNNEL, "bare": None, "own": TUNNEL}


# --- who has no endpoints to choose from ------------------------------------------------------------------------


def called(*resources: Resource, proxy: ProxyName = "sidecar", **workload: object) -> Upstream:
    """The only service, as `vm-1` calls it."""
    memo = Memo()
    mesh = a_mesh(a_workload_entry(**workload), *resources, memo=memo)
    host = host_of(mesh, HOST, memo)
    ((service,),) = mesh.services.values()
    assert host
    return upstream(service, host, proxy, *(rule for rules in mesh.destination_rules.values() for rule in rules))


@pytest.mark.spec("S-6", "S-8", "D-10")
def test_resolution_none_goes_where_the_client_was_going_at_another_port_if_it_says_so():
    ports = (a_port(), a_port(81, "http-b", target_port=8081))
    rule = a_destination_rule(
        "reviews", "v1", traffic_policy=a_policy(load_balancer=tp.LoadBalancerSettings(simple="RANDOM"))
    )

    found = called(a_service_entry(resolution="NONE", ports=ports), rule)

    discoveries = {each.name: each.discovery for each in found.clusters}
    assert discoveries == {
        REVIEWS: OriginalDestination(),
        V1: OriginalDestination(),
        "outbound|81||reviews.shop": OriginalDestination(port=8081),
        "outbound|81|v1|reviews.shop": OriginalDestination(port=8081),
    }
    assert found.endpoints == ()


@pytest.mark.spec("D-11")
def test_a_passthrough_balancer_makes_nothing_of_the_endpoints():
    service = a_service_entry(endpoints=(an_endpoint(),), ports=(a_port(target_port=8080),))
    policy = a_policy(load_balancer=tp.LoadBalancerSettings(simple="PASSTHROUGH"))

    found = called(service, a_destination_rule(traffic_policy=policy))

    assert found.clusters[0].discovery == OriginalDestination()
    assert found.endpoints == ()


@pytest.mark.spec("S-8")
def test_dynamic_dns_has_one_cluster_for_all_hosts_and_no_subsets():
    service = a_service_entry(hosts=("*.shop",), resolution="DYNAMIC_DNS")
    policy = a_policy(load_balancer=tp.LoadBalancerSettings(simple="PASSTHROUGH"))

    found = called(service, a_destination_rule("all", "v1", host="*.shop", traffic_policy=policy))

    assert [(each.name, each.discovery) for each in found.clusters] == [("outbound|80||*.shop", DynamicDns())]


# --- endpoints ------------------------------------------------------------------------------------------------


@pytest.mark.spec("D-3", "D-4")
def test_a_subset_has_the_endpoints_with_its_labels():
    service = a_service_entry(
        endpoints=(an_endpoint("10.0.0.2", labels={"version": "v2"}), an_endpoint("10.0.0.1", labels={"version": "v1"}))
    )

    made = a_plan(service, a_destination_rule("reviews", "v1", Subset(name="all")))

    assert [each.address for each in endpoints(made, V1)] == [IpAddress(ip="10.0.0.1")]
    assert len(endpoints(made, "outbound|80|all|reviews.shop")) == 2


def test_addresses_are_canonical_sorted_and_each_there_once():
    addresses = ("2001:DB8:0::1", "10.0.0.2", "10.0.0.2", "10.0.0.1")

    made = a_plan(a_service_entry(endpoints=tuple(map(an_endpoint, addresses))))

    assert [each.address.ip for each in endpoints(made, REVIEWS)] == ["10.0.0.1", "10.0.0.2", "2001:db8::1"]


@pytest.mark.spec("W-1")
def test_an_endpoint_may_be_a_unix_socket():
    made = a_plan(a_service_entry(endpoints=(an_endpoint("unix:///run/a.sock"), an_endpoint("unix://@b"))))

    found = [(each.address, each.port) for each in endpoints(made, REVIEWS)]

    assert found == [(UnixAddress(path="/run/a.sock"), 0), (UnixAddress(path="@b"), 0)]


@pytest.mark.spec("S-8")
@pytest.mark.parametrize(("resolution", "first_only"), [("DNS", False), ("DNS_ROUND_ROBIN", True)])
def test_names_are_listed_for_the_resolver(resolution: str, first_only: bool):
    made = a_plan(a_service_entry(resolution=resolution, endpoints=(an_endpoint("DB.example.com."),)))

    assert endpoints(made, REVIEWS)[0].address == DnsAddress(name="db.example.com", first_only=first_only)
    assert made.dns_names == ("db.example.com",)


@pytest.mark.spec("S-8")
def test_where_records_say_the_port_the_plan_has_none():
    made = a_plan(a_service_entry(resolution="DNS", endpoints=(an_endpoint("_HTTP._tcp.shop.example"),)))

    (found,) = endpoints(made, REVIEWS)

    assert (found.address, found.port) == (DnsAddress(name="_http._tcp.shop.example"), 0)
    assert found.address.is_srv
    assert made.dns_names == ("_http._tcp.shop.example",)
