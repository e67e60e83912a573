"""One pass after another: who the host is, what stays the same object, and what a reader is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import yaml

from meshd.compiler import Reach, compile_plan
from meshd.compiler.show import plan_yaml
from meshd.memo import Memo
from meshd.mesh.mesh import Mesh
from meshd.names import HostName
from meshd.resources.resource import WorkloadSelector
from tests.builders import (
    a_destination_rule,
    a_mesh,
    a_mesh_config,
    a_port,
    a_route,
    a_service_entry,
    a_sidecar,
    a_virtual_service,
    a_workload_entry,
    an_endpoint,
)
from tests.compiler.outbound import sni, tls_rules
from tests.compiler.plans import HOST, REACH, a_plan, cluster, codes, routes, table


def test_a_host_that_no_workload_names_has_no_plan():
    result = compile_plan(a_mesh(a_workload_entry("web-1")), HostName("web-2"), Reach(), Memo())

    assert result.plans == ()
    assert codes(result) == ["E-HOST-UNKNOWN"]
    assert "web-1" in result.problems[0].hint


def test_an_empty_mesh_says_how_to_declare_a_host():
    (problem,) = compile_plan(Mesh(), HostName("web-2"), Reach(), Memo()).problems

    assert "WorkloadEntry 'web-2'" in problem.hint


def test_the_hosts_labels_choose_its_sidecar():
    web = a_sidecar("web", "*/reviews.shop", workload_selector=WorkloadSelector(labels={"app": "web"}))
    mesh = (a_service_entry(), a_service_entry("other"), web)

    assert {each.service for each in a_plan(*mesh, labels={"app": "web"}).clusters} == {"reviews.shop"}
    assert len(a_plan(*mesh, labels={"app": "db"}).clusters) == 2


def passes(*meshes: tuple, reach: Reach = REACH):
    memo = Memo()
    for resources in meshes:
        mesh = a_mesh(*resources, memo=memo)
        (plan,) = compile_plan(mesh, HOST, reach, memo).plans
        memo.turn()
        yield plan


WORKLOAD = a_workload_entry()
SERVICES = tuple(a_service_entry(name, endpoints=(an_endpoint(),)) for name in ("reviews", "cart", "stock"))
RULES = (a_destination_rule("cart", "v1"), a_virtual_service("cart", a_route(timeout=timedelta(seconds=1))))
CONFIG = a_mesh_config(connect_timeout=timedelta(seconds=3))


def objects(plan) -> dict[str, object]:
    hosts = {each.name: each for each in table(plan).virtual_hosts}
    return {each.name: each for each in plan.clusters} | {each.cluster: each for each in plan.endpoints} | hosts


def test_what_has_not_changed_is_the_same_object_in_the_next_pass():
    before, after = passes((WORKLOAD, CONFIG, *SERVICES, *RULES), (WORKLOAD, CONFIG, *SERVICES, *RULES))

    was, now = objects(before), objects(after)
    assert all(now[name] is was[name] for name in was)
    assert table(after) is table(before)


def test_one_changed_route_changes_one_virtual_host_and_no_cluster():
    rule, route = RULES
    changed = replace(route, http=(a_route(timeout=timedelta(seconds=2)),))

    before, after = passes((WORKLOAD, *SERVICES, rule, route), (WORKLOAD, *SERVICES, rule, changed))

    was, now = objects(before), objects(after)
    assert [name for name in now if now[name] is not was[name]] == ["cart.shop:80"]


def test_one_more_service_changes_nothing_of_the_others():
    before, after = passes((WORKLOAD, *SERVICES, *RULES), (WORKLOAD, *SERVICES, *RULES, a_service_entry("new")))

    was, now = objects(before), objects(after)
    assert {name for name in now if now[name] is not was.get(name)} == {"outbound|80||new.shop", "new.shop:80"}


def test_the_plan_does_not_depend_on_the_order_of_the_resources():
    forwards, backwards = (next(passes(order)) for order in ((WORKLOAD, *SERVICES), (*reversed(SERVICES), WORKLOAD)))

    assert forwards == backwards


def test_each_part_of_the_plan_knows_the_lines_it_came_from():
    plan = a_plan(*SERVICES, *RULES)

    assert cluster(plan, "outbound|80||cart.shop").origin.file == "destinationrule-cart.yaml"
    assert plan.endpoints[0].origin.file.startswith("serviceentry-")
    assert table(plan).virtual_hosts[0].origin.file == "virtualservice-cart.yaml"
    assert routes(plan, "reviews.shop:80")


def test_a_reader_is_shown_only_what_is_not_as_by_default():
    shown = yaml.safe_load(plan_yaml(a_plan(*SERVICES, CONFIG)))

    assert shown["clusters"][0] == {
        "name": "outbound|80||cart.shop",
        "service": "cart.shop",
        "port": 80,
        "connect_timeout": "3s",
        "http": {},
    }
    assert shown["endpoints"][0]["endpoints"] == [{"address": "10.0.0.1", "port": 80}]
    assert shown["listeners"][0]["bind"] == {"kind": "SocketBind", "ip": "127.0.0.1", "port": 15080}


# --- capture --------------------------------------------------------------------------------------------------

CAPTURE = Reach(capture="nftables")
CAPTURED = (
    a_service_entry("shop", ports=(a_port(80), a_port(443, "tls"))),
    a_service_entry("cart", ports=(a_port(80), a_port(443, "tls"))),
    a_service_entry("db", ports=(a_port(5432, "tcp"),), addresses=("10.9.0.1",), endpoints=(an_endpoint(),)),
    a_service_entry("log", ports=(a_port(514, "tcp"),), addresses=("10.9.0.2",)),
)
BY_NAME = tls_rules("shop", sni("shop.shop", to="cart.shop"))


def parts(plan) -> dict[str, object]:
    tables = {f"table {each.name}": each for each in plan.route_tables}
    endpoints = {f"endpoints of {each.cluster}": each for each in plan.endpoints}
    return {each.name: each for each in (*plan.clusters, *plan.listeners)} | tables | endpoints


def changed(before, after) -> set[str]:
    was, now = parts(before), parts(after)
    return {name for name in now if now[name] is not was.get(name)}


def test_nothing_that_is_captured_is_built_again_when_nothing_changed():
    mesh = (WORKLOAD, *CAPTURED, BY_NAME)

    before, after = passes(mesh, mesh, reach=CAPTURE)

    assert changed(before, after) == set()


def test_a_changed_route_leaves_all_listeners_alone():
    rule = a_virtual_service("shop")
    other = replace(rule, http=(a_route(timeout=timedelta(seconds=2)),))

    before, after = passes((WORKLOAD, *CAPTURED, rule), (WORKLOAD, *CAPTURED, other), reach=CAPTURE)

    assert changed(before, after) == {"table 80", "table http_proxy"}


def test_a_changed_rule_for_connections_changes_the_listener_of_its_port_only():
    other = tls_rules("shop", sni("shop.shop", to="shop.shop"))

    before, after = passes((WORKLOAD, *CAPTURED, BY_NAME), (WORKLOAD, *CAPTURED, other), reach=CAPTURE)

    assert changed(before, after) == {"0.0.0.0_443"}


def test_a_moved_endpoint_changes_no_listener_and_no_route():
    db, shop = (
        [replace(CAPTURED[index], endpoints=(an_endpoint(f"10.0.0.{last}"),)) for last in (8, 9)] for index in (2, 0)
    )

    before, after = passes(
        (WORKLOAD, shop[0], CAPTURED[1], db[0], BY_NAME),
        (WORKLOAD, shop[1], CAPTURED[1], db[1], BY_NAME),
        reach=CAPTURE,
    )

    was, now = parts(before), parts(after)
    assert {each.name for each in (*after.listeners, *after.route_tables) if each.name not in now} == {
        "80",
        "http_proxy",
    }
    assert all(now[each.name] is was[each.name] for each in after.listeners)
    assert all(now[f"table {each.name}"] is was[f"table {each.name}"] for each in after.route_tables)


def test_one_more_service_changes_only_the_listeners_of_its_ports():
    more = a_service_entry("more", ports=(a_port(80), a_port(5432, "tcp")), addresses=("10.9.0.3",))

    before, after = passes((WORKLOAD, *CAPTURED), (WORKLOAD, *CAPTURED, more), reach=CAPTURE)

    assert changed(before, after) == {
        "outbound|80||more.shop",
        "outbound|5432||more.shop",
        "endpoints of outbound|80||more.shop",
        "endpoints of outbound|5432||more.shop",
        "10.9.0.3_5432",
        "table 80",
        "table http_proxy",
    }
