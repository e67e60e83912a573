from __future__ import annotations

from datetime import timedelta

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster

from meshd.envoy.clusters import cluster, static_base
from meshd.envoy.upstream_http import EXTENSION
from meshd.plan import (
    Cluster,
    DynamicDns,
    Maglev,
    OriginalDestination,
    OutlierDetection,
    RetryBudget,
    RingHash,
    SimpleBalancer,
    UpstreamHttp,
    UpstreamTls,
    Warmup,
    ZoneAware,
)
from tests.envoy.plans import BY_HOST, IN_MESH, OWN, ROOT, a_cluster, every_cluster
from tests.envoy.shown import shown_cluster


def tls_of(**fields: object) -> dict:
    settings = {"sni": None, "validation": ROOT, **fields}
    return shown_cluster(a_cluster(tls=UpstreamTls(**settings)))["transport_socket"]["typed_config"]


def http_options_of(plan: Cluster) -> dict:
    return shown_cluster(plan)["typed_extension_protocol_options"][EXTENSION]


def test_endpoints_come_on_the_aggregated_stream():
    shown = shown_cluster(a_cluster())

    assert shown["type"] == "EDS"
    assert shown["eds_cluster_config"] == {"eds_config": {"ads": {}, "resource_api_version": "V3"}}


def test_the_static_base_is_the_same_cluster_without_eds():
    plan = a_cluster(outlier_detection=OutlierDetection(), load_balancer=RingHash())
    whole = EnvoyCluster.FromString(cluster(plan).body)
    whole.ClearField("type")
    whole.ClearField("eds_cluster_config")

    assert EnvoyCluster.FromString(static_base(cluster(plan).body)) == whole


@pytest.mark.parametrize("plan", every_cluster(), ids=lambda plan: plan.name)
def test_whoever_wrote_a_cluster_anew_its_static_base_has_no_eds(plan: Cluster):
    body = cluster(plan).body
    rewritten = EnvoyCluster.FromString(body).SerializeToString(deterministic=True)

    without = EnvoyCluster.FromString(static_base(rewritten))

    assert without == EnvoyCluster.FromString(static_base(body))
    assert not without.HasField("eds_cluster_config")
    assert without.type in {EnvoyCluster.STATIC, EnvoyCluster.ORIGINAL_DST}


@pytest.mark.spec("D-30", "D-35", "D-36", "D-38", "D-56")
def test_the_four_thresholds_and_the_panic_threshold_are_always_written():
    shown = shown_cluster(a_cluster())

    unlimited = 4_294_967_295
    assert shown["circuit_breakers"]["thresholds"] == [
        {
            "max_connections": unlimited,
            "max_pending_requests": unlimited,
            "max_requests": unlimited,
            "max_retries": unlimited,
        }
    ]
    assert shown["common_lb_config"]["healthy_panic_threshold"] == {}


@pytest.mark.spec("D-10", "D-25")
def test_least_request_is_the_default_and_warmup_its_slow_start():
    balancer = SimpleBalancer(warmup=Warmup(duration=timedelta(seconds=60)))

    shown = shown_cluster(a_cluster(load_balancer=balancer))

    assert shown["lb_policy"] == "LEAST_REQUEST"
    assert shown["least_request_lb_config"]["slow_start_config"] == {
        "slow_start_window": "60s",
        "aggression": {"default_value": 1.0, "runtime_key": "meshd.slow_start.aggression"},
        "min_weight_percent": {"value": 10.0},
    }


@pytest.mark.spec("D-16", "D-17")
def test_hash_balancers_carry_the_size_of_their_table():
    ring = shown_cluster(a_cluster(load_balancer=RingHash(minimum_size=7)))
    maglev = shown_cluster(a_cluster(load_balancer=Maglev(table_size=11)))

    assert (ring["lb_policy"], ring["ring_hash_lb_config"]) == ("RING_HASH", {"minimum_ring_size": "7"})
    assert (maglev["lb_policy"], maglev["maglev_lb_config"]) == ("MAGLEV", {"table_size": "11"})


@pytest.mark.spec("D-50", "D-51", "D-53", "D-54", "D-55", "D-60")
def test_a_kind_of_failure_without_a_count_ejects_nobody():
    outliers = OutlierDetection(consecutive_5xx=None, consecutive_gateway_failure=3)

    shown = shown_cluster(a_cluster(outlier_detection=outliers))["outlier_detection"]

    assert "consecutive_5xx" not in shown
    assert (shown["enforcing_consecutive_5xx"], shown["enforcing_consecutive_gateway_failure"]) == (0, 100)
    assert (shown["enforcing_success_rate"], shown["enforcing_local_origin_success_rate"]) == (0, 0)
    assert (shown["interval"], shown["base_ejection_time"], shown["max_ejection_percent"]) == ("10s", "30s", 10)


@pytest.mark.spec("D-59")
def test_error_codes_replace_5xx_as_what_an_error_is():
    plan = a_cluster(http=UpstreamHttp(), outlier_detection=OutlierDetection(error_codes=(429, 503)))

    options = shown_cluster(plan)["typed_extension_protocol_options"][EXTENSION]

    (header,) = options["outlier_detection"]["error_matcher"]["http_response_headers_match"]["headers"]
    assert header == {"name": ":status", "string_match": {"safe_regex": {"regex": "429|503"}}}


def test_a_cluster_that_is_not_http_has_no_http_options():
    plan = a_cluster(tls=UpstreamTls(sni=None, validation=None))

    assert "typed_extension_protocol_options" not in shown_cluster(plan)


@pytest.mark.spec("D-40", "D-83")
def test_http2_is_offered_by_alpn():
    plan = a_cluster(http=UpstreamHttp(protocol="http2"), tls=UpstreamTls(sni="a.shop", validation=ROOT))

    shown = shown_cluster(plan)["transport_socket"]["typed_config"]

    assert shown["common_tls_context"]["alpn_protocols"] == ["h2"]
    assert shown["sni"] == "a.shop"


@pytest.mark.spec("D-79", "D-80")
def test_without_a_name_both_name_and_check_come_from_the_host_header():
    options = http_options_of(a_cluster(http=UpstreamHttp(), tls=BY_HOST))

    assert options["upstream_http_protocol_options"] == {"auto_sni": True, "auto_san_validation": True}


@pytest.mark.spec("D-84")
def test_names_are_never_checked_in_a_certificate_that_nobody_vouches_for():
    options = http_options_of(
        a_cluster(http=UpstreamHttp(), tls=UpstreamTls(sni=None, validation=None, san_from_host=True))
    )
    context = tls_of(validation=None, subject_alt_names=("a.shop",))["common_tls_context"]

    assert options["upstream_http_protocol_options"] == {"auto_sni": True}
    assert {"validation_context", "combined_validation_context"}.isdisjoint(context)


@pytest.mark.spec("D-78")
def test_a_subject_alternative_name_may_be_a_dns_name_or_a_uri():
    combined = tls_of(subject_alt_names=("spiffe://a",))["common_tls_context"]["combined_validation_context"]

    assert combined["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "spiffe://a"}},
        {"san_type": "URI", "matcher": {"exact": "spiffe://a"}},
    ]
    assert combined["validation_context_sds_secret_config"]["name"] == ROOT


@pytest.mark.spec("D-73", "D-83")
def test_a_client_certificate_comes_by_sds():
    context = tls_of(certificate=OWN)["common_tls_context"]

    assert [each["name"] for each in context["tls_certificate_sds_secret_configs"]] == [OWN]
    assert context["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
    }


# --- who has no endpoints to choose from ----------------------------------------------------------------------


@pytest.mark.spec("D-11", "S-6", "S-8")
def test_what_goes_where_the_connection_was_going_may_have_another_port():
    there, elsewhere = (
        shown_cluster(a_cluster(discovery=OriginalDestination(port=port), load_balancer=RingHash()))
        for port in (None, 8080)
    )

    assert (there["type"], there["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
    assert {"eds_cluster_config", "ring_hash_lb_config", "original_dst_lb_config"}.isdisjoint(there)
    assert elsewhere["original_dst_lb_config"] == {"upstream_port_override": 8080}


def lookup_of(**fields: object) -> dict:
    shown = shown_cluster(a_cluster(discovery=DynamicDns(), **fields))
    assert (shown["lb_policy"], shown["cluster_type"]["name"]) == (
        "CLUSTER_PROVIDED",
        "envoy.clusters.dynamic_forward_proxy",
    )
    assert {"type", "eds_cluster_config"}.isdisjoint(shown)
    return shown["cluster_type"]["typed_config"]


@pytest.mark.spec("S-8")
def test_only_a_server_that_is_verified_by_the_name_asked_for_counts_as_secure_where_envoy_looks_it_up():
    own_sni = UpstreamTls(sni="a.shop", validation=ROOT)

    assert "allow_insecure_cluster_options" not in lookup_of(http=UpstreamHttp(), tls=BY_HOST)
    assert "allow_insecure_cluster_options" not in lookup_of()
    assert lookup_of(http=UpstreamHttp(), tls=own_sni)["allow_insecure_cluster_options"]
    assert lookup_of(http=UpstreamHttp())["allow_insecure_cluster_options"]


# --- budgets, zones, sockets ----------------------------------------------------------------------------------


@pytest.mark.spec("D-92")
def test_a_retry_budget_stands_beside_the_thresholds():
    (threshold,) = shown_cluster(a_cluster(retry_budget=RetryBudget(percent=12.5, min_retry_concurrency=7)))[
        "circuit_breakers"
    ]["thresholds"]

    assert threshold["retry_budget"] == {"budget_percent": {"value": 12.5}, "min_retry_concurrency": 7}


@pytest.mark.spec("D-92")
def test_the_interval_of_a_retry_budget_is_there_though_xds_protos_does_not_know_it():
    plan = a_cluster(retry_budget=RetryBudget(interval=timedelta(seconds=2)))

    budget = EnvoyCluster.FromString(cluster(plan).body).circuit_breakers.thresholds[0].retry_budget

    assert budget.SerializeToString().endswith(bytes.fromhex("1a 02 08 02"))


@pytest.mark.spec("D-24")
def test_requests_stay_in_their_zone_only_where_that_is_asked_for():
    """Envoy would do it everywhere, once it knows who is local."""
    asked, off, silent = (
        shown_cluster(a_cluster(zone_aware=zone))["common_lb_config"]["zone_aware_lb_config"]
        for zone in (ZoneAware(min_cluster_size=2), ZoneAware(enabled=False), None)
    )

    assert asked == {"routing_enabled": {"value": 100.0}, "min_cluster_size": "2"}
    assert off == silent == {"routing_enabled": {}}


@pytest.mark.spec("D-20", "D-21")
def test_weights_of_localities_count_where_that_is_asked_for():
    shown = shown_cluster(a_cluster(locality_weighted=True))["common_lb_config"]

    assert shown == {"healthy_panic_threshold": {}, "locality_weighted_lb_config": {}}


@pytest.mark.spec("D-91")
@pytest.mark.parametrize(("tls", "inner"), [(None, "raw_buffer"), (BY_HOST, "tls")])
def test_a_proxy_header_comes_before_whatever_else_there_is(tls: UpstreamTls | None, inner: str):
    socket = shown_cluster(a_cluster(proxy_protocol="V2", tls=tls))["transport_socket"]

    assert socket["name"] == "envoy.transport_sockets.upstream_proxy_protocol"
    assert socket["typed_config"]["config"] == {"version": "V2"}
    assert socket["typed_config"]["transport_socket"]["name"] == f"envoy.transport_sockets.{inner}"


@pytest.mark.spec("D-74", "W-7")
def test_tls_of_the_mesh_is_for_endpoints_that_speak_it():
    shown = shown_cluster(a_cluster(http=UpstreamHttp(), mesh_tls=IN_MESH))

    speaking, others = shown["transport_socket_matches"]
    assert "transport_socket" not in shown
    assert speaking["match"] == {"tlsMode": "istio"}
    assert speaking["transport_socket"]["typed_config"]["sni"] == "outbound_.80_._.reviews.shop"
    assert speaking["transport_socket"]["typed_config"]["common_tls_context"]["alpn_protocols"] == ["istio", "h2"]
    assert others.get("match", {}) == {}
    assert others["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"


@pytest.mark.spec("D-91")
def test_a_proxy_header_comes_before_the_meshs_tls_too():
    matches = shown_cluster(a_cluster(mesh_tls=IN_MESH, proxy_protocol="V1"))["transport_socket_matches"]

    inner = [each["transport_socket"]["typed_config"]["transport_socket"]["name"] for each in matches]
    assert inner == ["envoy.transport_sockets.tls", "envoy.transport_sockets.raw_buffer"]
