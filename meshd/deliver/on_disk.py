"""What touches the disk, done on a thread; what goes wrong there is a failed delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from meshd.deliver.error import DeliveryError

_P = ParamSpec("_P")
_R = TypeVar("_R")


async def on_disk(work: Callable[_P, _R], *given: _P.args, **named: _P.kwargs) -> _R:
    try:
        return await asyncio.to_thread(work, *given, **named)
    except OSError as error:
        raise of_the_disk(error) from error


def of_the_disk(error: OSError) -> DeliveryError:
    """A write that fails knows no file, only a call that opens or renames one does."""
    said = ": ".join(filter(None, (error.filename, error.strerror or str(error))))
    return DeliveryError(said, "is the disk full, or not writable?")
