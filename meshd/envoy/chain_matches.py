"""Which connections a filter chain takes -> FilterChainMatch, where Envoy finds the most specific chain."""

from __future__ import annotations

from dataclasses import replace

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import FilterChainMatch

from meshd.envoy.scalars import maybe_uint32, uint32
from meshd.plan import ChainMatch, FilterChain, HttpChain, Listener

EVERYTHING = ChainMatch()

PLAIN_HTTP = ("http/1.1", "h2c")
"""What the HTTP inspector calls that which it recognises."""


def match_of(chain: FilterChain, listener: Listener) -> ChainMatch:
    """The match of the plan, and what it implies for HTTP in plain text that stands beside other chains.

    TLS that no chain names must not end up as garbled HTTP, nor plain TCP where a chain waits for it.
    """
    match = chain.match
    if not isinstance(chain, HttpChain) or chain.tls or match.transport or match.alpn:
        return match
    others = [other for other in listener.chains if other is not chain]
    if any(other.match == match for other in others):
        return replace(match, transport="raw_buffer", alpn=PLAIN_HTTP)
    if any(other.match.server_names or other.match.transport == "tls" for other in others):
        return replace(match, transport="raw_buffer")
    return match


def filter_chain_match(match: ChainMatch) -> FilterChainMatch | None:
    if match == EVERYTHING:
        return None
    return FilterChainMatch(
        destination_port=maybe_uint32(match.destination_port),
        prefix_ranges=[cidr(each) for each in match.prefix_ranges],
        server_names=match.server_names,
        transport_protocol=match.transport or "",
        application_protocols=match.alpn,
        source_prefix_ranges=[cidr(each) for each in match.source_prefix_ranges],
    )


def cidr(text: str) -> CidrRange:
    """`10.0.0.0/8`, or one address."""
    address, _, length = text.partition("/")
    return CidrRange(address_prefix=address, prefix_len=uint32(int(length or (128 if ":" in address else 32))))
