from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from envoy.config.route.v3.route_components_pb2 import VirtualHost as EnvoyVirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from meshd.envoy import render
from meshd.envoy.trial import single_routes
from meshd.memo import Memo
from meshd.names import ClusterName
from meshd.plan import (
    Abort,
    Cors,
    Delay,
    Forward,
    HashOnCookie,
    HeaderEdits,
    HeaderMatch,
    Mirror,
    PathRewrite,
    ProxyPlan,
    QueryMatch,
    Redirect,
    Respond,
    RetryPolicy,
    RouteMatch,
)
from tests.envoy.plans import EDITS, a_forward, a_plan, a_route, a_table, a_virtual_host, text, to
from tests.envoy.shown import shown_route, tree

ALWAYS = 1_000_000


def shown_match(**fields: Any) -> Any:
    return shown_route(a_route(match=RouteMatch(**fields)))["match"]


def shown_forward(**fields: Any) -> Any:
    return shown_route(a_route(a_forward(**fields)))["route"]


def test_a_table_framed_from_its_parts_is_what_protobuf_would_write(everything: ProxyPlan):
    (table,) = render(everything, Memo()).routes

    parsed = RouteConfiguration.FromString(table.body)

    assert parsed.SerializeToString(deterministic=True) == table.body
    assert [host.SerializeToString(deterministic=True) for host in parsed.virtual_hosts] == [
        part.body for part in table.parts
    ]


def test_each_part_knows_its_line_and_the_line_of_each_route():
    host = a_virtual_host("reviews", a_route(line=7), a_route(line=9))

    (part,) = render(a_plan(route_tables=(a_table(host),)), Memo()).routes[0].parts

    assert (part.name, part.origin) == ("reviews", host.origin)
    assert [origin.line for origin in part.origins] == [7, 9]


def test_a_part_splits_into_its_single_routes():
    host = a_virtual_host("reviews", a_route(line=7), a_route(line=9))
    (part,) = render(a_plan(route_tables=(a_table(host),)), Memo()).routes[0].parts

    singles = single_routes(part)

    assert [EnvoyVirtualHost.FromString(each.body).routes[0].name for each in singles] == ["route-7", "route-9"]
    assert [each.origin.line for each in singles] == [7, 9]


def test_a_table_looks_up_hosts_without_port_and_does_not_wait_for_clusters():
    (table,) = tree(render(a_plan(route_tables=(replace(a_table(), ignore_port=True),)), Memo()))["routes"]

    assert table == {
        "name": "http_proxy",
        "validate_clusters": False,
        "max_direct_response_body_size_bytes": 1_048_576,
        "ignore_port_in_host_matching": True,
    }


def test_what_did_not_change_is_the_very_same_resource():
    memo = Memo()
    hosts = tuple(a_virtual_host(f"host-{number}") for number in range(3))
    (before,) = render(a_plan(route_tables=(a_table(*hosts),)), memo).routes
    memo.turn()

    (same,) = render(a_plan(route_tables=(a_table(*hosts),)), memo).routes
    memo.turn()
    (after,) = render(a_plan(route_tables=(a_table(*hosts[:2], a_virtual_host("other")),)), memo).routes

    assert same is before
    assert [new is old for new, old in zip(after.parts, before.parts, strict=True)] == [True, True, False]
    assert after.version != before.version


@pytest.mark.parametrize(("kind", "field"), [("exact", "path"), ("prefix", "prefix")])
def test_paths_match_without_case_when_asked_to(kind: str, field: str):
    assert shown_match(path=text(kind, "/A"), ignore_case=True) == {field: "/A", "case_sensitive": False}
    assert shown_match(path=text(kind, "/A")) == {field: "/A"}


def test_a_path_matches_a_regular_expression():
    assert shown_match(path=text("regex", "/a+")) == {"safe_regex": {"regex": "/a+"}}


def test_a_negated_value_matches_a_missing_header_too():
    (negated,) = shown_match(headers=(HeaderMatch(name="x", text=text("exact", "1"), invert=True),))["headers"]

    assert negated == {
        "name": "x",
        "string_match": {"exact": "1"},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    }


def test_headers_and_query_parameters_may_only_have_to_be_there():
    match = shown_match(headers=(HeaderMatch(name="x", text=None),), query=(QueryMatch(name="q", text=None),))

    assert match["headers"] == [{"name": "x", "present_match": True}]
    assert match["query_parameters"] == [{"name": "q", "present_match": True}]


def test_without_a_timeout_envoys_own_is_switched_off_and_a_grpc_call_has_its_own_deadline():
    unlimited = shown_forward()

    assert (unlimited["timeout"], unlimited["max_stream_duration"]) == ("0s", {"grpc_timeout_header_max": "0s"})


def test_a_timeout_stands_alone_for_envoy_ignores_it_beside_a_stream_duration():
    limited = shown_forward(timeout=timedelta(milliseconds=1500))

    assert limited["timeout"] == "1.500s"
    assert "max_stream_duration" not in limited


def test_the_only_destination_gives_its_headers_to_the_route_after_the_routes_own():
    only = to("reviews", request_headers=HeaderEdits(add=(("x-mine", "1"),), remove=("x-gone",)), authority="mine")

    route = shown_route(a_route(Forward(destinations=(only,)), request_headers=EDITS))

    assert [each["header"]["key"] for each in route["request_headers_to_add"]] == ["x-set", "x-add", "x-mine"]
    assert route["request_headers_to_add"][0]["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"
    assert "append_action" not in route["request_headers_to_add"][1]
    assert route["request_headers_to_remove"] == ["x-gone"]
    assert route["route"]["host_rewrite_literal"] == "mine"
    assert route["route"]["cluster"] == "reviews"


def test_the_routes_authority_wins_over_that_of_its_only_destination():
    action = Forward(destinations=(to("reviews", authority="mine"),), authority="ours")

    assert shown_route(a_route(action))["route"]["host_rewrite_literal"] == "ours"


def test_a_header_that_is_written_empty_is_sent_and_one_that_a_formatter_does_not_find_is_not():
    route = a_route(request_headers=HeaderEdits(set=(("x-empty", ""), ("x-found", "%REQ(X-A)%"))))

    options = shown_route(route)["request_headers_to_add"]

    assert [option.get("keep_empty_value", False) for option in options] == [True, False]


def test_several_destinations_share_by_weight_and_keep_their_own_headers():
    action = Forward(destinations=(to("v1", weight=75, response_headers=EDITS, authority="a"), to("v2", weight=25)))

    first, second = shown_route(a_route(action))["route"]["weighted_clusters"]["clusters"]

    assert (first["name"], first["weight"], first["host_rewrite_literal"]) == ("v1", 75, "a")
    assert first["response_headers_to_remove"] == ["x-gone"]
    assert second == {"name": "v2", "weight": 25}


def test_retries_go_to_other_hosts():
    policy = RetryPolicy(attempts=2, retry_on=("5xx", "reset"), per_try_timeout=timedelta(seconds=1))

    shown = shown_forward(retries=policy)["retry_policy"]

    assert (shown["retry_on"], shown["num_retries"], shown["per_try_timeout"]) == ("5xx,reset", 2, "1s")
    assert shown["retry_host_predicate"][0]["name"] == "envoy.retry_host_predicates.previous_hosts"
    assert shown["host_selection_retry_max_attempts"] == "5"
    assert "retry_priority" not in shown
    assert "retry_back_off" not in shown


def test_retries_may_leave_the_locality_and_wait():
    policy = RetryPolicy(
        attempts=1,
        retry_on=("5xx",),
        remote_localities=True,
        avoid_previous_hosts=False,
        base_interval=timedelta(milliseconds=100),
    )

    shown = shown_forward(retries=policy)["retry_policy"]

    assert shown["retry_priority"]["typed_config"]["update_frequency"] == 2
    assert shown["retry_back_off"] == {"base_interval": "0.100s"}
    assert "retry_host_predicate" not in shown


def test_a_mirror_keeps_its_host_and_takes_its_share():
    (policy,) = shown_forward(mirrors=(Mirror(cluster=ClusterName("copy"), millionths=5),))["request_mirror_policies"]

    assert policy == {
        "cluster": "copy",
        "runtime_fraction": {"default_value": {"numerator": 5, "denominator": "MILLION"}},
        "trace_sampled": False,
        "disable_shadow_host_suffix_append": True,
    }


def test_a_cookie_without_a_life_is_never_made():
    never, session = shown_forward(hash_keys=(HashOnCookie(name="a"), HashOnCookie(name="b", ttl=timedelta())))[
        "hash_policy"
    ]

    assert never == {"cookie": {"name": "a"}}
    assert session == {"cookie": {"name": "b", "ttl": "0s"}}


def test_a_path_is_rewritten_by_prefix_or_by_regular_expression():
    assert shown_forward(path_rewrite=PathRewrite(prefix="/v2"))["prefix_rewrite"] == "/v2"
    assert shown_forward(path_rewrite=PathRewrite(regex="/a(.*)", substitution="\\1"))["regex_rewrite"] == {
        "pattern": {"regex": "/a(.*)"},
        "substitution": "\\1",
    }


@pytest.mark.parametrize(
    ("code", "word"), [(302, "FOUND"), (303, "SEE_OTHER"), (307, "TEMPORARY_REDIRECT"), (308, "PERMANENT_REDIRECT")]
)
def test_a_redirect_says_its_code(code: Any, word: str):
    shown = shown_route(a_route(Redirect(code=code, authority="b.shop", port=81)))["redirect"]

    assert shown == {"host_redirect": "b.shop", "port_redirect": 81, "response_code": word}


def test_a_direct_response_brings_its_own_headers():
    action = Respond(status=418, body=b"\xff", headers=(("content-type", "a/b"),))

    route = shown_route(a_route(action))

    assert route["direct_response"] == {"status": 418, "body": {"inline_bytes": "/w=="}}
    assert route["response_headers_to_add"][0]["header"] == {"key": "content-type", "value": "a/b"}


def test_a_grpc_abort_spares_other_requests_and_the_delay_does_not():
    delay = Delay(fixed=timedelta(seconds=1), millionths=ALWAYS)

    route = shown_route(a_route(delay=delay, abort=Abort(grpc_status=14, millionths=ALWAYS)))

    filters = route["typed_per_filter_config"]
    always = {"numerator": ALWAYS, "denominator": "MILLION"}
    assert filters["envoy.filters.http.fault"]["delay"] == {"fixed_delay": "1s", "percentage": always}
    assert "abort" not in filters["envoy.filters.http.fault"]
    assert filters["envoy.filters.http.fault.grpc"]["abort"] == {"grpc_status": 14, "percentage": always}
    assert filters["envoy.filters.http.fault.grpc"]["headers"] == [
        {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    ]


@pytest.mark.spec("V-97")
def test_cors_is_for_every_request():
    policy = shown_route(a_route(cors=Cors()))["typed_per_filter_config"]["envoy.filters.http.cors"]

    assert policy["filter_enabled"]["default_value"] == {"numerator": ALWAYS, "denominator": "MILLION"}


def test_cors_leaves_out_what_the_plan_leaves_out():
    policy = shown_route(a_route(cors=Cors(allow_methods=("GET", "PUT"))))["typed_per_filter_config"][
        "envoy.filters.http.cors"
    ]

    assert policy["allow_methods"] == "GET,PUT"
    assert policy["forward_not_matching_preflights"] is True
    assert {"max_age", "allow_credentials", "allow_headers"}.isdisjoint(policy)
