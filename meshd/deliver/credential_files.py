"""Files of credentials for proxies on the way -> what is wrong with them. What is in them is never repeated.

Envoy puts a file into a header as it is: a line break at its end would end the header, and the tunnel never opens.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshd.deliver.certificates import Fault, Flaw
from meshd.deliver.secret_files import resolved
from meshd.deliver.snapshot import Snapshot
from meshd.envoy.tunnels import HEADER_VALUE, naming
from meshd.plan import Credentials
from meshd.problems import Problem, Problems

_SHOWN: Final = re.compile(HEADER_VALUE.encode())
_LARGEST: Final = 64 * 1024
_FORM: Final = "printf 'Basic %s' \"$(printf '%s' user:password | base64 -w0)\" makes one"
_IN_PLACE: Final = "the file must be on this host, where its Envoys may read it"


def is_in_force(credentials: Credentials, served: Snapshot) -> bool:
    """The proxy has read the file: one that went away stands in nobody's way."""
    return any(naming(credentials.file) in listener.body for listener in served.listeners.values())


@dataclass(frozen=True, slots=True)
class _Complaint:
    """`what` goes on a sentence that begins with the credentials."""

    flaw: Flaw
    what: str
    hint: str = _IN_PLACE


def problems(credentials: Credentials) -> Problems:
    """What only the proxies may read is none: they will see."""
    return tuple(
        Problem(
            code="E-SECRET-FILE",
            at=credentials.origin,
            message=f"credentials {credentials.file} {each.what}",
            hint=each.hint,
        )
        for each in _complaints(credentials)
        if each.flaw != "unreadable"
    )


def fault(credentials: Credentials) -> Fault | None:
    """The same of a file that is in use: Envoy has read what stands there by now, whatever it is."""
    found = next(_complaints(credentials), None)
    return Fault(found.flaw, f"they {found.what}; {found.hint}") if found else None


def _complaints(credentials: Credentials) -> Iterator[_Complaint]:
    try:
        path = resolved(credentials.file, credentials.below)
        if path is None and os.path.lexists(credentials.file):
            what = f"are a link that leads out of {credentials.below}, or to nowhere"
            yield _Complaint("missing", what, "put the file itself there")
        elif path is None:
            yield _Complaint("missing", "do not exist")
        elif not stat.S_ISREG(path.stat().st_mode):
            yield _Complaint("invalid", "are no file")
        else:
            yield from _content(path)
    except PermissionError:
        yield _Complaint("unreadable", "may not be read by meshd", "it cannot tell whether they are well")
    except OSError as error:
        yield _Complaint("invalid", f"cannot be read: {error.strerror}")


def _content(path: Path) -> Iterator[_Complaint]:
    with path.open("rb") as file:
        shown = file.read(_LARGEST)
    if _SHOWN.fullmatch(shown):
        return
    if _SHOWN.fullmatch(shown.rstrip(b"\r\n")):
        yield _Complaint("invalid", "end in a line break, which Envoy would send too", _FORM)
    else:
        yield _Complaint("invalid", "are not the value of a Proxy-Authorization header", _FORM)
