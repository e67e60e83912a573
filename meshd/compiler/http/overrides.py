"""The headers in which a request has a say of its own, by a route's extras (TMO-09, RTY-09, ABT-06, DLY-06)."""

from __future__ import annotations

from meshd.plan import HeaderFault, HeaderOverrides, RouteTable
from meshd.resources.extras import FaultExtras, HTTPRouteExtras

_NONE = HeaderOverrides()
_ALL = 100.0


def overrides(extras: HTTPRouteExtras) -> HeaderOverrides | None:
    found = HeaderOverrides(
        timeout=_lower(extras.timeout.header) if extras.timeout else None,
        retries=_lower(extras.retries.header) if extras.retries else None,
        delay=_fault(extras.delay),
        abort=_fault(extras.abort),
    )
    return None if found == _NONE else found


def has_overrides(table: RouteTable) -> bool:
    """Whether some route of a table does: the filters for that are there only where they are needed."""
    return any(route.overrides for host in table.virtual_hosts for route in host.routes)


def _lower(header: str | None) -> str | None:
    return header and header.lower()


def _fault(asked: FaultExtras | None) -> HeaderFault | None:
    """A share of 0 is no fault for anybody; an absent one is for all who ask."""
    percent = _ALL if asked is None or asked.percent is None else asked.percent
    if asked is None or not percent:
        return None
    return HeaderFault(header=asked.header.lower(), millionths=round(percent * 10_000))
