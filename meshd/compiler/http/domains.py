"""What a service is called by those who ask for it: the domains of its virtual host (spec 7.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from meshd.fields import is_ip
from meshd.names import Namespace, ServiceHost
from meshd.registry.hosts import is_wildcard


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """`full` names win over the `other` ones of another host: short forms and addresses."""

    full: tuple[str, ...]
    other: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How the hosts of a table are called. `with_port`: it is for all ports, and a Host says which it means."""

    client: Namespace
    suffix: str
    with_port: bool


def naming(client: Namespace, suffix: str, with_port: bool) -> Naming:  # noqa: FBT001
    return Naming(client=client, suffix=suffix, with_port=with_port)


def domains(host: ServiceHost, addresses: tuple[str, ...], port: int, how: Naming) -> Domains:
    written = port if how.with_port else None
    full = [_literal(host)] if is_ip(host) else [host, f"{host}."]
    other = [*_short_forms(host, how), *_literals(addresses)]
    return Domains(full=tuple(_with_port(full, written)), other=tuple(_with_port(other, written)))


def _short_forms(host: ServiceHost, how: Naming) -> Iterator[str]:
    """`name.ns` and `name.ns.svc`, and `name` for those in its namespace, of `<name>.<ns>.<domainSuffix>`."""
    name, _, namespace = host.removesuffix(f".{how.suffix}").partition(".")
    if is_wildcard(host) or host != f"{name}.{namespace}.{how.suffix}" or not namespace or "." in namespace:
        return
    if namespace == how.client:
        yield name
    yield f"{name}.{namespace}"
    yield f"{name}.{namespace}.svc"


def _literals(addresses: tuple[str, ...]) -> Iterator[str]:
    """A network of more than one address is no name that a client could ask for."""
    for address in addresses:
        network = ipaddress.ip_network(address, strict=False)
        if network.num_addresses == 1:
            yield _literal(str(network.network_address))


def _literal(address: str) -> str:
    ip = ipaddress.ip_address(address)
    return f"[{ip}]" if ip.version == 6 else str(ip)


def _with_port(names: list[str], port: int | None) -> Iterator[str]:
    """An absolute URL leaves out port 80, and clients may write it; any other is always written."""
    for name in names:
        if port in {None, 80}:
            yield name
        if port is not None:
            yield f"{name}:{port}"
