"""The names in `gateways`: through which entrances a VirtualService, or one of its matches, counts (spec V-2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshd.fields import dns_label, fqdn
from meshd.problems import Origin, Problem
from meshd.resources.finding import invalid, legacy

MESH: Final = "mesh"
"""All sidecars."""


def check_gateways(gateways: tuple[str, ...], at: Origin) -> Iterator[Problem]:
    for index, gateway in enumerate(gateways):
        if "/" in gateway:
            yield from _check_qualified(gateway, at.item(index))
        elif fault := fqdn(gateway):
            yield invalid(at.item(index), fault, "write <namespace>/<name>, or the name alone")
        elif "." in gateway:
            name, namespace, *_ = gateway.split(".")
            hint = f"write '{namespace}/{name}'" if namespace else f"write {name!r}"
            yield legacy(at.item(index), "a gateway is no longer named by host name", hint)


def _check_qualified(gateway: str, at: Origin) -> Iterator[Problem]:
    namespace, _, name = gateway.partition("/")
    for part in (namespace, name):
        if dns_label(part):
            hint = "write the gateway's name alone for one of the same namespace" if namespace == "." else ""
            yield invalid(at, f"{gateway!r} is not <namespace>/<name>: {dns_label(part)}", hint)
            return
