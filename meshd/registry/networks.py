"""Networks: which endpoints a client reaches without a gateway (spec W-4)."""

from __future__ import annotations


def is_apart(client: str, endpoint: str) -> bool:
    """Whether they are in different networks. Who names none reaches, and is reached from, all of them, as in Istio."""
    return bool(client and endpoint) and client != endpoint
