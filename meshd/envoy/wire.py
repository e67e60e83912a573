"""Protobuf messages -> bytes, and bytes -> larger messages. Knows the wire format, and no Envoy resource."""

from __future__ import annotations

from hashlib import blake2b

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from meshd.envoy.resource import EnvoyResource, Part, TypeUrl
from meshd.problems import NOWHERE, Origin

_LENGTH_DELIMITED = 2


def serialised(message: Message) -> bytes:
    """The same message gives the same bytes, in any process."""
    return message.SerializeToString(deterministic=True)


def packed(message: Message) -> Any:
    return Any(type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}", value=serialised(message))


def framed(field: int, body: bytes) -> bytes:
    """`body` as field number `field` of the message around it: concatenated fields are a valid message."""
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(body)) + body


def resource(
    type_url: TypeUrl, name: str, body: bytes, origin: Origin = NOWHERE, parts: tuple[Part, ...] = ()
) -> EnvoyResource:
    """Versions are content hashes, so that an Envoy that reconnects is sent nothing that it has."""
    version = blake2b(body, digest_size=12).hexdigest()
    return EnvoyResource(type_url=type_url, name=name, body=body, version=version, origin=origin, parts=parts)


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
