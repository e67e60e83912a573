"""Who is in a route table, by which names, and which VirtualService has the word."""

from __future__ import annotations

from datetime import timedelta

from meshd.plan import Respond
from meshd.resources import virtual_service as vs
from tests.builders import a_destination, a_port, a_route, a_service_entry, a_sidecar, a_virtual_service
from tests.compiler.plans import a_plan, forwarded, routes, table, virtual_host

SHORT = "reviews.default.svc.cluster.local"


def names(plan, name: str) -> set[str]:
    """Without the ports that are written behind them."""
    return {domain for domain in virtual_host(plan, name).domains if not domain.endswith(":80")}


def test_a_service_is_called_by_all_its_names():
    plan = a_plan(a_service_entry(hosts=(SHORT,)))

    assert names(plan, f"{SHORT}:80") == {
        SHORT,
        f"{SHORT}.",
        "reviews",
        "reviews.default",
        "reviews.default.svc",
    }


def test_the_bare_name_is_for_clients_of_the_same_namespace():
    other = "reviews.bank.svc.cluster.local"
    plan = a_plan(a_service_entry(hosts=(other,), namespace="bank"))

    assert names(plan, f"{other}:80") == {other, f"{other}.", "reviews.bank", "reviews.bank.svc"}


def test_other_hosts_are_called_only_as_they_are():
    assert names(a_plan(a_service_entry()), "reviews.shop:80") == {"reviews.shop", "reviews.shop."}


def test_single_addresses_are_names_and_networks_are_not():
    plan = a_plan(a_service_entry(addresses=("192.0.2.1", "192.0.2.2/32", "2001:DB8::1", "192.0.2.0/24")))

    found = names(plan, "reviews.shop:80")

    assert found - {"reviews.shop", "reviews.shop."} == {"192.0.2.1", "192.0.2.2", "[2001:db8::1]"}


def test_the_proxys_table_tells_ports_apart_and_port_80_need_not_be_written():
    plan = a_plan(a_service_entry(ports=(a_port(), a_port(8080, "http-b"))))

    assert not table(plan).ignore_port
    assert virtual_host(plan, "reviews.shop:80").domains[:2] == ("reviews.shop", "reviews.shop:80")
    assert virtual_host(plan, "reviews.shop:8080").domains == ("reviews.shop:8080", "reviews.shop.:8080")


def test_a_short_form_never_takes_the_full_name_of_another_service():
    plan = a_plan(a_service_entry(hosts=(SHORT,)), a_service_entry("other", hosts=("reviews.default",)))

    assert "reviews.default" in names(plan, "reviews.default:80")
    assert names(plan, f"{SHORT}:80") == {SHORT, f"{SHORT}.", "reviews", "reviews.default.svc"}


def test_an_address_that_two_services_claim_goes_to_the_first():
    a, b = (a_service_entry(name, addresses=("192.0.2.1",)) for name in ("a", "b"))

    plan = a_plan(b, a)

    domains = [domain for each in table(plan).virtual_hosts for domain in each.domains]
    assert len(domains) == len(set(domains))
    assert "192.0.2.1" in names(plan, "a.shop:80")


def test_who_is_not_in_the_registry_is_refused_with_a_reason():
    last = table(a_plan(a_service_entry())).virtual_hosts[-1]

    (route,) = last.routes
    assert last.domains == ("*",)
    assert isinstance(route.action, Respond)
    assert (route.action.status, route.action.headers) == (502, (("x-meshd-reason", route.action.body_format),))
    assert route.action.body_format == "host %REQ(:authority):253% is not in the registry"


def test_services_that_need_capture_or_do_not_speak_http_are_not_in_the_table():
    none = a_service_entry("none", resolution="NONE")
    tcp = a_service_entry("tcp", ports=(a_port(name="tcp"),))

    assert [each.name for each in table(a_plan(none, tcp)).virtual_hosts] == ["block_all"]


def test_a_virtual_service_may_give_a_service_without_addresses_another_answer():
    none = a_service_entry("none", resolution="NONE")
    plan = a_plan(none, a_service_entry(), a_virtual_service("none", a_route(a_destination("reviews.shop"))))

    assert forwarded(routes(plan, "none.shop:80")[0]).destinations[0].cluster == "outbound|80||reviews.shop"


def respond(status: int) -> vs.HTTPRoute:
    return a_route(route=(), direct_response=vs.HTTPDirectResponse(status=status))


def status_of(plan, name: str) -> int:
    action = routes(plan, name)[0].action
    assert isinstance(action, Respond)
    return action.status


def test_the_most_specific_virtual_service_has_the_word():
    plan = a_plan(
        a_service_entry(),
        a_service_entry("cart"),
        a_virtual_service("wide", respond(401), hosts=("*.shop",)),
        a_virtual_service("exact", respond(402), hosts=("cart.shop",)),
    )

    assert status_of(plan, "reviews.shop:80") == 401
    assert status_of(plan, "cart.shop:80") == 402
    assert status_of(plan, "*.shop:80") == 401


def test_a_host_that_only_a_virtual_service_knows_is_answered_on_the_ports_of_those_beside_it():
    beside = a_virtual_service("both", respond(401), hosts=("cart.shop", "gone.example"))
    alone = a_virtual_service("alone", respond(402), hosts=("alone.example",))

    plan = a_plan(a_service_entry("cart", ports=(a_port(8080),)), beside, alone)

    assert {each.name for each in table(plan).virtual_hosts} == {
        "cart.shop:8080",
        "gone.example:8080",
        "alone.example:80",
        "block_all",
    }


def test_a_host_may_be_an_address():
    plan = a_plan(a_virtual_service("v6", respond(401), hosts=("2001:db8::1",)))

    assert virtual_host(plan, "2001:db8::1:80").domains == ("[2001:db8::1]", "[2001:db8::1]:80")


def test_a_request_that_no_route_matches_has_no_default():
    other = a_route(match=(vs.HTTPMatchRequest(source_labels={"app": "other"}),))

    assert routes(a_plan(a_service_entry(), a_virtual_service("reviews", other))) == ()


def test_destinations_outside_of_the_imports_come_along_as_clusters_only():
    sidecar = a_sidecar("default", "*/reviews.shop")
    rule = a_virtual_service("reviews", a_route(a_destination("hidden.shop"), timeout=timedelta(seconds=1)))

    plan = a_plan(a_service_entry(), a_service_entry("hidden"), a_service_entry("else"), rule, sidecar)

    assert {each.service for each in plan.clusters} == {"reviews.shop", "hidden.shop"}
    assert [each.name for each in table(plan).virtual_hosts] == ["reviews.shop:80", "block_all"]
