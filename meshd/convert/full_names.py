"""Hosts without a dot are full names to the older kinds; to today's only if a dot ends them.

Resources come in and go out, the same but for that. What the hosts are, it does not know.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

from meshd.fields import Message
from meshd.resources.destination import Destination
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway import Gateway
from meshd.resources.resource import Resource
from meshd.resources.virtual_service import VirtualService

R = TypeVar("R", bound=Resource)


def with_full_names(resource: R) -> R:
    found: Resource = resource
    if isinstance(resource, DestinationRule):
        found = replace(resource, host=_full(resource.host))
    elif isinstance(resource, VirtualService):
        found = replace(_led_by_full_names(resource), hosts=tuple(map(_full, resource.hosts)))
    elif isinstance(resource, Gateway):
        servers = (replace(server, hosts=tuple(map(_full, server.hosts))) for server in resource.servers)
        found = replace(resource, servers=tuple(servers))
    assert isinstance(found, type(resource))
    return found


def _full(host: str) -> str:
    return host if "." in host or ":" in host or host == "*" else f"{host}."


def _led_by_full_names(value: Any) -> Any:  # noqa: ANN401  (whatever is in a message)
    if isinstance(value, Destination):
        return replace(value, host=_full(value.host))
    if isinstance(value, tuple):
        return tuple(map(_led_by_full_names, value))
    if not isinstance(value, Message):
        return value
    given = ((field.name, getattr(value, field.name)) for field in fields(value) if field.name != "origin")
    return replace(value, **{name: _led_by_full_names(each) for name, each in given})
