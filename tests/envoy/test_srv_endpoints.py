"""SRV targets as Envoy has them: ports and shares of the records, and their order of failover (RFC 2782)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.envoy import affected, assignments
from meshd.memo import Memo
from meshd.names import DnsName, Locality
from meshd.plan import ClusterEndpoints, DnsAddress, Endpoint, LocalityWeight, SrvTarget
from tests.envoy.plans import a_plan, at, endpoints_of, named
from tests.envoy.shown import shown

HTTP = DnsName("_http._tcp.shop")
WEST = Locality(region="eu", zone="west")


def to(ip: str, *, port: int = 8080, weight: int = 0, priority: int = 0, target: str = "") -> SrvTarget:
    return SrvTarget(priority=priority, target=DnsName(target or f"{ip}.shop"), ip=ip, port=port, weight=weight)


def service(**more: object) -> Endpoint:
    return replace(named(HTTP, 0), **more)


def groups(endpoints: ClusterEndpoints, *targets: SrvTarget, **more: tuple[str, ...]) -> list[tuple[int, list]]:
    answers = {HTTP: targets, **{DnsName(name): found for name, found in more.items()}}
    (assignment,) = assignments(a_plan(endpoints=(endpoints,)), answers, Memo())
    return [(each.get("priority", 0), _members(each)) for each in shown(assignment).get("endpoints", [])]


def _members(locality: dict) -> list[tuple[str, int]]:
    sockets = ((each["endpoint"]["address"]["socket_address"], each) for each in locality["lb_endpoints"])
    return [(f"{socket['address']}:{socket['port_value']}", each["load_balancing_weight"]) for socket, each in sockets]


@pytest.mark.parametrize(
    ("targets", "members"),
    [
        ((to("10.0.0.1"), to("10.0.0.2")), [("10.0.0.1:8080", 1), ("10.0.0.2:8080", 1)]),
        (
            (to("10.0.0.1", weight=20), to("10.0.0.2", weight=60, port=81)),
            [("10.0.0.1:8080", 1), ("10.0.0.2:81", 3)],
        ),
        (
            (to("10.0.0.1", weight=0), to("10.0.0.2", weight=1)),
            [("10.0.0.1:8080", 1), ("10.0.0.2:8080", 100)],
        ),
        (
            (
                to("10.0.0.1", weight=2, target="pair.shop"),
                to("10.0.0.2", weight=2, target="pair.shop"),
                to("10.0.0.3", weight=2, target="one.shop"),
            ),
            [("10.0.0.1:8080", 1), ("10.0.0.2:8080", 1), ("10.0.0.3:8080", 2)],
        ),
    ],
)
def test_the_record_says_port_and_share_which_the_addresses_of_its_target_divide(targets, members):
    assert groups(endpoints_of("shop", service()), *targets) == [(0, members)]


def test_the_weight_of_the_endpoint_multiplies_those_of_its_records():
    targets = (to("10.0.0.1", weight=10), to("10.0.0.2", weight=20))

    assert groups(endpoints_of("shop", service(weight=5)), *targets) == [
        (0, [("10.0.0.1:8080", 5), ("10.0.0.2:8080", 10)])
    ]


def test_priorities_of_records_are_numbered_without_gaps():
    targets = (to("10.0.0.3", priority=300), to("10.0.0.1", priority=10), to("10.0.0.2", priority=20))

    assert [(number, members[0][0]) for number, members in groups(endpoints_of("shop", service()), *targets)] == [
        (0, "10.0.0.1:8080"),
        (1, "10.0.0.2:8080"),
        (2, "10.0.0.3:8080"),
    ]


def test_they_stand_below_the_priority_of_their_endpoint():
    spread = endpoints_of("shop", service(), at("10.0.0.8"), at("10.0.0.9", priority=1))
    targets = (to("10.0.0.1", priority=10), to("10.0.0.2", priority=20))

    found = groups(spread, *targets)

    assert [(number, [address for address, _ in members]) for number, members in found] == [
        (0, ["10.0.0.1:8080", "10.0.0.8:80"]),
        (1, ["10.0.0.2:8080"]),
        (2, ["10.0.0.9:80"]),
    ]


def test_a_priority_that_has_nobody_at_the_moment_leaves_no_gap():
    spread = endpoints_of("shop", named("gone.shop"), at("10.0.0.9", priority=3))

    assert groups(spread) == [(0, [("10.0.0.9:80", 1)])]


def test_more_priorities_than_envoy_knows_share_the_last():
    targets = [to(f"10.0.{number}.1", priority=number) for number in range(140)]

    found = groups(endpoints_of("shop", service()), *targets)

    assert [number for number, _ in found] == list(range(129))
    assert len(found[-1][1]) == 12


def test_a_locality_keeps_the_weight_it_is_given_in_each_priority():
    spread = replace(
        endpoints_of("shop", service(locality=WEST)),
        locality_weights=(LocalityWeight(priority=0, locality=WEST, weight=80),),
    )
    plan = a_plan(endpoints=(spread,))

    (assignment,) = assignments(plan, {HTTP: (to("10.0.0.1"), to("10.0.0.2", priority=1))}, Memo())

    assert [each["load_balancing_weight"] for each in shown(assignment)["endpoints"]] == [80, 80]


def test_who_wants_one_address_gets_the_one_that_leads():
    one = endpoints_of("shop", replace(service(), address=DnsAddress(name=HTTP, first_only=True)))

    assert groups(one, to("10.0.0.2", port=81, priority=7), to("10.0.0.1")) == [(0, [("10.0.0.2:81", 1)])]


def test_a_changed_port_is_a_change_of_its_cluster_alone():
    plan = a_plan(endpoints=(endpoints_of("shop", service()), endpoints_of("other", at("10.0.0.9"))))
    memo = Memo()
    before = assignments(plan, {HTTP: (to("10.0.0.1"),)}, memo)
    memo.turn()

    answers = {HTTP: (to("10.0.0.1", port=81),)}
    after = assignments(plan, answers, memo)

    assert after[1] is before[1]
    assert after[0].version != before[0].version
    assert affected(plan, [HTTP], answers, memo) == (after[0],)
