"""CorsPolicy: which other origins a browser may call from (inventory CORS)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from meshd.fields import Message, header_token, whole_seconds
from meshd.problems import Problem
from meshd.resources.cors import cors_method


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsPolicy(Message):
    """`allow_credentials` absent is neither true nor false: nothing is said of credentials (CORS-08)."""

    allow_origin: tuple[str, ...] = ()
    allow_methods: tuple[Annotated[str, cors_method], ...] = ()
    allow_headers: tuple[Annotated[str, header_token], ...] = ()
    expose_headers: tuple[Annotated[str, header_token], ...] = ()
    max_age: Annotated[timedelta, whole_seconds] | None = None
    allow_credentials: bool | None = None

    def check(self) -> Iterator[Problem]:
        """CORS-03."""
        for index, origin in enumerate(self.allow_origin):
            if origin != "*" and "://" not in origin:
                yield Problem(
                    code="W-CORS-ORIGIN-SCHEME",
                    at=self.origin.at("allowOrigin").item(index),
                    message=f"no browser sends the origin {origin!r}: an origin has a scheme",
                    hint=f"write https://{origin}",
                )
