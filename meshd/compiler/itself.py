"""A listener that has names looked up at a client's word -> the same, with the addresses at which it is reached itself.

A name that leads back to it, by a mistake in DNS or by somebody's will, would go round in a circle: one request for
`127.0.0.1:15080` through the HTTP proxy opened a thousand connections a second, until memory was used up (measured).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Final

from meshd.compiler.host import Host
from meshd.plan import FilterChain, HttpChain, Listener, SocketBind

_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104  (where it listens, other rooms say)
_ALL_OF_LOOPBACK: Final = ("127.0.0.0/8", "::ffff:127.0.0.0/104", "::1/128")
_HERE: Final = ("0.0.0.0/32", "::/128", "::ffff:0.0.0.0/128")
"""Whoever connects to these comes to this machine too."""


def knowing_itself(host: Host, listener: Listener) -> Listener:
    bind = listener.bind
    if not isinstance(bind, SocketBind) or not listener.bound or not any(map(_looks_up, listener.chains)):
        return listener
    return replace(listener, itself=reached_at(host, bind))


def reached_at(host: Host, bind: SocketBind) -> tuple[str, ...]:
    """The blocks of addresses by which this very host comes to a socket, as far as the mesh knows."""
    if bind.ip in _WILDCARDS:
        own = (*_ALL_OF_LOOPBACK, *(block for ip in host.addresses for block in _blocks(ip)))
    else:
        own = tuple(_blocks(bind.ip))
    return tuple(sorted({*own, *_HERE}))


def _looks_up(chain: FilterChain) -> bool:
    return chain.dynamic_dns if isinstance(chain, HttpChain) else chain.sni_dns_port is not None


def _blocks(ip: str) -> Iterator[str]:
    """An address of IPv4 can be called by one of IPv6 too."""
    address = ip_address(ip)
    yield f"{address}/{address.max_prefixlen}"
    if isinstance(address, IPv4Address):
        yield f"::ffff:{address}/128"
