"""Who runs a gateway, what it opens, and which VirtualServices bind to it (spec 4.3, 4.4)."""

from __future__ import annotations

import pytest

from meshd.memo import Memo
from meshd.mesh.bindings import Bindings, Overlapping
from meshd.mesh.gateways import (
    MESH,
    GatewayName,
    bound_to,
    gateway_name,
    gateways_of,
    server_host,
    servers_for,
    workload_of,
)
from meshd.mesh.openings import compatible, openings
from meshd.names import PROXIES, HostName, Namespace, ServiceHost
from meshd.registry.workloads import HOST_ANNOTATION
from meshd.resources.mesh_config import IngressGateway
from tests.builders import a_client, a_gateway, a_mesh, a_mesh_config, a_server, a_virtual_service, a_workload_entry

INGRESS = {"istio": "ingressgateway"}
SHOP, EDGE = Namespace("shop"), Namespace("edge")
HOST = HostName("vm-1")


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("V-2", "G-1")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("front", "shop/front"),
        ("edge/front", "edge/front"),
        ("./front", "shop/front"),
        ("front.edge.svc.cluster.local", "edge/front"),
        ("front.edge", "edge/front"),
        ("mesh", "mesh"),
    ],
)
def test_a_gateway_is_meant_by_name_with_namespace_or_as_in_2018(text: str, meant: str):
    assert gateway_name(text, SHOP) == meant


@pytest.mark.spec("V-2")
def test_without_gateways_a_virtual_service_is_for_sidecars():
    assert gateways_of(a_virtual_service()) == (MESH,)


# --- roles ----------------------------------------------------------------------------------------------------


def roles_of(*resources, host: str = "vm-1") -> tuple[str, ...]:
    memo = Memo()
    mesh = a_mesh(*resources, memo=memo)
    return tuple(proxy for proxy in PROXIES if workload_of(mesh, HostName(host), proxy, memo) is not None)


@pytest.mark.spec("G-2")
def test_a_host_that_only_a_gateway_selects_has_no_sidecar():
    assert roles_of(a_workload_entry(labels=INGRESS), a_gateway()) == ("gateway",)


@pytest.mark.spec("G-2")
def test_labels_of_the_settings_make_a_gateway_before_any_gateway_selects_it():
    edge = {"role": "edge"}
    config = a_mesh_config(ingress_gateway=IngressGateway(selector=edge))

    assert roles_of(a_workload_entry(labels=INGRESS)) == ("gateway",)
    assert roles_of(a_workload_entry(labels={"istio": "egressgateway"})) == ("gateway",)
    assert roles_of(a_workload_entry(labels=edge)) == ("sidecar",)
    assert roles_of(a_workload_entry(labels=edge), config) == ("gateway",)


@pytest.mark.spec("G-2")
def test_namespaces_of_gateway_and_workload_are_not_compared():
    assert roles_of(
        a_workload_entry(labels={"app": "edge"}, namespace="a"), a_gateway(selector={"app": "edge"}, namespace="b")
    ) == ("gateway",)


@pytest.mark.spec("G-2")
def test_an_empty_selector_makes_nobody_a_gateway():
    assert roles_of(a_workload_entry(labels={"app": "web"}), a_gateway(selector={})) == ("sidecar",)


def test_a_gateway_and_an_application_on_one_host_have_a_proxy_each():
    app = a_workload_entry("web", labels={"app": "web"}, annotations={HOST_ANNOTATION: "vm-1"})
    edge = a_workload_entry("edge", labels=INGRESS, annotations={HOST_ANNOTATION: "vm-1"})

    assert roles_of(app, edge) == ("sidecar", "gateway")


def test_who_has_the_address_of_a_host_lives_there_unless_it_names_another_one():
    gateway = a_workload_entry(labels=INGRESS, address="10.0.0.1")
    there = a_workload_entry("web", address="10.0.0.1")
    elsewhere = a_workload_entry("db", address="10.0.0.1", annotations={HOST_ANNOTATION: "vm-9"})
    other_network = a_workload_entry("db", address="10.0.0.1", network="west")

    assert roles_of(gateway, there) == ("sidecar", "gateway")
    assert roles_of(gateway, elsewhere) == ("gateway",)
    assert roles_of(gateway, other_network) == ("gateway",)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "edge.example", "unix:///run/edge.sock"])
def test_an_address_that_every_machine_has_says_nothing(address: str):
    assert roles_of(a_workload_entry(labels=INGRESS, address=address), a_workload_entry("web", address=address)) == (
        "gateway",
    )


def test_each_proxy_stands_for_a_workload_of_its_own():
    memo = Memo()
    app = a_workload_entry("web", namespace="shop", address="10.0.0.1")
    mesh = a_mesh(a_workload_entry(labels=INGRESS), app, memo=memo)

    assert workload_of(mesh, HOST, "sidecar", memo) == app
    assert workload_of(mesh, HOST, "gateway", memo) == a_workload_entry(labels=INGRESS)


# --- servers --------------------------------------------------------------------------------------------------


@pytest.mark.spec("G-2", "G-3")
def test_a_host_opens_the_servers_of_all_gateways_that_select_it_by_age_and_name():
    late = a_gateway("late", a_server(81), creation_timestamp="2024-01-01T00:00:00Z")
    early = a_gateway("zz", a_server(82), creation_timestamp="2020-01-01T00:00:00Z")
    every = a_gateway("every", a_server(83), selector={})
    other = a_gateway("other", a_server(84), selector={"istio": "other"})

    servers = servers_for(a_mesh(late, every, early, other), a_client(istio="ingressgateway"), Memo())

    assert [each.server.port.number for each in servers] == [82, 81, 83]


@pytest.mark.spec("G-3.7")
@pytest.mark.parametrize(
    ("text", "namespace", "host"),
    [
        ("a.com", "*", "a.com"),
        ("*", "*", "*"),
        ("*/*", "*", "*"),
        ("./A.com", "edge", "a.com"),
        ("shop/*.a.com", "shop", "*.a.com"),
    ],
)
def test_a_servers_host_may_be_for_one_namespace_only(text: str, namespace: str, host: str):
    found = server_host(text, EDGE)

    assert (found.namespace, found.host) == (namespace, host)


@pytest.mark.spec("G-3.2", "G-3.6")
def test_servers_share_a_listener_where_they_share_address_and_port():
    gateway = a_gateway(
        "front",
        a_server(80),
        a_server(80, bind="0.0.0.0"),
        a_server(80, bind="10.0.0.1"),
        a_server(8080),
        a_server(0, bind="unix:///run/edge.sock"),
    )
    servers = servers_for(a_mesh(gateway), a_client(istio="ingressgateway"), Memo())

    found = openings(servers, {80: 8080})

    assert [(each.name, len(each.servers)) for each in found] == [
        ("0.0.0.0_8080", 3),
        ("10.0.0.1_8080", 1),
        ("unix:///run/edge.sock_0", 1),
    ]


def test_of_servers_that_cannot_share_an_address_the_first_has_it():
    gateway = a_gateway("front", a_server(80), a_server(80, "TCP"), a_server(80, "HTTP2"))
    (opening,) = openings(servers_for(a_mesh(gateway), a_client(istio="ingressgateway"), Memo()), {})

    assert [each.server.port.protocol for each in compatible(opening)] == ["HTTP", "HTTP2"]


# --- binding --------------------------------------------------------------------------------------------------


def bindings(*virtual_services):
    return Bindings(virtual_services, "svc.cluster.local")


def hosts_at(server: str, *hosts: str, namespace: str = "shop") -> tuple[str, ...]:
    found = bindings(a_virtual_service(hosts=hosts, namespace=namespace)).to([server_host(server, EDGE)])
    return found[0].hosts if found else ()


@pytest.mark.spec("G-3.7")
@pytest.mark.parametrize(
    ("server", "host", "bound"),
    [
        ("a.foo.com", "*.foo.com", ("a.foo.com",)),
        ("*.foo.com", "a.foo.com", ("a.foo.com",)),
        ("*.foo.com", "*.foo.com", ("*.foo.com",)),
        ("*", "a.foo.com", ("a.foo.com",)),
        ("*.foo.com", "*", ("*.foo.com",)),
        ("*.a.foo.com", "*.foo.com", ("*.a.foo.com",)),
        ("*.foo.com", "*foo.com", ("*.foo.com",)),
        ("*", "reviews", ("reviews.shop.svc.cluster.local",)),
        ("*.foo.com", "foo.com", ()),
        ("b.foo.com", "a.foo.com", ()),
        ("shop/a.com", "a.com", ("a.com",)),
        ("./a.com", "a.com", ()),
    ],
)
def test_of_two_names_the_narrower_is_bound(server: str, host: str, bound: tuple[str, ...]):
    assert hosts_at(server, host) == bound


def test_bindings_come_in_the_order_of_their_virtual_services():
    first, second = a_virtual_service("b", hosts=("b.com",)), a_virtual_service("a", hosts=("a.com", "c.com"))

    found = bindings(first, second).to([server_host("*", EDGE), server_host("a.com", EDGE)])

    assert [(each.virtual_service.metadata.name, each.hosts) for each in found] == [
        ("b", ("b.com",)),
        ("a", ("a.com", "c.com")),
    ]


def test_wildcards_find_what_lies_below_them():
    index = Overlapping(map(ServiceHost, ("a.b.c", "b.c", "*.c", "x.y", "*b.c")))

    assert set(index.with_host(ServiceHost("*.c"))) == {"*.c", "a.b.c", "b.c", "*b.c"}
    assert set(index.with_host(ServiceHost("*"))) == {"a.b.c", "b.c", "*.c", "x.y", "*b.c"}
    assert set(index.with_host(ServiceHost("b.c"))) == {"b.c", "*.c", "*b.c"}
    assert set(index.with_host(ServiceHost("*b.c"))) == {"*b.c", "a.b.c", "b.c", "*.c"}


@pytest.mark.spec("V-6", "V-8")
def test_at_a_gateway_the_own_namespace_comes_first_then_who_names_it_then_what_is_public():
    def one(name: str, namespace: str, *export_to: str):
        return a_virtual_service(name, namespace=namespace, export_to=export_to, gateways=("edge/front",))

    public = one("a", "edge")
    named = one("b", "shop", "edge")
    own = one("c", "edge", ".")
    hidden = one("d", "shop", ".")

    found = bound_to((public, named, own, hidden), GatewayName("edge/front"), EDGE)

    assert [each.metadata.name for each in found] == ["c", "b", "a"]
