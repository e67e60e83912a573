"""Gateway: where a gateway proxy listens, and for which hosts (spec section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from meshd.fields import Between, Count, LabelMap, Message
from meshd.resources.protocol import Family, family, port_protocol
from meshd.resources.resource import Resource
from meshd.resources.server_tls import ServerTLSSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPort(Message):
    """`number` is 0 for a Unix bind only."""

    number: Annotated[int, Between(0, 65535)]
    protocol: Annotated[str, Count(1)]
    name: Annotated[str, Count(1)]
    target_port: Annotated[int, Between(0, 0)] = 0

    @property
    def speaks(self) -> Family:
        return family(port_protocol(self.protocol, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Message):
    port: GatewayPort
    hosts: Annotated[tuple[str, ...], Count(1)]
    name: str = ""
    bind: str | None = None
    default_endpoint: str | None = None
    tls: ServerTLSSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Resource):
    KIND: ClassVar[str] = "Gateway"

    servers: Annotated[tuple[Server, ...], Count(1)]
    selector: LabelMap = field(default_factory=dict)
