"""Which table is loaded, asked without any right to list tables: a datagram whose refusal is the answer.

Each table refuses, on its way out of this host, a datagram to an address of the loopback that carries its digest, and
one that carries zeros. Where no table does, the datagram goes to nobody. So this is the kernel's own word, and true
also when somebody flushed all rules; and whoever is asked of needs neither privileges nor systemd.
"""

from __future__ import annotations

import errno
import socket
from typing import Literal

from meshd.capture.error import CaptureError
from meshd.capture.table import ANY, KNOCK_AT, Table

Loaded = Literal["same", "other", "none"]


def loaded(wanted: Table | None) -> Loaded:
    """Compared with the table that is wanted, if one is."""
    if not _refused(ANY):
        return "none"
    return "same" if wanted is not None and _refused(wanted.digest) else "other"


def _refused(knock: bytes) -> bool:
    # A socket for each: of the second datagram of a flow the chains of the table would not be asked.
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(knock, KNOCK_AT)
    except OSError as error:
        if error.errno == errno.EPERM:
            return True
        raise CaptureError(
            f"cannot ask which table is loaded: {error.strerror}", "is the loopback interface up?"
        ) from error
    return False
