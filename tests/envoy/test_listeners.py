from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.envoy import render
from meshd.memo import Memo
from meshd.names import RouteTableName, SecretName
from meshd.plan import ChainMatch, DownstreamTls, HttpChain, TcpChain, Tunnel
from tests.envoy.plans import a_listener, a_plan, to
from tests.envoy.shown import shown_listener

HTTP = HttpChain(route_table=RouteTableName("80"), stat_prefix="http")
SNI = TcpChain(destinations=(to("reviews"),), stat_prefix="tls", match=ChainMatch(server_names=("a.shop",)))
TCP = TcpChain(destinations=(to("reviews"),), stat_prefix="tcp")


def manager_of(chain: HttpChain) -> dict:
    return shown_listener(a_listener("http", chain))["filter_chains"][0]["filters"][0]["typed_config"]


def inspectors_of(shown: dict) -> list[str]:
    return [each["name"].removeprefix("envoy.filters.listener.") for each in shown.get("listener_filters", ())]


def test_a_lone_chain_needs_no_inspector_and_takes_everything():
    for chain, side in ((HTTP, "gateway"), (HTTP, "inbound"), (TCP, "outbound")):
        shown = shown_listener(replace(a_listener("lone", chain), side=side))

        assert inspectors_of(shown) == []
        assert "listener_filters_timeout" not in shown
        assert "filter_chain_match" not in shown["filter_chains"][0]


def test_an_application_that_opens_tls_to_http_is_asked_for_whom_and_taken_all_the_same():
    shown = shown_listener(a_listener("lone", HTTP))

    assert inspectors_of(shown) == ["tls_inspector"]
    assert shown["listener_filters_timeout"] == "0s"
    assert "filter_chain_match" not in shown["filter_chains"][0]


def test_ports_of_tls_are_inspected_and_no_others():
    several = shown_listener(replace(a_listener("captured", TCP), captures=True, tls_ports=(443, 8443)))
    one = shown_listener(replace(a_listener("captured", TCP), captures=True, tls_ports=(443,)))

    disabled = one["listener_filters"][1]["filter_disabled"]
    assert inspectors_of(several) == inspectors_of(one) == ["original_dst", "tls_inspector"]
    assert disabled == {"not_match": {"destination_port_range": {"start": 443, "end": 444}}}
    assert len(several["listener_filters"][1]["filter_disabled"]["not_match"]["or_match"]["rules"]) == 2


def test_chains_by_server_name_wait_for_the_client_hello_for_ever():
    shown = shown_listener(a_listener("sni", SNI, TCP))

    assert inspectors_of(shown) == ["tls_inspector"]
    assert shown["listener_filters_timeout"] == "0s"
    assert shown["filter_chains"][0]["filter_chain_match"] == {"server_names": ["a.shop"]}
    assert [chain["name"] for chain in shown["filter_chains"]] == ["tls"]
    assert shown["default_filter_chain"]["name"] == "tcp"


def test_http_beside_plain_tcp_is_told_apart_by_what_the_client_says():
    shown = shown_listener(a_listener("shared", HTTP, SNI, TCP))

    assert inspectors_of(shown) == ["tls_inspector", "http_inspector"]
    assert shown["filter_chains"][0]["filter_chain_match"] == {
        "transport_protocol": "raw_buffer",
        "application_protocols": ["http/1.1", "h2c"],
    }


def test_http_beside_tls_alone_takes_all_that_is_not_tls():
    shown = shown_listener(a_listener("shared", HTTP, SNI))

    assert inspectors_of(shown) == ["tls_inspector"]
    assert shown["filter_chains"][0]["filter_chain_match"] == {"transport_protocol": "raw_buffer"}


def test_routes_come_on_the_aggregated_stream():
    manager = manager_of(HTTP)

    assert manager["rds"] == {"config_source": {"ads": {}, "resource_api_version": "V3"}, "route_config_name": "80"}
    assert manager["stream_idle_timeout"] == "0s"
    assert manager["upgrade_configs"] == [{"upgrade_type": "websocket"}]
    assert manager["normalize_path"] is True


def test_the_filters_stand_in_order():
    names = [each["name"].removeprefix("envoy.filters.http.") for each in manager_of(HTTP)["http_filters"]]
    web = HttpChain(route_table=RouteTableName("80"), stat_prefix="web", grpc_web=True, keep_timeout_header=False)
    web_names = [each["name"].removeprefix("envoy.filters.http.") for each in manager_of(web)["http_filters"]]

    assert names == ["fault", "fault.grpc", "cors", "header_mutation", "router"]
    assert web_names == ["grpc_web", "fault", "fault.grpc", "cors", "router"]
    assert "early_header_mutation_extensions" not in manager_of(web)


def test_only_an_explicit_proxy_takes_old_clients():
    proxy = HttpChain(route_table=RouteTableName("80"), stat_prefix="proxy", absolute_urls=True)

    assert manager_of(proxy)["http_protocol_options"] == {"allow_absolute_url": True, "accept_http_10": True}
    assert "http_protocol_options" not in manager_of(HTTP)


def test_tcp_goes_to_clusters_by_weight():
    both = TcpChain(destinations=(to("v1", weight=1), to("v2", weight=3)), stat_prefix="tcp")

    proxy = shown_listener(a_listener("tcp", both))["filter_chains"][0]["filters"][0]["typed_config"]

    assert proxy["weighted_clusters"] == {"clusters": [{"name": "v1", "weight": 1}, {"name": "v2", "weight": 3}]}
    assert proxy["idle_timeout"] == "3600s"


def test_a_lookup_by_sni_needs_the_client_hello():
    lookup = TcpChain(destinations=(to("any"),), stat_prefix="any", sni_dns_port=443)

    shown = shown_listener(a_listener("any", lookup))

    first, second = shown["filter_chains"][0]["filters"]
    assert inspectors_of(shown) == ["tls_inspector"]
    assert first["name"] == "envoy.filters.network.sni_dynamic_forward_proxy"
    assert (first["typed_config"]["port_value"], second["name"]) == (443, "envoy.filters.network.tcp_proxy")


def test_names_of_requests_are_looked_up_right_before_they_are_routed():
    dynamic = manager_of(replace(HTTP, dynamic_dns=True))

    assert [each["name"] for each in dynamic["http_filters"]][-2:] == [
        "envoy.filters.http.dynamic_forward_proxy",
        "envoy.filters.http.router",
    ]


@pytest.mark.spec("V-102", "V-112")
def test_everything_that_a_match_says_is_asked_for():
    match = ChainMatch(
        destination_port=443,
        prefix_ranges=("10.0.0.0/8", "10.1.1.1", "fd00::/8", "fd00::1"),
        server_names=("a.shop",),
        transport="tls",
        alpn=("istio",),
        source_prefix_ranges=("192.0.2.0/24",),
    )

    shown = shown_listener(a_listener("one", replace(TCP, match=match)))

    assert shown["filter_chains"][0]["filter_chain_match"] == {
        "destination_port": 443,
        "prefix_ranges": [
            {"address_prefix": "10.0.0.0", "prefix_len": 8},
            {"address_prefix": "10.1.1.1", "prefix_len": 32},
            {"address_prefix": "fd00::", "prefix_len": 8},
            {"address_prefix": "fd00::1", "prefix_len": 128},
        ],
        "server_names": ["a.shop"],
        "transport_protocol": "tls",
        "application_protocols": ["istio"],
        "source_prefix_ranges": [{"address_prefix": "192.0.2.0", "prefix_len": 24}],
    }
    assert inspectors_of(shown) == ["tls_inspector"]


def test_chains_by_address_need_no_inspector():
    by_address = replace(TCP, match=ChainMatch(prefix_ranges=("10.1.1.1",)))

    shown = shown_listener(a_listener("vip", by_address, HTTP))

    assert inspectors_of(shown) == []
    assert "listener_filters_timeout" not in shown
    assert shown["default_filter_chain"]["name"] == "http"


def test_http_that_says_how_it_is_known_is_taken_at_its_word():
    told = replace(HTTP, match=ChainMatch(transport="raw_buffer", alpn=("http/1.1", "h2c"), destination_port=80))
    secured = replace(HTTP, tls=DownstreamTls(certificates=(SecretName("own"),)))

    matches = [chain["filter_chain_match"] for chain in shown_listener(a_listener("in", told, TCP))["filter_chains"]]
    (lone,) = shown_listener(a_listener("https", secured))["filter_chains"]

    assert matches == [
        {"destination_port": 80, "transport_protocol": "raw_buffer", "application_protocols": ["http/1.1", "h2c"]}
    ]
    assert "filter_chain_match" not in lone


def test_where_a_connection_was_going_is_found_out_before_anything_else():
    captured = replace(a_listener("virtual", SNI, TCP), captures=True, hands_over=True)
    gateway = replace(a_listener("gateway", SNI), proxy_protocol=True, side="gateway")

    virtual, behind_balancer = shown_listener(captured), shown_listener(gateway)

    assert inspectors_of(virtual) == ["original_dst", "tls_inspector"]
    assert virtual["use_original_dst"] is True
    assert inspectors_of(behind_balancer) == ["proxy_protocol", "tls_inspector"]


def test_who_waits_for_the_server_to_speak_is_not_waited_for():
    one = shown_listener(replace(a_listener("one", SNI), server_first=(25,)))["listener_filters"][0]
    two = shown_listener(replace(a_listener("two", SNI), server_first=(25, 3306)))["listener_filters"][0]

    assert one["filter_disabled"] == {"destination_port_range": {"start": 25, "end": 26}}
    assert [each["destination_port_range"]["start"] for each in two["filter_disabled"]["or_match"]["rules"]] == [
        25,
        3306,
    ]


def test_a_listener_may_be_there_only_for_what_another_hands_over():
    assert shown_listener(replace(a_listener(), bound=False))["bind_to_port"] is False
    assert "bind_to_port" not in shown_listener(a_listener())


def test_the_world_may_not_be_slow_and_the_hosts_applications_may():
    gateway = shown_listener(replace(a_listener("gateway", SNI, TCP), side="gateway"))
    outbound = shown_listener(a_listener("outbound", SNI, TCP))
    inbound = shown_listener(replace(a_listener("inbound", SNI, TCP), side="inbound"))

    timeouts = [each.get("transport_socket_connect_timeout") for each in gateway["filter_chains"]]
    assert timeouts == ["15s"]
    assert gateway["default_filter_chain"]["transport_socket_connect_timeout"] == "15s"
    assert "listener_filters_timeout" not in gateway
    assert "transport_socket_connect_timeout" not in outbound["filter_chains"][0]
    assert [each["listener_filters_timeout"] for each in (outbound, inbound)] == ["0s", "0s"]
    directions = [each["traffic_direction"] for each in (outbound, inbound, gateway)]
    assert directions == ["OUTBOUND", "INBOUND", "OUTBOUND"]


def test_each_side_trusts_its_peers_as_far_as_they_go():
    outbound, gateway, inbound = (manager_of(replace(HTTP, side=side)) for side in ("outbound", "gateway", "inbound"))

    assert [each["use_remote_address"] for each in (outbound, gateway, inbound)] == [False, True, False]
    assert "forward_client_cert_details" not in outbound
    assert gateway["forward_client_cert_details"] == "SANITIZE_SET"
    assert gateway["set_current_client_cert_details"] == {"subject": True, "cert": True, "dns": True, "uri": True}
    assert inbound["forward_client_cert_details"] == "APPEND_FORWARD"
    assert "early_header_mutation_extensions" in outbound
    for strangers in (gateway, inbound):
        assert "early_header_mutation_extensions" not in strangers
        assert strangers["stream_idle_timeout"] == "0s"


def test_filters_of_protocols_stand_before_the_proxy_or_in_its_place():
    mongo, redis = (replace(TCP, filtered=kind) for kind in ("mongo", "redis"))
    weighted = replace(redis, destinations=(to("a"), to("b")))

    names = [
        [
            each["name"].rpartition(".")[2]
            for each in shown_listener(a_listener("db", chain))["filter_chains"][0]["filters"]
        ]
        for chain in (mongo, redis, weighted)
    ]

    assert names == [["mongo_proxy", "tcp_proxy"], ["redis_proxy"], ["tcp_proxy"]]


@pytest.mark.spec("D-90")
def test_a_tunnel_is_asked_for_by_its_authority():
    chain = replace(TCP, tunnel=Tunnel(authority="db:5432", use_post=True))

    proxy = shown_listener(a_listener("tcp", chain))["filter_chains"][0]["filters"][0]["typed_config"]

    assert proxy["tunneling_config"] == {"hostname": "db:5432", "use_post": True}


def test_rules_of_one_cluster_are_told_apart_where_order_counts():
    rules = [replace(TCP, match=ChainMatch(prefix_ranges=(f"10.{n}.0.0/16",))) for n in (1, 2)]

    shown = shown_listener(replace(a_listener("ordered", *rules), ordered=True))

    assert [chain["name"] for chain in shown["filter_chains"]] == ["0-tcp", "1-tcp"]
    assert "filter_chain_match" not in shown["filter_chains"][0]
    actions = [each["on_match"]["action"] for each in shown["filter_chain_matcher"]["matcher_list"]["matchers"]]
    assert [action["typed_config"]["value"] for action in actions] == ["0-tcp", "1-tcp"]


def test_where_order_counts_nothing_comes_after_a_chain_that_takes_everything():
    late = replace(TCP, match=ChainMatch(prefix_ranges=("10.0.0.0/8",)), stat_prefix="late")

    lone, shadowing, last = (
        shown_listener(replace(a_listener("ordered", *chains), ordered=True))
        for chains in ((TCP,), (TCP, late), (late, TCP))
    )

    assert [chain["name"] for chain in lone["filter_chains"]] == ["0-tcp"]
    assert (shadowing["default_filter_chain"]["name"], "filter_chains" in shadowing) == ("0-tcp", False)
    assert (last["default_filter_chain"]["name"], last["filter_chains"][0]["name"]) == ("1-tcp", "0-late")
    assert ["filter_chain_matcher" in each for each in (lone, shadowing, last)] == [False, False, True]


@pytest.mark.spec("G-4.13", "G-4.14", "G-4.15", "G-4.17")
def test_the_context_of_a_server_says_all_that_the_plan_says():
    tls = DownstreamTls(
        certificates=(SecretName("rsa"), SecretName("ecdsa")),
        alpn=("h2", "http/1.1"),
        validation=SecretName("root"),
        requires_client_certificate=True,
        subject_alt_names=("a.shop",),
        spki=("x" * 44,),
        hashes=("0" * 64,),
        min_version=None,
        max_version="TLSv1_3",
        cipher_suites=("ECDHE-RSA-AES128-GCM-SHA256",),
        ecdh_curves=("X25519",),
    )

    chain = shown_listener(a_listener("https", replace(HTTP, tls=tls)))["filter_chains"][0]

    context = chain["transport_socket"]["typed_config"]
    common = context["common_tls_context"]
    assert context["require_client_certificate"] is True
    assert common["tls_params"] == {
        "tls_maximum_protocol_version": "TLSv1_3",
        "cipher_suites": ["ECDHE-RSA-AES128-GCM-SHA256"],
        "ecdh_curves": ["X25519"],
    }
    assert [each["name"] for each in common["tls_certificate_sds_secret_configs"]] == ["rsa", "ecdsa"]
    assert common["alpn_protocols"] == ["h2", "http/1.1"]
    combined = common["combined_validation_context"]
    assert combined["validation_context_sds_secret_config"]["name"] == "root"
    expected = combined["default_validation_context"]
    assert expected["verify_certificate_spki"] == ["x" * 44]
    assert expected["verify_certificate_hash"] == ["0" * 64]
    assert [each["san_type"] for each in expected["match_typed_subject_alt_names"]] == ["DNS", "URI"]
    assert "trust_chain_verification" not in expected


def test_a_listener_that_did_not_change_is_the_very_same_resource():
    memo = Memo()
    plan = a_plan(listeners=(a_listener(),))
    (before,) = render(plan, memo).listeners
    memo.turn()

    assert render(plan, memo).listeners[0] is before
