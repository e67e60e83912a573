"""What a route leaves to the headers of its requests: which filters see to it, in which order, and with what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from meshd.names import RouteTableName
from meshd.plan import Abort, Delay, ExponentialDelay, HeaderFault, HeaderOverrides, HttpChain, Side
from tests.envoy.plans import a_listener, a_route
from tests.envoy.shown import shown_listener, shown_route

ALWAYS = 1_000_000
ABORT = "x-envoy-fault-abort-request"
DELAY = "x-envoy-fault-delay-request"
TIMEOUT = "x-envoy-upstream-rq-timeout-ms"
FAULT = "envoy.filters.http.fault"
MUTATION = "envoy.filters.http.header_mutation"
EVERY_STATUS = {"safe_regex": {"regex": "[2-5][0-9]{2}"}}


def filters(overrides: HeaderOverrides | None, **fields: Any) -> dict[str, Any]:
    shown: dict[str, Any] = shown_route(a_route(overrides=overrides, **fields)).get("typed_per_filter_config", {})
    return shown


def mutations(filtered: dict[str, Any], name: str) -> list[str]:
    """`-header`, or `header=value`."""
    found = filtered[f"{MUTATION}.{name}"]["mutations"]["request_mutations"]
    return [
        f"-{each['remove']}"
        if "remove" in each
        else f"{each['append']['header']['key']}={each['append']['header']['value']}"
        for each in found
    ]


def manager(**fields: Any) -> dict[str, Any]:
    chain = HttpChain(route_table=RouteTableName("t"), stat_prefix="t", **fields)
    (filtered,) = shown_listener(a_listener("l", chain))["filter_chains"]
    shown: dict[str, Any] = filtered["filters"][0]["typed_config"]
    return shown


def test_a_route_that_leaves_nothing_to_them_is_as_it_was():
    assert filters(None) == {}


@pytest.mark.spec("TMO-09", "RTY-09")
def test_timeout_and_retries_are_copied():
    found = filters(HeaderOverrides(timeout="x-t", retries="x-r"))

    assert list(found) == [f"{MUTATION}.overrides"]
    assert mutations(found, "overrides") == [f"{TIMEOUT}=%REQ(x-t)%", "x-envoy-max-retries=%REQ(x-r)%"]


@pytest.mark.spec("ABT-06", "DLY-06")
def test_nothing_that_envoy_obeys_comes_in_but_by_the_header_that_is_named():
    found = filters(HeaderOverrides(delay=HeaderFault(header="x-d"), abort=HeaderFault(header=ABORT)))

    assert mutations(found, "faults") == [
        f"-{DELAY}",
        f"{DELAY}=%REQ(x-d)%",
        f"-{DELAY}-percentage",
        f"-{ABORT}-percentage",
        "-x-envoy-fault-abort-grpc-request",
    ]
    assert mutations(found, "overrides") == [f"-{DELAY}", f"-{ABORT}"]


def test_what_envoy_would_take_out_is_copied_from_where_it_is_kept():
    found = filters(HeaderOverrides(timeout=TIMEOUT, retries="x-envoy-max-retries"))

    assert mutations(found, "overrides") == [
        f"{TIMEOUT}=%REQ(x-meshd-rq-timeout-ms)%",
        "x-envoy-max-retries=%REQ(x-meshd-max-retries)%",
    ]


@pytest.mark.spec("ABT-06")
def test_a_status_of_the_route_is_for_those_who_do_not_ask():
    overrides = HeaderOverrides(abort=HeaderFault(header="x-a", millionths=5))
    fixed = Delay(fixed=timedelta(seconds=1), millionths=ALWAYS)

    found = filters(overrides, delay=fixed, abort=Abort(http_status=503, millionths=ALWAYS))

    asked, unasked = found[f"{FAULT}.abort.asked"], found[f"{FAULT}.abort.unasked"]
    assert asked["abort"] == {"header_abort": {}, "percentage": {"numerator": 5, "denominator": "MILLION"}}
    assert asked["headers"] == [{"name": ABORT, "string_match": EVERY_STATUS}]
    assert unasked["abort"]["http_status"] == 503
    (condition,) = unasked["headers"]
    assert condition["invert_match"]
    assert condition["treat_missing_header_as_empty"]
    assert "abort" not in found[FAULT]
    assert "headers" not in found[FAULT]


@pytest.mark.spec("DLY-06", "DLY-05")
def test_every_digit_of_a_delay_is_for_those_who_do_not_ask():
    overrides = HeaderOverrides(delay=HeaderFault(header="x-d"))

    found = filters(overrides, delay=ExponentialDelay(mean=timedelta(seconds=1)))

    digits = [name for name in found if name.removeprefix(f"{FAULT}.delay.").lstrip("-").isdecimal()]
    assert len(digits) == 8
    assert all(found[name]["headers"][0]["invert_match"] for name in digits)


@pytest.mark.spec("ABT-04", "ABT-06")
def test_a_grpc_status_has_both_conditions():
    overrides = HeaderOverrides(abort=HeaderFault(header="x-a"))

    found = filters(overrides, abort=Abort(grpc_status=14, millionths=ALWAYS))

    assert [each["name"] for each in found[f"{FAULT}.grpc"]["headers"]] == ["content-type", ABORT]


@pytest.mark.parametrize("side", ["outbound", "gateway"])
def test_headers_of_faults_are_copied_before_the_faults_and_the_others_behind(side: Side):
    names = [each["name"] for each in manager(side=side, header_overrides=True)["http_filters"]]

    restored = [MUTATION] if side == "outbound" else []
    assert names == [
        f"{MUTATION}.faults",
        *(f"{FAULT}{end}" for end in (".delay.asked", ".delay.unasked", "", ".abort.asked", ".abort.unasked", ".grpc")),
        "envoy.filters.http.cors",
        *restored,
        f"{MUTATION}.overrides",
        f"{MUTATION}.kept",
        "envoy.filters.http.router",
    ]


@pytest.mark.parametrize("side", ["outbound", "gateway"])
def test_who_may_be_named_is_kept_and_forgotten_again(side: Side):
    shown = manager(side=side, header_overrides=True)

    (early,) = shown["early_header_mutation_extensions"]
    kept = [each["remove"] for each in early["typed_config"]["mutations"] if "remove" in each]
    last = next(each for each in shown["http_filters"] if each["name"] == f"{MUTATION}.kept")
    forgotten = last["typed_config"]["mutations"]["request_mutations"]
    assert kept == [each["remove"] for each in forgotten] == ["x-meshd-rq-timeout-ms", "x-meshd-max-retries"]
