from __future__ import annotations

from typing import Any

import pytest

from meshd.mesh.visibility import destination_of, scope, service_for
from meshd.names import Namespace, ServiceHost
from meshd.resources.l4_routes import L4MatchAttributes, RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from meshd.resources.sidecar import IstioEgressListener
from tests.builders import (
    a_client,
    a_destination,
    a_match,
    a_mesh,
    a_route,
    a_service_entry,
    a_virtual_service,
)

MESH = a_mesh(
    a_service_entry("cart", namespace="shop", hosts=("cart.shop.com",)),
    a_service_entry("reviews", namespace="shop", hosts=("reviews.shop.com",)),
    a_service_entry("ledger", namespace="billing", hosts=("ledger.billing.com",)),
    a_service_entry("private", namespace="billing", hosts=("private.billing.com",), export_to=(".",)),
    a_virtual_service("cart", namespace="shop", hosts=("cart.shop.com",)),
    a_virtual_service("wide", namespace="shop", hosts=("*.shop.com",)),
    a_virtual_service("ledger", namespace="billing", hosts=("ledger.billing.com", "books.com")),
    a_virtual_service("hidden", namespace="billing", hosts=("hidden.com",), export_to=(".",)),
)


def names(*egress: str, namespace: str = "shop") -> tuple[list[str], list[str]]:
    """The first labels of the services, and the names of the VirtualServices, that these egress hosts import."""
    listeners = [IstioEgressListener(hosts=egress)] if egress else []
    found = scope(MESH, a_client(namespace), *listeners)
    virtual_services = {each.metadata.name for each in found.virtual_services.values()}
    return sorted(host.split(".")[0] for host in found.services), sorted(virtual_services)


@pytest.mark.spec("SC-13")
@pytest.mark.parametrize(
    ("egress", "services", "virtual_services"),
    [
        ((), ["cart", "ledger", "reviews"], ["cart", "ledger", "wide"]),
        (("*/*",), ["cart", "ledger", "reviews"], ["cart", "ledger", "wide"]),
        (("./*",), ["cart", "reviews"], ["cart", "wide"]),
        (("billing/*",), ["ledger"], ["ledger"]),
        (("shop/cart.shop.com",), ["cart"], ["cart", "wide"]),
        (("billing/cart.shop.com",), [], []),
        (("*/*.shop.com",), ["cart", "reviews"], ["cart", "wide"]),
        (("*/*", "~billing/*"), ["cart", "reviews"], ["cart", "wide"]),
        (("*/*", "~/cart.shop.com"), ["ledger", "reviews"], ["ledger", "wide"]),
        (("*/*", "~./*"), ["ledger"], ["ledger"]),
        (("~/*",), [], []),
        (("~billing/*",), [], []),
    ],
)
def test_what_egress_hosts_import(egress: tuple[str, ...], services: list[str], virtual_services: list[str]):
    assert names(*egress) == (services, virtual_services)


@pytest.mark.spec("V-6", "S-11")
def test_what_is_private_is_seen_in_its_own_namespace():
    services, virtual_services = names(namespace="billing")

    assert "private" in services
    assert "hidden" in virtual_services


@pytest.mark.spec("SC-13")
def test_a_virtual_service_is_imported_with_all_its_hosts():
    found = scope(MESH, a_client("shop"), IstioEgressListener(hosts=("*/books.com",)))

    assert sorted(found.virtual_services) == ["books.com", "ledger.billing.com"]


@pytest.mark.spec("SC-13")
def test_several_listeners_import_together():
    listeners = (IstioEgressListener(hosts=("*/cart.shop.com",)), IstioEgressListener(hosts=("billing/*",)))

    assert sorted(scope(MESH, a_client("shop"), *listeners).services) == ["cart.shop.com", "ledger.billing.com"]


@pytest.mark.spec("V-8")
def test_the_most_specific_virtual_service_is_that_of_a_host():
    found = scope(MESH, a_client("shop"))

    def of(host: str) -> str | None:
        virtual_service = found.virtual_service_for(ServiceHost(host))
        return virtual_service and virtual_service.metadata.name

    assert (of("cart.shop.com"), of("reviews.shop.com"), of("x.org")) == ("cart", "wide", None)


def test_a_host_means_the_service_of_the_clients_own_namespace_else_the_first():
    mesh = a_mesh(
        a_service_entry("a", hosts=("x.shop",), namespace="one"),
        a_service_entry("b", hosts=("x.shop",), namespace="two"),
    )

    def namespace(client: str) -> str:
        return scope(mesh, a_client(client)).services[ServiceHost("x.shop")].namespace

    assert (namespace("two"), namespace("one"), namespace("three")) == ("two", "one", "one")


@pytest.mark.spec("SC-13")
def test_a_destination_is_found_outside_of_what_is_imported_but_not_where_it_is_hidden():
    narrow = scope(MESH, a_client("shop"), IstioEgressListener(hosts=("./cart.shop.com",)))

    assert destination_of(MESH, ServiceHost("ledger.billing.com"), narrow)
    assert destination_of(MESH, ServiceHost("private.billing.com"), narrow) is None
    assert destination_of(MESH, ServiceHost("nobody.com"), narrow) is None


# --- gateways and the mesh ------------------------------------------------------------------------------------


@pytest.mark.spec("V-2", "V-40")
@pytest.mark.parametrize(
    ("gateways", "of_match", "seen"),
    [
        ((), (), True),
        (("mesh",), (), True),
        (("edge", "mesh"), (), True),
        (("edge",), (), False),
        (("edge",), ("edge",), False),
        (("edge",), ("mesh",), False),  # as in Istio: a match does not add to the list
    ],
)
@pytest.mark.parametrize("kind", ["http", "tls", "tcp"])
def test_sidecars_see_what_is_for_the_mesh(kind: str, gateways: tuple[str, ...], of_match: tuple[str, ...], seen: bool):
    to = (RouteDestination(destination=a_destination("x.shop")),)
    rules: dict[str, Any] = {
        "http": a_route(match=(a_match(gateways=of_match),)),
        "tls": TLSRoute(match=(TLSMatchAttributes(sni_hosts=("x.shop",), gateways=of_match),), route=to),
        "tcp": TCPRoute(match=(L4MatchAttributes(gateways=of_match),), route=to),
    }
    given = {"http": (), kind: (rules[kind],)}
    mesh = a_mesh(a_virtual_service("x", gateways=gateways, **given))

    assert bool(scope(mesh, a_client()).virtual_services) == seen


@pytest.mark.spec("V-8")
def test_one_for_gateways_does_not_hide_one_for_the_mesh():
    first = a_virtual_service("a", hosts=("x.shop",), gateways=("edge",))
    mesh = a_mesh(first, a_virtual_service("b", hosts=("x.shop",)))

    found = scope(mesh, a_client()).virtual_service_for(ServiceHost("x.shop"))

    assert found
    assert found.metadata.name == "b"


@pytest.mark.spec("V-8")
def test_a_wildcard_for_the_mesh_stands_in_for_a_host_that_is_for_gateways_only():
    exact = a_virtual_service("exact", hosts=("x.shop",), gateways=("edge",))
    mesh = a_mesh(exact, a_virtual_service("wide", hosts=("*.shop",)))

    found = scope(mesh, a_client()).virtual_service_for(ServiceHost("x.shop"))

    assert found
    assert found.metadata.name == "wide"


@pytest.mark.spec("V-2")
def test_at_a_gateway_the_service_of_the_virtual_services_namespace_comes_first():
    mesh = a_mesh(*(a_service_entry("x", namespace=each) for each in ("edge", "shop")))
    services = mesh.services[ServiceHost("x.shop")]

    def meant(first: Namespace | None) -> str | None:
        service = service_for(services, a_client("edge"), first)
        return service and service.namespace

    assert (meant(None), meant(Namespace("shop")), meant(Namespace("third"))) == ("edge", "shop", "edge")
