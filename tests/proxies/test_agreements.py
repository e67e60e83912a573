"""What this room and others say twice, and must say alike."""

from __future__ import annotations

from meshd.envoy import bootstrap
from meshd.proxies import admin


def test_the_mode_of_a_process_is_written_and_read_under_the_same_name() -> None:
    assert admin.MODE_KEY == bootstrap.MODE_KEY
