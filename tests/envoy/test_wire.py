from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from meshd.envoy.resource import CLUSTER
from meshd.envoy.wire import framed, resource


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 300_000])
def test_framed_bytes_are_what_protobuf_writes(size: int):
    body = b"x" * size

    assert BytesValue.FromString(framed(1, body)).value == body
    assert size == 0 or framed(1, body) == BytesValue(value=body).SerializeToString()


def test_a_field_number_above_fifteen_takes_two_bytes():
    assert framed(33, b"") == b"\x8a\x02\x00"


def test_the_version_is_a_hash_of_the_bytes_and_nothing_else():
    assert resource(CLUSTER, "a", b"same").version == resource(CLUSTER, "b", b"same").version
    assert resource(CLUSTER, "a", b"same").version != resource(CLUSTER, "a", b"other").version
