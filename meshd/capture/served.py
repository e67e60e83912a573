"""The ports that this host's proxies listen on, in a file: the daemon writes it, the capture reads it.

The capture may change the kernel's tables and the daemon may not, so nothing but a few port numbers is taken from the
file. Who can choose them can tell the proxies anything anyway.
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meshd.capture.error import CaptureError, NotServedError
from meshd.plan import Listener, ProxyPlan, SocketBind

_FORMAT: Final = 1
_LONGEST: Final = 1024 * 1024
_UNREADABLE: Final = "may this user pass through its directory?"
_AWAITED: Final = "it is written with the first revision: see `meshd status`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """`bound`: where the proxies listen for themselves, such as the ports of a gateway on this host."""

    proxy_listen_port: int = 15001
    proxy_inbound_port: int = 15006
    bound: frozenset[int] = frozenset()


def served_by(plans: Iterable[ProxyPlan]) -> Served | None:
    """None where nobody takes redirected connections: no sidecar, or one of a host that captures nothing."""
    listeners = [listener for plan in plans for listener in plan.listeners if listener.bound]
    outbound, inbound = (
        next((port for each in listeners if each.captures and each.side == side for port in _ports(each)), None)
        for side in ("outbound", "inbound")
    )
    if outbound is None or inbound is None:
        return None
    own = (port for each in listeners if not each.captures for port in _ports(each))
    return Served(proxy_listen_port=outbound, proxy_inbound_port=inbound, bound=frozenset(own))


def _ports(listener: Listener) -> Iterator[int]:
    """None where only this host itself can reach it."""
    bind = listener.bind
    if isinstance(bind, SocketBind) and not ipaddress.ip_address(bind.ip).is_loopback:
        yield bind.port


def served_file(state: Path) -> Path:
    return state / "capture.json"


def written(served: Served | None) -> bytes:
    """None: no sidecar of this host takes redirected connections."""
    sidecar = served and {
        "proxyListenPort": served.proxy_listen_port,
        "proxyInboundPort": served.proxy_inbound_port,
        "boundPorts": sorted(served.bound),
    }
    return json.dumps({"format": _FORMAT, "sidecar": sidecar}).encode()


def read(path: Path) -> Served | None:
    """Raises NotServedError when the daemon has not written it yet, and CaptureError for anything else than that."""
    try:
        return _understood(json.loads(_bytes(path)))
    except FileNotFoundError as error:
        raise NotServedError(f"meshd has served no revision on this host yet: there is no {path}", _AWAITED) from error
    except OSError as error:
        raise CaptureError(f"cannot read {path}: {error.strerror}", _UNREADABLE) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        hint = "restart meshd, which writes it anew"
        raise CaptureError(f"{path} is not what this version of meshd writes", hint) from error


def _understood(content: dict[str, Any]) -> Served | None:
    if content["format"] != _FORMAT:
        raise ValueError
    sidecar = content["sidecar"]
    if sidecar is None:
        return None
    bound = sidecar["boundPorts"]
    if not isinstance(bound, list):
        raise TypeError
    ports = _port(sidecar["proxyListenPort"]), _port(sidecar["proxyInboundPort"])
    if ports[0] == ports[1]:
        raise ValueError
    return Served(proxy_listen_port=ports[0], proxy_inbound_port=ports[1], bound=frozenset(map(_port, bound)))


def _port(value: object) -> int:
    if type(value) is not int or not 0 < value < 65536:
        raise ValueError
    return value


def _bytes(path: Path) -> bytes:
    """Of a regular file only: its directory is another user's, who may put anything in its place."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError
        return file.read(_LONGEST)
