from __future__ import annotations

import pytest

from meshd.memo import Memo
from meshd.names import Locality
from meshd.registry.precedence import by_age
from meshd.registry.service import Service
from meshd.registry.services import Registry, registry
from meshd.resources.resource import Resource, WorkloadSelector
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.workload_entry import WorkloadEntry
from tests.builders import a_port, a_service_entry, a_workload_entry, an_endpoint


def built(*resources: Resource, memo: Memo | None = None) -> Registry:
    entries = by_age(each for each in resources if isinstance(each, ServiceEntry))
    workloads = by_age(each for each in resources if isinstance(each, WorkloadEntry))
    return registry(entries, workloads, memo or Memo())


def the_service(*resources: Resource) -> Service:
    ((service,),) = built(*resources).services.values()
    return service


def addresses(service: Service, port: int = 80) -> list[str]:
    found = service.port(port)
    assert found
    return [instance.address for instance in service.instances_of(found)]


def selecting(**labels: str) -> WorkloadSelector:
    return WorkloadSelector(labels=labels)


@pytest.mark.spec("S-1")
def test_an_entry_is_one_service_for_each_of_its_hosts():
    services = built(a_service_entry(hosts=("a.shop", "B.shop"), endpoints=(an_endpoint(),))).services

    assert list(services) == ["a.shop", "b.shop"]
    assert [service.instances[0].address for (service,) in services.values()] == ["10.0.0.1", "10.0.0.1"]


def test_the_protocol_of_a_port_comes_from_its_field_then_its_name_then_is_tcp():
    ports = (a_port(1, "http-a"), a_port(2, "b", protocol="grpc"), a_port(3, "web"), a_port(4, "grpc-web-x"))

    found = the_service(a_service_entry(ports=ports)).ports

    assert [(port.protocol, port.family) for port in found] == [
        ("HTTP", "http"),
        ("GRPC", "http"),
        ("TCP", "tcp"),
        ("GRPC-WEB", "http"),
    ]


@pytest.mark.spec("W-UDP-IGNORED")
def test_udp_ports_are_left_out():
    assert the_service(a_service_entry(ports=(a_port(53, "udp"),))).ports == ()


@pytest.mark.spec("S-4", "S-6", "W-2")
def test_an_endpoint_is_called_on_its_own_port_then_the_target_port_then_the_port():
    service = the_service(
        a_service_entry(
            ports=(a_port(80, "http", target_port=8080), a_port(81, "http-b")),
            endpoints=(an_endpoint("10.0.0.1", ports={"http": 9090}), an_endpoint("10.0.0.2")),
        )
    )
    first, second = service.instances

    assert [first.port_for(port) for port in service.ports] == [9090, 81]
    assert [second.port_for(port) for port in service.ports] == [8080, 81]


@pytest.mark.spec("W-1")
def test_a_unix_socket_has_no_port():
    service = the_service(a_service_entry(endpoints=(an_endpoint("unix:///run/a.sock"),)))

    assert service.instances[0].port_for(service.ports[0]) == 0


@pytest.mark.spec("S-10", "W-3", "W-8", "GLO-03")
def test_a_selector_selects_by_labels_within_its_namespace():
    entry = a_service_entry(workload_selector=selecting(app="reviews", tier="web"), namespace="shop")
    fitting = a_workload_entry(
        "a", "10.0.0.1", labels={"app": "reviews"}, metadata_labels={"tier": "web"}, namespace="shop"
    )
    others = (
        a_workload_entry("b", "10.0.0.2", labels={"app": "reviews"}, namespace="shop"),
        a_workload_entry("c", "10.0.0.3", labels={"app": "reviews", "tier": "web"}, namespace="other"),
    )

    assert addresses(the_service(entry, fitting, *others)) == ["10.0.0.1"]


@pytest.mark.spec("W-3")
def test_the_labels_of_the_metadata_win():
    entry = a_service_entry(workload_selector=selecting(version="v2"))
    workload = a_workload_entry(labels={"version": "v1"}, metadata_labels={"version": "v2"})

    assert the_service(entry, workload).instances[0].labels == {"version": "v2"}


@pytest.mark.spec("S-10")
def test_a_selector_without_labels_selects_the_whole_namespace():
    workloads = (a_workload_entry("b", "10.0.0.2"), a_workload_entry("a", "10.0.0.1"))

    assert addresses(the_service(a_service_entry(workload_selector=selecting()), *workloads)) == [
        "10.0.0.1",
        "10.0.0.2",
    ]


@pytest.mark.spec("S-8", "W-1")
def test_names_are_for_entries_that_look_them_up_and_others_pass_them_over():
    workload = a_workload_entry(address="vm.shop", labels={"app": "a"})
    dns = a_service_entry("dns", resolution="DNS", workload_selector=selecting(app="a"))
    static = a_service_entry("static", workload_selector=selecting(app="a"))

    found = built(dns, static, workload)

    assert addresses(found.services["dns.shop"][0]) == ["vm.shop"]
    assert addresses(found.services["static.shop"][0]) == []
    assert [problem.code for problem in found.problems] == ["W-VALUE"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"resolution": "DNS"}, "resolution STATIC"),
        ({"ports": (a_port(80), a_port(81, "http-b"))}, "exactly one port"),
    ],
)
def test_a_unix_socket_is_passed_over_where_it_cannot_be_called(given, reason: str):
    entry = a_service_entry(workload_selector=selecting(app="a"), **given)

    (problem,) = built(entry, a_workload_entry(address="unix://@a", labels={"app": "a"})).problems

    assert reason in problem.message


@pytest.mark.spec("S-8")
@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN"])
def test_without_endpoints_a_dns_service_is_looked_up_by_its_own_name(resolution: str):
    assert addresses(the_service(a_service_entry(resolution=resolution))) == ["reviews.shop"]


def test_with_a_selector_the_host_is_no_endpoint():
    assert addresses(the_service(a_service_entry(resolution="DNS", workload_selector=selecting(app="a")))) == []


@pytest.mark.spec("W-5")
@pytest.mark.parametrize(
    ("given", "labels", "locality"),
    [
        ("eu/a/1", {}, Locality(region="eu", zone="a", subzone="1")),
        ("eu", {}, Locality(region="eu")),
        (None, {"istio-locality": "eu.a"}, Locality(region="eu", zone="a")),
        ("us", {"istio-locality": "eu.a"}, Locality(region="us")),
    ],
)
def test_locality_is_the_field_or_else_the_label(given, labels, locality: Locality):
    endpoint = an_endpoint(locality=given, labels=labels)

    assert the_service(a_service_entry(endpoints=(endpoint,))).instances[0].locality == locality


@pytest.mark.spec("W-6")
@pytest.mark.parametrize(("given", "weight"), [(None, 1), (0, 1), (7, 7)])
def test_weight_zero_is_one(given, weight: int):
    endpoint = an_endpoint(weight=given)

    assert the_service(a_service_entry(endpoints=(endpoint,))).instances[0].weight == weight


@pytest.mark.spec("W-4", "W-7", "W-8")
def test_an_instance_says_its_network_its_account_and_which_workload_it_is():
    inline = an_endpoint("10.0.0.1", network="east", service_account="db")
    selected = a_workload_entry("b", "10.0.0.2", network="west", service_account="web", namespace="shop")
    entry = a_service_entry("b", workload_selector=selecting(), namespace="shop")

    (one,) = the_service(a_service_entry("a", endpoints=(inline,))).instances
    (other,) = the_service(entry, selected).instances

    assert (one.network, one.service_account, one.workload) == ("east", "db", "")
    assert (other.network, other.service_account, other.workload) == ("west", "web", "shop/b")


@pytest.mark.spec("W-1", "S-8")
@pytest.mark.parametrize(("resolution", "found"), [("STATIC", [""]), ("DNS", [])])
def test_a_workload_without_address_is_behind_the_gateway_of_its_network(resolution: str, found: list[str]):
    entry = a_service_entry(resolution=resolution, workload_selector=selecting(app="a"))
    workload = a_workload_entry(address="", network="east", labels={"app": "a"})

    assert addresses(the_service(entry, workload)) == found


@pytest.mark.spec("S-8")
def test_a_service_whose_names_come_with_requests_has_no_instances():
    entry = a_service_entry(hosts=("*.any.shop",), resolution="DYNAMIC_DNS", workload_selector=selecting())
    found = built(entry, a_workload_entry())

    assert found.services["*.any.shop"][0].instances == ()
    assert "each request says itself" in found.problems[0].message


@pytest.mark.spec("S-12")
def test_what_entries_list_is_united_in_their_order():
    given = {"hosts": ("x.shop",)}
    a = a_service_entry("a", addresses=("10.1.0.1",), subject_alt_names=("one", "two"), **given)
    b = a_service_entry("b", addresses=("10.1.0.2",), subject_alt_names=("two", "three"), **given)

    service = the_service(b, a)

    assert service.subject_alt_names == ("one", "two", "three")
    assert service.addresses == ("10.1.0.1", "10.1.0.2")


# --- entries that share a host --------------------------------------------------------------------------------


def test_entries_of_one_host_that_agree_are_one_service():
    a = a_service_entry("a", hosts=("x.shop",), endpoints=(an_endpoint("10.0.0.1"),))
    b = a_service_entry("b", hosts=("x.shop",), endpoints=(an_endpoint("10.0.0.2"),), ports=(a_port(81, "http-b"),))

    service = the_service(b, a)

    assert [port.number for port in service.ports] == [80, 81]
    assert addresses(service, 80) == ["10.0.0.1"]
    assert addresses(service, 81) == ["10.0.0.2"]


def test_their_selected_workloads_serve_the_ports_of_all():
    given = {"hosts": ("x.shop",), "workload_selector": selecting(app="a")}
    a, b = a_service_entry("a", **given), a_service_entry("b", ports=(a_port(81, "http-b"),), **given)

    service = the_service(a, b, a_workload_entry(labels={"app": "a"}))

    assert addresses(service, 80) == addresses(service, 81) == ["10.0.0.1"]


@pytest.mark.spec("W-SE-DUP-HOST")
@pytest.mark.parametrize(
    "difference",
    [
        {"resolution": "DNS"},
        {"export_to": (".",)},
        {"metadata_labels": {"a": "b"}},
        {"workload_selector": selecting(app="a")},
    ],
)
def test_entries_that_differ_are_not_united_and_the_first_stands(difference):
    a = a_service_entry("a", hosts=("x.shop",), endpoints=(an_endpoint("10.0.0.1"),))
    b = a_service_entry("b", hosts=("x.shop",), **difference)

    found = built(b, a)

    assert addresses(found.services["x.shop"][0]) == ["10.0.0.1"]
    (problem,) = found.problems
    assert problem.code == "W-SE-DUP-HOST"
    assert problem.at.file == "serviceentry-b.yaml"
    assert "serviceentry-a.yaml:1" in problem.message


def test_the_one_with_the_earlier_creation_time_is_the_first():
    a = a_service_entry("a", hosts=("x.shop",), resolution="DNS")
    b = a_service_entry("b", hosts=("x.shop",), creation_timestamp="2018-01-01T00:00:00Z")

    assert the_service(a, b).resolution == "STATIC"


@pytest.mark.spec("W-SE-DUP-HOST")
@pytest.mark.parametrize("port", [a_port(80, "http", protocol="HTTP2"), a_port(81, "http")])
def test_of_a_port_that_two_entries_give_differently_the_first_counts(port):
    a = a_service_entry("a", hosts=("x.shop",), endpoints=(an_endpoint("10.0.0.1"),))
    b = a_service_entry("b", hosts=("x.shop",), endpoints=(an_endpoint("10.0.0.2"),), ports=(port,))

    found = built(a, b)

    assert addresses(found.services["x.shop"][0]) == ["10.0.0.1"]
    assert [problem.code for problem in found.problems] == ["W-SE-DUP-HOST"]


@pytest.mark.spec("S-8")
def test_of_united_round_robin_entries_a_port_calls_the_first_endpoint_only():
    def entry(name: str, *ports: int) -> ServiceEntry:
        return a_service_entry(
            name,
            hosts=("x.shop",),
            resolution="DNS_ROUND_ROBIN",
            endpoints=(an_endpoint(f"{name}.shop"),),
            ports=tuple(a_port(number, f"http-{number}") for number in ports),
        )

    service = the_service(entry("a", 80), entry("b", 80, 81))

    assert addresses(service, 80) == ["a.shop"]
    assert addresses(service, 81) == ["b.shop"]


@pytest.mark.spec("S-11")
def test_the_same_host_in_two_namespaces_is_two_services():
    one = a_service_entry("a", hosts=("x.shop",), namespace="one", export_to=("~",))
    two = a_service_entry("a", hosts=("x.shop",), namespace="two", export_to=(".", "one"))

    first, second = built(two, one).services["x.shop"]

    assert (first.namespace, second.namespace) == ("one", "two")
    assert first.export_to == set()
    assert second.export_to == {"one", "two"}


def test_what_did_not_change_is_the_very_same_object():
    memo = Memo()
    kept = a_service_entry("a", workload_selector=selecting(app="a"))
    changed = a_service_entry("b", workload_selector=selecting(app="b"))
    of_kept, of_changed = a_workload_entry("a", labels={"app": "a"}), a_workload_entry("b", labels={"app": "b"})

    before = built(kept, changed, of_kept, of_changed, memo=memo).services
    memo.turn()
    moved = a_workload_entry("b", "10.0.0.9", labels={"app": "b"})
    after = built(kept, changed, of_kept, moved, memo=memo).services

    assert after["a.shop"] is before["a.shop"]
    assert after["b.shop"] is not before["b.shop"]
