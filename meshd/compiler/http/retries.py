"""HTTPRetry -> RetryPolicy; what a route does not say, the mesh says, and else spec 5.7."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from meshd.plan import RetryPolicy
from meshd.resources.extras import RetryExtras
from meshd.resources.virtual_service import HTTPRetry

_BUILT_IN: Final = HTTPRetry(attempts=2)
_BY_STATUS: Final = "retriable-status-codes"
_RETRY_ON: Final = ("connect-failure", "refused-stream", "unavailable", "cancelled", _BY_STATUS)


def retry_policy(
    retries: HTTPRetry | None, default: HTTPRetry | None, *, sticky: bool, extras: RetryExtras | None = None
) -> RetryPolicy | None:
    """None: never again. `sticky`: the only destination hashes consistently, and a retry shall stay with it."""
    chosen = retries or default or _BUILT_IN
    if chosen.attempts == 0:
        if extras is None or extras.header is None:
            return None
        chosen = _unless_asked(chosen, extras)
    retry_on, codes = _conditions(chosen.retry_on)
    avoid = chosen.retry_ignore_previous_hosts
    return RetryPolicy(
        attempts=chosen.attempts,
        retry_on=retry_on,
        retriable_status_codes=codes,
        per_try_timeout=chosen.per_try_timeout,
        base_interval=chosen.backoff,
        avoid_previous_hosts=not sticky if avoid is None else avoid,
        remote_localities=bool(chosen.retry_remote_localities),
    )


def _unless_asked(never: HTTPRetry, extras: RetryExtras) -> HTTPRetry:
    """A request that asks for retries has to find conditions for them, of which `attempts: 0` allows no word."""
    return replace(never, retry_on=extras.retry_on, per_try_timeout=extras.per_try_timeout)


def _conditions(retry_on: str | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """V-83: Envoy has the numbers in a list of their own, and looks at it only when told so by name."""
    if not retry_on:
        return _RETRY_ON, ()
    items = retry_on.split(",")
    names = [item for item in items if not item.isdecimal()]
    codes = tuple(int(item) for item in items if item.isdecimal())
    if codes and _BY_STATUS not in names:
        names.append(_BY_STATUS)
    return tuple(names), codes
