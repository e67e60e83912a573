"""What a port speaks: from its protocol, or from its name (spec 3.5)."""

from __future__ import annotations

from typing import Final, Literal, get_args

Protocol = Literal["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL", "UDP"]
Family = Literal["http", "tls", "tcp", "udp"]

PROTOCOLS: Final[dict[str, Protocol]] = {protocol: protocol for protocol in get_args(Protocol)}
_FAMILIES: Final[dict[Protocol, Family]] = {
    "HTTP": "http",
    "HTTP2": "http",
    "GRPC": "http",
    "GRPC-WEB": "http",
    "HTTPS": "tls",
    "TLS": "tls",
    "UDP": "udp",
}
LEGACY_PROTOCOLS: Final[dict[str, Protocol]] = {"TCP-TLS": "TLS"}
"""Names of 2018, read with `W-LEGACY` in a Gateway (spec section 12)."""

# The longest first, for `grpc-web-api` starts with `grpc-` too.
_BY_LENGTH: Final = sorted(PROTOCOLS.values(), key=len, reverse=True)


def family(protocol: Protocol) -> Family:
    return _FAMILIES.get(protocol, "tcp")


def named_protocol(port_name: str) -> Protocol | None:
    """What the name of a port says: `http`, `http-web`; None when it says nothing."""
    text = port_name.upper()
    return next((protocol for protocol in _BY_LENGTH if text == protocol or text.startswith(protocol + "-")), None)


def port_protocol(protocol: str, port_name: str) -> Protocol:
    """The protocol given, else the one the name says, else TCP. An unknown text was refused by `check`."""
    given = protocol.upper()
    return PROTOCOLS.get(given) or LEGACY_PROTOCOLS.get(given) or named_protocol(port_name) or "TCP"
