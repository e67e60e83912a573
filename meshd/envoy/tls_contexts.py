"""Serialised clusters and listeners -> the same with each TLS context edited, however deep in them it stands."""

from __future__ import annotations

from collections.abc import Callable

from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext
from google.protobuf.message import Message

from meshd.envoy import nested

Edit = Callable[[CommonTlsContext], None]


def edited(body: bytes, empty: Message, mark: bytes, edit: Edit) -> bytes:
    """`mark`: bytes that stand in every context to be edited, or name its type."""
    return nested.edited(body, empty, mark, CommonTlsContext, edit)
