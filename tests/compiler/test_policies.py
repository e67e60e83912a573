"""Clusters and their endpoints: which policy a DestinationRule gives them, and what it means."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.names import Locality
from meshd.plan import (
    UNLIMITED,
    CircuitBreakers,
    DnsAddress,
    IpAddress,
    Maglev,
    OutlierDetection,
    RingHash,
    SimpleBalancer,
    UnixAddress,
    UpstreamHttp,
    Warmup,
)
from meshd.resources import traffic_policy as tp
from meshd.resources.destination import PortSelector
from meshd.resources.destination_rule import PortTrafficPolicy, Subset, TrafficPolicy
from meshd.resources.mesh_config import LocalityLb
from tests.builders import a_destination_rule, a_mesh_config, a_port, a_service_entry, a_subset, an_endpoint
from tests.compiler.plans import a_plan, cluster, endpoints

REVIEWS = "outbound|80||reviews.shop"
V1 = "outbound|80|v1|reviews.shop"


def a_policy(**parts: object) -> TrafficPolicy:
    return TrafficPolicy(**parts)


def a_pool(tcp: dict[str, object] | None = None, **http: object) -> tp.ConnectionPoolSettings:
    return tp.ConnectionPoolSettings(tcp=tp.TCPSettings(**tcp or {}), http=tp.HTTPSettings(**http))


def with_policy(**parts: object):
    return cluster(a_plan(a_service_entry(), a_destination_rule(traffic_policy=a_policy(**parts))), REVIEWS)


def test_without_a_rule_every_default_is_settled():
    plan = a_plan(a_service_entry())

    assert cluster(plan, REVIEWS).circuit_breakers == CircuitBreakers(max_connections=UNLIMITED)
    assert cluster(plan, REVIEWS).load_balancer == SimpleBalancer(policy="LEAST_REQUEST")
    assert cluster(plan, REVIEWS).http == UpstreamHttp(protocol="http1", idle_timeout=timedelta(hours=1))
    assert cluster(plan, REVIEWS).outlier_detection is None
    assert cluster(plan, REVIEWS).healthy_panic_percent == 0


def test_a_port_has_its_own_policy_instead_of_the_rules():
    block = PortTrafficPolicy(port=PortSelector(number=80), load_balancer=tp.LoadBalancerSettings(simple="RANDOM"))
    policy = a_policy(connection_pool=a_pool({"max_connections": 9}), port_level_settings=(block,))

    found = cluster(a_plan(a_service_entry(), a_destination_rule(traffic_policy=policy)), REVIEWS)

    assert found.load_balancer == SimpleBalancer(policy="RANDOM")
    assert found.circuit_breakers.max_connections == UNLIMITED


def test_a_subset_replaces_only_what_it_sets():
    subset = a_subset("v1", a_policy(load_balancer=tp.LoadBalancerSettings(simple="RANDOM")))
    policy = a_policy(connection_pool=a_pool({"max_connections": 9}))

    found = cluster(a_plan(a_service_entry(), a_destination_rule("reviews", subset, traffic_policy=policy)), V1)

    assert found.load_balancer == SimpleBalancer(policy="RANDOM")
    assert found.circuit_breakers.max_connections == 9


def test_a_subsets_block_for_the_port_replaces_all_four_parts():
    block = PortTrafficPolicy(port=PortSelector(number=80), load_balancer=tp.LoadBalancerSettings(simple="RANDOM"))
    subset = a_subset("v1", a_policy(port_level_settings=(block,)))
    policy = a_policy(connection_pool=a_pool({"max_connections": 9}), tls=tp.ClientTLSSettings(mode="SIMPLE"))

    found = cluster(a_plan(a_service_entry(), a_destination_rule("reviews", subset, traffic_policy=policy)), V1)

    assert found.circuit_breakers.max_connections == UNLIMITED
    assert found.tls is None


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
        ({"consistent_hash": tp.ConsistentHashLB(minimum_ring_size=7)}, RingHash(minimum_size=7)),
        (
            {"consistent_hash": tp.ConsistentHashLB(ring_hash=tp.RingHash(minimum_ring_size=0))},
            RingHash(minimum_size=1024),
        ),
        ({"consistent_hash": tp.ConsistentHashLB(maglev=tp.MagLev(table_size=101))}, Maglev(table_size=101)),
    ],
)
def test_a_load_balancer_means_what_the_api_says(settings: dict[str, object], expected: object):
    assert with_policy(load_balancer=tp.LoadBalancerSettings(**settings)).load_balancer == expected


def test_a_zero_in_a_connection_pool_means_the_default():
    pool = a_pool({"max_connections": 0}, max_requests_per_connection=0, http2_max_requests=0)

    assert with_policy(connection_pool=pool).circuit_breakers == CircuitBreakers()
    assert with_policy(connection_pool=pool).http == UpstreamHttp()


def test_the_idle_timeout_of_tcp_serves_http_where_http_has_none():
    off = a_pool({"idle_timeout": timedelta()})
    own = a_pool({"idle_timeout": timedelta()}, idle_timeout=timedelta(seconds=5))

    assert with_policy(connection_pool=off).http == UpstreamHttp(idle_timeout=timedelta())
    assert with_policy(connection_pool=own).http == UpstreamHttp(idle_timeout=timedelta(seconds=5))


def test_keepalive_times_are_whole_seconds_and_never_none_at_all():
    keepalive = tp.TcpKeepalive(time=timedelta(milliseconds=1500), interval=timedelta(milliseconds=200))

    found = with_policy(connection_pool=a_pool({"tcp_keepalive": keepalive})).tcp_keepalive

    assert found
    assert (found.time, found.interval, found.probes) == (timedelta(seconds=1), timedelta(seconds=1), None)


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


def test_http2_settings_are_for_http2_only():
    keepalive = tp.HTTP2KeepAlive(interval=timedelta(seconds=9), timeout=timedelta(seconds=3))
    settings = {"max_concurrent_streams": 5, "http2_keep_alive": keepalive}

    assert with_policy(connection_pool=a_pool(**settings)).http == UpstreamHttp()
    upgraded = with_policy(connection_pool=a_pool(h2_upgrade_policy="UPGRADE", **settings)).http

    assert upgraded
    assert upgraded.max_concurrent_streams == 5
    assert upgraded.keepalive


def test_outlier_detection_counts_what_the_api_says():
    assert with_policy(outlier_detection=tp.OutlierDetection()).outlier_detection == OutlierDetection(consecutive_5xx=5)
    given = tp.OutlierDetection(
        consecutive_5xx_errors=0,
        consecutive_errors=4,
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


def test_the_meshs_connect_timeout_is_for_who_has_none():
    plan = a_plan(a_service_entry(), a_mesh_config(connect_timeout=timedelta(seconds=3)))

    assert cluster(plan, REVIEWS).connect_timeout == timedelta(seconds=3)


# --- TLS ------------------------------------------------------------------------------------------------------


def tls_of(port: str = "http", service: dict[str, object] | None = None, **settings: object):
    rule = a_destination_rule(traffic_policy=a_policy(tls=tp.ClientTLSSettings(**settings)))
    plan = a_plan(a_service_entry(ports=(a_port(name=port),), **service or {}), rule)
    return plan.clusters[0].tls


def test_tls_verifies_chain_and_name_unless_told_otherwise():
    tls = tls_of(mode="SIMPLE")

    assert tls
    assert (tls.sni, tls.ca_certificates, tls.san_from_host) == (None, "/etc/ssl/certs/ca-certificates.crt", True)


def test_an_empty_sni_is_an_absent_one_and_does_not_end_the_check_of_names():
    assert tls_of(mode="SIMPLE", sni="") == tls_of(mode="SIMPLE")
    assert tls_of("tcp", mode="SIMPLE", sni="") == tls_of("tcp", mode="SIMPLE")


def test_tls_for_bytes_without_host_verifies_the_services_name():
    tls = tls_of("tcp", mode="SIMPLE")

    assert tls
    assert (tls.sni, tls.subject_alt_names, tls.san_from_host) == ("reviews.shop", ("reviews.shop",), False)


def test_tls_for_bytes_of_a_wildcard_service_has_no_name_to_send():
    wildcard = a_service_entry(hosts=("*.shop",), ports=(a_port(name="tls"),), endpoints=(an_endpoint(),))
    rule = a_destination_rule(host="*.shop", traffic_policy=a_policy(tls=tp.ClientTLSSettings(mode="SIMPLE")))

    tls = a_plan(wildcard, rule).clusters[0].tls

    assert tls
    assert (tls.sni, tls.subject_alt_names, tls.san_from_host) == ("", (), False)


def test_names_of_the_rule_win_over_those_of_the_service_and_over_the_host():
    service = {"subject_alt_names": ("a.example",)}

    assert tls_of(mode="SIMPLE", service=service).subject_alt_names == ("a.example",)
    named = tls_of(mode="SIMPLE", service=service, subject_alt_names=("b.example",))

    assert (named.subject_alt_names, named.san_from_host) == (("b.example",), False)


def test_insecure_tls_verifies_nothing():
    tls = tls_of(mode="SIMPLE", insecure_skip_verify=True, service={"subject_alt_names": ("a.example",)})

    assert (tls.ca_certificates, tls.subject_alt_names, tls.san_from_host) == (None, (), False)


def test_mutual_tls_shows_a_certificate_and_simple_does_not():
    files = {
        "client_certificate": "/c.pem",
        "private_key": "/k.pem",
        "ca_certificates": "/ca.pem",
        "ca_crl": "/crl.pem",
    }

    mutual, simple = tls_of(mode="MUTUAL", **files), tls_of(mode="SIMPLE", **files)

    assert mutual.client_certificate.private_key == "/k.pem"
    assert (mutual.ca_certificates, mutual.crl) == ("/ca.pem", "/crl.pem")
    assert simple.client_certificate is None


# --- endpoints ------------------------------------------------------------------------------------------------


def test_a_subset_has_the_endpoints_with_its_labels():
    service = a_service_entry(
        endpoints=(an_endpoint("10.0.0.2", labels={"version": "v2"}), an_endpoint("10.0.0.1", labels={"version": "v1"}))
    )

    plan = a_plan(service, a_destination_rule("reviews", "v1", Subset(name="all")))

    assert [each.address for each in endpoints(plan, V1)] == [IpAddress(ip="10.0.0.1")]
    assert len(endpoints(plan, "outbound|80|all|reviews.shop")) == 2


def test_addresses_are_canonical_sorted_and_each_there_once():
    addresses = ("2001:DB8:0::1", "10.0.0.2", "10.0.0.2", "10.0.0.1")

    plan = a_plan(a_service_entry(endpoints=tuple(map(an_endpoint, addresses))))

    assert [each.address.ip for each in endpoints(plan, REVIEWS)] == ["10.0.0.1", "10.0.0.2", "2001:db8::1"]


def test_an_endpoint_may_be_a_unix_socket():
    plan = a_plan(a_service_entry(endpoints=(an_endpoint("unix:///run/a.sock"), an_endpoint("unix://@b"))))

    found = [(each.address, each.port) for each in endpoints(plan, REVIEWS)]

    assert found == [(UnixAddress(path="/run/a.sock"), 0), (UnixAddress(path="@b"), 0)]


@pytest.mark.parametrize(("resolution", "first_only"), [("DNS", False), ("DNS_ROUND_ROBIN", True)])
def test_names_are_listed_for_the_resolver(resolution: str, first_only: bool):
    plan = a_plan(a_service_entry(resolution=resolution, endpoints=(an_endpoint("DB.example.com."),)))

    assert endpoints(plan, REVIEWS)[0].address == DnsAddress(name="db.example.com", first_only=first_only)
    assert plan.dns_names == ("db.example.com",)


def places(*localities: str):
    return tuple(an_endpoint(f"10.0.0.{n}", locality=place) for n, place in enumerate(localities))


def priorities(plan) -> list[int]:
    return [each.priority for each in sorted(endpoints(plan, REVIEWS), key=lambda each: each.address.ip)]


FAILOVER = a_destination_rule(traffic_policy=a_policy(outlier_detection=tp.OutlierDetection()))


def test_near_endpoints_come_first_without_gaps():
    service = a_service_entry(endpoints=places("us/a/1", "eu/a/1", "eu/b/1", "eu/a/1"))

    assert priorities(a_plan(service, FAILOVER, locality="eu/a/1")) == [2, 0, 1, 0]
    assert priorities(a_plan(service, FAILOVER, locality="eu/c/1")) == [1, 0, 0, 0]


@pytest.mark.parametrize("why", ["no outlier detection", "switched off", "own place unknown"])
def test_all_places_are_equal_where_failover_is_off(why: str):
    resources = [a_service_entry(endpoints=places("us", "eu"))]
    if why != "no outlier detection":
        resources.append(FAILOVER)
    if why == "switched off":
        resources.append(a_mesh_config(locality_lb=LocalityLb(enabled=False)))

    assert priorities(a_plan(*resources, locality=None if why == "own place unknown" else "eu")) == [0, 0]


def test_the_place_of_an_endpoint_is_kept():
    plan = a_plan(a_service_entry(endpoints=places("eu/a")))

    assert endpoints(plan, REVIEWS)[0].locality == Locality(region="eu", zone="a")
