"""HTTPTimeout and HTTPRetry: how long a request may take, and how often it is tried (inventory TMO and RTY)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Between, Coded, Message, Needed, header_token
from meshd.problems import Problem
from meshd.resources.finding import doubtful
from meshd.resources.legacy.custom import IN_RETRY, IN_TIMEOUT, Custom, check_custom
from meshd.resources.legacy.legacy_resource import Duration

HeaderName = Annotated[str, header_token]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleTimeoutPolicy(Message):
    """Retries are within the timeout, which is 15 s when absent. The header holds milliseconds (TMO-05 to TMO-09)."""

    timeout: Duration | None = None
    override_header_name: HeaderName | None = None

    def check(self) -> Iterator[Problem]:
        if self.timeout is None:
            yield doubtful(self.origin, "without timeout, requests time out after 15s", "write timeout: 15s")


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPTimeout(Message):
    ONEOFS: ClassVar = (("simple_timeout", "custom"),)

    simple_timeout: SimpleTimeoutPolicy | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        if self.simple_timeout is None and self.custom is None:
            yield doubtful(self.origin, "an empty timeout policy is none", "give it a simpleTimeout, or leave it out")
        yield from check_custom(self.custom, self.origin.at("custom"), IN_TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleRetryPolicy(Message):
    """`attempts` counts the retries alone; 0 is none. The header holds another such number (RTY-05 to RTY-09)."""

    attempts: Annotated[int, Coded("E-RETRY-ATTEMPTS", Between(0, 2147483647)), Needed("E-RETRY-ATTEMPTS")]
    per_try_timeout: Duration | None = None
    override_header_name: HeaderName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRetry(Message):
    ONEOFS: ClassVar = (("simple_retry", "custom"),)

    simple_retry: SimpleRetryPolicy | None = None
    custom: Custom | None = None

    def check(self) -> Iterator[Problem]:
        if self.simple_retry is None and self.custom is None:
            yield doubtful(self.origin, "an empty retry policy is none", "give it a simpleRetry, or leave it out")
        yield from check_custom(self.custom, self.origin.at("custom"), IN_RETRY)
