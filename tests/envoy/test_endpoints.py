from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.envoy import affected, assignments
from meshd.memo import Memo
from meshd.names import DnsName, Locality
from meshd.plan import ClusterEndpoints, Endpoint, LocalityWeight, UnixAddress
from tests.envoy.plans import a_plan, at, endpoints_of, named
from tests.envoy.shown import shown

DB = DnsName("db.shop")


def localities_of(endpoints: ClusterEndpoints, **answers: tuple[str, ...]) -> list:
    addresses = {DnsName(name.replace("_", ".")): found for name, found in answers.items()}
    (assignment,) = assignments(a_plan(endpoints=(endpoints,)), addresses, Memo())
    return shown(assignment).get("endpoints", [])


def addresses_in(locality: dict) -> list[tuple[str, int]]:
    sockets = [each["endpoint"]["address"]["socket_address"] for each in locality["lb_endpoints"]]
    return [(each["address"], each["port_value"]) for each in sockets]


@pytest.mark.spec("W-5", "W-6")
def test_endpoints_are_grouped_by_priority_and_locality_and_a_locality_weighs_their_sum():
    west, east = Locality(region="eu", zone="west"), Locality(region="eu", zone="east")
    spread = endpoints_of(
        "reviews",
        at("10.0.0.3", locality=west, priority=1),
        at("10.0.0.2", locality=west, weight=3),
        at("10.0.0.1", locality=west, weight=2),
        at("10.0.0.4", locality=east),
    )

    first, second, third = localities_of(spread)

    assert (first["locality"], first["load_balancing_weight"]) == ({"region": "eu", "zone": "east"}, 1)
    assert (addresses_in(second), second["load_balancing_weight"]) == ([("10.0.0.1", 80), ("10.0.0.2", 80)], 5)
    assert (addresses_in(third), third["priority"]) == ([("10.0.0.3", 80)], 1)


def test_a_name_gives_all_its_addresses_in_order():
    (locality,) = localities_of(endpoints_of("db", named("db.shop", 5432)), db_shop=("10.0.0.2", "fd00::1", "10.0.0.1"))

    assert addresses_in(locality) == [("10.0.0.1", 5432), ("10.0.0.2", 5432), ("fd00::1", 5432)]


@pytest.mark.spec("S-8")
def test_a_name_of_which_one_address_is_wanted_gives_its_first():
    (locality,) = localities_of(endpoints_of("db", named("db.shop", first_only=True)), db_shop=("10.0.0.1", "10.0.0.2"))

    assert addresses_in(locality) == [("10.0.0.1", 80)]


def test_a_name_without_an_answer_gives_no_endpoint():
    assert localities_of(endpoints_of("db", named("db.shop"))) == []
    (locality,) = localities_of(endpoints_of("db", named("db.shop"), named("x.shop")), x_shop=("10.0.0.1",))
    assert addresses_in(locality) == [("10.0.0.1", 80)]


def test_an_address_that_two_names_share_counts_once():
    (locality,) = localities_of(
        endpoints_of("db", named("db.shop"), named("x.shop")), db_shop=("10.0.0.1",), x_shop=("10.0.0.1",)
    )

    assert addresses_in(locality) == [("10.0.0.1", 80)]
    assert locality["load_balancing_weight"] == 1


def test_a_unix_socket_is_a_pipe():
    (locality,) = localities_of(endpoints_of("app", Endpoint(address=UnixAddress(path="@app"), port=0)))

    (only,) = locality["lb_endpoints"]
    assert only["endpoint"]["address"] == {"pipe": {"path": "@app"}}


def test_an_assignment_is_the_very_same_until_its_own_answers_change():
    memo = Memo()
    plan = a_plan(endpoints=(endpoints_of("a", at("10.0.0.1")), endpoints_of("b", named("db.shop"))))
    fixed, looked_up = assignments(plan, {DB: ("10.0.0.1",)}, memo)
    memo.turn()

    again = assignments(plan, {DB: tuple(map(str, ["10.0.0.1"]))}, memo)  # equal, and not the same object
    memo.turn()
    changed = assignments(replace(plan, clusters=()), {DB: ("10.0.0.2",)}, memo)

    assert again[0] is fixed
    assert again[1] is looked_up
    assert changed[0] is fixed
    assert changed[1].version != looked_up.version


def test_rotated_answers_give_the_same_bytes():
    plan = a_plan(endpoints=(endpoints_of("b", named("db.shop")),))

    (one,) = assignments(plan, {DB: ("10.0.0.1", "10.0.0.2")}, Memo())
    (other,) = assignments(plan, {DB: ("10.0.0.2", "10.0.0.1")}, Memo())

    assert one == other


WEST, EAST = Locality(region="eu", zone="west"), Locality(region="eu", zone="east")


@pytest.mark.spec("D-20")
def test_a_locality_has_the_weight_it_is_given_instead_of_the_sum_of_its_endpoints():
    spread = replace(
        endpoints_of("a", at("10.0.0.1", locality=EAST, weight=7), at("10.0.0.2", locality=WEST, weight=7)),
        locality_weights=(LocalityWeight(priority=0, locality=WEST, weight=80),),
    )

    east, west = localities_of(spread)

    assert (east["load_balancing_weight"], west["load_balancing_weight"]) == (7, 80)
    assert west["lb_endpoints"][0]["load_balancing_weight"] == 7


@pytest.mark.spec("W-6")
def test_weights_that_are_too_heavy_for_envoy_become_lighter_in_proportion():
    heavy = (
        at("10.0.0.1", weight=4_294_967_295),
        at("10.0.0.2", weight=4_294_967_295, locality=WEST),
        at("10.0.0.3"),
    )

    first, second = localities_of(endpoints_of("a", *heavy))

    weights = [first["load_balancing_weight"], second["load_balancing_weight"]]
    assert sum(weights) <= 4_294_967_295
    assert abs(weights[0] - weights[1]) <= 1
    assert first["lb_endpoints"][1]["load_balancing_weight"] == 1


def test_an_endpoint_says_that_it_speaks_the_meshs_tls():
    (locality,) = localities_of(endpoints_of("a", at("10.0.0.1", speaks_mesh_tls=True), at("10.0.0.2")))

    speaking, plain = locality["lb_endpoints"]
    assert speaking["metadata"] == {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}
    assert "metadata" not in plain


APP = at("10.0.0.1", workload="default/app")


@pytest.mark.spec("W-17")
def test_an_unhealthy_workload_is_marked_and_dropped_where_panic_would_use_it():
    kept = endpoints_of("a", APP, at("10.0.0.2"))
    plan = a_plan(endpoints=(kept, replace(kept, cluster="b", drops_unhealthy=True)))

    marked, dropped = map(shown, assignments(plan, {}, Memo(), frozenset({"default/app", "default/other"})))

    states = [each.get("health_status") for each in marked["endpoints"][0]["lb_endpoints"]]
    assert states == ["UNHEALTHY", None]
    assert addresses_in(dropped["endpoints"][0]) == [("10.0.0.2", 80)]


@pytest.mark.spec("W-17")
def test_who_is_dropped_takes_its_answers_along():
    named_app = replace(named("app.shop"), workload="default/app")
    plan = a_plan(endpoints=(replace(endpoints_of("a", named_app, named("db.shop")), drops_unhealthy=True),))

    (left,) = assignments(
        plan, {DB: ("10.0.0.9",), DnsName("app.shop"): ("10.0.0.1",)}, Memo(), frozenset({"default/app"})
    )

    assert addresses_in(shown(left)["endpoints"][0]) == [("10.0.0.9", 80)]


def test_health_that_changes_renders_only_whom_it_concerns():
    memo = Memo()
    plan = a_plan(endpoints=(endpoints_of("a", APP), endpoints_of("b", at("10.0.0.2"))))
    before = assignments(plan, {}, memo)

    after = assignments(plan, {}, memo, frozenset({"default/app"}))

    assert after[0] != before[0]
    assert after[1] is before[1]


def test_only_what_uses_a_name_or_a_workload_is_affected_by_it():
    memo = Memo()
    plan = a_plan(
        endpoints=(
            endpoints_of("a", named("db.shop"), named("x.shop")),
            endpoints_of("b", named("x.shop")),
            endpoints_of("c", APP, named("db.shop")),
            endpoints_of("d", at("10.0.0.2")),
        )
    )
    answers = {DB: ("10.0.0.8",), DnsName("x.shop"): ("10.0.0.9",)}
    unhealthy = frozenset({"default/app"})
    everything = assignments(plan, answers, memo, unhealthy)

    assert affected(plan, [DB], answers, memo, unhealthy) == (everything[0], everything[2])
    assert affected(plan, ["default/app"], answers, memo, unhealthy) == (everything[2],)
    assert affected(plan, ["gone.shop"], answers, memo, unhealthy) == ()
