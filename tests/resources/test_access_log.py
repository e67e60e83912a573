"""MeshConfig's accessLog* fields, judged alone."""

from __future__ import annotations

import json

import pytest

from tests.resources.judging import verdict


@pytest.mark.parametrize(
    "spec",
    [
        "accessLogFile: ''",
        "accessLogFile: /dev/stdout, accessLogEncoding: JSON, accessLogFilter: ALL",
        "accessLogFile: /var/log/meshd-envoy/access.log",
        "accessLogFormat: '%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %RESPONSE_CODE% 100%%'",
        'accessLogEncoding: JSON, accessLogFormat: \'{"code": "%RESPONSE_CODE%", "to": {"host": "%UPSTREAM_HOST%"}}\'',
        'accessLogEncoding: JSON, accessLogFormat: \'{"list": [1, true, null, "%DURATION%"]}\'',
        "accessLogFormat: ''",
        "accessLogFilter: FAILURES",
    ],
)
def test_settings(spec: str):
    assert verdict("MeshConfig", f"{{{spec}}}") == []


DEEP = json.dumps({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": "deep"}}}}}}}}})
NESTED = "[" * 4000


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("accessLogFile: access.log", ["E-VALUE accessLogFile"]),
        ("accessLogFile: /var/log/", ["E-VALUE accessLogFile"]),
        ("accessLogFile: /var/log/meshd-envoy/../../etc/passwd", ["E-VALUE accessLogFile"]),
        ("accessLogFile: /dev/stderr", ["E-VALUE accessLogFile"]),
        ("accessLogFile: /proc/self/fd/1", ["E-VALUE accessLogFile"]),
        ("accessLogFile: /srv/access.log", ["W-VALUE accessLogFile"]),
        ("accessLogEncoding: XML", ["E-VALUE accessLogEncoding"]),
        ("accessLogFilter: SOME", ["E-VALUE accessLogFilter"]),
        ("accessLogFormat: '%NO_SUCH_WORD%'", ["E-VALUE accessLogFormat"]),
        ("accessLogFormat: '100%'", ["E-VALUE accessLogFormat"]),
        ("accessLogFormat: '%REQ%'", ["E-VALUE accessLogFormat"]),
        (f"accessLogFormat: '{'a' * 8193}'", ["E-VALUE accessLogFormat"]),
        ("accessLogEncoding: JSON, accessLogFormat: '%PROTOCOL%'", ["E-VALUE accessLogFormat"]),
        ("accessLogEncoding: JSON, accessLogFormat: '[1]'", ["E-VALUE accessLogFormat"]),
        (f"accessLogEncoding: JSON, accessLogFormat: '{NESTED}'", ["E-VALUE accessLogFormat"]),
        (f"accessLogEncoding: JSON, accessLogFormat: '{DEEP}'", ["E-VALUE accessLogFormat"]),
        (
            'accessLogEncoding: JSON, accessLogFormat: \'{"a": [{"b": "%NO%"}], "c": "%NEITHER%"}\'',
            ["E-VALUE accessLogFormat", "E-VALUE accessLogFormat"],
        ),
    ],
)
def test_settings_that_are_wrong(spec: str, problems: list[str]):
    assert verdict("MeshConfig", f"{{{spec}}}") == problems
