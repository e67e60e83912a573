from __future__ import annotations

from meshd.envoy import render
from meshd.memo import Memo
from meshd.names import RouteTableName
from meshd.plan import ChainMatch, HttpChain, TcpChain
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
    for chain in (HTTP, TCP):
        shown = shown_listener(a_listener("lone", chain))

        assert inspectors_of(shown) == []
        assert "listener_filters_timeout" not in shown
        assert "filter_chain_match" not in shown["filter_chains"][0]


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


def test_a_listener_that_did_not_change_is_the_very_same_resource():
    memo = Memo()
    plan = a_plan(listeners=(a_listener(),))
    (before,) = render(plan, memo).listeners
    memo.turn()

    assert render(plan, memo).listeners[0] is before
