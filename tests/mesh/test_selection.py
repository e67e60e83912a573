"""Which DestinationRule, Sidecar and identity a client gets."""

from __future__ import annotations

import pytest

from meshd.memo import Memo
from meshd.mesh.selection import rule_for, sidecar_for
from meshd.resources.destination_rule import LabelSelector, TrafficPolicy
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.traffic_policy import ClientTLSSettings
from tests.builders import (
    a_client,
    a_destination_rule,
    a_mesh,
    a_mesh_config,
    a_service_entry,
    a_sidecar,
)

HOST = "reviews.example.com"
SERVICE = a_service_entry(hosts=(HOST,), namespace="shop")


def chosen(*rules: Resource, client=None) -> list[str]:
    """The names of the rules in force for HOST, which namespace `shop` has."""
    mesh = a_mesh(SERVICE, *rules)
    rule = rule_for(mesh, mesh.services[HOST][0], client or a_client("web"))
    return [each.metadata.name for each in rule.rules] if rule else []


def a_rule(name: str, namespace: str, host: str = HOST, **given):
    return a_destination_rule(name, host=host, namespace=namespace, **given)


def test_no_rule_is_in_force_where_none_matches():
    assert chosen(a_rule("other", "shop", "ratings.example.com")) == []


def test_the_clients_namespace_comes_before_the_services_and_that_before_the_root():
    own, theirs, root = a_rule("own", "web"), a_rule("theirs", "shop"), a_rule("root", "istio-system")

    assert chosen(own, theirs, root) == ["own"]
    assert chosen(theirs, root) == ["theirs"]
    assert chosen(root) == ["root"]
    assert chosen(a_rule("elsewhere", "billing")) == []


def test_a_wildcard_of_the_clients_namespace_comes_before_an_exact_rule_of_the_services():
    assert chosen(a_rule("own", "web", "*.example.com"), a_rule("theirs", "shop")) == ["own"]


@pytest.mark.spec("D-1")
def test_the_most_specific_host_is_in_force_and_inherits_nothing():
    rules = a_rule("wide", "shop", "*.com"), a_rule("exact", "shop"), a_rule("narrow", "shop", "*.example.com")

    assert chosen(*rules) == ["exact"]
    assert chosen(rules[0], rules[2]) == ["narrow"]


@pytest.mark.spec("D-6")
def test_an_own_rule_that_is_not_exported_to_its_own_namespace_does_not_count():
    assert chosen(a_rule("away", "web", export_to=("billing",)), a_rule("theirs", "shop")) == ["theirs"]


def test_an_exact_rule_hidden_from_the_client_hides_the_wildcards_of_its_namespace_too():
    hidden = a_rule("hidden", "shop", export_to=(".",))

    assert chosen(hidden, a_rule("wide", "shop", "*.example.com")) == []
    assert chosen(hidden, a_rule("root", "istio-system")) == ["root"]


def test_for_a_client_of_the_root_namespace_only_private_rules_are_its_own():
    client = a_client("istio-system")

    assert chosen(a_rule("all", "istio-system"), a_rule("theirs", "shop"), client=client) == ["theirs"]
    assert chosen(a_rule("private", "istio-system", export_to=(".",)), a_rule("theirs", "shop"), client=client) == [
        "private"
    ]


@pytest.mark.spec("D-2", "D-3", "W-DR-DUP-SUBSET")
def test_rules_of_one_host_and_export_are_one_with_the_first_word_on_everything():
    policy = TrafficPolicy(tls=ClientTLSSettings(mode="SIMPLE"))
    first = a_destination_rule("a", "v1", "v2", host=HOST, namespace="shop")
    second = a_destination_rule("b", "v2", "v3", host=HOST, namespace="shop", traffic_policy=policy)
    mesh = a_mesh(SERVICE, second, first)

    rule = rule_for(mesh, mesh.services[HOST][0], a_client("web"))

    assert rule
    assert rule.rules == (first, second)
    assert rule.traffic_policy is policy
    assert list(rule.subsets) == ["v1", "v2", "v3"]
    assert rule.subsets["v2"] is first.subsets[1]


@pytest.mark.spec("D-6")
def test_of_rules_with_different_exports_the_last_that_the_client_sees_counts():
    everybody, us = a_rule("a", "shop"), a_rule("b", "shop", export_to=("web",))

    assert chosen(everybody, us) == ["b"]
    assert chosen(everybody, us, client=a_client("billing")) == ["a"]


@pytest.mark.spec("D-6")
def test_a_rule_for_selected_workloads_counts_for_them_and_for_nobody_else():
    selector = LabelSelector(match_labels={"app": "cart"})
    selecting, general = a_rule("cart", "web", workload_selector=selector), a_rule("general", "web")

    assert chosen(selecting, general, client=a_client("web", app="cart")) == ["cart"]
    assert chosen(selecting, general, client=a_client("web", app="other")) == ["general"]
    assert chosen(selecting, a_rule("wide", "web", "*.com"), client=a_client("web")) == ["wide"]
    assert chosen(a_rule("theirs", "shop", workload_selector=selector), client=a_client("web", app="cart")) == []


@pytest.mark.spec("D-1")
def test_short_hosts_are_completed_by_the_rules_namespace():
    mesh = a_mesh(
        a_mesh_config(domain_suffix="mesh"),
        a_service_entry(hosts=("reviews.shop.mesh",)),
        a_destination_rule("short", host="reviews", namespace="shop"),
    )

    assert rule_for(mesh, mesh.services["reviews.shop.mesh"][0], a_client("shop"))


def test_an_unchanged_rule_is_the_very_same_object_in_the_next_pass():
    memo = Memo()
    rule = a_rule("a", "shop")
    before = a_mesh(SERVICE, rule, memo=memo)
    memo.turn()
    after = a_mesh(SERVICE, rule, memo=memo)

    assert after.destination_rules[HOST] is before.destination_rules[HOST]


SELECTING = a_sidecar("selecting", "./*", namespace="web", workload_selector=WorkloadSelector(labels={"app": "cart"}))
GENERAL = a_sidecar("general", "./*", namespace="web")
ROOT = a_sidecar("root", "*/*", namespace="istio-system")


@pytest.mark.spec("SC-1")
@pytest.mark.parametrize(
    ("client", "name"),
    [
        (a_client("web", app="cart"), "selecting"),
        (a_client("web"), "general"),
        (a_client("shop", app="cart"), "root"),
    ],
)
def test_a_sidecar_is_chosen_by_labels_then_namespace_then_root(client, name: str):
    sidecar = sidecar_for(a_mesh(ROOT, GENERAL, SELECTING), client)

    assert sidecar
    assert sidecar.metadata.name == name


@pytest.mark.spec("SC-16")
def test_there_may_be_no_sidecar():
    assert sidecar_for(a_mesh(SELECTING), a_client("web")) is None
