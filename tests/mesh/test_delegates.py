"""Delegation (spec 5.9): which matches fit, which side has the word, whose names they are, and what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.names import ServiceHost
from meshd.problems import Origin, Problems
from meshd.resources.answers import HTTPDirectResponse, HTTPRewrite
from meshd.resources.cors import CorsPolicy
from meshd.resources.destination import Destination
from meshd.resources.fault import HTTPFaultInjection
from meshd.resources.headers import Headers
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.resource import Resource
from meshd.resources.retry import HTTPRetry
from meshd.resources.string_match import StringMatch
from meshd.resources.virtual_service import (
    Delegate,
    HTTPMirrorPolicy,
    HTTPRoute,
    MirrorPercentage,
    VirtualService,
)
from tests.builders import a_destination, a_match, a_route, a_service_entry, a_virtual_service

pytestmark = pytest.mark.spec("V-15")

WWW = ServiceHost("www.shop")


def a_root(*http: HTTPRoute, **given: Any) -> VirtualService:
    return a_virtual_service("www", *http, **given)


def delegating(to: str = "cart", namespace: str = "", **given: Any) -> HTTPRoute:
    return HTTPRoute(delegate=Delegate(name=to, namespace=namespace), **given)


def a_delegate(name: str, *http: HTTPRoute, **given: Any) -> VirtualService:
    return a_virtual_service(name, *http, hosts=(), **given)


def merged(*resources: Resource) -> VirtualService:
    (virtual_service,) = assemble(resources, Memo()).mesh.virtual_services[WWW]
    return virtual_service


def matches(*pair: HTTPMatchRequest) -> tuple[HTTPMatchRequest, ...]:
    """What a root with the first match and a delegate with the second take together; nothing when they conflict."""
    root, leaf = pair
    found = merged(a_root(delegating(match=(root,))), a_delegate("cart", a_route(match=(leaf,))))
    return found.http[0].match if found.http else ()


def problems(*resources: Resource) -> Problems:
    return assemble(resources, Memo()).problems


def codes(*resources: Resource) -> list[str]:
    return [problem.code for problem in problems(*resources)]


def exact(text: str) -> StringMatch:
    return StringMatch(exact=text)


def prefix(text: str) -> StringMatch:
    return StringMatch(prefix=text)


def regex(text: str) -> StringMatch:
    return StringMatch(regex=text)


ANY = StringMatch()

# --- what stands in the mesh ----------------------------------------------------------------------------------


def test_the_routes_of_a_delegate_stand_where_the_root_delegates():
    before, after = a_route(a_destination("a.shop")), a_route(a_destination("z.shop"))
    root = a_root(before, delegating(), after)

    found = merged(root, a_delegate("cart", a_route(a_destination("b.shop")), a_route(a_destination("c.shop"))))

    hosts = [route.route[0].destination.host for route in found.http]
    assert hosts == ["a.shop", "b.shop", "c.shop", "z.shop"]
    assert not any(route.delegate for route in found.http)
    assert (found.metadata, found.hosts, found.origin) == (root.metadata, root.hosts, root.origin)


def test_a_delegate_is_never_in_the_mesh_itself():
    mesh = assemble([a_root(delegating()), a_delegate("cart"), a_delegate("idle")], Memo()).mesh

    assert list(mesh.virtual_services) == [WWW]


def test_a_delegate_that_nobody_names_does_nothing():
    assert problems(a_delegate("idle")) == ()


def test_a_root_without_delegates_is_the_very_resource():
    root = a_root()

    assert merged(root, a_root(delegating("cart"), namespace="x", hosts=("x",)), a_delegate("cart")) is root


def test_what_did_not_change_is_the_very_same_object():
    memo = Memo()
    root, other = a_root(delegating()), a_virtual_service("other", delegating("rest"))
    cart, rest = a_delegate("cart"), a_delegate("rest")
    before = assemble([root, other, cart, rest], memo).mesh.virtual_services
    memo.turn()

    after = assemble([root, other, cart, replace(rest, http=())], memo).mesh.virtual_services

    assert after[WWW][0] is before[WWW][0]
    assert after[ServiceHost("other.shop")][0] is not before[ServiceHost("other.shop")][0]


def test_what_comes_from_a_delegate_points_to_its_lines():
    line = Origin("cart.yaml", 7, 3)
    leaf = replace(a_route(match=(replace(a_match(uri="/a/b"), origin=line),)), origin=line)

    (route,) = merged(a_root(delegating(match=(a_match(uri="/a"),))), a_delegate("cart", leaf)).http

    assert (route.origin, route.match[0].origin) == (line, line)


# --- who is a delegate ----------------------------------------------------------------------------------------


@pytest.mark.spec("E-VS-DELEGATE-MISSING")
@pytest.mark.parametrize(
    ("delegate", "message", "hint"),
    [
        (a_delegate("carts"), "no VirtualService default/cart", "did you mean 'carts'?"),
        (a_delegate("cart", namespace="web"), "no VirtualService default/cart", "there is one in namespace 'web'"),
        (a_virtual_service("cart"), "has hosts of its own", "remove its hosts"),
        (a_delegate("cart", export_to=("web",)), "is not exported to namespace default", "add the namespace"),
    ],
)
def test_a_delegate_that_is_not_there_is_missing(delegate: VirtualService, message: str, hint: str):
    root = a_root(delegating(), a_route(a_destination("rest.shop")))

    (problem,) = problems(root, delegate)

    assert problem.code == "E-VS-DELEGATE-MISSING"
    assert message in problem.message
    assert hint in problem.hint
    assert [route.route[0].destination.host for route in merged(root, delegate).http] == ["rest.shop"]


def test_a_delegate_may_be_in_another_namespace_that_exports_it():
    delegate = a_delegate("cart", namespace="web", export_to=("default",))

    assert problems(a_root(delegating(namespace="web")), delegate) == ()


def test_a_delegate_does_not_delegate_again():
    found = merged(a_root(delegating()), a_delegate("cart", delegating("further")), a_delegate("further"))

    assert found.http == ()


def test_short_names_belong_to_the_namespace_of_the_delegate():
    route = a_route(
        a_destination("cart"),
        mirror=a_destination("copy"),
        mirrors=(HTTPMirrorPolicy(destination=a_destination("other")),),
        match=(a_match(gateways=("edge", "mesh", "x/y")),),
    )

    (found,) = merged(
        a_root(delegating(namespace="web"), gateways=("g",)), a_delegate("cart", route, namespace="web")
    ).http

    assert found.route[0].destination.host == "cart.web.svc.cluster.local"
    assert found.mirror
    assert found.mirror.host == "copy.web.svc.cluster.local"
    assert found.mirrors[0].destination.host == "other.web.svc.cluster.local"
    assert found.match[0].gateways == ("web/edge", "mesh", "x/y")


def test_gateways_are_compared_by_their_full_names():
    root = a_root(delegating(namespace="web", match=(a_match(gateways=("edge",)),)))

    def fits(*gateways: str) -> bool:
        leaf = a_route(match=(a_match(gateways=gateways),))
        return bool(merged(root, a_delegate("cart", leaf, namespace="web")).http)

    assert fits("default/edge")
    assert not fits("edge")


# --- matches --------------------------------------------------------------------------------------------------


def test_without_matches_on_one_side_those_of_the_other_stand_alone():
    one = (a_match(uri="/a"),)

    assert merged(a_root(delegating(match=one)), a_delegate("cart", a_route())).http[0].match == one
    assert merged(a_root(delegating()), a_delegate("cart", a_route(match=one))).http[0].match == one


def test_every_pair_without_conflict_is_a_match():
    roots = (a_match(uri="/a", name="a"), a_match(uri="/b", name="b"))
    leaves = (a_match(uri="/a/x", name="x"), a_match(method=exact("GET"), name="get"))

    (route,) = merged(a_root(delegating(match=roots)), a_delegate("cart", a_route(match=leaves))).http

    assert [match.name for match in route.match] == ["a-x", "a-get", "b-get"]


@pytest.mark.spec("W-VS-DELEGATE-CONFLICT")
def test_a_match_that_fits_none_of_the_roots_drops_its_route():
    roots = (a_match(uri="/a"), a_match(uri="/b"))
    lost = a_route(a_destination("lost.shop"), match=(a_match(uri="/a/x"), a_match(uri="/c")))
    kept = a_route(a_destination("kept.shop"), match=(a_match(uri="/b/x"),))
    resources = (a_root(delegating(match=roots)), a_delegate("cart", lost, kept))

    (problem,) = problems(*resources)

    assert (problem.code, problem.severity) == ("W-VS-DELEGATE-CONFLICT", "warning")
    assert "VirtualService default/www" in problem.message
    assert [route.route[0].destination.host for route in merged(*resources).http] == ["kept.shop"]


@pytest.mark.parametrize(
    ("root", "leaf", "expected"),
    [
        (prefix("/a"), prefix("/a/b"), prefix("/a/b")),
        (prefix("/a"), prefix("/a"), prefix("/a")),
        (prefix("/a"), exact("/a/b"), exact("/a/b")),
        (prefix(""), exact("/a"), exact("/a")),
        (exact("/a"), exact("/a"), exact("/a")),
        (None, regex("/a.*"), regex("/a.*")),
        (regex("/a.*"), None, regex("/a.*")),
        (None, prefix("/a"), prefix("/a")),
        (prefix("/a"), None, prefix("/a")),
        (ANY, ANY, ANY),
        (None, ANY, ANY),
        (prefix("/a/b"), prefix("/a"), None),
        (prefix("/a"), exact("/b"), None),
        (exact("/a"), prefix("/a"), None),
        (exact("/a"), exact("/b"), None),
        (regex("/a"), regex("/a"), None),
        (regex("/a"), prefix("/a"), None),
        (exact("/a"), regex("/a"), None),
        (ANY, prefix("/a"), None),
        (prefix("/a"), ANY, None),
        (regex("/a"), ANY, None),
    ],
)
@pytest.mark.parametrize("field", ["uri", "method", "headers", "without_headers", "query_params"])
def test_texts_of_one_property_fit_when_the_delegates_is_the_narrower(
    field: str, root: StringMatch | None, leaf: StringMatch | None, expected: StringMatch | None
):
    def asking(text: StringMatch | None) -> HTTPMatchRequest:
        if field.endswith(("s", "_params")):
            return HTTPMatchRequest(**{field: {} if text is None else {"x": text}})
        return HTTPMatchRequest(**{field: text})

    found = matches(asking(root), asking(leaf))

    assert found == (() if expected is None else (asking(expected),))


@pytest.mark.parametrize(
    ("root", "leaf", "expected"),
    [
        ({"port": 80}, {}, {"port": 80}),
        ({"port": 80}, {"port": 80}, {"port": 80}),
        ({}, {"port": 80}, {"port": 80}),
        ({"port": 80}, {"port": 81}, None),
        ({"ignore_uri_case": True}, {"ignore_uri_case": True}, {"ignore_uri_case": True}),
        ({"ignore_uri_case": True}, {}, None),
        ({}, {"ignore_uri_case": True}, None),
        ({"source_namespace": "a"}, {"source_namespace": "a"}, {"source_namespace": "a"}),
        ({}, {"source_namespace": "a"}, {"source_namespace": "a"}),
        ({"source_namespace": "a"}, {}, None),
        ({"source_namespace": "a"}, {"source_namespace": "b"}, None),
        ({"source_labels": {"a": "1"}}, {"source_labels": {"b": "2"}}, {"source_labels": {"a": "1", "b": "2"}}),
        ({"source_labels": {"a": "1"}}, {}, {"source_labels": {"a": "1"}}),
        ({"source_labels": {"a": "1"}}, {"source_labels": {"a": "2"}}, None),
        ({"gateways": ("mesh", "a/b")}, {"gateways": ("mesh",)}, {"gateways": ("mesh",)}),
        ({"gateways": ("mesh",)}, {}, {"gateways": ("mesh",)}),
        ({}, {"gateways": ("mesh",)}, {"gateways": ("mesh",)}),
        ({"gateways": ("mesh",)}, {"gateways": ("mesh", "a/b")}, None),
        ({"headers": {"a": ANY}}, {"headers": {"b": ANY}}, {"headers": {"a": ANY, "b": ANY}}),
        ({"stat_prefix": "a"}, {}, {"stat_prefix": "a"}),
        ({"stat_prefix": "a"}, {"stat_prefix": "b"}, {"stat_prefix": "b"}),
        ({"name": "a"}, {"name": "b"}, {"name": "a-b"}),
        ({"name": "a"}, {}, {"name": "a"}),
        ({}, {"name": "b"}, {"name": "b"}),
    ],
)
def test_the_rest_of_two_matches(root: dict[str, Any], leaf: dict[str, Any], expected: dict[str, Any] | None):
    found = matches(a_match(**root), a_match(**leaf))

    assert found == (() if expected is None else (a_match(**expected),))


# --- the fields of a route ------------------------------------------------------------------------------------

FIELDS: dict[str, tuple[object, object]] = {
    "rewrite": (HTTPRewrite(uri="/a"), HTTPRewrite(uri="/b")),
    "timeout": (timedelta(seconds=1), timedelta(0)),
    "retries": (HTTPRetry(attempts=1), HTTPRetry(attempts=0)),
    "fault": (HTTPFaultInjection(), HTTPFaultInjection()),
    "mirror": (Destination(host="a.shop"), Destination(host="b.shop")),
    "mirrors": (
        (HTTPMirrorPolicy(destination=Destination(host="a.shop")),),
        (HTTPMirrorPolicy(destination=Destination(host="b.shop")),),
    ),
    "mirror_percentage": (MirrorPercentage(value=1), MirrorPercentage(value=0)),
    "cors_policy": (CorsPolicy(), CorsPolicy()),
    "headers": (Headers(), Headers()),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_a_route_comes_from_the_delegate_else_from_the_root(field: str):
    of_root, of_leaf = FIELDS[field]

    def found(**given: object) -> object:
        root = a_root(delegating(**{field: of_root}))
        return getattr(merged(root, a_delegate("cart", a_route(**given))).http[0], field)

    assert found() == of_root
    assert found(**{field: of_leaf}) == of_leaf


def test_names_of_routes_are_joined():
    def name(root: str, leaf: str) -> str:
        return merged(a_root(delegating(name=root)), a_delegate("cart", a_route(name=leaf))).http[0].name

    assert (name("a", "b"), name("a", ""), name("", "b"), name("", "")) == ("a-b", "a", "b", "")


@pytest.mark.spec("V-13", "V-14")
def test_an_answer_of_the_delegate_gets_no_rewrite_or_fault_of_the_root():
    root = a_root(delegating(rewrite=HTTPRewrite(uri="/a"), fault=HTTPFaultInjection(), timeout=timedelta(seconds=1)))
    answer = HTTPRoute(direct_response=HTTPDirectResponse(status=204))

    (route,) = merged(root, a_delegate("cart", answer)).http

    assert (route.rewrite, route.fault) == (None, None)
    assert route.timeout == timedelta(seconds=1)


# --- what only the merging makes unreachable ------------------------------------------------------------------


def at(line: int, route: HTTPRoute) -> HTTPRoute:
    place = Origin("cart.yaml", line, 1)
    return replace(route, origin=place, match=tuple(replace(match, origin=place) for match in route.match))


def test_a_match_of_the_root_that_is_taken_there_is_not_told_again():
    root = a_root(at(1, a_route(match=(a_match(uri="/a"),))), at(2, delegating(match=(a_match(uri="/a"),))))

    assert codes(root, a_delegate("cart", at(3, a_route()))) == []


@pytest.mark.spec("V-9", "W-VS-UNREACHABLE")
def test_a_delegate_taken_by_an_earlier_rule_of_its_root_is_told_with_the_root():
    root = a_root(at(1, a_route(match=(a_match(uri="/a"),))), at(2, delegating()))

    (problem,) = problems(root, a_delegate("cart", at(3, a_route(match=(a_match(uri="/a/b"),)))))

    assert (problem.code, problem.at.line) == ("W-VS-UNREACHABLE", 3)
    assert "VirtualService default/www" in problem.message


@pytest.mark.spec("V-9")
def test_a_route_that_some_requests_still_reach_is_well():
    root = a_root(at(1, a_route(match=(a_match(uri="/a"),))), at(2, delegating(match=(a_match(), a_match(uri="/a")))))

    assert codes(root, a_delegate("cart", at(3, a_route(match=(a_match(uri="/a/b"), a_match(uri="/c")))))) == []


def test_what_a_delegate_does_wrong_itself_is_not_told_again():
    delegate = a_delegate("cart", at(3, a_route()), at(4, a_route()))

    assert codes(a_root(delegating()), delegate, a_service_entry()) == []
