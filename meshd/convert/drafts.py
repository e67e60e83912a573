"""Resources while they are made: with provisional names and with extras as messages; and how they are finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Final, TypeVar

from meshd.convert.full_names import with_full_names
from meshd.convert.names import settle
from meshd.convert.surroundings import Surroundings
from meshd.fields import Message
from meshd.memo import Memo
from meshd.problems import Origin
from meshd.resources.extras import EXTRAS, extras_text
from meshd.resources.gateway import Gateway, GatewayMetadata
from meshd.resources.http_route import HTTPRoute
from meshd.resources.l4_routes import TCPRoute
from meshd.resources.legacy import LegacyResource
from meshd.resources.resource import Metadata, Resource
from meshd.resources.virtual_service import VirtualService

CONVERTED_FROM: Final = "meshd.io/converted-from"
_NOTHING: Final = "{}"

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """`resource` has a provisional name. `sources`: what it was made of, the first of which its origin is."""

    resource: Resource
    sources: tuple[LegacyResource, ...]
    extras: Message | None = None


def metadata(name: str, namespace: str, sources: tuple[LegacyResource, ...]) -> Metadata:
    """`name` is provisional, and `finished` completes the annotations."""
    return Metadata(name=name, namespace=namespace, origin=sources[0].metadata.origin)


def gateway_metadata(name: str, namespace: str, sources: tuple[LegacyResource, ...]) -> GatewayMetadata:
    return GatewayMetadata(name=name, namespace=namespace, origin=sources[0].metadata.origin)


def origin_of(sources: tuple[LegacyResource, ...]) -> Origin:
    return sources[0].origin


_Place = tuple[str, str]
_Names = Mapping[_Place, Mapping[str, str]]
_Called = tuple[tuple[str, str], ...]
"""Gateways: the provisional name of each, and the final one."""


def finished(drafts: Iterable[Draft], stage: Surroundings, memo: Memo) -> tuple[Resource, ...]:
    """By kind, namespace and name. The names of today's objects are theirs.

    A resource is the very same object as in the last pass while it says the same, and says it at the same places.
    """
    drafts = tuple(drafts)
    names = _settled_names(drafts, stage, memo)
    made = (_recalled(draft, names, memo) for draft in drafts)
    return tuple(
        sorted(made, key=lambda resource: (resource.KIND, resource.metadata.namespace, resource.metadata.name))
    )


def _settled_names(drafts: tuple[Draft, ...], stage: Surroundings, memo: Memo) -> _Names:
    wanted: dict[_Place, list[str]] = {}
    for draft in drafts:
        wanted.setdefault(_place(draft.resource), []).append(draft.resource.metadata.name)
    taken: dict[_Place, frozenset[str]] = {}
    for objects in (stage.service_entries, stage.virtual_services, stage.destination_rules, stage.gateways):
        taken |= memo.recall(_taken, objects)
    return {place: settle(names, taken.get(place, frozenset())) for place, names in wanted.items()}


def _taken(objects: tuple[Resource, ...]) -> dict[_Place, frozenset[str]]:
    here: dict[_Place, set[str]] = {}
    for resource in objects:
        here.setdefault(_place(resource), set()).add(resource.metadata.name)
    return {place: frozenset(names) for place, names in here.items()}


def _place(resource: Resource) -> _Place:
    return (resource.KIND, resource.metadata.namespace)


def _recalled(draft: Draft, names: _Names, memo: Memo) -> Resource:
    resource = draft.resource
    called: _Called = ()
    if isinstance(resource, VirtualService) and resource.gateways:
        own = names.get((Gateway.KIND, resource.metadata.namespace), {})
        called = tuple((each, own.get(each, each)) for each in resource.gateways)
    name = names[_place(resource)][resource.metadata.name]
    return memo.recall(_finished, draft, name, memo.same(called), memo)


def _finished(draft: Draft, name: str, called: _Called, memo: Memo) -> Resource:
    resource = draft.resource
    resource = replace(resource, metadata=replace(resource.metadata, name=name, annotations=_annotations(draft)))
    if isinstance(resource, VirtualService) and called:
        own = dict(called)
        resource = replace(
            resource,
            gateways=_called(resource.gateways, own),
            http=tuple(_http(each, own) for each in resource.http),
            tcp=tuple(_tcp(each, own) for each in resource.tcp),
        )
    return _kept(with_full_names(resource), memo)


def _http(route: HTTPRoute, names: Mapping[str, str]) -> HTTPRoute:
    return replace(route, match=tuple(replace(each, gateways=_called(each.gateways, names)) for each in route.match))


def _tcp(route: TCPRoute, names: Mapping[str, str]) -> TCPRoute:
    return replace(route, match=tuple(replace(each, gateways=_called(each.gateways, names)) for each in route.match))


def _called(gateways: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    """By their final names; `mesh` is one already."""
    return tuple(names.get(each, each) for each in gateways)


def _annotations(draft: Draft) -> dict[str, str]:
    """C-GEN-08, and C-GEN-02."""
    sources = dict.fromkeys(f"{each.KIND}/{each.metadata.namespace}/{each.metadata.name}" for each in draft.sources)
    annotations = {CONVERTED_FROM: ", ".join(sorted(sources))}
    if draft.extras is not None and (text := extras_text(draft.extras)) != _NOTHING:
        annotations[EXTRAS] = text
    return annotations


def _kept(resource: R, memo: Memo) -> R:
    """Places count beside what it says: problems are told there."""
    text = f"{resource!r} {tuple(_origins(resource))!r}"
    # Of all names a memo looks up in each pass this is the longest; a digest has its hash at hand.
    return memo.recall_named(("converted", blake2b(text.encode(), digest_size=16).hexdigest()), lambda: resource)


def _origins(value: object) -> Iterator[Origin]:
    if isinstance(value, Message):
        yield value.origin
        for field in fields(value):
            yield from _origins(getattr(value, field.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _origins(each)
    elif isinstance(value, Mapping):
        yield from _origins(tuple(value.values()))
