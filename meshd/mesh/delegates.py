"""A root VirtualService and those it delegates to become one, which stands in the mesh in its place (spec 5.9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from meshd.memo import Memo
from meshd.mesh.delegated_matches import joined, merged_matches
from meshd.mesh.gateways import gateway_name
from meshd.names import Namespace
from meshd.problems import Origin, Problem, Problems, nearest
from meshd.registry.hosts import complete
from meshd.registry.precedence import exported_to, exports
from meshd.resources.destination import Destination
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.unreachable import unreachable
from meshd.resources.virtual_service import Delegate, HTTPRoute, VirtualService

Key = tuple[str, str]
"""Namespace and name of a VirtualService."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegated:
    """What stands in the mesh: every VirtualService with hosts, with the routes of its delegates in it."""

    virtual_services: tuple[VirtualService, ...]
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merged:
    virtual_service: VirtualService
    problems: Problems


def delegated(virtual_services: tuple[VirtualService, ...], domain_suffix: str, memo: Memo) -> Delegated:
    """In the order given. Merged ones are the very same objects as in the last pass while their parts are."""
    roots = [each for each in virtual_services if each.hosts]
    if not any(map(_delegates, roots)):
        return Delegated(virtual_services=tuple(roots), problems=())
    by_key = {(each.metadata.namespace, each.metadata.name): each for each in virtual_services}
    merged = [_of_root(root, by_key, domain_suffix, memo) for root in roots]
    return Delegated(
        virtual_services=tuple(each.virtual_service for each in merged),
        problems=tuple(problem for each in merged for problem in each.problems),
    )


def _delegates(virtual_service: VirtualService) -> bool:
    return any(route.delegate for route in virtual_service.http)


def _key(delegate: Delegate, root: VirtualService) -> Key:
    return (delegate.namespace or root.metadata.namespace, delegate.name)


def _of_root(root: VirtualService, by_key: dict[Key, VirtualService], domain_suffix: str, memo: Memo) -> _Merged:
    if not _delegates(root):
        return _Merged(virtual_service=root, problems=())
    named = dict.fromkeys(_key(route.delegate, root) for route in root.http if route.delegate)
    found = [by_key[key] for key in named if key in by_key]
    merged = memo.recall(_merge, root, domain_suffix, *found)
    missing = tuple(_missing(root, by_key))
    return replace(merged, problems=(*missing, *merged.problems)) if missing else merged


# --- delegates that are none ----------------------------------------------------------------------------------


def _missing(root: VirtualService, by_key: dict[Key, VirtualService]) -> Iterator[Problem]:
    for route in root.http:
        if route.delegate:
            key = _key(route.delegate, root)
            found = by_key.get(key)
            if found is None:
                yield _problem(route.delegate, f"no VirtualService {'/'.join(key)}", _near(key, by_key.values()))
            elif found.hosts:
                message = f"{found.id} ({found.origin}) has hosts of its own, so that it is no delegate"
                yield _problem(route.delegate, message, "remove its hosts")
            elif not _is_exported(found, root):
                message = f"{found.id} ({found.origin}) is not exported to namespace {root.metadata.namespace}"
                yield _problem(route.delegate, message, "add the namespace to its exportTo")


def _near(key: Key, virtual_services: Iterable[VirtualService]) -> str:
    """By name in that namespace, else the same name in another one."""
    delegates = [each.metadata for each in virtual_services if not each.hosts]
    near = nearest(key[1], [each.name for each in delegates if each.namespace == key[0]])
    elsewhere = sorted(each.namespace for each in delegates if each.name == key[1])
    return near or (f"there is one in namespace {elsewhere[0]!r}" if elsewhere else "")


def _is_exported(delegate: VirtualService, root: VirtualService) -> bool:
    exported = exports(delegate.export_to, Namespace(delegate.metadata.namespace))
    return exported_to(exported, root.metadata.namespace)


def _problem(delegate: Delegate, message: str, hint: str) -> Problem:
    return Problem(code="E-VS-DELEGATE-MISSING", at=delegate.origin.at("name"), message=message, hint=hint)


# --- merging --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A route of the result, and that of the root which it stands for: itself, or the one that delegates."""

    root: HTTPRoute
    route: HTTPRoute


def _merge(root: VirtualService, domain_suffix: str, *delegates: VirtualService) -> _Merged:
    """What is missing is left out; that is an error, which is told apart."""
    fit = [each for each in delegates if not each.hosts and _is_exported(each, root)]
    by_key = {(each.metadata.namespace, each.metadata.name): _complete(each, domain_suffix) for each in fit}
    problems: list[Problem] = []
    steps: list[_Step] = []
    for route in _with_full_gateways(root).http:
        delegate = by_key.get(_key(route.delegate, root)) if route.delegate else None
        if route.delegate is None:
            steps.append(_Step(root=route, route=route))
        elif delegate:
            found = _delegated_routes(root, route, delegate, problems)
            steps.extend(_Step(root=route, route=each) for each in found)
    problems.extend(_cut_off(root, fit, steps))
    merged = replace(root, http=tuple(step.route for step in steps))
    return _Merged(virtual_service=merged, problems=tuple(problems))


def _delegated_routes(
    root: VirtualService, route: HTTPRoute, delegate: VirtualService, problems: list[Problem]
) -> Iterator[HTTPRoute]:
    for leaf in delegate.http:
        if leaf.delegate:  # refused where the delegate stands
            continue
        matches = merged_matches(route.match, leaf.match)
        if isinstance(matches, HTTPMatchRequest):
            problems.append(_conflict(matches, root, route))
        else:
            yield _merged_route(route, leaf, matches)


def _merged_route(root: HTTPRoute, leaf: HTTPRoute, matches: tuple[HTTPMatchRequest, ...]) -> HTTPRoute:
    """Each field as a whole from the delegate, else from the root; an answer takes no rewrite or fault (V-13, V-14)."""
    forwards = not (leaf.redirect or leaf.direct_response)
    return replace(
        leaf,
        name=joined(root.name, leaf.name),
        match=matches,
        rewrite=leaf.rewrite or (root.rewrite if forwards else None),
        timeout=root.timeout if leaf.timeout is None else leaf.timeout,
        retries=leaf.retries or root.retries,
        fault=leaf.fault or (root.fault if forwards else None),
        mirror=leaf.mirror or root.mirror,
        mirrors=leaf.mirrors or root.mirrors,
        mirror_percentage=leaf.mirror_percentage or root.mirror_percentage,
        cors_policy=leaf.cors_policy or root.cors_policy,
        headers=leaf.headers or root.headers,
    )


def _conflict(match: HTTPMatchRequest, root: VirtualService, route: HTTPRoute) -> Problem:
    return Problem(
        code="W-VS-DELEGATE-CONFLICT",
        at=match.origin,
        message=f"fits no match of {root.id} ({route.origin}), which delegates to it: the route is left out there",
        hint="a delegate narrows down what its root takes: begin prefixes with the root's, have a regex in one of them",
    )


# --- what nobody reaches --------------------------------------------------------------------------------------


def _cut_off(root: VirtualService, delegates: list[VirtualService], steps: list[_Step]) -> Iterator[Problem]:
    """Routes that only the merging made unreachable: all others are told where they stand."""
    told = {each.origin for document in (root, *delegates) for each in _unreached(document.http)}
    unreached = {id(route) for route in _unreached([step.route for step in steps])}
    for step in steps:
        if id(step.route) in unreached and not told & {step.route.origin, step.root.origin}:
            yield Problem(
                code="W-VS-UNREACHABLE",
                at=step.route.origin,
                message=f"no request gets here from {root.id} ({step.root.origin}): earlier routes of it take them all",
                hint="put the narrower one first",
            )


def _unreached(routes: Sequence[HTTPRoute]) -> Iterator[HTTPRoute]:
    """Those of which every match is taken: with what is left of its matches a route is of use."""
    rules = [
        (Origin("", index, 0), tuple(replace(match, origin=Origin("", index, 1)) for match in route.match))
        for index, route in enumerate(routes)
    ]
    taken = Counter((problem.at.line, problem.at.column) for problem in unreachable(rules))
    for index, route in enumerate(routes):
        if taken[index, 0] or (route.match and taken[index, 1] == len(route.match)):
            yield route


# --- short names belong to the namespace of the delegate ------------------------------------------------------


def _complete(delegate: VirtualService, domain_suffix: str) -> VirtualService:
    namespace = Namespace(delegate.metadata.namespace)

    def full(destination: Destination) -> Destination:
        return replace(destination, host=complete(destination.host, namespace, domain_suffix))

    routes = tuple(_with_destinations(route, full) for route in delegate.http)
    return _with_full_gateways(replace(delegate, http=routes))


def _with_destinations(route: HTTPRoute, full: Callable[[Destination], Destination]) -> HTTPRoute:
    return replace(
        route,
        route=tuple(replace(each, destination=full(each.destination)) for each in route.route),
        mirror=full(route.mirror) if route.mirror else None,
        mirrors=tuple(replace(each, destination=full(each.destination)) for each in route.mirrors),
    )


def _with_full_gateways(virtual_service: VirtualService) -> VirtualService:
    """So that the gateways of root and delegate can be compared, wherever the two are."""
    namespace = Namespace(virtual_service.metadata.namespace)
    return replace(virtual_service, http=tuple(_with_gateways(route, namespace) for route in virtual_service.http))


def _with_gateways(route: HTTPRoute, namespace: Namespace) -> HTTPRoute:
    if not any(match.gateways for match in route.match):
        return route
    matches = (
        replace(match, gateways=tuple(gateway_name(text, namespace) for text in match.gateways))
        for match in route.match
    )
    return replace(route, match=tuple(matches))
