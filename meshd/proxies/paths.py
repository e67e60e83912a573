"""Where one proxy of this host keeps its files. Three directories and a name in, every path out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meshd.names import ProxyName


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPaths:
    """`state` is meshd's (/var/lib/meshd), `runtime` too (/run/meshd).

    The proxy's own runtime files stand beside meshd's, in /run/meshd-envoy/<proxy>: systemd deletes a unit's
    RuntimeDirectory when it stops, and neither unit may take the other's sockets along.
    """

    proxy: ProxyName
    state: Path
    runtime: Path

    @property
    def bootstrap(self) -> Path:
        """What the proxy starts with while meshd answers. On disk, so that it is there when meshd is down."""
        return self.state / "bootstrap" / f"{self.proxy}.pb"

    @property
    def fallback(self) -> Path:
        """The active generation as one static bootstrap."""
        return self.state / "active" / self.proxy / "fallback.pb"

    @property
    def xds_socket(self) -> Path:
        return self.runtime / "xds" / f"{self.proxy}.sock"

    @property
    def own(self) -> Path:
        return self.runtime.with_name(f"{self.runtime.name}-envoy") / self.proxy

    @property
    def admin_socket(self) -> Path:
        return self.own / "admin.sock"

    @property
    def hot_restart_socket(self) -> Path:
        """A prefix. Envoy's default is an abstract socket, which any local user may bind first."""
        return self.own / "hot"

    @property
    def record(self) -> Path:
        return self.own / "running.json"

    @property
    def log(self) -> Path:
        return self.own / "envoy.log"
