"""What this room says when the world failed: no binary, a proxy that does not start, systemd that refuses."""

from __future__ import annotations


class ProxyError(Exception):
    """`hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidBootstrapError(ProxyError):
    """Envoy itself refused the configuration it was to start with. Nothing was started or stopped."""


class HotRestartError(ProxyError):
    """The next epoch did not come up. The old one still serves, but has no admin socket and accepts no
    further epoch: only a plain restart repairs it."""


class OtherProtocolError(HotRestartError):
    """The two binaries do not speak the same hot restart protocol. Nothing is wrong with the bootstrap."""
