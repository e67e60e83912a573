from __future__ import annotations

from dataclasses import replace

from meshd.envoy import assignments
from meshd.memo import Memo
from meshd.names import DnsName, Locality
from meshd.plan import ClusterEndpoints, Endpoint, UnixAddress
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
