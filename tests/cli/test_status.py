from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from meshd.cli import VERBS, meshd
from meshd.cli.status import text

STATUS = {
    "host": "web-1",
    "version": "0.1.0",
    "ready": False,
    "revision": {
        "active": {"id": "a" * 40, "subject": "send a quarter to v2"},
        "fetched": {"id": "b" * 40, "subject": "x" * 200},
        "accepted": {"id": "a" * 40, "subject": ""},
        "rejected": {"id": "b" * 40, "subject": "x" * 200},
    },
    "source": {"url": "ssh://git@git.example.com/mesh.git", "branch": "main"},
    "proxies": [
        {"name": "sidecar", "state": "LIVE", "pid": 4711, "generation": 7, "acknowledged": True, "mode": "xds"},
    ],
    "endpoints": {
        "names": 2,
        "stale": [{"name": "db.example", "text": "db.example: Timeout for 1m; 1 address, 2m old, in use"}],
    },
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "ProxiesNotReady", "message": "m" * 300, "since": "now"},
    ],
    "problems": [{"text": "shop.yaml:3:7: spec.hosts: must not be empty [E-VALUE]"}],
}


@pytest.fixture(autouse=True)
def _no_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")


def test_the_text_names_revision_proxies_endpoints_conditions_and_problems():
    said = text(STATUS)

    for word in ("web-1", "a" * 12, "sidecar", "4711", "generation 7", "db.example", "Ready", "shop.yaml:3:7"):
        assert word in said


def test_without_an_active_revision_nobody_knows_which_proxies_there_are():
    nothing = {**STATUS, "proxies": []}
    revision = {**STATUS["revision"], "active": None}

    assert "this host runs no proxy" in text(nothing)
    assert "none yet" in text({**nothing, "revision": revision})


def test_the_text_fits_a_hundred_columns():
    assert max(map(len, text(STATUS).splitlines())) <= 100


def test_workloads_are_shown_where_any_are_probed():
    sick = {"workload": "shop/" + "w" * 200, "healthy": False, "since": "now", "reason": "status 503 " + "x" * 200}
    well = {"workload": "shop/cart-1", "healthy": True, "since": "now", "reason": ""}

    said = text({**STATUS, "workloads": [well, sick]})

    assert "● shop/cart-1 healthy" in said
    assert "status 503" in said
    assert max(map(len, said.splitlines())) <= 100
    assert "workloads" not in text({**STATUS, "workloads": []})


def a_certificate(**changes):
    fields = {
        "path": "/etc/meshd/secrets/shop/tls.crt",
        "kind": "certificate",
        "state": "ok",
        "reason": "",
        "subject": "CN=shop.example",
        "names": ["shop.example", "www.shop.example"],
        "count": 1,
        "expires": "2099-01-01T00:00:00+00:00",
        "inUse": True,
        "from": {
            "file": "edge.yaml",
            "line": 12,
            "resource": {"kind": "Gateway", "namespace": "edge", "name": "shop"},
        },
    }
    return fields | changes


def test_certificates_are_shown_with_their_end_and_who_names_them():
    said = text({**STATUS, "certificates": [a_certificate()]})

    assert "● /etc/meshd/secrets/shop/tls.crt" in said
    assert "2099-01-01, " in said
    assert "CN=shop.example (www.shop.example)  edge.yaml:12 Gateway edge/shop" in said
    assert "certs" not in text(STATUS)


def test_certificates_that_need_somebody_come_first():
    bad = [a_certificate(path=f"/{state}", state=state, reason=f"it is {state}") for state in ("missing", "expired")]
    unused = a_certificate(path="/unused", inUse=False, reason="another one")
    roots = a_certificate(path="/roots", kind="ca", count=144)
    endless = a_certificate(path="/endless", kind="crl", expires=None)
    many = [a_certificate(path=f"/{number}") for number in range(20)]

    said = text({**STATUS, "certificates": [*many, roots, *bad, unused, endless]})

    places = [said.index(word) for word in ("○ /expired", "○ /missing", "○ /unused", "● ")]
    assert places[:3] == sorted(places[:3])
    assert "not in use" in said
    assert "it is missing" in said
    assert "revocations /endless" in said
    assert "and 15 more, all ok: `-o json` has them" in said
    assert "144 of them" in text({**STATUS, "certificates": [roots]})


def test_of_hundreds_of_certificates_that_need_somebody_the_first_are_shown_and_the_others_counted():
    bad = [a_certificate(path=f"/{number}", inUse=False, reason="the proxy has another") for number in range(160)]

    said = text({**STATUS, "certificates": [*bad, a_certificate(), a_certificate()]})

    assert said.count("not in use") == 20
    assert "and 142 more, 140 of them not ok: `-o json` has them" in said


def test_certificates_fit_a_hundred_columns():
    long = "x" * 200
    origin = {"file": long, "line": 1, "resource": {"kind": "Gateway", "namespace": long, "name": long}}
    widest = a_certificate(path="/" + long, kind="crl", subject=long, names=[long], reason=long, state="unreadable")

    said = text({**STATUS, "certificates": [{**widest, "from": origin}]})

    assert max(map(len, said.splitlines())) <= 100


def test_good_and_bad_differ_without_colours():
    assert "○ not ready" in text(STATUS)
    assert "● ready" in text({**STATUS, "ready": True})


def test_no_control_sequence_of_a_commit_reaches_the_terminal():
    evil = {"id": "a" * 40, "subject": "fix\x1b]0;owned\x07\x1b[2J"}

    said = text({**STATUS, "revision": {**STATUS["revision"], "active": evil}})

    assert "\x1b" not in said
    assert "\x07" not in said


def test_what_envoy_said_against_it_is_shown_within_the_columns():
    refused = {**STATUS["proxies"][0], "acknowledged": False, "rejections": ["cannot bind " + "x" * 200]}
    source = {"url": "https://git.example.com/" + "y" * 200, "branch": "main", "ailment": "no inotify left"}

    said = text({**STATUS, "proxies": [refused], "source": source})

    assert "cannot bind" in said
    assert "no inotify left" in said
    assert max(map(len, said.splitlines())) <= 100


def test_status_imports_nothing_heavy(short_tmp):
    program = (
        "import sys, json; sys.argv = ['meshd', 'status', '--socket', sys.argv[1]]\n"
        "from meshd.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(short_tmp / "none.sock")], capture_output=True, text=True, check=True
    )

    modules = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert modules.isdisjoint({"structlog", "pygit2", "dns", "grpc", "watchdog", "yaml", "google", "re2"})
    assert "no daemon listens" in done.stderr


def test_no_daemon_is_exit_code_3(short_tmp):
    done = subprocess.run(
        [sys.executable, "-m", "meshd", "status", "--socket", str(short_tmp / "none.sock")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "systemctl start meshd" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["nonsense"], 2), (["sync", "-x"], 2)]
)
def test_exit_codes_of_usage(arguments, code):
    done = subprocess.run([sys.executable, "-m", "meshd", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == code


def test_every_verb_has_help():
    for verb in VERBS:
        result = CliRunner().invoke(meshd, [verb, "--help"])
        assert result.exit_code == 0, result.output
        assert max(map(len, result.output.splitlines())) <= 100
