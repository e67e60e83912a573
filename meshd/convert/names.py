"""What the objects that come of a conversion are called (C-GEN-06), and the texts that become labels of DNS."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

_LONGEST: Final = 63
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9-]")
_DASHES: Final = re.compile(r"-+")
_KEY: Final = "\n"


def sanitised(text: str) -> str:
    """C-SUB-03, but for its length."""
    return _DASHES.sub("-", _FOREIGN.sub("-", text)).strip("-") or "x"


def hashed(text: str, key: str) -> str:
    """At most 63 characters, the last nine of which tell `key` from all others."""
    return f"{text[: _LONGEST - 9].rstrip('-')}-{sha256(key.encode()).hexdigest()[:8]}"


def shortened(text: str, key: str) -> str:
    return text if len(text) <= _LONGEST else hashed(text, key)


def provisional(base: str, key: str) -> str:
    """The name of an object until those of all others are known: what it would like to be called, and why."""
    return f"{sanitised(base).lower()}{_KEY}{key}"


def settle(names: Iterable[str], taken: frozenset[str]) -> Mapping[str, str]:
    """The final name of each provisional one, among objects of one kind and namespace.

    Two that would be called the same are both told apart by their keys, so that the order makes no difference.
    """
    wanted = {name: name.partition(_KEY) for name in names}
    counts = Counter(base for base, _, _ in wanted.values())
    return {
        name: hashed(base, key) if counts[base] > 1 or base in taken else shortened(base, key)
        for name, (base, _, key) in wanted.items()
    }


def of_host(host: str) -> str:
    """C-GEN-06: for a full name; the `*` of a wildcard has a word of its own."""
    text = f"wildcard-{host[1:].lstrip('.-')}" if host.startswith("*") else host
    return sanitised(text)
