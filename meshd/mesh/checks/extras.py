"""Extras that nothing acts on yet: an object that means more than would be done is refused, never served in part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from meshd.decode.writing import written
from meshd.fields import Message
from meshd.memo import Memo
from meshd.mesh.rules import MergedRule
from meshd.mesh.survey import Survey
from meshd.names import ServiceHost
from meshd.problems import Origin, Problem, Problems
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.extras import EXTRAS, VirtualServiceExtras, extras_place
from meshd.resources.virtual_service import VirtualService

_OBEYED: Final = frozenset(
    {
        "abort",
        "also",
        "circuitBreaker",
        "cluster",
        "delay",
        "loadBalancing",
        "maxEjectionPercent",
        "maxRetries",
        "retries",
        "source",
        "sourceSubnets",
        "timeout",
        "websocketUpgrade",
    }
)
"""Of routes and policies."""

_Holder = VirtualService | DestinationRule


def unsupported_extras(survey: Survey) -> Iterator[Problem]:
    mesh, memo = survey.mesh, survey.memo
    yield from memo.recall(_of_all, survey.virtual_services, memo)
    yield from memo.recall(_of_rules, mesh.destination_rules, memo)


def _of_rules(by_host: Mapping[ServiceHost, tuple[MergedRule, ...]], memo: Memo) -> Problems:
    return _of_all((rule for merged in by_host.values() for each in merged for rule in each.rules), memo)


def _of_all(holders: Iterable[_Holder], memo: Memo) -> Problems:
    annotated = (each for each in holders if EXTRAS in each.metadata.annotations)
    return tuple(problem for each in annotated for problem in memo.recall(_unsupported, each))


def _unsupported(holder: _Holder) -> Problems:
    message = "this version of meshd reads it, but does not act on it yet"
    return tuple(
        Problem(code="E-UNSUPPORTED", at=_place(holder), message=f"{name}: {message}", hint="remove it")
        for name in sorted(_names(holder.extras))
    )


def _place(holder: _Holder) -> Origin:
    """The annotation; or the older object, from which a conversion made one that has it."""
    resource = holder.origin.resource
    return extras_place(holder.metadata) if resource and resource.kind == holder.KIND else holder.origin


def _names(extras: Message) -> set[str]:
    """What of it asks to be acted on."""
    found = written(extras)
    return set(_of_routes(found) if isinstance(extras, VirtualServiceExtras) else _of_parts(found)) - _OBEYED


def _of_routes(found: Mapping[str, Any]) -> Iterator[str]:
    return (name for routes in found.values() for route in routes.values() for name in route)


def _of_parts(found: Mapping[str, Any]) -> Iterator[str]:
    for name, part in found.items():
        match name:
            case "subsets":
                yield from (inner for policy in part.values() for inner in policy)
            case "trafficPolicy":
                yield from part
            case _:
                yield name
