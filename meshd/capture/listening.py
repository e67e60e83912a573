"""Who listens on a port of this host, as the kernel tells everybody: the users of the sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meshd.capture.error import CaptureError, NotServedError
from meshd.capture.table import Redirections

_SOCKETS: Final = (Path("/proc/thread-self/net/tcp"), Path("/proc/thread-self/net/tcp6"))
_LISTEN: Final = "0A"


def require_sidecar(redirections: Redirections) -> None:
    """Raises NotServedError unless somebody takes what would be redirected, and CaptureError unless he is the proxy.

    Any user of the host may listen on these ports while the proxy does not.
    """
    for port in (redirections.outbound_port, redirections.inbound_port):
        found = listeners(port)
        if not found:
            hint = "start the sidecar: `systemctl start meshd-envoy@sidecar`, and see `meshd status`"
            raise NotServedError(f"nobody listens on port {port}, so all redirected connections would be refused", hint)
        strangers = ", ".join(map(str, sorted(found - redirections.proxies)))
        if strangers:
            message = f"on port {port} user {strangers} listens, who does not run this host's proxies"
            raise CaptureError(message, "if he does, say so: nftables.proxyUser")


def listeners(port: int) -> frozenset[int]:
    """The users whose sockets listen there, on whatever address; none where nobody does."""
    return frozenset(uid for uid, listens_on in _listening() if listens_on == port)


def _listening() -> Iterator[tuple[int, int]]:
    for path in _SOCKETS:
        try:
            _, *lines = path.read_text().splitlines()
        except FileNotFoundError:  # a kernel without IPv6
            continue
        except OSError as error:
            raise CaptureError(f"cannot read {path}: {error.strerror}", "is /proc mounted?") from error
        for line in lines:
            _, local, _, state, _, _, _, uid, *_ = line.split()
            if state == _LISTEN:
                yield int(uid), int(local.rpartition(":")[2], 16)
