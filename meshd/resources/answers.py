"""What a route may do to a request besides forwarding it: redirect, answer, or rewrite it first (spec 5.4 and 5.5)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final, Literal, Self

from meshd.fields import Count, EmptyIsAbsent, HttpStatus, Message, Port
from meshd.problems import Problem
from meshd.resources.finding import doubtful, invalid
from meshd.resources.headers import header_text
from meshd.resources.string_match import check_regex, check_substitution

_MOVED: Final = 301
_REDIRECTS: Final = (0, _MOVED, 302, 303, 307, 308)
_LARGE_BODY: Final = 100 * 1024
_LARGEST_BODY: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRedirect(Message):
    """`redirect_code` is checked in `check`, since other 3xx codes deserve a better hint than a list."""

    ONEOFS: ClassVar = (("uri", "prefix_rewrite"), ("port", "derive_port"))

    uri: Annotated[str, header_text, EmptyIsAbsent()] | None = None
    authority: Annotated[str, header_text, EmptyIsAbsent()] | None = None
    port: Port | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: Annotated[Literal["http", "https"], EmptyIsAbsent()] | None = None
    redirect_code: int = _MOVED
    prefix_rewrite: Annotated[str, header_text, EmptyIsAbsent()] | None = None

    def check(self) -> Iterator[Problem]:
        """V-65 and V-67."""
        if self.redirect_code not in _REDIRECTS:
            hint = "use 301, 302, 303, 307 or 308: no other code sends a client elsewhere"
            yield invalid(self.origin.at("redirectCode"), f"{self.redirect_code} is not a redirect", hint)
        if self.uri or self.prefix_rewrite or self.authority or self.port or self.scheme:
            return
        if self.derive_port is None:
            yield invalid(self.origin, "a redirect needs uri, prefixRewrite, authority, port or scheme")
        else:
            message = "leads a client back to where it was, and it will come again"
            yield doubtful(self.origin.at("derivePort"), message, "add uri, prefixRewrite, authority, port or scheme")

    def settled(self) -> Self:
        return self if self.redirect_code else replace(self, redirect_code=_MOVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body(Message):
    ONEOFS: ClassVar = (("string", "bytes"),)

    string: str | None = None
    bytes: str | None = None

    def check(self) -> Iterator[Problem]:
        """V-69."""
        try:
            size = len(content(self))
        except binascii.Error:
            yield invalid(self.origin.at("bytes"), "is not base64")
            return
        if size > _LARGEST_BODY:
            yield invalid(self.origin, f"a body of {size} bytes is too large: at most 1 MiB")
        elif size > _LARGE_BODY:
            yield doubtful(self.origin, f"a body of {size} bytes is held in every proxy")


def content(body: Body) -> bytes:
    """What is sent. As protobuf reads base64: in either alphabet, padded or not; what is none `check` refused."""
    if body.bytes is None:
        return (body.string or "").encode()
    plain = body.bytes.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPDirectResponse(Message):
    status: HttpStatus
    body: Body | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexRewrite(Message):
    match: Annotated[str, Count(1, 1024)]
    rewrite: Annotated[str, Count(1), header_text]

    def check(self) -> Iterator[Problem]:
        """V-56."""
        yield from check_regex(self.match, self.origin.at("match"))
        yield from check_substitution(self.rewrite, self.match, self.origin.at("rewrite"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRewrite(Message):
    ONEOFS: ClassVar = (("uri", "uri_regex_rewrite"),)

    uri: Annotated[str, header_text, EmptyIsAbsent()] | None = None
    authority: Annotated[str, header_text, EmptyIsAbsent()] | None = None
    uri_regex_rewrite: RegexRewrite | None = None

    def check(self) -> Iterator[Problem]:
        """V-57."""
        if not (self.uri or self.authority or self.uri_regex_rewrite):
            yield invalid(self.origin, "a rewrite needs uri, uriRegexRewrite or authority")
