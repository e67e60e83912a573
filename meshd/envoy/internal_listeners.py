"""A rendered listener -> whether it is an internal one, to which only endpoints of the same proxy lead."""

from __future__ import annotations

from envoy.config.listener.v3.listener_pb2 import Listener


def is_internal(body: bytes) -> bool:
    return bool(Listener.FromString(body).HasField("internal_listener"))
