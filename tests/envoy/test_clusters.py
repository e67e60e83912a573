from __future__ import annotations

from datetime import timedelta

from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster

from meshd.envoy.clusters import cluster, static_base
from meshd.envoy.upstream_http import EXTENSION
from meshd.plan import (
    ClientCertificate,
    Maglev,
    OutlierDetection,
    RingHash,
    SimpleBalancer,
    UpstreamHttp,
    UpstreamTls,
    Warmup,
)
from tests.envoy.plans import a_cluster
from tests.envoy.shown import shown_cluster


def tls_of(**fields: object) -> dict:
    settings = {"sni": None, "ca_certificates": "/ca.pem", **fields}
    return shown_cluster(a_cluster(tls=UpstreamTls(**settings)))["transport_socket"]["typed_config"]


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
    assert shown["common_lb_config"] == {"healthy_panic_threshold": {}}


def test_least_request_is_the_default_and_warmup_its_slow_start():
    balancer = SimpleBalancer(warmup=Warmup(duration=timedelta(seconds=60)))

    shown = shown_cluster(a_cluster(load_balancer=balancer))

    assert shown["lb_policy"] == "LEAST_REQUEST"
    assert shown["least_request_lb_config"]["slow_start_config"] == {
        "slow_start_window": "60s",
        "aggression": {"default_value": 1.0, "runtime_key": "meshd.slow_start.aggression"},
        "min_weight_percent": {"value": 10.0},
    }


def test_hash_balancers_carry_the_size_of_their_table():
    ring = shown_cluster(a_cluster(load_balancer=RingHash(minimum_size=7)))
    maglev = shown_cluster(a_cluster(load_balancer=Maglev(table_size=11)))

    assert (ring["lb_policy"], ring["ring_hash_lb_config"]) == ("RING_HASH", {"minimum_ring_size": "7"})
    assert (maglev["lb_policy"], maglev["maglev_lb_config"]) == ("MAGLEV", {"table_size": "11"})


def test_a_kind_of_failure_without_a_count_ejects_nobody():
    outliers = OutlierDetection(consecutive_5xx=None, consecutive_gateway_failure=3)

    shown = shown_cluster(a_cluster(outlier_detection=outliers))["outlier_detection"]

    assert "consecutive_5xx" not in shown
    assert (shown["enforcing_consecutive_5xx"], shown["enforcing_consecutive_gateway_failure"]) == (0, 100)
    assert (shown["enforcing_success_rate"], shown["enforcing_local_origin_success_rate"]) == (0, 0)
    assert (shown["interval"], shown["base_ejection_time"], shown["max_ejection_percent"]) == ("10s", "30s", 10)


def test_error_codes_replace_5xx_as_what_an_error_is():
    plan = a_cluster(http=UpstreamHttp(), outlier_detection=OutlierDetection(error_codes=(429, 503)))

    options = shown_cluster(plan)["typed_extension_protocol_options"][EXTENSION]

    (header,) = options["outlier_detection"]["error_matcher"]["http_response_headers_match"]["headers"]
    assert header == {"name": ":status", "string_match": {"safe_regex": {"regex": "429|503"}}}


def test_a_cluster_that_is_not_http_has_no_http_options():
    assert "typed_extension_protocol_options" not in shown_cluster(
        a_cluster(tls=UpstreamTls(sni=None, ca_certificates=None))
    )


def test_http2_is_offered_by_alpn():
    plan = a_cluster(http=UpstreamHttp(protocol="http2"), tls=UpstreamTls(sni="a.shop", ca_certificates="/ca.pem"))

    shown = shown_cluster(plan)["transport_socket"]["typed_config"]

    assert shown["common_tls_context"]["alpn_protocols"] == ["h2"]
    assert shown["sni"] == "a.shop"


def test_without_a_name_both_name_and_check_come_from_the_host_header():
    tls = UpstreamTls(sni=None, ca_certificates="/ca.pem", san_from_host=True)

    options = shown_cluster(a_cluster(http=UpstreamHttp(), tls=tls))["typed_extension_protocol_options"][EXTENSION]

    assert options["upstream_http_protocol_options"] == {"auto_sni": True, "auto_san_validation": True}


def test_names_are_never_checked_in_a_certificate_that_nobody_vouches_for():
    tls = UpstreamTls(sni=None, ca_certificates=None, san_from_host=True)
    options = shown_cluster(a_cluster(http=UpstreamHttp(), tls=tls))["typed_extension_protocol_options"][EXTENSION]
    context = tls_of(ca_certificates=None, subject_alt_names=("a.shop",))["common_tls_context"]

    assert options["upstream_http_protocol_options"] == {"auto_sni": True}
    assert context["validation_context"] == {}


def test_a_subject_alternative_name_may_be_a_dns_name_or_a_uri():
    validation = tls_of(subject_alt_names=("spiffe://a",), crl="/crl.pem")["common_tls_context"]["validation_context"]

    assert validation["match_typed_subject_alt_names"] == [
        {"san_type": "DNS", "matcher": {"exact": "spiffe://a"}},
        {"san_type": "URI", "matcher": {"exact": "spiffe://a"}},
    ]
    assert validation["trusted_ca"] == {"filename": "/ca.pem"}
    assert validation["crl"] == {"filename": "/crl.pem"}


def test_a_client_certificate_is_read_from_its_files():
    pair = ClientCertificate(certificate_chain="/tls.crt", private_key="/tls.key")

    context = tls_of(client_certificate=pair)["common_tls_context"]

    assert context["tls_certificates"] == [
        {"certificate_chain": {"filename": "/tls.crt"}, "private_key": {"filename": "/tls.key"}}
    ]
    assert context["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
