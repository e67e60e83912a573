"""A host name as it was written comes in; as the wire has it, in ASCII, it goes out (IDNA). Doubt is refused.

What is no name at all passes unchanged: what is wrong with it, the checks of the field say in its own words.
"""

from __future__ import annotations

import re
from typing import Final

from meshd.decode.report import Report
from meshd.decode.scalars import text
from meshd.documents import Node

_READ_DIFFERENTLY: Final = frozenset("ßẞς\u200c\u200d")
"""What IDNA 2003 and 2008 make different names of: clients do the one or the other."""

_NAME: Final = re.compile(r"[-A-Za-z0-9.]+")
_LONGEST: Final = 255


def host_name(node: Node, path: str, report: Report) -> object:
    """Also a wildcard, and a name with a namespace before it: `shop/*.bücher.example`."""
    written = text(node, path, report)
    if not isinstance(written, str) or written.isascii():
        return written
    before, name = _parted(written)
    if not before.isascii() or len(written) > _LONGEST:
        return written
    doubtful = sorted(_READ_DIFFERENTLY & set(name))
    found = "" if doubtful else _in_ascii(name)
    if found:
        return before + found if _NAME.fullmatch(found) else written
    why = f"clients differ on what {doubtful[0]!r} becomes" if doubtful else "it has no form in ASCII"
    return report.wrong("E-VALUE", node, path, f"{written!r}: {why}", "write its labels as xn--...")


def _parted(written: str) -> tuple[str, str]:
    if "://" in written:
        return written, ""
    namespace, slash, name = written.rpartition("/")
    wildcard = "*." if name.startswith("*.") else ""
    return namespace + slash + wildcard, name.removeprefix("*.")


def _in_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""
