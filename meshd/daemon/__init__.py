"""The daemon: triggers, backoff, sd_notify, the control socket, and all wiring of the rooms."""

from __future__ import annotations

from meshd.daemon.main import run

__all__ = ["run"]
