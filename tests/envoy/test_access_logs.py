"""An access log in Envoy's words: who writes what of requests, connections and listeners."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf.json_format import MessageToDict

from meshd.envoy import render
from meshd.envoy.access_logs import loggers
from meshd.envoy.listeners import listener
from meshd.envoy.stand_in import listener_with_stand_ins
from meshd.memo import Memo
from meshd.names import RouteTableName
from meshd.plan import AccessLog, HttpChain, TcpChain
from tests.envoy.plans import a_listener, a_plan, to

FAILURES = AccessLog(format='{"code":"%RESPONSE_CODE%"}', encoding="json", only_failures=True)
ALL = AccessLog(format="%PROTOCOL%\n", encoding="text", path="/var/log/meshd-envoy/access.log")
HTTP = HttpChain(route_table=RouteTableName("http_proxy"), stat_prefix="http")
TCP = TcpChain(destinations=(to("a-plain"),), stat_prefix="tcp")


def shown(log: AccessLog | None, chain: HttpChain | TcpChain) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The loggers of the chain's filter, and those of the listener."""
    made = Listener.FromString(listener(a_listener("one", chain), logs=loggers(log)).body)
    tree = MessageToDict(made, preserving_proto_field_name=True)
    (of_chain,) = tree["filter_chains"][0]["filters"]
    return of_chain["typed_config"].get("access_log", []), tree.get("access_log", [])


def filters(logger: dict[str, Any]) -> set[str]:
    return {name for each in logger["filter"]["or_filter"]["filters"] for name in each}


def test_without_a_log_nobody_writes():
    assert shown(None, HTTP) == shown(None, TCP) == ([], [])


def test_failed_requests_are_told_by_their_connection_manager():
    (of_requests,), (of_connections,) = shown(FAILURES, HTTP)

    assert filters(of_requests) == {"status_code_filter", "response_flag_filter", "and_filter"}
    assert filters(of_connections) == {"response_flag_filter", "extension_filter"}
    assert of_requests["name"] == "envoy.access_loggers.stdout"
    assert of_requests["typed_config"]["log_format"] == {
        "json_format": {"code": "%RESPONSE_CODE%"},
        "omit_empty_values": True,
    }


def test_failed_connections_are_told_once_by_their_listener():
    of_chain, of_listener = shown(FAILURES, TCP)

    assert of_chain == []
    flags = of_listener[0]["filter"]["or_filter"]["filters"][0]["response_flag_filter"]["flags"]
    assert {"NR", "UH", "UF", "NC"} <= set(flags)
    assert "DPE" not in flags  # the connection manager has told of the request


def test_of_everything_the_listener_adds_only_what_found_no_chain():
    for chain in (HTTP, TCP):
        (of_chain,), (of_listener,) = shown(ALL, chain)

        assert "filter" not in of_chain
        assert of_chain["typed_config"]["path"] == "/var/log/meshd-envoy/access.log"
        assert of_chain["typed_config"]["log_format"]["text_format_source"] == {"inline_string": "%PROTOCOL%\n"}
        assert of_listener["filter"]["or_filter"]["filters"][0]["response_flag_filter"]["flags"] == ["NR"]


def test_a_chain_that_leads_nowhere_closes_by_a_filter_that_logs():
    of_chain, _ = shown(ALL, replace(TCP, destinations=()))

    assert len(of_chain) == 1


def test_no_file_is_opened_where_a_listener_is_only_judged():
    logs = loggers(ALL)

    judged = Listener.FromString(listener_with_stand_ins(listener(a_listener("one", HTTP, TCP), logs=logs).body))

    text = json.dumps(MessageToDict(judged))
    assert "/var/log" not in text
    assert text.count('"/dev/null"') == 3


def test_the_same_log_gives_the_very_same_listeners():
    memo, plan = Memo(), a_plan(listeners=(a_listener("one", HTTP),))

    before = render(replace(plan, access_log=replace(FAILURES)), memo).listeners
    memo.turn()
    after = render(replace(plan, access_log=replace(FAILURES)), memo).listeners

    assert before[0] is after[0]
