"""What the daemon has seen of its host, told as conditions, as status and as verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from meshd import __version__
from meshd.control import Json, Reply
from meshd.daemon.capturing import Captured
from meshd.daemon.certificates import Certificate
from meshd.daemon.conditions import Conditions
from meshd.daemon.events import log_condition
from meshd.daemon.sentences import (
    ailment,
    certificates_condition,
    healthy,
    is_tried_again,
    rejection_body,
    rejection_sentence,
)
from meshd.daemon.status import Commit, Proxy, Revisions, StaleName, Unread, Workload, status
from meshd.deliver.error import DeliveryError
from meshd.names import RevisionId
from meshd.problems import Problems
from meshd.proxies.error import ProxyError
from meshd.reconcile import Outcome, Rejection
from meshd.source.revision import SourceError

log = structlog.get_logger()


class Host(Protocol):
    """What is asked of the rooms."""

    @property
    def host(self) -> str: ...
    @property
    def active(self) -> RevisionId | None: ...
    def commit(self, revision: RevisionId, /) -> Commit | None: ...
    def told_source(self) -> Json: ...
    def names(self) -> int: ...
    def stale_names(self) -> tuple[StaleName, ...]: ...
    def circles(self) -> Problems: ...
    def workloads(self) -> tuple[Workload, ...]: ...
    def captured(self) -> Captured | None: ...
    def is_behind(self, revision: str, head: RevisionId, /) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the last pass did not come to an outcome."""

    reason: str
    message: str
    hint: str

    def __str__(self) -> str:
        return "; ".join(filter(None, [self.message, self.hint]))


class Observed:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._conditions = Conditions(lambda: datetime.now(UTC), log_condition)
        self._outcome: Outcome | None = None
        self._failure: Failure | None = None
        self._proxy_error: ProxyError | None = None
        self._certificates: tuple[Certificate, ...] = ()
        self._circles: Problems = ()
        self._conditions.set("SourceVerified", "Unknown", "NotConfigured", "commits are not checked for signatures")

    # --- events ---

    def begin(self) -> None:
        self._conditions.set("Reconciling", "True", "Progressing")

    def fetch_failed(self, error: SourceError) -> None:
        self._failure = Failure(reason=error.reason, message=str(error), hint=error.hint)
        self._conditions.set("FetchFailed", "True", error.reason, str(self._failure))
        self._conditions.set("Reconciling", "True", "ProgressingWithRetry", "the repository could not be read")

    def delivery_failed(self, error: DeliveryError) -> None:
        """The disk, a socket or the validator failed us: nothing was changed, and it is tried again."""
        before = self._failure
        self._failure = Failure(reason="DeliveryFailed", message=str(error), hint=error.hint)
        self._conditions.set("FetchFailed", "False", "Succeeded")
        self._conditions.set("Reconciling", "True", "ProgressingWithRetry", str(self._failure))
        if self._failure != before:
            log.error("delivery.failed", error=str(error), hint=error.hint)

    def crashed(self, error: Exception) -> None:
        """A fault of meshd itself. The host keeps what it runs, and another revision may do."""
        text = f"{type(error).__name__}: {error}"
        self._failure = Failure(reason="InternalError", message=text, hint="see `pass.crashed` in the log of meshd")
        self._conditions.set("Stalled", "True", "InternalError", text)
        self._conditions.set("Reconciling", "True", "ProgressingWithRetry", text)

    def reconciled(self, outcome: Outcome) -> tuple[Rejection, ...]:
        """Returns the rejections that are new since the last pass."""
        before = self._outcome.rejected if self._outcome else ()
        self._failure, self._outcome = None, outcome
        self._conditions.set("FetchFailed", "False", "Succeeded")
        if any(map(is_tried_again, outcome.rejected)):
            self._conditions.set("Reconciling", "True", "ProgressingWithRetry", "a proxy was not in time")
        else:
            self._conditions.set("Reconciling", "False", "Succeeded")
        if outcome.rejected:
            newest = outcome.rejected[0]
            reason = "RevisionTimedOut" if is_tried_again(newest) else "RevisionRejected"
            self._conditions.set("Stalled", "True", reason, rejection_sentence(newest))
        else:
            self._conditions.set("Stalled", "False", "Succeeded")
        return tuple(rejection for rejection in outcome.rejected if rejection not in before)

    def proxy_failed(self, error: ProxyError | None) -> None:
        if error is not None and str(error) != str(self._proxy_error):
            log.error("proxy.failed", error=str(error), hint=error.hint)
        self._proxy_error = error

    def certified(self, certificates: tuple[Certificate, ...]) -> None:
        """One that is bad does not make the host unready: what is served is in force, and often works."""
        self._certificates = certificates
        self._conditions.set("CertificatesValid", *certificates_condition(certificates))

    def assess(self, proxies: Iterable[Proxy]) -> None:
        """Brings the conditions that depend on the proxies and on DNS up to date."""
        looked = tuple(proxies)
        self._assess_endpoints()
        self._assess_circles()
        self._assess_workloads()
        self._assess_capture()
        healthy = self._assess_proxies(looked)
        if self._host.active is None:
            self._conditions.set("Ready", "False", *self._why_nothing_is_active())
        elif not healthy:
            self._conditions.set("Ready", "False", "ProxiesNotReady", "see ProxiesHealthy")
        else:
            self._conditions.set("Ready", "True", "Serving", f"revision {self._host.active[:12]}")

    def _assess_proxies(self, proxies: tuple[Proxy, ...]) -> bool:
        unwell = [proxy for proxy in proxies if not healthy(proxy)]
        if self._proxy_error is not None:
            error = self._proxy_error
            text = "; ".join(filter(None, [str(error), error.hint]))
            self._conditions.set("ProxiesHealthy", "False", "ProxyFailed", text)
        elif unwell:
            self._conditions.set("ProxiesHealthy", "False", "ProxyNotReady", ", ".join(map(ailment, unwell)))
        else:
            self._conditions.set("ProxiesHealthy", "True", "Acknowledged" if proxies else "NoProxies")
        return self._proxy_error is None and not unwell

    @property
    def proxies_healthy(self) -> bool:
        condition = self._conditions.get("ProxiesHealthy")
        return condition is None or condition.status == "True"

    def _assess_endpoints(self) -> None:
        stale = self._host.stale_names()
        if stale:
            names = ". ".join(entry.text for entry in stale[:3])
            more = f". And {len(stale) - 3} more" if len(stale) > 3 else ""
            reason = "AnswersExpired" if any(entry.expired for entry in stale) else "LookupFailed"
            self._conditions.set("EndpointsFresh", "False", reason, f"{names}{more}")
        else:
            self._conditions.set("EndpointsFresh", "True", "Resolved" if self._host.names() else "NoNames")

    def _assess_circles(self) -> None:
        """What stands in the mesh is among the problems of its revision; what DNS says changes at any time."""
        before, self._circles = self._circles, self._host.circles()
        for problem in self._circles:
            if problem not in before:
                log.warning("endpoint.left-out", code=problem.code, problem=str(problem))

    def _assess_workloads(self) -> None:
        """A workload that is unwell does not make the host unready: its proxies do what they are told."""
        workloads = self._host.workloads()
        unwell = [f"{each.workload} ({each.reason})" for each in workloads if not each.healthy]
        forbidden = [problem for problem in self._problems() if problem.code == "E-WG-EXEC"]
        if unwell:
            self._conditions.set("WorkloadsHealthy", "False", "ProbeFailed", ", ".join(unwell))
        elif forbidden:
            self._conditions.set("WorkloadsHealthy", "Unknown", "ProbeNotAllowed", forbidden[0].message)
        else:
            self._conditions.set("WorkloadsHealthy", "True", "Probed" if workloads else "NoProbes")

    def _assess_capture(self) -> None:
        """Nor does this: the sidecar serves whoever comes to it, and has to before anybody is redirected."""
        captured = self._host.captured()
        if captured is None:
            self._conditions.forget("Captured")
        else:
            self._conditions.set("Captured", captured.status, captured.reason, captured.message)

    def _why_nothing_is_active(self) -> tuple[str, str]:
        if self._failure is not None:
            return self._failure.reason, str(self._failure)
        if self._outcome is not None and self._outcome.rejected:
            return "RevisionRejected", rejection_sentence(self._outcome.rejected[0])
        return "NoRevision", "nothing was fetched yet"

    # --- answers ---

    def sentence(self) -> str:
        """One line for `systemctl status`."""
        active = self._host.active
        parts = [f"revision {active[:12]} active" if active else "no revision active"]
        if self._failure is not None:
            parts.append(str(self._failure))
        elif self._outcome is not None and self._outcome.rejected:
            parts.append(rejection_sentence(self._outcome.rejected[0]))
        return ", ".join(parts)

    def status(self, proxies: Iterable[Proxy]) -> Json:
        looked = tuple(proxies)
        self.assess(looked)
        return status(
            host=self._host.host,
            version=__version__,
            revisions=self._revisions(),
            conditions=self._conditions.all(),
            source=self._host.told_source(),
            proxies=looked,
            names=self._host.names(),
            stale=self._host.stale_names(),
            workloads=self._host.workloads(),
            certificates=self._certificates,
            problems=self._problems(),
        )

    def verdict(self) -> Reply:
        """Of the last pass: whether the newest revision is in force."""
        if self._failure is not None:
            return Reply(ok=False, body={"failure": self._failure.message, "hint": self._failure.hint})
        if self._outcome is None:
            return Reply(ok=False, body={"message": "no pass is over yet"})
        return self.verdict_on(self._outcome.fetched)

    def verdict_on(self, revision: str) -> Reply:
        # First, for it may be active as another configuration, or another meshd, understood it.
        rejection = self._rejection(revision)
        if rejection is not None:
            return Reply(ok=False, body=rejection_body(rejection))
        active = self._host.active
        if active is not None and active.startswith(revision):
            return Reply(ok=True, body={"message": f"{active[:12]} is active", "revision": active})
        newer = f"{active[:12]} is active instead" if active else "no revision is active"
        return Reply(ok=False, body={"message": f"{revision[:12]} is not active: {newer}"})

    def late(self, revision: str, seconds: float) -> Reply:
        """For who waited in vain: also what stands in the way, if that is known."""
        rejection = self._rejection(revision)
        why = self._failure or (rejection_sentence(rejection) if rejection is not None else "")
        message = f"{revision[:12]} is not active after {seconds:g} s"
        return Reply(ok=False, body={"message": f"{message}: {why}" if why else message})

    def verdict_on_reload(self, known_bad: frozenset[RevisionId]) -> Reply:
        """The configuration is adopted. That is a yes, unless the newest revision is rejected because of it."""
        reply = self.verdict()
        message = f"the configuration is in force; {reply.body.get('message', 'but the last pass failed')}"
        excused = self._failure is None and not self.rejected - known_bad
        return Reply(ok=reply.ok or excused, body={**reply.body, "message": message})

    @property
    def rejected(self) -> frozenset[RevisionId]:
        return frozenset(each.revision for each in self._outcome.rejected) if self._outcome else frozenset()

    def settled(self, revision: str) -> bool:
        """Nothing that is to come would change the verdict: it is active, or rejected, or was passed over."""
        active, rejection = self._host.active, self._rejection(revision)
        if rejection is not None:
            return not is_tried_again(rejection)
        if active is not None and active.startswith(revision):
            return True
        return self._outcome is not None and self._host.is_behind(revision, self._outcome.fetched)

    def _rejection(self, revision: str) -> Rejection | None:
        rejected = self._outcome.rejected if self._outcome else ()
        return next((rejection for rejection in rejected if rejection.revision.startswith(revision)), None)

    def _revisions(self) -> Revisions:
        outcome, active = self._outcome, self._host.active
        rejected = outcome.rejected[0].revision if outcome and outcome.rejected else None
        return Revisions(
            fetched=self._commit(outcome.fetched if outcome else None),
            accepted=self._commit(outcome.accepted if outcome else None),
            active=self._commit(active),
            rejected=self._commit(rejected),
        )

    def _commit(self, revision: RevisionId | None) -> Commit | None:
        return (self._host.commit(revision) or Unread(id=revision)) if revision else None

    def _problems(self) -> Problems:
        """Of what is rejected first, then of what is in force."""
        if self._outcome is None:
            return self._circles
        rejected = tuple(problem for rejection in self._outcome.rejected[:1] for problem in rejection.problems)
        return (*rejected, *self._outcome.problems, *self._circles)
