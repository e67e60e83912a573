"""What the real binary says to what we render, and what requests meet there."""

from __future__ import annotations

import json
import socket
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings, xds_bootstrap
from meshd.envoy.fallback import fallback
from meshd.envoy.resource import EnvoyResource, Part
from meshd.envoy.routes import with_parts
from meshd.envoy.static_resources import static_resources
from meshd.envoy.trial import single_routes, trial
from meshd.memo import Memo
from meshd.plan import (
    Abort,
    ByEds,
    ChainMatch,
    Cors,
    HeaderEdits,
    ProxyPlan,
    Redirect,
    Respond,
    Route,
    RouteMatch,
    TcpChain,
    UpstreamHttp,
    UpstreamTls,
)
from tests.envoy.conftest import Judge
from tests.envoy.plans import (
    ANSWERS,
    OWN,
    ROOT,
    Certificates,
    a_cluster,
    a_forward,
    a_listener,
    a_plan,
    a_route,
    a_table,
    a_virtual_host,
    at,
    both_secrets,
    endpoints_of,
    on,
    text,
    to,
)
from tests.envoy.process import admin, ask, running
from tests.ports import free_port

pytestmark = pytest.mark.envoy

TIMEOUT_HEADER = "x-envoy-upstream-rq-timeout-ms"


def the_fallback(plan: ProxyPlan, settings: BootstrapSettings) -> bytes:
    memo = Memo()
    return fallback(render(plan, memo), assignments(plan, ANSWERS, memo), settings)


def part_of(*routes: Route, name: str = "reviews") -> Part:
    (table,) = render(a_plan(route_tables=(a_table(a_virtual_host(name, *routes)),)), Memo()).routes
    return table.parts[0]


def all_resources(plan: ProxyPlan) -> tuple[EnvoyResource, ...]:
    rendered = render(plan, Memo())
    return (*rendered.secrets, *rendered.clusters, *rendered.listeners, *rendered.routes)


def test_the_fallback_of_everything_is_accepted(everything: ProxyPlan, settings: BootstrapSettings, judge: Judge):
    assert judge(the_fallback(everything, settings)) == ""


def test_the_trial_of_everything_is_accepted(everything: ProxyPlan, judge: Judge):
    assert judge(trial(all_resources(everything))) == ""


def test_the_trial_of_each_virtual_host_and_each_route_alone_is_accepted(everything: ProxyPlan, judge: Judge):
    (table,) = render(everything, Memo()).routes
    routes = tuple(route for part in table.parts for route in single_routes(part))

    assert judge(trial((*table.parts, *routes))) == ""
    assert [route.origin.line for route in routes] == [*range(1, 14), 13]


def test_everything_behind_xds_is_accepted(everything: ProxyPlan, settings: BootstrapSettings, judge: Judge):
    """But for clusters that Envoy 1.40 makes ready before the stream, and crashes over when their secrets come by it:
    it never has those from a bootstrap (see tests/deliver/test_every_cluster.py)."""
    by_eds = tuple(each for each in everything.clusters if isinstance(each.discovery, ByEds))
    rendered = render(replace(everything, clusters=by_eds), Memo())
    as_delivered = static_resources(
        [each.body for each in rendered.listeners], [each.body for each in rendered.clusters]
    )

    assert judge(xds_bootstrap(settings) + as_delivered) == ""


def test_the_xds_bootstrap_is_accepted(settings: BootstrapSettings, judge: Judge):
    assert judge(xds_bootstrap(settings)) == ""


def test_a_trial_finds_what_is_wrong_in_a_route(judge: Judge):
    good, bad = a_route(match=on("/a"), line=1), a_route(match=RouteMatch(path=text("regex", "(")), line=2)
    part = part_of(good, bad)

    verdicts = {each.origin.line: judge(trial([each])) for each in single_routes(part)}

    assert "missing )" in judge(trial([part]))
    assert verdicts[1] == ""
    assert "missing )" in verdicts[2]


def test_a_trial_finds_what_is_wrong_in_a_filter_of_a_route(judge: Judge):
    bad = a_route(cors=Cors(allow_origins=(text("regex", "("),)))

    assert "missing )" in judge(trial([part_of(bad)]))


def test_a_trial_finds_what_is_wrong_in_a_cluster(judge: Judge):
    bad = a_cluster("far-ring", connect_timeout=timedelta())

    assert "far-ring" in judge(trial(render(a_plan(clusters=(bad,)), Memo()).clusters))


def test_a_trial_finds_what_is_wrong_in_a_listener(judge: Judge):
    twice = TcpChain(destinations=(to("reviews"),), stat_prefix="tls", match=ChainMatch(server_names=("a.shop",)))
    bad = a_listener("doubled", twice, twice)

    assert "127.0.0.1:15080" in judge(trial(render(a_plan(listeners=(bad,)), Memo()).listeners))


def test_a_trial_of_a_whole_table_finds_a_domain_that_is_claimed_twice(judge: Judge):
    claims = (a_virtual_host("a"), replace(a_virtual_host("b"), domains=("a",)))
    (table,) = render(a_plan(route_tables=(a_table(*claims),)), Memo()).routes

    assert "unique" in judge(trial([table]))
    assert judge(trial([with_parts(table, table.parts[:1])])) == ""
    assert judge(trial(table.parts)) == ""


def test_a_trial_passes_on_a_port_that_another_process_holds(judge: Judge):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = a_listener(port=holder.getsockname()[1])

        assert judge(trial(render(a_plan(listeners=(taken,)), Memo()).listeners)) == ""


def test_a_long_regular_expression_is_accepted(judge: Judge):
    long = RouteMatch(path=text("regex", "/(users|orders)/[A-Za-z0-9_-]{1,200}(/.*)?"))

    assert judge(trial([part_of(a_route(match=long))])) == ""


def a_running_plan(port: int, backend: int) -> ProxyPlan:
    """A host `shop` whose routes each show one thing, before the 502 that every unknown host gets."""
    edits = HeaderEdits(set=(("x-set", "new"),), add=(("x-add", "more"),), remove=("x-gone",))
    routes = (
        a_route(match=on("/edited"), request_headers=edits, response_headers=edits, line=1),
        a_route(match=on("/slow"), line=2),
        a_route(a_forward(timeout=timedelta(milliseconds=150)), match=on("/timeout/slow"), line=3),
        a_route(Respond(status=418, body=b"teapot", headers=(("x-tea", "earl"),)), match=on("/tea"), line=4),
        a_route(Redirect(authority="other", path="/new"), match=on("/old"), line=5),
        a_route(match=on("/grpc"), abort=Abort(grpc_status=14, millionths=1_000_000), line=6),
        a_route(match=on("/broken"), abort=Abort(http_status=555, millionths=1_000_000), line=7),
        a_route(match=on("/"), line=8),
    )
    unknown = replace(a_virtual_host("*", a_route(Respond(status=502))), domains=("*",))
    return a_plan(
        clusters=(a_cluster(http=UpstreamHttp()),),
        endpoints=(endpoints_of("reviews", at("127.0.0.1", backend)),),
        listeners=(a_listener(port=port),),
        route_tables=(a_table(a_virtual_host("shop", *routes), unknown),),
    )


def test_requests_through_the_fallback_meet_what_the_plan_says(
    envoy_binary: Path, settings: BootstrapSettings, backend: int
):
    port = free_port()
    bootstrap = the_fallback(a_running_plan(port, backend), settings)

    with running(envoy_binary, bootstrap, settings):
        plain = ask(port, host="shop")
        edited = ask(port, "/edited", host="shop:8080", x_gone="1", x_set="old", x_add="some")
        tea = ask(port, "/tea", host="shop")
        moved = ask(port, "/old", host="shop")
        unknown = ask(port, host="nobody")
        by_proxy = ask(port, "http://shop/absolute", host="shop")
        grpc = ask(port, "/grpc", host="shop", content_type="application/grpc+proto")
        not_grpc = ask(port, "/grpc", host="shop")
        broken = ask(port, "/broken", host="shop")
        server = json.loads(admin(settings, "/server_info"))
        mode = Path(settings.admin_socket).stat().st_mode

    assert (plain.status, plain.headers["x-backend"], plain.path) == (200, "yes", "/")
    assert TIMEOUT_HEADER not in plain.seen
    assert plain.headers["server"].startswith("BaseHTTP")
    assert (edited.seen["x-set"], edited.seen["x-add"], "x-gone" in edited.seen) == ("new", "some,more", False)
    assert edited.headers["x-set"] == "new"
    assert (tea.status, tea.body, tea.headers["x-tea"]) == (418, b"teapot", "earl")
    assert (moved.status, moved.headers["location"]) == (301, "http://other/new")
    assert unknown.status == 502
    assert by_proxy.path == "/absolute"
    assert grpc.headers["grpc-status"] == "14"
    assert (not_grpc.status, not_grpc.path) == (200, "/grpc")
    assert broken.status == 555
    assert server["node"]["id"] == "sidecar~web-1"
    assert server["node"]["metadata"] == {"meshd.io/mode": "fallback"}
    assert stat.S_IMODE(mode) == 0o660


@pytest.mark.parametrize("forwarded", [{}, {"x_forwarded_for": "203.0.113.9"}])
def test_an_application_sets_its_own_timeout(
    envoy_binary: Path, settings: BootstrapSettings, backend: int, forwarded: dict[str, str]
):
    port = free_port()

    with running(envoy_binary, the_fallback(a_running_plan(port, backend), settings), settings):
        late = ask(port, "/slow", host="shop", **{TIMEOUT_HEADER: "100"}, **forwarded)
        forged = ask(port, "/", host="shop", x_meshd_rq_timeout_ms="1", **forwarded)

    assert late.status == 504
    assert forged.status == 200
    assert "x-meshd-rq-timeout-ms" not in forged.seen


def test_a_listener_that_keeps_no_timeout_header_ignores_it(
    envoy_binary: Path, settings: BootstrapSettings, backend: int
):
    port = free_port()
    plan = a_running_plan(port, backend)
    (listener,) = plan.listeners
    deaf = replace(listener, chains=(replace(listener.chains[0], keep_timeout_header=False),))

    with running(envoy_binary, the_fallback(replace(plan, listeners=(deaf,)), settings), settings):
        answer = ask(port, "/", host="shop", x_forwarded_for="203.0.113.9", **{TIMEOUT_HEADER: "1"})

    assert answer.status == 200
    assert TIMEOUT_HEADER not in answer.seen


def test_tls_is_opened_verified_and_refused(
    envoy_binary: Path, settings: BootstrapSettings, tls_backend: int, certificates: Certificates
):
    port = free_port()
    tls = UpstreamTls(sni=None, validation=ROOT, san_from_host=True, certificate=OWN)
    plan = a_running_plan(port, tls_backend)
    own_and_root = both_secrets(certificates)
    secured = replace(plan, clusters=(a_cluster(http=UpstreamHttp(), tls=tls),), secrets=own_and_root)
    everywhere = replace(a_virtual_host("*"), domains=("*",))

    with running(envoy_binary, the_fallback(replace(secured, route_tables=(a_table(everywhere),)), settings), settings):
        trusted = ask(port, host="localhost")
        other_name = ask(port, host="elsewhere")
        wrong_names = admin(settings, "/stats?filter=fail_verify_san")

    assert trusted.status == 200
    assert other_name.status == 503
    assert wrong_names.startswith("cluster.reviews.ssl.fail_verify_san: ")
    assert int(wrong_names.split(": ")[1]) > 0


def test_http_and_plain_tcp_share_a_port(envoy_binary: Path, settings: BootstrapSettings, backend: int):
    port = free_port()
    plan = a_running_plan(port, backend)
    bytes_to_backend = TcpChain(destinations=(to("reviews"),), stat_prefix="tcp")
    shared = replace(plan.listeners[0], chains=(*plan.listeners[0].chains, bytes_to_backend))

    with running(envoy_binary, the_fallback(replace(plan, listeners=(shared,)), settings), settings):
        routed = ask(port, "/tea", host="shop")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"hello there you\r\n")
            passed_on = raw.recv(1000)

    assert routed.status == 418
    assert b"Bad request" in passed_on


def test_an_envoy_comes_up_and_says_what_it_waits_for_while_meshd_is_away(
    envoy_binary: Path, settings: BootstrapSettings
):
    with running(envoy_binary, xds_bootstrap(settings), settings):
        server = json.loads(admin(settings, "/server_info"))
        failures = admin(settings, "/stats?filter=^cluster.meshd.upstream_cx_connect_fail$")

    assert server["node"]["metadata"] == {"meshd.io/mode": "xds"}
    assert int(failures.split(":")[1]) > 0
