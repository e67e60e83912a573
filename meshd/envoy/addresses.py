"""IP addresses, Unix sockets and internal listeners -> Envoy's Address. Looks nothing up."""

from __future__ import annotations

from typing import Final

from envoy.config.core.v3.address_pb2 import Address, EnvoyInternalAddress, Pipe, SocketAddress

from meshd.plan import SocketBind, UnixBind

_FOR_THE_GROUP: Final = 0o660
"""Who connects must be able to write: the umask of a service leaves that to nobody but itself."""


def socket_address(ip: str, port: int) -> Address:
    return Address(socket_address=SocketAddress(address=ip, port_value=port))


def pipe_address(path: str, mode: int = 0) -> Address:
    """`/abs/path`, or `@name` in the abstract namespace. Mode 0 leaves it to the umask."""
    return Address(pipe=Pipe(path=path, mode=mode))


def internal_address(listener: str, endpoint_id: str) -> Address:
    return Address(envoy_internal_address=EnvoyInternalAddress(server_listener_name=listener, endpoint_id=endpoint_id))


def bind_address(bind: SocketBind | UnixBind) -> Address:
    if isinstance(bind, UnixBind):
        return pipe_address(bind.path, 0 if bind.path.startswith("@") else _FOR_THE_GROUP)
    return socket_address(bind.ip, bind.port)
