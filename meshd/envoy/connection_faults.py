"""Faults of connections -> how Envoy comes to have them: a filter that throttles, and listeners inside.

Only a listener inside can reset a connection: what it closes without a word, its client sees as RST. And shares are
weights, by which the chosen connections are led there. Both their ends are told inside again, so that nothing that
could be done with a connection before cannot be done there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import gcd, lcm
from typing import Final

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.rbac.v3 import rbac_pb2 as rbac
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC
from google.protobuf.struct_pb2 import Struct, Value
from xds.type.v3.typed_struct_pb2 import TypedStruct

from meshd.envoy.scalars import duration
from meshd.envoy.wire import packed
from meshd.names import ClusterName, ListenerName
from meshd.plan import (
    EVERY_CONNECTION,
    BitsPerSecond,
    ChainMatch,
    ConnectionFaults,
    InternalBind,
    Listener,
    TcpChain,
    Termination,
    Throttle,
    WeightedCluster,
)

STATISTICS: Final = "l4_fault."

_LIMIT: Final = "envoy.filters.network.tcp_bandwidth_limit"
# Newer than xds-protos, so it cannot be written as its own message.
_LIMIT_TYPE: Final = "type.googleapis.com/envoy.extensions.filters.network.tcp_bandwidth_limit.v3.TcpBandwidthLimit"
_BITS_IN_KIB: Final = 8192
_MOST_WEIGHT: Final = 4_294_967_295
_AT_ONCE: Final = timedelta(milliseconds=50)
"""What a client says first has come by then. While it comes, Envoy would take the reset for an end of file."""
_LONGER_THAN_THAT: Final = timedelta(minutes=1)

Share = tuple[ClusterName, Fraction]


# --- of all connections of a chain ----------------------------------------------------------------------------


def throttling(chain: TcpChain) -> list[Filter]:
    """Where it is for some of them only, they are led to where it is for all."""
    faults = chain.faults
    if faults is None or faults.throttle is None or _is_for_some(faults.throttle):
        return []
    limits = {"read_limit_kbps": faults.throttle.to_service, "write_limit_kbps": faults.throttle.to_client}
    fields = {name: Value(number_value=_kib(limit)) for name, limit in limits.items() if limit}
    settings = Struct(fields={"stat_prefix": Value(string_value=f"{STATISTICS}{faults.name}"), **fields})
    return [Filter(name=_LIMIT, typed_config=packed(TypedStruct(type_url=_LIMIT_TYPE, value=settings)))]


def _kib(limit: BitsPerSecond) -> int:
    """Envoy counts KiB per second; less than one would be none (THR-03)."""
    return -(-limit // _BITS_IN_KIB)


def held(chain: TcpChain) -> Filter:
    """Nobody hears what the client says, and it stays open."""
    everything = rbac.Policy(permissions=[rbac.Permission(any=True)], principals=[rbac.Principal(any=True)])
    nobody = RBAC(
        stat_prefix=f"{STATISTICS}{chain.stat_prefix}",
        rules=rbac.RBAC(action=rbac.RBAC.DENY, policies={"l4Fault": everything}),
        delay_deny=duration(_LONGER_THAN_THAT),
    )
    return Filter(name="envoy.filters.network.rbac", typed_config=packed(nobody))


# --- of some of them ------------------------------------------------------------------------------------------


def spread(chain: TcpChain) -> TcpChain:
    """The same without faults, some or all of its connections being led inside where the faults ask for it."""
    if chain.faults is None:
        return chain
    shares = tuple(_shares(chain, chain.faults))
    if not any(name in _names(chain.faults) for name, _ in shares):
        return replace(chain, faults=None)
    counted = chain.filtered if chain.filtered == "mongo" else None
    return replace(chain, destinations=_weighted(shares), tunnel=None, filtered=counted, faults=None)


def leads_inside(chain: TcpChain) -> bool:
    return chain.faults is not None and spread(chain).destinations != chain.destinations


def _shares(chain: TcpChain, faults: ConnectionFaults) -> Iterator[Share]:
    left = Fraction(1)
    if faults.throttle and _is_for_some(faults.throttle):
        chosen = left * Fraction(faults.throttle.millionths, EVERY_CONNECTION)
        left -= chosen
        yield _throttled(faults), chosen
    if faults.termination:
        chosen = left * Fraction(faults.termination.millionths, EVERY_CONNECTION)
        left -= chosen
        yield _terminated(faults), chosen
    if left and _needs_a_chain(chain) and left < 1:
        yield _spared(faults), left
    elif left:
        total = sum(to.weight for to in chain.destinations)
        yield from ((to.cluster, left * Fraction(to.weight, total)) for to in chain.destinations)


def _is_for_some(throttle: Throttle) -> bool:
    return throttle.millionths < EVERY_CONNECTION


def _needs_a_chain(chain: TcpChain) -> bool:
    """What it does is not for connections that are led inside, so those that are spared need a chain of their own."""
    return chain.tunnel is not None or chain.filtered == "redis"


def _weighted(shares: Sequence[Share]) -> tuple[WeightedCluster, ...]:
    """In the smallest numbers; where Envoy could not bear them, in smaller ones, but nobody in none."""
    common = lcm(*(share.denominator for _, share in shares))
    weights = [int(share * common) for _, share in shares]
    smallest = gcd(*weights)
    room = _MOST_WEIGHT - len(shares)
    bearable = common // smallest <= room
    return tuple(
        WeightedCluster(cluster=name, weight=weight // smallest if bearable else max(1, weight * room // common))
        for (name, _), weight in zip(shares, weights, strict=True)
    )


# --- inside ---------------------------------------------------------------------------------------------------


def inside(listener: Listener) -> tuple[Listener, ...]:
    """What its chains lead to; the clusters that lead there have the same names."""
    return tuple(
        _inside(name, chain, listener)
        for outer in listener.chains
        if isinstance(outer, TcpChain) and outer.faults and outer.destinations
        for name, chain in _led_to(outer, outer.faults).items()
    )


def _inside(name: ClusterName, chain: TcpChain, outer: Listener) -> Listener:
    return Listener(
        name=ListenerName(name),
        bind=InternalBind(),
        chains=(replace(chain, stat_prefix=name),),
        side=outer.side,
        captures=True,
        origin=chain.origin,
    )


def _led_to(outer: TcpChain, faults: ConnectionFaults) -> dict[ClusterName, TcpChain]:
    known = _chains(outer, faults)
    found: dict[ClusterName, TcpChain] = {}
    chains = [outer]
    while chains:
        for to in spread(chains.pop()).destinations:
            if to.cluster in known and to.cluster not in found:
                found[to.cluster] = known[to.cluster]
                chains.append(known[to.cluster])
    return found


def _chains(outer: TcpChain, faults: ConnectionFaults) -> dict[ClusterName, TcpChain]:
    """MongoDB's words have been counted, and TLS that was to end has ended."""
    spared = replace(
        outer, match=ChainMatch(), tls=None, filtered=None if outer.filtered == "mongo" else outer.filtered, faults=None
    )
    chains = {_spared(faults): spared}
    if faults.throttle:
        everybody = replace(faults, throttle=replace(faults.throttle, millionths=EVERY_CONNECTION))
        chains[_throttled(faults)] = replace(spared, faults=everybody)
    if faults.termination:
        chains[_terminated(faults)] = _terminating(spared, faults, faults.termination)
    return chains


def _terminating(spared: TcpChain, faults: ConnectionFaults, termination: Termination) -> TcpChain:
    """A service that would never see the connection need not be asked for one."""
    if not termination.after:
        return replace(
            spared, destinations=(), max_connection_duration=_AT_ONCE, tunnel=None, filtered=None, sni_dns_port=None
        )
    ends = (termination.after, spared.max_connection_duration or termination.after)
    to = (WeightedCluster(cluster=_spared(faults)),) if _needs_a_chain(spared) else spared.destinations
    return replace(spared, destinations=to, max_connection_duration=min(ends), tunnel=None, filtered=None)


def _names(faults: ConnectionFaults) -> frozenset[ClusterName]:
    return frozenset((_throttled(faults), _terminated(faults), _spared(faults)))


def _throttled(faults: ConnectionFaults) -> ClusterName:
    return ClusterName(f"l4Fault_throttle_{faults.name}")


def _terminated(faults: ConnectionFaults) -> ClusterName:
    return ClusterName(f"l4Fault_terminate_{faults.name}")


def _spared(faults: ConnectionFaults) -> ClusterName:
    return ClusterName(f"l4Fault_spare_{faults.name}")
