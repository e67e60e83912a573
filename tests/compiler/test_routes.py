"""The http rules of a VirtualService, as one host has them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshd.compiler.http.matches import text_match
from meshd.plan import (
    Abort,
    Delay,
    ExponentialDelay,
    HashOnCookie,
    HashOnHeader,
    HashOnQueryParameter,
    HashOnSourceIp,
    HeaderEdits,
    HeaderMatch,
    PathRewrite,
    QueryMatch,
    Redirect,
    Respond,
    RetryPolicy,
    TextMatch,
)
from meshd.resources import traffic_policy as tp
from meshd.resources import virtual_service as vs
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.string_match import StringMatch
from tests.builders import (
    a_destination,
    a_destination_rule,
    a_match,
    a_mesh_config,
    a_port,
    a_route,
    a_service_entry,
    a_virtual_service,
)
from tests.compiler.plans import a_plan, codes, compiled, forwarded, routes

DEFAULT_RETRY_ON = ("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")


def routes_of(*http: vs.HTTPRoute, **workload: object):
    return routes(a_plan(a_service_entry(), a_virtual_service("reviews", *http), **workload))


def first_match(**given: object):
    return routes_of(a_route(match=(a_match(**given),)))[0].match


# --- matches --------------------------------------------------------------------------------------------------


def test_a_service_without_virtual_service_has_one_route_to_itself():
    (route,) = routes(a_plan(a_service_entry()))

    assert route.name == "default"
    assert forwarded(route).destinations[0].cluster == "outbound|80||reviews.shop"
    assert forwarded(route).timeout is None
    assert forwarded(route).retries == RetryPolicy(attempts=2, retry_on=DEFAULT_RETRY_ON)


def test_each_match_block_is_a_route_of_its_own():
    found = routes_of(a_route(name="cart", match=(a_match(uri="/a", name="first"), a_match(uri="/b"))))

    assert [(route.name, route.match.path.value) for route in found] == [("cart.first", "/a"), ("cart", "/b")]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (StringMatch(exact="/x"), TextMatch(kind="exact", value="/x")),
        (StringMatch(regex="/[a-z]+"), TextMatch(kind="regex", value="/[a-z]+")),
        (StringMatch(prefix=""), TextMatch(kind="prefix", value="")),
        (StringMatch(), TextMatch(kind="prefix", value="/")),
    ],
)
def test_a_path_matches_as_written(uri: StringMatch, path: TextMatch):
    assert first_match(uri=uri).path == path


def test_case_is_ignored_for_text_but_not_for_a_regex():
    assert first_match(uri=StringMatch(exact="/x"), ignore_uri_case=True).ignore_case
    assert not first_match(uri=StringMatch(regex="/x"), ignore_uri_case=True).ignore_case


def test_header_conditions_are_sorted_lower_case_and_pseudo_headers_among_them():
    match = first_match(
        method=StringMatch(exact="GET"),
        scheme=StringMatch(),
        headers={"X-B": StringMatch(regex="b+"), "a": StringMatch(), "uri": StringMatch(exact="not a header")},
    )

    assert match.headers == (
        HeaderMatch(name=":method", text=TextMatch(kind="exact", value="GET")),
        HeaderMatch(name="a", text=None),
        HeaderMatch(name="x-b", text=TextMatch(kind="regex", value="b+")),
    )


def test_a_forbidden_header_is_an_inverted_match():
    match = first_match(
        without_headers={
            "a": StringMatch(exact="1"),
            "b": StringMatch(),
            "c": StringMatch(regex="*"),
        }
    )

    assert match.headers == (
        HeaderMatch(name="a", text=TextMatch(kind="exact", value="1"), invert=True),
        HeaderMatch(name="b", text=None, invert=True),
        HeaderMatch(name="c", text=None, invert=True),
    )


@pytest.mark.parametrize("forbidden", [StringMatch(regex="a*"), StringMatch(exact="")])
def test_forbidding_a_text_that_an_empty_value_fits_spares_requests_without_the_header(forbidden: StringMatch):
    match = a_match(without_headers={"a": forbidden, "b": StringMatch(regex=".*"), "method": StringMatch()})

    absent, other = routes_of(a_route(match=(match,)))

    no_b = HeaderMatch(name="b", text=None, invert=True)
    assert absent.match.headers == (HeaderMatch(name="a", text=None, invert=True), no_b)
    assert other.match.headers == (HeaderMatch(name="a", text=text_match(forbidden), invert=True), no_b)


def test_query_parameters_match_by_value_or_presence():
    match = first_match(query_params={"v": StringMatch(prefix="2"), "debug": StringMatch()})

    assert match.query == (
        QueryMatch(name="debug", text=None),
        QueryMatch(name="v", text=TextMatch(kind="prefix", value="2")),
    )


@pytest.mark.parametrize(
    ("condition", "there"),
    [
        ({"port": 80}, True),
        ({"port": 81}, False),
        ({"source_labels": {"app": "web"}}, True),
        ({"source_labels": {"app": "web", "tier": "front"}}, False),
        ({"source_namespace": "default"}, True),
        ({"source_namespace": "bank"}, False),
        ({"gateways": ("mesh",)}, True),
        ({"gateways": ("bank/gate",)}, False),
        ({"gateways": ("mesh",), "source_labels": {"app": "other"}}, True),
    ],
)
def test_conditions_on_the_client_are_settled_in_the_plan(condition: dict[str, object], there: bool):
    found = routes_of(a_route(match=(a_match(uri="/x", **condition),)), labels={"app": "web"})

    assert bool(found) == there


def test_what_only_gateways_route_is_not_a_sidecars():
    gated = a_virtual_service("reviews", a_route(), gateways=("gate",))

    assert [route.name for route in routes(a_plan(a_service_entry(), gated))] == ["default"]


def test_nothing_is_rendered_behind_a_route_that_takes_everything():
    found = routes_of(a_route(match=(a_match(uri="/a"),)), a_route(name="all"), a_route(name="never"))

    assert [route.name for route in found] == ["", "all"]


@pytest.mark.parametrize("uri", [StringMatch(prefix="/"), StringMatch(regex=".*")])
def test_a_match_on_every_path_takes_everything_only_without_other_conditions(uri: StringMatch):
    narrow = a_route(match=(a_match(uri=uri, headers={"a": StringMatch()}),))
    wide = a_route(match=(a_match(uri=uri),))

    assert len(routes_of(narrow, wide, a_route())) == 2


# --- destinations ---------------------------------------------------------------------------------------------

TWO_PORTS = (a_port(), a_port(8080, "http-admin"))


def test_the_port_that_was_asked_for_is_the_destinations_where_it_has_several():
    plan = a_plan(a_service_entry(ports=TWO_PORTS), a_virtual_service("reviews", a_route()))

    clusters = [forwarded(routes(plan, f"reviews.shop:{port}")[0]).destinations[0].cluster for port in (80, 8080)]

    assert clusters == ["outbound|80||reviews.shop", "outbound|8080||reviews.shop"]


def test_the_only_port_of_a_destination_is_meant_whatever_was_asked_for():
    other = a_service_entry("other", ports=(a_port(9000),))
    plan = a_plan(a_service_entry(), other, a_virtual_service("reviews", a_route(a_destination("other.shop"))))

    assert forwarded(routes(plan)[0]).destinations[0].cluster == "outbound|9000||other.shop"


def test_a_destination_without_the_port_that_was_asked_for_is_answered_503_and_said():
    other = a_service_entry("other", ports=(a_port(8080), a_port(9090, "http-b")))
    result = compiled(a_service_entry(), other, a_virtual_service("reviews", a_route(a_destination("other.shop"))))

    answer = routes(result.plans[0])[0].action

    assert isinstance(answer, Respond)
    assert answer.status == 503
    assert "no port 80" in dict(answer.headers)["x-meshd-reason"]
    assert codes(result) == ["W-VS-DEST-PORT"]


def test_a_destination_that_is_not_exported_to_this_host_is_answered_503_and_said():
    hidden = a_service_entry("hidden", export_to=(".",), namespace="bank")
    result = compiled(hidden, a_service_entry(), a_virtual_service("reviews", a_route(a_destination("hidden.shop"))))

    assert routes(result.plans[0])[0].action.status == 503
    assert codes(result) == ["W-VS-DEST-HIDDEN"]


def test_a_subset_that_no_rule_in_force_here_defines_is_an_error_for_this_host():
    private = a_destination_rule("reviews", "v1", namespace="bank", export_to=(".",))
    result = compiled(
        a_service_entry(), private, a_virtual_service("reviews", a_route(a_destination("reviews.shop", "v1")))
    )

    assert codes(result) == ["E-VS-SUBSET-UNDEFINED"]


def test_a_destination_that_needs_capture_is_an_error_for_this_host():
    none = a_service_entry("none", resolution="NONE")
    result = compiled(none, a_service_entry(), a_virtual_service("reviews", a_route(a_destination("none.shop"))))

    assert codes(result) == ["E-SE-NONE-NOCAPTURE"]
    assert not [each for each in result.plans[0].clusters if each.service == "none.shop"]


def test_short_names_belong_to_the_namespace_of_the_virtual_service():
    backend = a_service_entry("backend", hosts=("backend.bank.svc.cluster.local",), namespace="bank")
    rule = a_virtual_service("reviews", a_route(a_destination("backend")), namespace="bank")

    plan = a_plan(a_service_entry(), backend, rule)

    assert forwarded(routes(plan)[0]).destinations[0].cluster == "outbound|80||backend.bank.svc.cluster.local"


def weighted(*weights: int) -> vs.HTTPRoute:
    to = (vs.HTTPRouteDestination(destination=a_destination(), weight=weight) for weight in weights)
    return a_route(route=tuple(to))


@pytest.mark.parametrize(("weights", "kept"), [((75, 25), [75, 25]), ((1, 0), [1]), ((0,), [100])])
def test_a_weight_of_nothing_next_to_others_is_dropped(weights: tuple[int, ...], kept: list[int]):
    (route,) = routes_of(weighted(*weights))

    assert [each.weight for each in forwarded(route).destinations] == kept


# --- what is done to a request --------------------------------------------------------------------------------


def headers(**request: object) -> vs.Headers:
    return vs.Headers(request=vs.HeaderOperations(**request))


def test_header_edits_are_sorted_and_host_is_an_authority():
    given = headers(set={"X-B": "1", "a": "2", "Host": "other.example"}, add={"c": "3"}, remove=("Z", "y"))

    (route,) = routes_of(a_route(headers=given))

    assert route.request_headers == HeaderEdits(set=(("a", "2"), ("x-b", "1")), add=(("c", "3"),), remove=("y", "z"))
    assert forwarded(route).authority == "other.example"


def test_a_destination_may_have_its_own_authority_and_edits():
    given = headers(set={"host": "set.example"}, add={":authority": "add.example", "x-v": "1"})
    to = vs.HTTPRouteDestination(destination=a_destination(), headers=given)

    (route,) = routes_of(a_route(route=(to,)))

    (destination,) = forwarded(route).destinations
    assert destination.authority == "set.example"
    assert destination.request_headers == HeaderEdits(add=(("x-v", "1"),))


@pytest.mark.parametrize(
    ("rewrite", "path", "authority"),
    [
        ({"uri": "/v2"}, PathRewrite(prefix="/v2"), None),
        (
            {"uri_regex_rewrite": vs.RegexRewrite(match="a(b)", rewrite=r"\1")},
            PathRewrite(regex="a(b)", substitution=r"\1"),
            None,
        ),
        ({"authority": "a.example"}, None, "a.example"),
    ],
)
def test_a_rewrite_is_of_the_path_the_authority_or_both(
    rewrite: dict[str, object], path: PathRewrite | None, authority: str | None
):
    (route,) = routes_of(a_route(rewrite=vs.HTTPRewrite(**rewrite)))

    assert (forwarded(route).path_rewrite, forwarded(route).authority) == (path, authority)


def test_a_timeout_of_zero_is_none():
    assert forwarded(routes_of(a_route(timeout=timedelta()))[0]).timeout is None
    assert forwarded(routes_of(a_route(timeout=timedelta(seconds=2)))[0]).timeout == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        (vs.HTTPRetry(attempts=0), None),
        (vs.HTTPRetry(attempts=3), RetryPolicy(attempts=3, retry_on=DEFAULT_RETRY_ON)),
        (
            vs.HTTPRetry(attempts=1, retry_on="503,reset,429"),
            RetryPolicy(attempts=1, retry_on=("reset", "retriable-status-codes"), retriable_status_codes=(503, 429)),
        ),
        (
            vs.HTTPRetry(attempts=1, retry_on="5xx", retry_ignore_previous_hosts=False, retry_remote_localities=True),
            RetryPolicy(attempts=1, retry_on=("5xx",), avoid_previous_hosts=False, remote_localities=True),
        ),
    ],
)
def test_retries_mean_what_the_api_says(retries: vs.HTTPRetry, expected: RetryPolicy | None):
    assert forwarded(routes_of(a_route(retries=retries))[0]).retries == expected


def test_the_meshs_retries_are_for_routes_that_say_nothing():
    config = a_mesh_config(default_http_retry_policy=vs.HTTPRetry(attempts=7, retry_on="reset"))

    (route,) = routes(a_plan(a_service_entry(), config))

    assert forwarded(route).retries == RetryPolicy(attempts=7, retry_on=("reset",))


def test_copies_go_to_mirrors_by_their_share_and_a_share_of_nothing_is_none():
    def mirror(share: float | None) -> vs.HTTPMirrorPolicy:
        percentage = None if share is None else vs.MirrorPercentage(value=share)
        return vs.HTTPMirrorPolicy(destination=a_destination(), percentage=percentage)

    (several,) = routes_of(a_route(mirrors=(mirror(None), mirror(0.5), mirror(0))))
    (one,) = routes_of(a_route(mirror=a_destination(), mirror_percentage=vs.MirrorPercentage(value=20)))

    assert [each.millionths for each in forwarded(several).mirrors] == [1_000_000, 5_000]
    assert [each.millionths for each in forwarded(one).mirrors] == [200_000]


def test_a_mirror_that_cannot_be_reached_is_left_out_and_said():
    hidden = a_service_entry("hidden", export_to=(".",), namespace="bank")
    rule = a_virtual_service("reviews", a_route(mirror=a_destination("hidden.shop")))

    result = compiled(hidden, a_service_entry(), rule)

    assert forwarded(routes(result.plans[0])[0]).mirrors == ()
    assert codes(result) == ["W-VS-DEST-HIDDEN"]


def hashing(name: str, **key: object):
    policy = TrafficPolicy(load_balancer=tp.LoadBalancerSettings(consistent_hash=tp.ConsistentHashLB(**key)))
    return a_destination_rule(name, traffic_policy=policy)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"http_header_name": "X-User"}, HashOnHeader(name="x-user")),
        ({"use_source_ip": True}, HashOnSourceIp()),
        ({"http_query_parameter_name": "u"}, HashOnQueryParameter(name="u")),
        (
            {"http_cookie": tp.HTTPCookie(name="c", attributes=(tp.CookieAttribute(name="a", value="b"),))},
            HashOnCookie(name="c", attributes=(("a", "b"),)),
        ),
    ],
)
def test_requests_are_hashed_as_the_destination_asks_and_retries_stay_with_it(key: dict[str, object], expected: object):
    (route,) = routes(a_plan(a_service_entry(), hashing("reviews", **key)))

    assert forwarded(route).hash_keys == (expected,)
    assert not forwarded(route).retries.avoid_previous_hosts


def test_several_destinations_bring_a_key_each_and_no_affinity_for_retries():
    (route,) = routes(
        a_plan(
            a_service_entry(),
            a_service_entry("other"),
            hashing("reviews", use_source_ip=True),
            hashing("other", http_header_name="u"),
            a_virtual_service("reviews", a_route(a_destination(), a_destination("other.shop"))),
        )
    )

    assert forwarded(route).hash_keys == (HashOnSourceIp(), HashOnHeader(name="u"))
    assert forwarded(route).retries.avoid_previous_hosts


def test_a_hash_without_a_key_spreads_at_random():
    assert forwarded(routes(a_plan(a_service_entry(), hashing("reviews")))[0]).hash_keys == ()


# --- faults, CORS and the proxy's own answers -----------------------------------------------------------------


def faulty(**fault: object):
    return routes_of(a_route(fault=vs.HTTPFaultInjection(**fault)))[0]


@pytest.mark.spec("V-73")
def test_an_exponential_delay_that_some_requests_meet_has_a_route_of_its_own():
    mean = timedelta(seconds=2)

    def delayed(share: float):
        fault = vs.FaultDelay(exponential_delay=mean, percentage=vs.Percentage(value=share))
        return [
            (each.match.millionths, each.delay)
            for each in routes_of(
                a_route(fault=vs.HTTPFaultInjection(delay=fault)), a_route(match=(a_match(uri="/after"),))
            )
        ]

    assert delayed(100) == [(1_000_000, ExponentialDelay(mean=mean))]
    assert delayed(25) == [(250_000, ExponentialDelay(mean=mean)), (1_000_000, None)]
    assert delayed(0) == [(1_000_000, None)]


@pytest.mark.spec("V-73")
def test_listeners_have_the_filters_of_exponential_delays_only_where_some_route_has_one():
    fault = vs.FaultDelay(exponential_delay=timedelta(seconds=2), percentage=vs.Percentage(value=100))
    slow = a_route(fault=vs.HTTPFaultInjection(delay=fault))

    def asked_for(route: vs.HTTPRoute) -> bool:
        plan = a_plan(a_service_entry(), a_virtual_service("reviews", route))
        (chain,) = (chain for each in plan.listeners for chain in each.chains)
        return bool(chain.exponential_delays)

    assert asked_for(slow)
    assert not asked_for(a_route())


@pytest.mark.spec("V-76")
def test_an_http2_error_is_for_grpc_requests_what_their_client_makes_of_it():
    half = vs.Percentage(value=50)

    abort = faulty(abort=vs.FaultAbort(http2_error="REFUSED_STREAM", percentage=half)).abort

    assert abort == Abort(millionths=500_000, grpc_status=14)


def test_a_fault_hits_its_share_and_without_a_share_nobody():
    half = vs.Percentage(value=0.5)
    second = timedelta(seconds=1)

    assert faulty(delay=vs.FaultDelay(fixed_delay=second, percentage=half)).delay == Delay(
        fixed=second, millionths=5_000
    )
    old = vs.FaultDelay(fixed_delay=second, percent=3).settled()
    assert faulty(delay=old).delay == Delay(fixed=second, millionths=30_000)
    assert faulty(delay=vs.FaultDelay(fixed_delay=second)).delay is None
    assert faulty(delay=vs.FaultDelay(percentage=half)).delay is None
    assert faulty(delay=vs.FaultDelay(fixed_delay=second, percentage=vs.Percentage())).delay is None


def test_an_abort_is_by_http_or_grpc_status():
    half = vs.Percentage(value=50)

    assert faulty(abort=vs.FaultAbort(http_status=500, percentage=half)).abort == Abort(
        millionths=500_000, http_status=500
    )
    assert faulty(abort=vs.FaultAbort(grpc_status="UNAVAILABLE", percentage=half)).abort == Abort(
        millionths=500_000, grpc_status=14
    )
    assert faulty(abort=vs.FaultAbort(percentage=half)).abort is None
    assert faulty(abort=vs.FaultAbort(http_status=500)).abort is None


def test_cors_takes_the_old_list_of_origins_where_there_is_no_new_one():
    old = vs.CorsPolicy(allow_origin=("*",), unmatched_preflights="IGNORE").settled()
    new = vs.CorsPolicy(allow_origin=("*",), allow_origins=(StringMatch(prefix="https://"),)).settled()

    from_old, from_new = (routes_of(a_route(cors_policy=policy))[0].cors for policy in (old, new))

    assert from_old.allow_origins == (TextMatch(kind="exact", value="*"),)
    assert not from_old.forward_not_matching_preflights
    assert from_new.allow_origins == (TextMatch(kind="prefix", value="https://"),)
    assert from_new.forward_not_matching_preflights


def redirected(port: int = 80, /, **redirect: object) -> Redirect:
    rule = a_virtual_service("reviews", a_route(route=(), redirect=vs.HTTPRedirect(**redirect)))
    plan = a_plan(a_service_entry(ports=(a_port(port),)), rule)
    action = routes(plan, f"reviews.shop:{port}")[0].action
    assert isinstance(action, Redirect)
    return action


@pytest.mark.parametrize(
    ("asked", "port", "written"),
    [
        ({"port": 80}, 80, None),
        ({"port": 443, "scheme": "https"}, 80, None),
        ({"port": 443}, 80, 443),
        ({"port": 8443, "scheme": "https"}, 80, 8443),
        ({"port": 80}, 8080, 80),
        ({"port": 80, "authority": "a.example"}, 8080, None),
        ({"derive_port": "FROM_PROTOCOL_DEFAULT", "scheme": "https"}, 8080, None),
        ({"derive_port": "FROM_REQUEST_PORT", "scheme": "https"}, 8080, 8080),
        ({"derive_port": "FROM_REQUEST_PORT", "authority": "a.example"}, 80, None),
    ],
)
def test_a_redirect_writes_a_port_that_its_scheme_does_not_imply(asked: dict[str, object], port: int, written: int):
    assert redirected(port, **asked).port == written


def test_a_redirect_leaves_what_it_does_not_name_as_it_was():
    assert redirected(uri="/new", redirect_code=308) == Redirect(code=308, path="/new")
    assert redirected(prefix_rewrite="/p") == Redirect(prefix="/p")


@pytest.mark.parametrize(
    ("body", "expected"), [(None, b""), (vs.Body(string="ä"), "ä".encode()), (vs.Body(bytes="AP8="), b"\x00\xff")]
)
def test_the_proxy_answers_itself(body: vs.Body | None, expected: bytes):
    (route,) = routes_of(a_route(route=(), direct_response=vs.HTTPDirectResponse(status=418, body=body)))

    assert route.action == Respond(status=418, body=expected)
