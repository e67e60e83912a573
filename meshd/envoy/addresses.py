"""IP addresses and Unix sockets -> Envoy's Address. Looks nothing up."""

from __future__ import annotations

from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress

from meshd.plan import Bind, UnixBind


def socket_address(ip: str, port: int) -> Address:
    return Address(socket_address=SocketAddress(address=ip, port_value=port))


def pipe_address(path: str, mode: int = 0) -> Address:
    """`/abs/path`, or `@name` in the abstract namespace. Mode 0 leaves it to the umask."""
    return Address(pipe=Pipe(path=path, mode=mode))


def bind_address(bind: Bind) -> Address:
    if isinstance(bind, UnixBind):
        return pipe_address(bind.path)
    return socket_address(bind.ip, bind.port)
