"""A plan -> YAML for a reader: what is as by default is left out, and each thing says which line it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from typing import Any, Final, get_args

import yaml

from meshd import plan as p
from meshd.names import Locality
from meshd.problems import NOWHERE, Origin

_ALTERNATIVES: Final = frozenset(
    kind
    for union in (p.Action, p.Bind, p.Discovery, p.FilterChain, p.HashKey, p.LoadBalancer)
    for kind in get_args(union)
) | {p.ExecProbe, p.GrpcProbe, p.HttpProbe, p.TcpProbe}
"""Classes of which a field may hold one or another, so the reader must be told which."""

_UNITS: Final = (("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))


def plan_yaml(plan: p.ProxyPlan) -> str:
    text = yaml.dump(_tree(plan), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return str(text)


def probes_yaml(probes: Iterable[p.Probe]) -> str:
    text = yaml.dump([_tree(each) for each in probes], Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return str(text)


def _tree(value: object) -> object:
    shown = _LEAVES.get(type(value))
    if shown:
        return shown(value)
    if is_dataclass(value):
        return {**_kind(value), **dict(_given(value))}
    return _lines(value) if isinstance(value, tuple) else value


def duration(value: timedelta) -> str:
    """In the largest unit that leaves no fraction."""
    if value == timedelta():
        return "0s"
    for unit, size in _UNITS:
        if value % size == timedelta():
            return f"{value // size}{unit}"
    return f"{value / timedelta(milliseconds=1):g}ms"


def _looked_up(address: p.DnsAddress) -> str:
    return ("srv:" if address.is_srv else "dns:") + address.name + (" (first only)" if address.first_only else "")


_LEAVES: Final[dict[type, Callable[[Any], object]]] = {
    Origin: lambda at: f"{at} {at.path}".rstrip(),
    timedelta: duration,
    bytes: lambda body: body.decode(errors="backslashreplace"),
    Locality: lambda at: f"{at.region}/{at.zone}/{at.subzone}".rstrip("/"),
    p.IpAddress: lambda address: address.ip,
    p.UnixAddress: lambda address: f"unix:{address.path}",
    p.DnsAddress: _looked_up,
    p.InternalAddress: lambda address: f"listener:{address.listener}/{address.endpoint_id}".rstrip("/"),
    p.TextMatch: lambda match: {match.kind: match.value},
}
"""What is read more easily in one piece than by its fields."""


def _kind(value: object) -> dict[str, str]:
    return {"kind": type(value).__name__} if type(value) in _ALTERNATIVES else {}


def _given(value: object) -> Iterator[tuple[str, object]]:
    for field in fields(value):  # type: ignore[arg-type]  # whoever calls has looked
        given = getattr(value, field.name)
        if not _is_default(field, given):
            yield field.name, _tree(given)


def _is_default(field: Field[Any], given: object) -> bool:
    if given is NOWHERE or given == "":
        return True
    if field.default is not MISSING:
        return bool(given == field.default)
    return field.default_factory is not MISSING and bool(given == field.default_factory())


def _lines(values: Iterable[object]) -> list[object]:
    """Pairs are headers, attributes and the like: one line each."""
    return [": ".join(value) if isinstance(value, tuple) else _tree(value) for value in values]
