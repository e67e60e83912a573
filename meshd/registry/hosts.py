"""The rules of host names: completing a short one, and which wildcard covers which host (spec 3.1 and 3.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import TypeVar

from meshd.names import Namespace, ServiceHost
from meshd.resources.host_name import is_wildcard, matches, subset_of, wildcards_over

__all__ = ["canonical", "complete", "covering", "is_wildcard", "matches", "most_specific", "subset_of"]

T = TypeVar("T")


def canonical(name: str) -> ServiceHost:
    """Lower case, without the dot that may end a FQDN; short names stay short. An address or CIDR in its one form."""
    if name[-1:].isdigit() or ":" in name:  # no domain ends so
        return ServiceHost(_canonical_address(name.lower()))
    return ServiceHost(name.lower().removesuffix("."))


def _canonical_address(text: str) -> str:
    """A CIDR of one address is that address."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text
    return str(network.network_address if network.num_addresses == 1 else network)


def complete(name: str, namespace: Namespace, domain_suffix: str) -> ServiceHost:
    """The full name of what an object of `namespace` calls `name`. `*` stays as it is."""
    if "." in name or ":" in name or name == "*":
        return canonical(name)
    return ServiceHost(f"{name}.{namespace}.{domain_suffix}".lower())


def covering(host: ServiceHost, table: Mapping[ServiceHost, T]) -> Iterator[tuple[ServiceHost, T]]:
    """The entries of the table whose host covers `host`, the most specific first.

    Costs one look-up per character of the host, however large the table is.
    """
    if host in table:
        yield host, table[host]
    for wildcard in map(ServiceHost, wildcards_over(host)):
        if wildcard in table:
            yield wildcard, table[wildcard]


def most_specific(host: ServiceHost, table: Mapping[ServiceHost, T]) -> T | None:
    """The table's entry for the host itself, else for the wildcard with the longest suffix that covers it."""
    return next((entry for _, entry in covering(host, table)), None)
