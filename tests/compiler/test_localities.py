"""Who is tried first, and who has what share: localities, labels, zones and networks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshd.names import LOCAL_CLUSTER, Locality
from meshd.plan import ClusterEndpoints, LocalityWeight, ProxyPlan, ZoneAware
from meshd.resources import traffic_policy as tp
from meshd.resources.destination_rule import DestinationRule, TrafficPolicy
from meshd.resources.locality import Distribute, Failover, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting
from meshd.resources.mesh_config import LocalityLb, Network, NetworkGateway
from meshd.resources.resource import WorkloadSelector
from meshd.resources.service_entry import ServiceEntry
from tests.builders import a_destination_rule, a_mesh_config, a_service_entry, a_workload_entry, an_endpoint
from tests.compiler.plans import a_plan, cluster, endpoints

REVIEWS = "outbound|80||reviews.shop"
NOTICING = tp.OutlierDetection()


def places(*localities: str, **more: object) -> ServiceEntry:
    """One endpoint in each: 10.0.0.0, 10.0.0.1, ..."""
    return a_service_entry(
        endpoints=tuple(an_endpoint(f"10.0.0.{n}", locality=place, **more) for n, place in enumerate(localities))
    )


def a_rule(*, notices: bool = True, **balancer: object) -> DestinationRule:
    settings = tp.LoadBalancerSettings(**balancer) if balancer else None
    return a_destination_rule(
        traffic_policy=TrafficPolicy(load_balancer=settings, outlier_detection=NOTICING if notices else None)
    )


def by_locality(**setting: object) -> LocalityLoadBalancerSetting:
    return LocalityLoadBalancerSetting(**setting)


def spreading(*entries: tuple[str, dict[str, int]]) -> DestinationRule:
    distribute = tuple(Distribute(from_=source, to=to) for source, to in entries)
    return a_rule(notices=False, locality_lb_setting=by_locality(distribute=distribute))


def priorities(plan: ProxyPlan) -> list[int]:
    """In the order of the addresses."""
    return [each.priority for each in sorted(endpoints(plan, REVIEWS), key=lambda each: each.address.ip)]


def assigned(plan: ProxyPlan, name: str = REVIEWS) -> ClusterEndpoints:
    return next(each for each in plan.endpoints if each.cluster == name)


def shares(plan: ProxyPlan) -> dict[str, int]:
    names = {each: "/".join(filter(None, (each.region, each.zone, each.subzone))) for each in _localities(plan)}
    return {names[each.locality]: each.weight for each in assigned(plan).locality_weights}


def _localities(plan: ProxyPlan) -> list[Locality]:
    return [each.locality for each in endpoints(plan, REVIEWS)]


# --- failover -----------------------------------------------------------------------------------------------------


@pytest.mark.spec("D-23")
def test_near_endpoints_come_first_without_gaps():
    service = places("us/a/1", "eu/a/1", "eu/b/1", "eu/a/1")

    assert priorities(a_plan(service, a_rule(), locality="eu/a/1")) == [2, 0, 1, 0]
    assert priorities(a_plan(service, a_rule(), locality="eu/c/1")) == [1, 0, 0, 0]


@pytest.mark.spec("D-19", "D-23")
@pytest.mark.parametrize("why", ["no outlier detection", "the mesh says no", "the rule says no", "own place unknown"])
def test_all_places_are_equal_where_failover_is_off(why: str):
    off = a_rule(locality_lb_setting=by_locality(enabled=False, failover=(Failover(from_="eu", to="us"),)))
    rules = {"no outlier detection": a_rule(notices=False), "the rule says no": off}
    settings = [a_mesh_config(locality_lb=LocalityLb(enabled=False))] if why == "the mesh says no" else []

    plan = a_plan(
        places("us", "eu"),
        rules.get(why, a_rule()),
        *settings,
        locality=None if why == "own place unknown" else "eu",
    )

    assert priorities(plan) == [0, 0]
    assert not cluster(plan, REVIEWS).locality_weighted


@pytest.mark.spec("D-19")
def test_a_rule_says_yes_where_the_mesh_says_no():
    rule = a_rule(locality_lb_setting=by_locality())

    plan = a_plan(places("us", "eu"), rule, a_mesh_config(locality_lb=LocalityLb(enabled=False)), locality="eu")

    assert priorities(plan) == [1, 0]


@pytest.mark.spec("D-21")
def test_of_other_regions_the_one_to_fail_over_to_comes_first():
    failover = (Failover(from_="us", to="eu"), Failover(from_="eu", to="us"), Failover(from_="eu", to="asia"))
    rule = a_rule(locality_lb_setting=by_locality(failover=failover))

    plan = a_plan(places("asia", "us/a", "eu/b", "eu/a"), rule, locality="eu/a")

    assert priorities(plan) == [3, 2, 1, 0]
    assert cluster(plan, REVIEWS).locality_weighted


@pytest.mark.spec("D-21", "D-22")
def test_without_outlier_detection_nobody_would_notice_so_no_order_is_made():
    failover = (Failover(from_="eu", to="us"),)
    rule = a_rule(notices=False, locality_lb_setting=by_locality(failover=failover, failover_priority=("zone",)))

    plan = a_plan(places("us", "eu"), rule, locality="eu")

    assert priorities(plan) == [0, 0]
    assert not cluster(plan, REVIEWS).locality_weighted


def labelled(*labels: dict[str, str], localities: tuple[str, ...] = ()) -> ServiceEntry:
    return a_service_entry(
        endpoints=tuple(
            an_endpoint(f"10.0.0.{n}", labels=each, locality=localities[n] if localities else None)
            for n, each in enumerate(labels)
        )
    )


@pytest.mark.spec("D-22")
def test_who_shares_more_leading_labels_comes_first():
    service = labelled({"a": "1", "b": "1"}, {"a": "1"}, {"b": "1"}, {})
    rule = a_rule(locality_lb_setting=by_locality(failover_priority=("a", "b")))

    plan = a_plan(service, rule, labels={"a": "1", "b": "1"})

    assert priorities(plan) == [0, 1, 2, 2]
    assert cluster(plan, REVIEWS).locality_weighted


@pytest.mark.spec("D-22")
def test_a_label_may_be_given_the_value_to_look_for_and_one_that_both_lack_is_shared():
    rule = a_rule(locality_lb_setting=by_locality(failover_priority=("version=v2", "nobody-has-it")))

    plan = a_plan(labelled({"version": "v1"}, {"version": "v2"}), rule, labels={"version": "v1"})

    assert priorities(plan) == [1, 0]


@pytest.mark.spec("D-22")
def test_where_something_runs_is_among_its_labels():
    rule = a_rule(
        locality_lb_setting=by_locality(
            failover_priority=(
                "topology.istio.io/network",
                "topology.kubernetes.io/region",
                "topology.istio.io/subzone",
            )
        )
    )

    plan = a_plan(places("eu/b/1", "us/a/1", "eu/a/2"), rule, locality="eu/a/1")

    assert priorities(plan) == [0, 2, 1]


@pytest.mark.spec("D-22")
def test_there_are_no_more_priorities_than_envoy_knows():
    names = tuple(f"l{number:03}" for number in range(140))
    service = labelled(*(dict.fromkeys(names[:count], "1") for count in range(140)))

    plan = a_plan(
        service,
        a_rule(locality_lb_setting=by_locality(failover_priority=names)),
        labels=dict.fromkeys(names, "1"),
    )

    assert sorted({each.priority for each in endpoints(plan, REVIEWS)}) == list(range(129))


@pytest.mark.spec("D-21", "D-22")
def test_failover_orders_inside_each_group_of_labels():
    service = labelled({"a": "1"}, {"a": "1"}, {}, {}, localities=("us", "eu", "asia", "eu"))
    setting = by_locality(failover_priority=("a",), failover=(Failover(from_="eu", to="us"),))

    plan = a_plan(service, a_rule(locality_lb_setting=setting), labels={"a": "1"}, locality="eu")

    assert priorities(plan) == [1, 0, 3, 2]


# --- distribute ---------------------------------------------------------------------------------------------------


@pytest.mark.spec("D-20")
def test_localities_have_the_shares_that_are_written_and_who_is_not_listed_has_none():
    rule = spreading(("us/*", {"us/*": 100}), ("eu/a/*", {"eu/a/*": 80, "eu/b/*": 20}))

    plan = a_plan(places("eu/a/1", "eu/b/1", "us/a/1"), rule, locality="eu/a/1")

    assert shares(plan) == {"eu/a/1": 80, "eu/b/1": 20}
    assert [each.address.ip for each in endpoints(plan, REVIEWS)] == ["10.0.0.0", "10.0.0.1"]
    assert assigned(plan).locality_weights[0] == LocalityWeight(
        priority=0, locality=Locality(region="eu", zone="a", subzone="1"), weight=80
    )
    assert cluster(plan, REVIEWS).locality_weighted


@pytest.mark.spec("D-20")
def test_localities_that_one_pattern_covers_share_its_weight_by_their_own_rounded_up():
    service = a_service_entry(
        endpoints=(
            an_endpoint("10.0.0.1", locality="eu/a", weight=1),
            an_endpoint("10.0.0.2", locality="eu/b", weight=1),
            an_endpoint("10.0.0.3", locality="eu/b", weight=1),
            an_endpoint("10.0.0.4", locality="us/a", weight=9),
        )
    )

    plan = a_plan(service, spreading(("*", {"eu/*": 80, "us": 20})))

    assert shares(plan) == {"eu/a": 27, "eu/b": 54, "us/a": 20}


@pytest.mark.spec("D-20")
def test_the_first_entry_for_the_client_counts_and_without_one_nothing_changes():
    entries = (("eu/a", {"eu/a/*": 100}), ("eu/*", {"us/*": 100}))

    first, second, other = (
        a_plan(places("eu/a", "us/a"), spreading(*entries), locality=here) for here in ("eu/a/1", "eu/b", "asia")
    )

    assert (shares(first), shares(second), shares(other)) == ({"eu/a": 100}, {"us/a": 100}, {})
    assert len(endpoints(other, REVIEWS)) == 2
    assert not cluster(other, REVIEWS).locality_weighted


@pytest.mark.spec("D-20")
def test_what_is_distributed_does_not_fail_over():
    setting = by_locality(
        distribute=(Distribute(from_="*", to={"*": 100}),), failover_priority=("topology.kubernetes.io/region",)
    )

    plan = a_plan(places("us", "eu"), a_rule(locality_lb_setting=setting), locality="eu")

    assert priorities(plan) == [0, 0]
    assert shares(plan) == {"eu": 50, "us": 50}


# --- zones --------------------------------------------------------------------------------------------------------


def zone_aware(*, notices: bool = True, **setting: object) -> DestinationRule:
    return a_rule(notices=notices, zone_aware_lb_setting=ZoneAwareLoadBalancerSetting(**setting))


@pytest.mark.spec("D-24")
@pytest.mark.parametrize("notices", [True, False])
def test_zone_aware_calls_stay_in_the_region_before_all(*, notices: bool):
    rule = zone_aware(notices=notices, failover=(Failover(from_="eu", to="us"),), min_cluster_size=2)

    plan = a_plan(places("asia", "us/a", "eu/b", "eu/a"), rule, locality="eu/a")

    assert priorities(plan) == [2, 1, 0, 0]
    assert cluster(plan, REVIEWS).zone_aware == ZoneAware(min_cluster_size=2)
    assert not cluster(plan, REVIEWS).locality_weighted


@pytest.mark.spec("D-24")
def test_zone_aware_calls_prefer_who_shares_labels_where_somebody_notices_failures():
    service = labelled({"a": "1"}, {}, localities=("us", "eu"))

    noticed, unnoticed = (
        a_plan(service, zone_aware(notices=notices, failover_priority=("a",)), labels={"a": "1"}, locality="eu")
        for notices in (True, False)
    )

    assert (priorities(noticed), priorities(unnoticed)) == ([0, 1], [1, 0])


@pytest.mark.spec("D-24")
def test_a_client_that_does_not_know_its_place_makes_no_order_of_regions():
    assert priorities(a_plan(places("us", "eu"), zone_aware())) == [0, 0]


@pytest.mark.spec("D-24")
def test_switched_off_it_leaves_the_order_of_the_mesh():
    plan = a_plan(places("us", "eu"), zone_aware(enabled=False), locality="eu")

    assert priorities(plan) == [1, 0]
    assert cluster(plan, REVIEWS).zone_aware is None


@pytest.mark.spec("D-24")
def test_who_stands_beside_this_host_is_known_where_calls_are_zone_aware():
    web = a_service_entry(
        "web",
        endpoints=(an_endpoint("10.0.0.1", locality="eu/a"), an_endpoint("10.0.0.2", locality="eu/b")),
    )
    selected = a_service_entry(
        "api", location="MESH_INTERNAL", workload_selector=WorkloadSelector(labels={"app": "api"})
    )
    other = a_workload_entry("vm-2", "10.0.0.7", labels={"app": "api"}, locality="eu/c")
    resources = (web, selected, other, a_service_entry(endpoints=(an_endpoint("10.9.0.1"),)))

    without = a_plan(*resources, locality="eu/a", labels={"app": "api"})
    plan = a_plan(*resources, zone_aware(), locality="eu/a", labels={"app": "api"})

    assert LOCAL_CLUSTER not in [each.cluster for each in without.endpoints]
    assert [(each.address.ip, each.locality.zone) for each in assigned(plan, LOCAL_CLUSTER).endpoints] == [
        ("10.0.0.1", "a"),
        ("10.0.0.2", "b"),
        ("10.0.0.7", "c"),
    ]
    assert [each.cluster for each in plan.endpoints] == sorted(each.cluster for each in plan.endpoints)


# --- networks -----------------------------------------------------------------------------------------------------


def networks(**gateways: tuple[str, ...]) -> object:
    return a_mesh_config(
        networks={
            name: Network(gateways=tuple(NetworkGateway(address=each) for each in addresses))
            for name, addresses in gateways.items()
        }
    )


def spread_over(*instances: tuple[str, str, int], **more: object) -> ServiceEntry:
    """Address, network and weight of each; all have a sidecar."""
    return a_service_entry(
        location="MESH_INTERNAL",
        endpoints=tuple(
            an_endpoint(address, network=network, weight=weight, service_account="reviews", locality="eu/a")
            for address, network, weight in instances
        ),
        **more,
    )


def reached(plan: ProxyPlan) -> list[tuple[str, int, int]]:
    return [(each.address.ip, each.port, each.weight) for each in endpoints(plan, REVIEWS)]


@pytest.mark.spec("W-4")
def test_who_is_in_another_network_is_reached_through_its_gateway_with_their_weights_together():
    service = spread_over(("10.0.0.1", "here", 1), ("10.0.0.2", "there", 2), ("10.0.0.3", "there", 3))

    plan = a_plan(service, networks(there=("192.0.2.1",), here=("192.0.2.9",)), network="here")

    assert reached(plan) == [("10.0.0.1", 80, 1), ("192.0.2.1", 15443, 5)]
    assert all(each.speaks_mesh_tls for each in endpoints(plan, REVIEWS))


@pytest.mark.spec("W-4")
def test_gateways_of_one_network_share_its_weight():
    service = spread_over(("10.0.0.1", "here", 1), ("10.0.0.2", "there", 2), ("10.0.0.3", "there", 3))

    plan = a_plan(service, networks(there=("192.0.2.1", "192.0.2.2")), network="here")

    assert reached(plan) == [("10.0.0.1", 80, 2), ("192.0.2.1", 15443, 5), ("192.0.2.2", 15443, 5)]


@pytest.mark.spec("W-4")
def test_a_gateway_stands_where_the_nearest_behind_it_does():
    far, near = (
        an_endpoint(f"10.0.0.{n}", network="there", locality=place, service_account="x")
        for n, place in enumerate(("us", "eu/b"))
    )
    here = an_endpoint("10.0.0.9", locality="eu/a", service_account="x")
    service = a_service_entry(location="MESH_INTERNAL", endpoints=(far, near, here))

    plan = a_plan(service, a_rule(), networks(there=("192.0.2.1",)), locality="eu/a", network="here")

    assert [(each.address.ip, each.priority) for each in endpoints(plan, REVIEWS)] == [
        ("10.0.0.9", 0),
        ("192.0.2.1", 1),
    ]


@pytest.mark.spec("W-4")
def test_only_the_meshs_tls_finds_its_way_through_a_gateway():
    service = spread_over(("10.0.0.1", "here", 1), ("10.0.0.2", "there", 2))
    resources = (networks(there=("192.0.2.1",)),)

    def of(mode: str) -> list[tuple[str, int, int]]:
        policy = TrafficPolicy(tls=tp.ClientTLSSettings(mode=mode))
        return reached(a_plan(service, *resources, a_destination_rule(traffic_policy=policy), network="here"))

    assert of("DISABLE") == [("10.0.0.1", 80, 1)]
    assert of("SIMPLE") == [("10.0.0.1", 80, 1)]
    assert of("ISTIO_MUTUAL") == [("10.0.0.1", 80, 1), ("192.0.2.1", 15443, 2)]


@pytest.mark.spec("W-4")
def test_who_names_no_network_or_one_without_gateways_is_called_directly():
    service = spread_over(("10.0.0.1", "", 1), ("10.0.0.2", "elsewhere", 1))

    assert reached(a_plan(service, network="here")) == [("10.0.0.1", 80, 1), ("10.0.0.2", 80, 1)]


@pytest.mark.spec("W-4")
def test_a_host_that_names_no_network_calls_everybody_directly_whoever_has_an_address():
    service = spread_over(("10.0.0.1", "", 1), ("10.0.0.2", "there", 1), ("", "there", 3))

    direct = [("10.0.0.1", 80, 1), ("10.0.0.2", 80, 1)]
    assert reached(a_plan(service, networks(there=("192.0.2.1",)))) == [*direct, ("192.0.2.1", 15443, 3)]


@pytest.mark.spec("W-1", "W-4")
def test_a_workload_without_an_address_is_behind_its_gateway_or_nowhere():
    service = spread_over(("", "there", 4), ("10.0.0.1", "here", 1))
    gateway = networks(there=("192.0.2.1",))

    assert reached(a_plan(service, gateway, network="here")) == [("10.0.0.1", 80, 1), ("192.0.2.1", 15443, 4)]
    assert reached(a_plan(service, gateway, network="there")) == [("10.0.0.1", 80, 1)]


# --- workloads of this host ---------------------------------------------------------------------------------------


@pytest.mark.spec("W-17")
def test_an_endpoint_on_this_very_host_says_which_workload_it_is():
    service = a_service_entry(location="MESH_INTERNAL", workload_selector=WorkloadSelector(labels={"app": "api"}))
    elsewhere = a_workload_entry("vm-2", "10.0.0.2", labels={"app": "api"})

    plan = a_plan(service, elsewhere, labels={"app": "api"})

    assert [each.workload for each in endpoints(plan, REVIEWS)] == ["default/vm-1", ""]


@pytest.mark.spec("W-17", "D-56")
def test_who_is_unhealthy_is_dropped_where_panic_would_use_it():
    panics = replace(NOTICING, min_health_percent=1)

    wary, plain = (
        a_plan(a_service_entry(), a_destination_rule(traffic_policy=TrafficPolicy(outlier_detection=each)))
        for each in (panics, NOTICING)
    )

    assert (assigned(wary).drops_unhealthy, assigned(plain).drops_unhealthy) == (True, False)


def test_the_place_of_an_endpoint_is_kept():
    plan = a_plan(places("eu/a"))

    assert endpoints(plan, REVIEWS)[0].locality == Locality(region="eu", zone="a")
