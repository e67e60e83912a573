"""What a WorkloadGroup gives to the entries that name it (spec W-3, W-10 and W-11)."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.mesh import Mesh
from meshd.names import HostName
from meshd.registry.groups import GROUP_ANNOTATION, registered
from meshd.registry.workloads import labels_of, locality_of
from meshd.resources.resource import WorkloadSelector
from meshd.resources.workload_entry import WorkloadEntry
from meshd.resources.workload_group import Group, ObjectMeta, WorkloadGroup, WorkloadTemplate
from tests.builders import a_service_entry, a_workload_entry, an_origin


def a_group(
    name: str = "web", labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **template: Any
) -> WorkloadGroup:
    """`labels` and `annotations` are what every member gets; all else is for the template."""
    metadata = a_workload_entry(name, namespace=template.pop("namespace", "default")).metadata
    given = ObjectMeta(labels=labels or {}, annotations=annotations or {})
    of_template = template.pop("template_labels", {})
    group = Group(template=WorkloadTemplate(labels=of_template, **template), metadata=given)
    return WorkloadGroup(metadata=metadata, group=group, origin=an_origin("WorkloadGroup", name))


def a_member(name: str = "web-1", address: str = "10.0.0.1", group: str = "web", **given: Any) -> WorkloadEntry:
    annotations = {GROUP_ANNOTATION: group, **given.pop("annotations", {})}
    return a_workload_entry(name, address, annotations=annotations, **given)


def effective(entry: WorkloadEntry, *groups: WorkloadGroup) -> WorkloadEntry:
    mesh = assemble([entry, *groups], Memo()).mesh
    ((found,),) = mesh.workloads.values()
    return found


@pytest.mark.spec("W-10")
def test_labels_and_annotations_of_the_group_are_those_of_its_members_whose_own_win():
    group = a_group(labels={"app": "web", "tier": "front", "version": "v1"}, annotations={"a": "group", "b": "group"})
    entry = a_member(labels={"version": "v2"}, metadata_labels={"tier": "back"}, annotations={"a": "own"})

    found = effective(entry, group)

    assert labels_of(found) == {"app": "web", "tier": "back", "version": "v2"}
    assert found.metadata.annotations == {GROUP_ANNOTATION: "web", "a": "own", "b": "group"}


@pytest.mark.spec("W-11")
def test_what_an_entry_does_not_say_the_template_says():
    template = {
        "ports": {"http": 8080, "admin": 9000},
        "service_account": "web",
        "network": "east",
        "locality": "eu/a",
        "weight": 3,
    }

    found = effective(a_member(ports={"admin": 9001}), a_group(**template)).workload

    assert found.ports == {"http": 8080, "admin": 9001}
    assert (found.service_account, found.network, found.locality, found.weight) == ("web", "east", "eu/a", 3)


@pytest.mark.spec("W-11")
def test_what_an_entry_says_the_template_does_not_change():
    own = {"service_account": "own", "network": "west", "locality": "us", "weight": 0}
    template = {"service_account": "web", "network": "east", "locality": "eu/a", "weight": 3}

    found = effective(a_member(**own), a_group(**template)).workload

    assert (found.service_account, found.network, found.locality, found.weight) == ("own", "west", "us", 0)


@pytest.mark.spec("W-11")
def test_the_service_account_of_a_group_is_default_unless_it_says_otherwise():
    assert effective(a_member(), a_group()).workload.service_account == "default"
    assert effective(a_workload_entry()).workload.service_account is None


@pytest.mark.spec("W-5")
def test_the_locality_label_of_an_entry_comes_before_the_templates_locality():
    found = effective(a_member(labels={"istio-locality": "us.b"}), a_group(locality="eu/a"))

    assert locality_of(found.workload, labels_of(found)).region == "us"


@pytest.mark.spec("W-11")
def test_address_and_labels_of_a_template_are_ignored():
    found = effective(a_member(), a_group(address="10.9.9.9", template_labels={"a": "b"}))

    assert (found.workload.address, labels_of(found)) == ("10.0.0.1", {})


@pytest.mark.spec("W-11")
def test_a_unix_socket_takes_no_ports_from_its_group():
    assert effective(a_member(address="unix:///run/a.sock"), a_group(ports={"http": 80})).workload.ports == {}


@pytest.mark.spec("S-10", "W-10")
def test_a_service_selects_members_by_the_labels_of_their_group():
    selector = WorkloadSelector(labels={"app": "web"})
    entry = a_service_entry(workload_selector=selector, location="MESH_INTERNAL")

    mesh = assemble([entry, a_member(), a_group(labels={"app": "web"}, network="east")], Memo()).mesh

    ((service,),) = mesh.services.values()
    (instance,) = service.instances
    assert (instance.labels, instance.network, instance.service_account, instance.workload) == (
        {"app": "web"},
        "east",
        "default",
        "default/web-1",
    )


def test_a_group_may_say_which_host_its_only_member_is():
    mesh = assemble([a_member("one"), a_group(annotations={"meshd.io/host": "vm-9"})], Memo()).mesh

    assert list(mesh.workloads) == [HostName("vm-9")]


@pytest.mark.spec("W-11")
@pytest.mark.parametrize(
    ("group", "message", "hint"),
    [
        (a_group("wed"), "no WorkloadGroup default/web", "did you mean 'wed'?"),
        (a_group("web", namespace="shop"), "there is WorkloadGroup shop/web (workloadgroup-web.yaml:1:1)", ""),
    ],
)
def test_the_group_that_an_entry_names_must_be_in_its_namespace(group: WorkloadGroup, message: str, hint: str):
    (problem,) = assemble([a_member(), group], Memo()).problems

    assert problem.code == "E-WE-GROUP-UNKNOWN"
    assert message in problem.message
    assert problem.hint == hint


def test_who_did_not_change_is_the_very_same_object():
    memo = Memo()
    web, db = a_group("web"), a_group("db")
    members = (a_member("a", group="web"), a_member("b", "10.0.0.2", group="db"), a_workload_entry("c", "10.0.0.3"))

    def mesh(*groups: WorkloadGroup) -> Mesh:
        found = assemble([*members, *groups], memo).mesh
        memo.turn()
        return found

    before, after = mesh(web, db), mesh(web, a_group("db", labels={"app": "db"}))

    same = {host: after.workloads[host][0] is before.workloads[host][0] for host in after.workloads}
    assert same == {"a": True, "b": False, "c": True}


def test_without_members_the_entries_are_handed_on():
    entries = (a_workload_entry("a"), a_workload_entry("b"))

    assert registered(entries, {}, Memo()).workloads is entries
