"""What the agent's configuration says and the mesh does not: how applications reach the proxies of a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The repository's `httpProxyPort` wins over this one; 0 is none. With `nftables` connections are redirected.

    `exec_probes`: whether commands that the repository names may be run on this host (W-15).
    """

    capture: Literal["none", "nftables"] = "none"
    http_proxy_port: int = 15080
    exec_probes: bool = False
