"""What a pass prepared, in the terms of the delivery room: addresses and health join it here, and verdicts go back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from meshd import reconcile
from meshd.daemon.second_tries import SecondTries
from meshd.deliver.delivery import Delivery
from meshd.deliver.on_disk import of_the_disk
from meshd.deliver.target import ProxyTarget, Refused, Target
from meshd.envoy import affected, assignments
from meshd.envoy.answers import Resolved
from meshd.envoy.resource import EnvoyResource
from meshd.memo import Memo
from meshd.names import DnsName, ProxyName, RevisionId
from meshd.problems import NOWHERE, Problem, Problems
from meshd.reconcile import Prepared
from meshd.resolve.answer import Answer

log = structlog.get_logger()

_FORGOTTEN: Final = Problem(
    code="E-ENVOY-REFUSED",
    at=NOWHERE,
    message="Envoy refused this revision before meshd was started again",
    hint="`meshd sync` tries it again and says why",
)

_REMEMBERED: Final = 100
"""Refusals whose reasons are known; older ones are known to be refused, and no more."""

Answers = Callable[[], Mapping[DnsName, Answer]]
Unhealthy = Callable[[], frozenset[str]]
"""The workloads of this host, `namespace/name`, that their probes found unhealthy."""

Assigned = dict[ProxyName, tuple[EnvoyResource, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What endpoints depend on, at one moment."""

    answers: Mapping[DnsName, Answer]
    unhealthy: frozenset[str]

    def differing(self, before: _Known) -> list[str]:
        """Names and workloads of which something else may be known now. An answer that is kept is the same object."""
        answers, were = self.answers, before.answers
        names: list[str] = [name for name, answer in answers.items() if were.get(name) is not answer]
        names += were.keys() - answers.keys()
        return [*names, *(self.unhealthy ^ before.unhealthy)]


class _Addresses(Mapping[DnsName, Resolved]):
    """Of each name, once it is asked for: of ten thousand names a change concerns a few."""

    __slots__ = ("_answers",)

    def __init__(self, answers: Mapping[DnsName, Answer]) -> None:
        self._answers = answers

    def __getitem__(self, name: DnsName) -> Resolved:
        return resolved(self._answers[name])

    def __iter__(self) -> Iterator[DnsName]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)


class Delivering:
    """Implements `reconcile.Delivery`."""

    def __init__(
        self,
        delivery: Delivery,
        answers: Answers,
        aside: reconcile.Aside,
        unhealthy: Unhealthy = frozenset,
        second_tries: SecondTries | None = None,
    ) -> None:
        self._delivery = delivery
        self._answers = answers
        self._unhealthy = unhealthy
        self._aside = aside
        self._memo = Memo()
        self._last: tuple[Prepared, _Known] | None = None
        self._refusals: dict[RevisionId, Problems] = {}
        self._second_tries = second_tries or SecondTries()

    async def deliver(self, prepared: Prepared, /) -> reconcile.Verdict:
        assigned = await self._assigned(prepared)
        proxies = {
            proxy: ProxyTarget(
                rendered=configuration.rendered,
                assignments=assigned[proxy],
                secrets=configuration.plan.secrets,
                credentials=configuration.plan.credentials,
            )
            for proxy, configuration in prepared.proxies.items()
        }
        tries = self._second_tries.tries(prepared.revision)
        if tries:
            log.info("revision.tried-again", revision=prepared.revision, tries=tries + 1)
        try:
            outcome = await self._delivery.deliver(Target(revision=prepared.revision, proxies=proxies))
        except OSError as error:
            raise of_the_disk(error) from error
        if isinstance(outcome, Refused):
            self._remember(prepared.revision, outcome)
            return reconcile.Refused(problems=outcome.problems)
        self._second_tries.forget(prepared.revision)
        return reconcile.Delivered(generation=outcome.generation.number, sent=outcome.resources)

    def refusal(self, revision: RevisionId, /) -> Problems | None:
        late = self._second_tries.problems(revision)
        if late is not None:
            return None if self.is_due(revision) else late
        if not self._delivery.is_refused(revision):
            return None
        return self._refusals.get(revision, (_FORGOTTEN,))

    def is_due(self, revision: RevisionId, /) -> bool:
        """It came too late some time ago, and the proxies have caught up since then."""
        return self._second_tries.is_due(revision) and not self._delivery.awaits

    async def forget_refusals(self, revisions: tuple[RevisionId, ...]) -> None:
        """Somebody asks for another try."""
        for revision in revisions:
            self._refusals.pop(revision, None)
            self._second_tries.forget(revision)
            try:
                await self._aside(self._delivery.forget_refusal, revision)
            except OSError as error:
                raise of_the_disk(error) from error

    def _remember(self, revision: RevisionId, refused: Refused) -> None:
        if refused.stage == "patience":
            self._second_tries.put_off(revision, refused.problems)
            return
        self._second_tries.forget(revision)
        self._refusals[revision] = refused.problems
        while len(self._refusals) > _REMEMBERED:
            del self._refusals[next(iter(self._refusals))]

    async def push_endpoints(self, prepared: Prepared) -> int:
        """Sends what answers and probes changed; how many assignments that was."""
        return self._delivery.push_endpoints(await self._aside(self._changed, prepared, self._known()))

    async def renew_secrets(self, prepared: Prepared) -> int:
        """Sends what other files on this host change; how many secrets that were. Raises DeliveryError."""
        secrets = {proxy: configuration.plan.secrets for proxy, configuration in prepared.proxies.items()}
        return await self._delivery.renew_secrets(secrets)

    async def _assigned(self, prepared: Prepared) -> Assigned:
        return await self._aside(self._assign, prepared, self._known())

    def _known(self) -> _Known:
        return _Known(answers=self._answers(), unhealthy=self._unhealthy())

    def _assign(self, prepared: Prepared, known: _Known) -> Assigned:
        assigned = {
            proxy: assignments(configuration.plan, _Addresses(known.answers), self._memo, known.unhealthy)
            for proxy, configuration in prepared.proxies.items()
        }
        self._memo.turn()
        self._last = prepared, known
        return assigned

    def _changed(self, prepared: Prepared, known: _Known) -> Assigned:
        """Of the plans whose endpoints were assigned last, only what depends on something that differs since then."""
        if self._last is None or self._last[0] is not prepared:
            return self._assign(prepared, known)
        differing, addresses = known.differing(self._last[1]), _Addresses(known.answers)
        self._last = prepared, known
        return {
            proxy: affected(configuration.plan, differing, addresses, self._memo, known.unhealthy)
            for proxy, configuration in prepared.proxies.items()
        }


def resolved(answer: Answer) -> Resolved:
    """The address for who wants only one comes first; the order of the others has no meaning."""
    if answer.targets:
        return tuple(sorted(answer.targets, key=lambda target: (target.ip != answer.first, target)))
    if not answer.first:
        return answer.addresses
    return (answer.first, *(address for address in answer.addresses if address != answer.first))
