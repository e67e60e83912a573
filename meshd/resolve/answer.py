"""What a name resolves to: the addresses, from where they are, how old they are, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from meshd.plan import SrvTarget

Reason = Literal[
    "BadName",
    "NXDOMAIN",
    "NoService",
    "REFUSED",
    "SERVFAIL",
    "Malformed",
    "Unreachable",
    "Timeout",
    "NoAnswer",
]
"""Why there are no fresh addresses, a word for each: no such name can be asked for; it does not exist; its SRV record
says that there is no such service; the nameserver does not want to answer us; it failed; what came is no answer, or of
no use; nobody listens there; nobody answered in time; the name exists, without addresses. What tells more comes first.
"""

Source = Literal["dns", "srv", "hosts", "kept", "expired", "none"]
"""From where the addresses are: a look-up, of SRV records or not; the hosts file; an earlier look-up, since the last
one failed or none was made yet in this life. Without addresses: earlier ones were dropped for their age, or nothing was
ever known."""

Trouble = Reason | Literal[""]

_TELLING: Final[tuple[Reason, ...]] = get_args(Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`addresses` sorted, so that rotation is no change. `first` is the one for who wants only one: it stays as long as
    it is among them, and differs from host to host as the server rotates.

    `targets`: of an SRV name, where each record leads, sorted; else empty.

    `looked_up` is when the addresses were got, the oldest of them, and `expires` when their TTL is over: of kept ones
    they tell the age. Without addresses `looked_up` is the time of the last try; of expired ones, when those were got.

    `error` is why the last look-up failed, wholly or for some addresses, and `failing_since` when that began, whatever
    the reasons were since then. `culprit` is the name that failed where it is not the name itself, but an SRV target.
    """

    addresses: tuple[str, ...]
    targets: tuple[SrvTarget, ...] = ()
    first: str = ""
    canonical: str = ""
    looked_up: datetime
    expires: datetime
    error: Trouble = ""
    failing_since: datetime | None = None
    culprit: str = ""
    source: Source = "dns"

    @property
    def ttl(self) -> timedelta:
        """As the server gave it."""
        return self.expires - self.looked_up


def kept(answer: Answer, error: Trouble, failing_since: datetime | None, culprit: str = "") -> Answer:
    return replace(answer, source="kept", error=error, failing_since=failing_since, culprit=culprit)


def nothing(error: Trouble, failing_since: datetime | None, now: datetime, culprit: str = "") -> Answer:
    """Of a name of which nothing was ever known."""
    return Answer(
        addresses=(),
        looked_up=now,
        expires=now,
        error=error,
        failing_since=failing_since,
        culprit=culprit,
        source="none",
    )


def expired(answer: Answer) -> Answer:
    """Without the addresses, which are too old to be used."""
    return replace(answer, addresses=(), targets=(), first="", source="expired")


def is_too_old(answer: Answer, limit: timedelta | None, now: datetime) -> bool:
    """`limit` None: nothing ever is. What was looked up well is as good as its TTL says, however long that is."""
    return limit is not None and answer.source == "kept" and now - answer.looked_up > limit


def most_telling(reasons: Iterable[Reason]) -> Reason:
    return min(reasons, key=_TELLING.index)
