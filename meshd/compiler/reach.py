"""How applications reach the proxies of a host: what the agent's configuration says, not the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The repository's `httpProxyPort` wins over this one; 0 is none. With `nftables` connections are redirected."""

    capture: Literal["none", "nftables"] = "none"
    http_proxy_port: int = 15080
