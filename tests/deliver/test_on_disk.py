"""What the disk refuses is told with the file where the kernel names one, and without where it does not."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from meshd.deliver.error import DeliveryError
from meshd.deliver.on_disk import on_disk


def full_while_writing() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_is_told_without_a_file() -> None:
    with pytest.raises(DeliveryError) as caught:
        asyncio.run(on_disk(full_while_writing))

    assert (str(caught.value), caught.value.hint) == ("No space left on device", "is the disk full, or not writable?")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=f"^{tmp_path}/nowhere: No such file or directory$"):
        asyncio.run(on_disk((tmp_path / "nowhere").read_bytes))
