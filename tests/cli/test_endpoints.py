from __future__ import annotations

import pytest
from click.testing import CliRunner

from meshd.cli import meshd
from meshd.cli.endpoints import text

NAME = {
    "name": "db.example",
    "source": "kept",
    "addresses": 1,
    "age": 300.0,
    "ttl": None,
    "error": "SERVFAIL",
    "culprit": "a.example",
    "since": "2020-01-01T00:00:00+00:00",
}
ENDPOINT = {
    "address": "10.0.0.7:5432",
    "source": "kept",
    "name": "db.example",
    "health": "healthy",
    "weight": 1,
    "priority": 0,
    "itself": None,
    "locality": "",
}
ROW = {
    "service": "db.example",
    "port": 5432,
    "subset": "",
    "proxy": "sidecar",
    "cluster": "outbound|5432||db.example",
    "discovery": "eds",
    "names": [NAME],
    "endpoints": [ENDPOINT],
}


@pytest.fixture(autouse=True)
def _no_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")


def said(*rows, silent=(), whole=False):
    return text({"host": "web-1", "services": list(rows), "silent": list(silent)}, whole=whole)


def test_a_service_its_names_and_its_endpoints():
    lines = said(ROW).splitlines()

    assert lines[0] == "db.example:5432  (sidecar)"
    assert lines[1].startswith("  db.example: kept, 1 address, age 5m, SERVFAIL of a.example for ")
    assert lines[2].split() == ["●", "10.0.0.7:5432", "healthy", "kept", "db.example"]


def test_where_the_proxy_would_call_itself_is_told():
    assert "○ 10.0.0.7:5432" in said({**ROW, "endpoints": [{**ENDPOINT, "health": "absent", "itself": "http"}]})
    assert "itself" in said({**ROW, "endpoints": [{**ENDPOINT, "health": "absent", "itself": "http"}]})


def test_good_and_bad_differ_without_colours():
    assert "○ 10.0.0.7:5432" in said({**ROW, "endpoints": [{**ENDPOINT, "health": "ejected"}]})
    assert "○ no endpoints" in said({**ROW, "endpoints": []})


def test_what_only_traffic_tells_is_no_fault():
    dialled = {**ROW, "names": [], "endpoints": [], "discovery": "original_dst"}

    assert "to wherever the application connects" in said(dialled)


def test_of_many_endpoints_ten_are_shown_and_all_of_one_service():
    many = {**ROW, "endpoints": [{**ENDPOINT, "address": f"10.0.0.{n}:80"} for n in range(30)]}

    assert "and 20 more: `--service db.example`" in said(many)
    assert said(many, whole=True).count("● 10.0.0.") == 30


def test_everything_fits_a_hundred_columns():
    long = "x" * 200
    name = {**NAME, "name": long, "culprit": long}
    endpoint = {**ENDPOINT, "address": f"[{'f' * 39}]:65535", "name": long, "health": "unhealthy", "priority": 3}
    row = {**ROW, "service": long, "subset": long, "names": [name], "endpoints": [endpoint]}

    assert max(map(len, said(row, silent=["sidecar"]).splitlines())) <= 100


def test_no_control_sequence_of_the_mesh_reaches_the_terminal():
    assert "\x1b" not in said({**ROW, "service": "a\x1b[2J"})


def test_a_host_without_services_and_a_proxy_without_words():
    assert said() == "this host calls no services"
    assert "the gateway does not say how it sees them" in said(ROW, silent=["gateway"])


def test_without_a_daemon_the_exit_code_is_3_and_the_line_says_what_to_do(short_tmp):
    result = CliRunner().invoke(meshd, ["endpoints", "--socket", str(short_tmp / "none.sock")])

    assert "no daemon listens" in str(result.exception)
