"""A table by host, wildcards among them, asked for many hosts: `hosts.py` for whom each look-up counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from meshd.names import ServiceHost
from meshd.registry.hosts import is_wildcard

T = TypeVar("T")


class HostTable(Generic[T]):
    """Answers as `covering` does, but tries only suffixes as long as one of the table's wildcards."""

    __slots__ = ("_lengths", "_table")

    def __init__(self, table: Mapping[ServiceHost, T]) -> None:
        self._table = table
        self._lengths = sorted({len(host) - 1 for host in table if is_wildcard(host)}, reverse=True)

    @property
    def has_wildcards(self) -> bool:
        return bool(self._lengths)

    def covering(self, host: ServiceHost) -> Iterator[tuple[ServiceHost, T]]:
        """The entries whose host covers `host`, the most specific first."""
        if host in self._table:
            yield host, self._table[host]
        text = host.removeprefix("*")
        for length in self._lengths:
            wildcard = ServiceHost("*" + text[len(text) - length :])
            if length <= len(text) and wildcard != host and wildcard in self._table:
                yield wildcard, self._table[wildcard]
