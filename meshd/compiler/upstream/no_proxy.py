"""`noProxy` of an outbound proxy -> whether something is called without it. Looks nothing up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from meshd.fields import ip_or_cidr, is_ip
from meshd.resources.outbound_proxy import split_port

Network = IPv4Network | IPv6Network

_THIS_MACHINE: Final = ("localhost", ".localhost", "127.0.0.0/8", "::1")
"""No proxy elsewhere could lead there."""
_HTTP: Final = 80


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry: a domain or a network, at one port or at all. `host` begins with a dot where all below is meant."""

    host: str
    network: Network | None
    port: int | None


@dataclass(frozen=True, slots=True)
class NoProxy:
    """`ports`: at which ports each domain is named, None for all; so that nobody goes through all of them."""

    exemptions: tuple[Exemption, ...]
    ports: Mapping[str, frozenset[int | None]]

    def covers(self, host: str, port: int) -> bool:
        """`host`: a name in lower case, a wildcard, or an IP address. A wildcard is covered where all of it is."""
        wanted = (None, port)
        if any(not self.ports[each].isdisjoint(wanted) for each in _covering(host) if each in self.ports):
            return True
        if not is_ip(host):
            return False
        address = ip_address(host)
        return any(each.network and each.port in wanted and address in each.network for each in self.exemptions)

    @property
    def networks(self) -> tuple[str, ...]:
        """Those of all ports."""
        found = (str(each.network) for each in self.exemptions if each.network and each.port is None)
        return tuple(dict.fromkeys(found))


@lru_cache(maxsize=64)
def no_proxy(entries: tuple[str, ...]) -> NoProxy:
    """`.example.com` is the domain and all below it, `*.example.com` only what is below; a name is only itself."""
    found = tuple(each for entry in (*_THIS_MACHINE, *entries) for each in _exemptions(entry))
    ports: dict[str, frozenset[int | None]] = {}
    for each in found:
        if each.network is None:
            ports[each.host] = ports.get(each.host, frozenset()) | {each.port}
    return NoProxy(found, ports)


def _covering(host: str) -> Iterator[str]:
    yield from (host, "*")
    yield from (host[place:] for place, letter in enumerate(host) if letter == ".")


def _exemptions(entry: str) -> Iterator[Exemption]:
    name, port = split_port(entry)
    if not ip_or_cidr(name):
        yield Exemption("", ip_network(name, strict=False), port)
        return
    name = name.lower().removesuffix(".")
    yield Exemption(name.removeprefix("*") or "*", None, port)
    if name.startswith("."):
        yield Exemption(name.removeprefix("."), None, port)


# --- of requests, which have no more than a Host ----------------------------------------------------------------


def hosts_pattern(found: NoProxy) -> str:
    """RE2, for a whole Host with or without its port. Of IPv6 only single addresses, which Host has in brackets."""
    return f"(?i)({'|'.join(dict.fromkeys(each for each in map(_pattern, found.exemptions) if each))})"


def _pattern(exemption: Exemption) -> str:
    host = _network_pattern(exemption.network) if exemption.network else _name_pattern(exemption.host)
    if not host:
        return ""
    if exemption.port is None:
        return f"{host}(:[0-9]*)?"
    return f"{host}(:80)?" if exemption.port == _HTTP else f"{host}:{exemption.port}"


def _name_pattern(host: str) -> str:
    if host == "*":
        return ".*"
    name = host.replace(".", "[.]")
    return f"[^:]+{name}" if host.startswith(".") else name


def _network_pattern(network: Network) -> str:
    first = network.network_address
    if isinstance(network, IPv6Network):
        return f"[[]{first}[]]" if network.num_addresses == 1 else ""
    return "[.]".join(_octet(octet, network.prefixlen - 8 * place) for place, octet in enumerate(first.packed))


def _octet(first: int, fixed: int) -> str:
    """One of the four, of which so many bits are given."""
    if fixed <= 0:
        return "[0-9]+"
    return f"({'|'.join(map(str, range(first, first + (1 << max(0, 8 - fixed)))))})"
