"""Chains that somebody meant in an order -> chains of which Envoy takes the most specific, where both come to the same.

Envoy looks at one dimension after another (destination, server name, transport, source) and never turns back: once
it has chosen the most specific destination, chains of a wider one are out of its sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from operator import itemgetter
from typing import Final, Literal

from meshd.plan import ChainMatch, FilterChain
from meshd.resources.host_name import subset_of

Relation = Literal["same", "apart", "inside", "around"]
Dimension = tuple[str | None, ...]
"""The alternatives of one dimension; None is anything."""
Piece = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """`ordered`: only the order in which they are written says which chain is meant."""

    chains: tuple[FilterChain, ...]
    ordered: bool


def arrange(groups: Iterable[Sequence[FilterChain]]) -> Arranged:
    """Within a group the first chain that fits is meant, among groups the most specific.

    Envoy refuses two chains for the same connections, so the later one loses them.
    """
    fresh = _Fresh()
    kept = [fresh.of(group) for group in groups]
    ordered = fresh.is_entangled or any(map(_is_trap, kept)) or _hides_others(kept)
    chains = _in_order(kept) if ordered else tuple(chain for group in kept for chain in group)
    return Arranged(chains=chains, ordered=ordered)


# --- the same connections twice -------------------------------------------------------------------------------


class _Fresh:
    """What no earlier chain takes. `is_entangled`: that cannot be said by leaving out server names."""

    __slots__ = ("_taken", "is_entangled")

    def __init__(self) -> None:
        self._taken: set[Piece] = set()
        self.is_entangled = False

    def of(self, chains: Sequence[FilterChain]) -> list[FilterChain]:
        return [fresh for chain in chains if (fresh := self._rest_of(chain))]

    def _rest_of(self, chain: FilterChain) -> FilterChain | None:
        names = _dimensions(chain.match)[1]
        left = {name: [piece in self._taken for piece in _pieces(chain.match, name)] for name in names}
        self._taken.update(piece for name in names for piece in _pieces(chain.match, name))
        if not any(map(any, left.values())):
            return chain
        if all(map(all, left.values())):
            return None
        if any(any(taken) and not all(taken) for taken in left.values()):
            self.is_entangled = True
            return chain
        kept = tuple(name for name in chain.match.server_names if not any(left[name]))
        return replace(chain, match=replace(chain.match, server_names=kept))


def _pieces(match: ChainMatch, name: str | None) -> Iterable[Piece]:
    destinations, _, transport, sources = _dimensions(match)
    return ((to, name, *transport, source) for to in destinations for source in sources)


# --- which of two is found ------------------------------------------------------------------------------------


_CATCH_ALL: Final = ChainMatch()


def _dimensions(match: ChainMatch) -> tuple[Dimension, ...]:
    """As Envoy looks at them."""
    return (
        match.prefix_ranges or (None,),
        match.server_names or (None,),
        (match.transport,),
        match.source_prefix_ranges or (None,),
    )


def _is_trap(group: Sequence[FilterChain]) -> bool:
    """Two rules overlap, and Envoy would choose the later one, or none (spec 5.11)."""
    return any(_mistaken(_dimensions(one.match), _dimensions(other.match)) for one, other in combinations(group, 2))


def _mistaken(first: Sequence[Dimension], second: Sequence[Dimension]) -> bool:
    if not first:
        return False
    relations = {_relation(one, other) for one in first[0] for other in second[0]}
    if "around" in relations:
        return True
    if "inside" in relations and not _covers(first[1:], second[1:]):
        return True
    return "same" in relations and _mistaken(first[1:], second[1:])


def _hides_others(groups: Sequence[Sequence[FilterChain]]) -> bool:
    """Several conditions of one chain lead Envoy to where the chains of other services are out of sight."""
    everyone = [(index, chain.match) for index, group in enumerate(groups) for chain in group]
    by_network: dict[str | None, list[tuple[int, ChainMatch]]] = {}
    for index, match in everyone:
        for network in match.prefix_ranges or (None,):
            if match != _CATCH_ALL:  # that is the listener's default chain, which Envoy always finds
                by_network.setdefault(network, []).append((index, match))
    return any(
        _hides(_dimensions(match), _dimensions(other))
        for index, match in everyone
        if _is_narrow(match)
        for network in _around(match.prefix_ranges)
        for place, other in by_network.get(network, ())
        if place != index
    )


def _around(networks: Iterable[str]) -> Iterable[str | None]:
    """The networks, all those that they lie in, and what is said without any."""
    yield None
    for network in map(_network, networks):
        yield from (str(network.supernet(new_prefix=length)) for length in range(network.prefixlen + 1))


def _is_narrow(match: ChainMatch) -> bool:
    return sum(map(bool, (match.prefix_ranges, match.server_names, match.source_prefix_ranges))) > 1


def _hides(narrow: Sequence[Dimension], other: Sequence[Dimension]) -> bool:
    if not narrow:
        return False
    relations = {_relation(one, another) for one in narrow[0] for another in other[0]}
    if "inside" in relations and not _covers(narrow[1:], other[1:]):
        return True
    return "same" in relations and _hides(narrow[1:], other[1:])


def _covers(wide: Sequence[Dimension], narrow: Sequence[Dimension]) -> bool:
    return all(
        all(any(_relation(each, one) in {"same", "inside"} for one in ones) for each in others)
        for ones, others in zip(wide, narrow, strict=True)
    )


def _relation(one: str | None, other: str | None) -> Relation:
    if one == other:
        return "same"
    if one is None:
        return "around"
    if other is None:
        return "inside"
    if "/" in one and "/" in other:
        return _of_networks(_network(one), _network(other))
    if subset_of(one, other):
        return "inside"
    return "around" if subset_of(other, one) else "apart"


def _of_networks(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> Relation:
    if one.version != other.version or not one.overlaps(other):
        return "apart"
    return "inside" if one.prefixlen > other.prefixlen else "around"


@lru_cache(maxsize=10_000)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


# --- one order for all ----------------------------------------------------------------------------------------


def _in_order(groups: Sequence[Sequence[FilterChain]]) -> tuple[FilterChain, ...]:
    """The most specific chain first, but of one group none before an earlier one that takes some of the same."""
    if len(groups) == 1:
        return tuple(groups[0])
    ranked = [each for group in groups for each in _ranked(group)]
    return tuple(chain for _, chain in sorted(ranked, key=itemgetter(0)))


def _ranked(group: Sequence[FilterChain]) -> list[tuple[tuple[int, ...], FilterChain]]:
    ranked: list[tuple[tuple[int, ...], FilterChain]] = []
    for chain in (each for several in group for each in _by_name(several)):
        before = (rank for rank, earlier in ranked if _meet(earlier.match, chain.match))
        ranked.append((max((_breadth(chain.match), *before)), chain))
    return ranked


def _by_name(chain: FilterChain) -> Iterable[FilterChain]:
    """One for each server name: chains of other groups may stand between them."""
    names = chain.match.server_names
    return (replace(chain, match=replace(chain.match, server_names=(name,))) for name in names) if names else (chain,)


def _meet(one: ChainMatch, other: ChainMatch) -> bool:
    """Whether some connection is for both."""
    both = zip(_dimensions(one), _dimensions(other), strict=True)
    return all(any(_relation(each, another) != "apart" for each in ones for another in others) for ones, others in both)


def _breadth(match: ChainMatch) -> tuple[int, ...]:
    """The more specific, the smaller; what takes everything comes last."""
    longest = max((_network(prefix).prefixlen for prefix in match.prefix_ranges), default=-1)
    names = match.server_names
    exact = any(not name.startswith("*") for name in names)
    rest = (not exact, -max(map(len, names), default=0), match.transport is None, not match.source_prefix_ranges)
    return (-longest, *map(int, rest))
