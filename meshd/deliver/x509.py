"""PEM -> the certificates and the lists of revocations in it: whom they name, and from when until when they hold.

For status alone: nobody is believed here, and nothing is verified, which is Envoy's to do. A few fields are read of
each by their place in the DER, which costs nothing; the library that does it all costs a daemon 16 MB.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

_CERTIFICATE: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END ", re.DOTALL)
_REVOCATIONS: Final = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END ", re.DOTALL)

_BOOLEAN, _INTEGER, _OCTETS, _OID, _UTC_TIME, _GENERALIZED_TIME = 0x01, 0x02, 0x04, 0x06, 0x17, 0x18
_SEQUENCE, _VERSION, _EXTENSIONS = 0x30, 0xA0, 0xA3
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
_UTF_16: Final = 0x1E

_ALTERNATIVE_NAMES: Final = bytes.fromhex("551d11")
_ATTRIBUTES: Final = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
}
"""Those that tell people who is meant; of others there is nothing to see."""


class MalformedError(ValueError):
    """It is not what it says that it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """`names`: the alternative ones, as they are written in resources."""

    subject: str
    names: tuple[str, ...]
    serial: int
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """`ends`: when the next list is due, after which Envoy takes nobody whom this one could have named."""

    issuer: str
    begins: datetime
    ends: datetime | None


def certificates(pem: bytes) -> tuple[Certificate, ...]:
    """All of a file, in its order; raises MalformedError, also where there is none."""
    return tuple(_certificate(der) for der in _ders(_CERTIFICATE, pem, "certificate"))


def revocations(pem: bytes) -> tuple[Revocations, ...]:
    """As with certificates."""
    return tuple(_list_of_revocations(der) for der in _ders(_REVOCATIONS, pem, "list of revocations"))


class _Element(NamedTuple):
    tag: int
    content: bytes


def _ders(block: re.Pattern[bytes], pem: bytes, what: str) -> tuple[bytes, ...]:
    try:
        found = tuple(binascii.a2b_base64(match[1]) for match in block.finditer(pem))
    except binascii.Error as error:
        raise MalformedError(f"a {what} in it is not base64") from error
    if not found:
        raise MalformedError(f"there is no {what} in it")
    return found


def _certificate(der: bytes) -> Certificate:
    signed = _Reader(_Reader(der).next(_SEQUENCE)).next(_SEQUENCE)
    fields = _Reader(signed)
    fields.skip(_VERSION)
    serial = int.from_bytes(fields.next(_INTEGER), signed=True)
    fields.next(_SEQUENCE)  # the algorithm of the signature
    fields.next(_SEQUENCE)  # the issuer
    validity = _Reader(fields.next(_SEQUENCE))
    subject = _name(fields.next(_SEQUENCE))
    names = next((_alternatives(each.content) for each in fields.rest() if each.tag == _EXTENSIONS), ())
    return Certificate(subject=subject, names=names, serial=serial, begins=_time(validity), ends=_time(validity))


def _list_of_revocations(der: bytes) -> Revocations:
    fields = _Reader(_Reader(_Reader(der).next(_SEQUENCE)).next(_SEQUENCE))
    fields.skip(_INTEGER)
    fields.next(_SEQUENCE)
    issuer = _name(fields.next(_SEQUENCE))
    begins = _time(fields)
    due = fields.peek() in {_UTC_TIME, _GENERALIZED_TIME}
    return Revocations(issuer=issuer, begins=begins, ends=_time(fields) if due else None)


def _name(content: bytes) -> str:
    """`CN=shop.example, O=Shop`: the common name, which tells most, comes first."""
    parts = [part for group in _Reader(content).rest() for part in _attributes(group.content)]
    return ", ".join(sorted(parts, key=lambda part: not part.startswith("CN=")))


def _attributes(group: bytes) -> Iterator[str]:
    for each in _Reader(group).rest():
        fields = _Reader(each.content)
        known = _ATTRIBUTES.get(fields.next(_OID))
        if known is not None:
            yield f"{known}={_text(fields.element())}"


def _text(value: _Element) -> str:
    return value.content.decode("utf-16-be" if value.tag == _UTF_16 else "utf-8", errors="replace")


def _alternatives(content: bytes) -> tuple[str, ...]:
    for extension in _Reader(_Reader(content).next(_SEQUENCE)).rest():
        fields = _Reader(extension.content)
        if fields.next(_OID) == _ALTERNATIVE_NAMES:
            fields.skip(_BOOLEAN)
            return tuple(_general_names(_Reader(fields.next(_OCTETS)).next(_SEQUENCE)))
    return ()


def _general_names(content: bytes) -> Iterator[str]:
    for each in _Reader(content).rest():
        if each.tag in {_DNS, _URI, _EMAIL}:
            yield each.content.decode("ascii", errors="replace")
        elif each.tag == _IP and len(each.content) in {4, 16}:
            yield str(ipaddress.ip_address(each.content))


def _time(fields: _Reader) -> datetime:
    """In the one form that RFC 5280 allows."""
    tag, content = fields.element()
    digits = content.decode("ascii", errors="replace")
    if tag == _UTC_TIME:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedError(f"{digits!r} is no time") from error


class _Reader:
    """The elements of some DER, one after the other. Nothing that it says of lengths leads out of what is there."""

    def __init__(self, der: bytes) -> None:
        self._der = der
        self._at = 0

    def element(self) -> _Element:
        tag, start, end = self._header()
        self._at = end
        return _Element(tag, self._der[start:end])

    def next(self, tag: int) -> bytes:
        """The content of the next element, which must be one of this kind."""
        found = self.element()
        if found.tag != tag:
            raise MalformedError(f"it has an element {found.tag:#04x} where {tag:#04x} belongs")
        return found.content

    def skip(self, tag: int) -> None:
        """Past the next element if it is one of this kind."""
        if self.peek() == tag:
            self.element()

    def peek(self) -> int | None:
        return self._der[self._at] if self._at < len(self._der) else None

    def rest(self) -> Iterator[_Element]:
        while self._at < len(self._der):
            yield self.element()

    def _header(self) -> tuple[int, int, int]:
        """The tag, where the content begins, and where it ends."""
        if self._at + 2 > len(self._der):
            raise MalformedError("it ends too soon")
        tag, length = self._der[self._at : self._at + 2]
        start = self._at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(self._der[start : start + size])
            start += size
        if start + length > len(self._der):
            raise MalformedError("it ends too soon")
        return tag, start, start + length
