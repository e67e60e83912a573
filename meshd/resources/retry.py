"""HTTPRetry: when and how often a failed request is tried again (spec 5.7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from meshd.fields import Duration, Int32, Message
from meshd.problems import Origin, Problem, nearest
from meshd.resources.finding import invalid

RETRY_CONDITIONS: Final = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
_STATUS_CODES: Final = frozenset(str(status.value) for status in HTTPStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRetry(Message):
    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str | None = None
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None

    def check(self) -> Iterator[Problem]:
        if self.attempts == 0:
            yield from self._check_disabled()
        yield from check_retry_on(self.retry_on, self.origin.at("retryOn"))

    def _check_disabled(self) -> Iterator[Problem]:
        """V-81."""
        given = (
            ("perTryTimeout", self.per_try_timeout is not None),
            ("retryOn", bool(self.retry_on)),
            ("retryRemoteLocalities", self.retry_remote_localities is not None),
        )
        for name, is_given in given:
            if is_given:
                yield invalid(self.origin.at(name), "means nothing without attempts", "set attempts to 1 or more")


def check_retry_on(conditions: str | None, at: Origin) -> Iterator[Problem]:
    for condition in conditions.split(",") if conditions else ():
        if condition not in RETRY_CONDITIONS | _STATUS_CODES:
            yield invalid(at, _unknown(condition), nearest(condition.strip(), RETRY_CONDITIONS))


def _unknown(condition: str) -> str:
    """V-83."""
    if not condition:
        return "has an empty entry"
    if condition != condition.strip():
        return f"{condition!r} has a space in it"
    return f"{condition!r} is neither a retry condition nor an HTTP status"
