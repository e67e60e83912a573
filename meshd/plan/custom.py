"""What somebody says in the words of the proxy's own API, carried along unread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """A message by its full name, and its fields as JSON: only who speaks that API knows what it means."""

    type_name: str
    json: str
