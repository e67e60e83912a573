"""HTTPRedirect and HTTPRewrite: where a request goes instead, and what it asks for there (inventory RED and RWR)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshd.fields import Message
from meshd.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRedirect(Message):
    """The caller is answered 302. `uri` stands in for the whole path, `authority` for the host (RED-04, RED-05)."""

    uri: str | None = None
    authority: str | None = None

    def check(self) -> Iterator[Problem]:
        """RED-06."""
        if not (self.uri or self.authority):
            message = "a redirect needs a uri or an authority"
            yield Problem(code="E-REDIRECT-EMPTY", at=self.origin, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRewrite(Message):
    """`uri` stands in for the prefix that was matched, or for the whole path (RWR-04)."""

    uri: str | None = None
    authority: str | None = None

    def check(self) -> Iterator[Problem]:
        """RWR-06."""
        if not (self.uri or self.authority):
            message = "a rewrite needs a uri or an authority"
            yield Problem(code="E-REWRITE-EMPTY", at=self.origin, message=message)
