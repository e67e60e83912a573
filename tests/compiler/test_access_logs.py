"""What a MeshConfig says of access logs, and what its silence means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.plan import AccessLog
from tests.builders import a_mesh_config
from tests.compiler.gateways import a_gateway_plan
from tests.compiler.plans import a_plan


def log_of(**said: Any) -> AccessLog:
    found = a_plan(a_mesh_config(**said)).access_log
    assert found
    return found


def test_where_nothing_is_said_failures_are_told_as_json():
    for plan in (a_plan(), a_gateway_plan()):
        assert plan.access_log
        assert (plan.access_log.path, plan.access_log.only_failures) == (None, True)
        assert plan.access_log.encoding == "json"


def test_of_a_failure_the_query_is_not_told():
    fields = json.loads(log_of().format)

    assert fields["path"] == "%PATH(NQ)%"
    assert "QUERY" not in log_of().format


def test_an_empty_file_is_none():
    assert a_plan(a_mesh_config(access_log_file="")).access_log is None


@pytest.mark.parametrize(("file", "path"), [("/dev/stdout", None), ("/var/log/a", "/var/log/a")])
def test_who_names_a_file_has_every_line_in_istios_words(file: str, path: str | None):
    log = log_of(access_log_file=file)

    assert (log.path, log.only_failures, log.encoding) == (path, False, "text")
    assert log.format.startswith('[%START_TIME%] "%REQ(:METHOD)% ')
    assert log.format.endswith(" %ROUTE_NAME%\n")


def test_as_json_these_are_istios_names():
    fields = json.loads(log_of(access_log_file="/dev/stdout", access_log_encoding="JSON").format)

    assert len(fields) == 24
    assert fields["upstream_service_time"] == "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"


def test_failures_may_have_a_file_or_a_format_of_their_own():
    filed = log_of(access_log_file="/var/log/a", access_log_filter="FAILURES")
    worded = log_of(access_log_format="%PROTOCOL%")

    assert (filed.only_failures, filed.encoding) == (True, "json")
    assert "upstream_transport_failure_reason" in filed.format
    assert (worded.only_failures, worded.encoding, worded.format) == (True, "text", "%PROTOCOL%\n")


def test_everything_may_go_where_nothing_else_is_said():
    assert log_of(access_log_filter="ALL").path is None
    assert not log_of(access_log_filter="ALL").only_failures


def test_a_format_of_json_stays_as_it_was_meant():
    log = log_of(access_log_encoding="JSON", access_log_format='{"b": 1, "a": {"c": "%PROTOCOL%"}}')

    assert log.format == '{"a":{"c":"%PROTOCOL%"},"b":1}'


def test_the_log_is_the_same_for_each_pass():
    assert log_of() == log_of()
