"""Files of credentials for proxies on the way -> what is wrong with them. What is in them is never repeated.

Envoy puts a file into a header as it is: a line break at its end would end the header, and the tunnel never opens.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshd.deliver.secret_files import resolved
from meshd.deliver.snapshot import Snapshot
from meshd.envoy.tunnels import naming
from meshd.plan import Credentials
from meshd.problems import Problem, Problems

_SHOWN: Final = re.compile(rb"[!-~]+( [ -~]*[!-~])?")
_LARGEST: Final = 64 * 1024
_FORM: Final = "printf 'Basic %s' \"$(printf '%s' user:password | base64 -w0)\" makes one"
_IN_PLACE: Final = "it must be on this host, where its Envoys may read it"


def is_in_force(credentials: Credentials, served: Snapshot) -> bool:
    """The proxy has read the file: one that went away stands in nobody's way."""
    return any(naming(credentials.file) in listener.body for listener in served.listeners.values())


def problems(credentials: Credentials) -> Problems:
    return tuple(
        Problem(
            code="E-SECRET-FILE", at=credentials.origin, message=f"credentials {credentials.file} {what}", hint=hint
        )
        for what, hint in _faults(credentials)
    )


def _faults(credentials: Credentials) -> Iterator[tuple[str, str]]:
    try:
        path = resolved(credentials.file, credentials.below)
        if path is None and os.path.lexists(credentials.file):
            yield f"are a link that leads out of {credentials.below}, or to nowhere", "put the file itself there"
        elif path is None:
            yield "do not exist", _IN_PLACE
        elif not stat.S_ISREG(path.stat().st_mode):
            yield "are no file", _IN_PLACE
        elif os.access(path, os.R_OK):
            yield from _content(path)
    except PermissionError:
        return  # in a directory that is closed to meshd; whether the proxy gets in, it will say itself
    except OSError as error:
        yield f"cannot be read: {error.strerror}", _IN_PLACE


def _content(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as file:
        shown = file.read(_LARGEST)
    if _SHOWN.fullmatch(shown):
        return
    if _SHOWN.fullmatch(shown.rstrip(b"\r\n")):
        yield "end in a line break, which Envoy would send too", _FORM
    else:
        yield "are not the value of a Proxy-Authorization header", _FORM
