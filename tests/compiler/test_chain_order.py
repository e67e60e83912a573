"""Chains that Envoy may choose among by itself come to the same as their order; where not, the order is told to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.compiler.connections.chain_order import arrange
from meshd.plan import ChainMatch, TcpChain
from meshd.resources.host_name import subset_of

NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "11.0.0.0/8", "10.1.1.7/32")
NAMES = ("*.shop", "a.shop", "*.a.shop", "b.a.shop", "c.com")


@dataclass(frozen=True)
class Connection:
    """`name` empty: it is not TLS."""

    address: str
    name: str
    source: str


CONNECTIONS = [
    Connection(*each)
    for each in product(
        ("10.1.1.7", "10.1.1.8", "10.1.9.9", "10.9.9.9", "11.1.1.1", "12.1.1.1"),
        ("", "a.shop", "b.a.shop", "x.shop", "c.com", "d.com"),
        ("10.1.1.7", "10.9.9.9", "12.1.1.1"),
    )
]
some_networks = st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True).map(tuple)
matches = st.builds(
    ChainMatch,
    prefix_ranges=some_networks,
    server_names=st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple),
    transport=st.none(),
    source_prefix_ranges=some_networks,
)
groups = st.lists(matches, min_size=1, max_size=4)


def chains(found: Sequence[ChainMatch]) -> list[TcpChain]:
    return [TcpChain(destinations=(), stat_prefix=str(number), match=match) for number, match in enumerate(found)]


def takes(match: ChainMatch, connection: Connection) -> bool:
    return (
        _any(match.prefix_ranges, lambda network: _within(connection.address, network))
        and _any(match.server_names, lambda name: bool(connection.name) and subset_of(connection.name, name))
        and _any(match.source_prefix_ranges, lambda network: _within(connection.source, network))
    )


def _any(wanted: tuple[str, ...], fits: Callable[[str], bool]) -> bool:
    return not wanted or any(map(fits, wanted))


def _within(address: str, network: str) -> bool:
    return ip_address(address) in ip_network(network)


def first(found: Sequence[TcpChain], connection: Connection) -> str | None:
    return next((chain.stat_prefix for chain in found if takes(chain.match, connection)), None)


def by_envoy(found: Sequence[TcpChain], connection: Connection) -> str | None:
    """One dimension after another, the most specific of what fits, and never back; at last the default chain."""
    left = [chain for chain in found if chain.match != ChainMatch()]
    left = _best(left, lambda match: match.prefix_ranges, lambda each: _within(connection.address, each), _length)
    left = _best(
        left,
        lambda match: match.server_names,
        lambda each: bool(connection.name) and subset_of(connection.name, each),
        lambda each: (not each.startswith("*"), len(each)),
    )
    left = _best(left, lambda match: match.source_prefix_ranges, lambda each: _within(connection.source, each), _length)
    rest = [chain for chain in found if chain.match == ChainMatch()]
    return next((chain.stat_prefix for chain in [*left, *rest]), None)


def _length(network: str) -> int:
    return ip_network(network).prefixlen


def _best(found, alternatives, fits, rank) -> list[TcpChain]:
    fitting = [each for chain in found for each in alternatives(chain.match) if fits(each)]
    if not fitting:
        return [chain for chain in found if not alternatives(chain.match)]
    best = max(fitting, key=rank)
    return [chain for chain in found if best in alternatives(chain.match)]


@given(groups)
@settings(max_examples=150, deadline=None)
def test_the_rules_of_a_service_mean_what_they_mean_in_their_order(group):
    arranged = arrange([chains(group)])

    choose = first if arranged.ordered else by_envoy
    for connection in CONNECTIONS:
        assert choose(arranged.chains, connection) == first(chains(group), connection)


@given(groups, st.sampled_from(NAMES))
@settings(max_examples=150, deadline=None)
def test_the_rules_of_a_service_hide_no_other_service(group, name):
    """Who is not for the first service, and asks for the other by name, gets there."""
    other = TcpChain(destinations=(), stat_prefix="other", match=ChainMatch(server_names=(name,)))
    arranged = arrange([chains(group), [other]])

    choose = first if arranged.ordered else by_envoy
    for connection in CONNECTIONS:
        if first(chains(group), connection) is None and takes(other.match, connection):
            assert choose(arranged.chains, connection) == "other"


def test_among_services_each_chain_has_its_own_place_in_the_order():
    """The first service has one chain that is narrower than the other's, and one that is wider."""
    mixed = chains((ChainMatch(server_names=("a.shop",), prefix_ranges=("10.0.0.0/8",)), ChainMatch(transport="tls")))
    exact = TcpChain(destinations=(), stat_prefix="exact", match=ChainMatch(server_names=("c.com",)))
    names = TcpChain(destinations=(), stat_prefix="names", match=ChainMatch(server_names=("b.a.shop", "*.com")))

    arranged = arrange([mixed, [names], [exact]])

    assert arranged.ordered
    found = {
        (address, name): first(arranged.chains, Connection(address, name, "12.1.1.1"))
        for address in ("10.1.1.7", "12.1.1.1")
        for name in ("a.shop", "b.a.shop", "c.com", "d.com", "else.example")
    }
    assert {name for (address, name), chosen in found.items() if chosen == "0"} == {"a.shop"}
    assert found["10.1.1.7", "c.com"] == found["12.1.1.1", "c.com"] == "exact"
    assert found["10.1.1.7", "b.a.shop"] == found["12.1.1.1", "d.com"] == "names"
    assert found["12.1.1.1", "a.shop"] == found["10.1.1.7", "else.example"] == "1"


@given(groups)
def test_no_two_chains_are_for_the_same_connections(group):
    """Envoy refuses such a listener."""
    arranged = arrange([chains(group)])

    pieces = [
        piece
        for chain in arranged.chains
        for piece in product(
            chain.match.prefix_ranges or ("",),
            chain.match.server_names or ("",),
            chain.match.source_prefix_ranges or ("",),
        )
    ]
    assert arranged.ordered or len(pieces) == len(set(pieces))
