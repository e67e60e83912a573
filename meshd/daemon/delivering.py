"""What a pass prepared, in the terms of the delivery room: addresses join it here, and verdicts go back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from meshd import reconcile
from meshd.deliver.delivery import Delivery, ProxyTarget, Refused, Target
from meshd.deliver.error import DeliveryError
from meshd.envoy import assignments
from meshd.envoy.resource import EnvoyResource
from meshd.memo import Memo
from meshd.names import DnsName, ProxyName, RevisionId
from meshd.problems import NOWHERE, Problem, Problems
from meshd.reconcile import Prepared
from meshd.resolve.answer import Answer

_FORGOTTEN: Final = Problem(
    code="E-ENVOY-REFUSED",
    at=NOWHERE,
    message="Envoy refused this revision before meshd was started again",
    hint="`meshd sync` tries it again and says why",
)

_REMEMBERED: Final = 100
"""Refusals whose reasons are known; older ones are known to be refused, and no more."""

Answers = Callable[[], Mapping[DnsName, Answer]]


class Delivering:
    """Implements `reconcile.Delivery`."""

    def __init__(self, delivery: Delivery, answers: Answers, aside: reconcile.Aside) -> None:
        self._delivery = delivery
        self._answers = answers
        self._aside = aside
        self._memo = Memo()
        self._refusals: dict[RevisionId, Problems] = {}

    async def deliver(self, prepared: Prepared, /) -> reconcile.Verdict:
        assigned = await self._assigned(prepared)
        proxies = {
            proxy: ProxyTarget(
                rendered=configuration.rendered, assignments=assigned[proxy], secrets=configuration.plan.secrets
            )
            for proxy, configuration in prepared.proxies.items()
        }
        try:
            outcome = await self._delivery.deliver(Target(revision=prepared.revision, proxies=proxies))
        except OSError as error:
            raise _of_the_disk(error) from error
        if isinstance(outcome, Refused):
            self._remember(prepared.revision, outcome.problems)
            return reconcile.Refused(problems=outcome.problems, passing=outcome.stage == "secrets")
        return reconcile.Delivered(generation=outcome.generation.number, sent=outcome.resources)

    def refusal(self, revision: RevisionId, /) -> Problems | None:
        if not self._delivery.is_refused(revision):
            return None
        return self._refusals.get(revision, (_FORGOTTEN,))

    async def forget_refusals(self, revisions: tuple[RevisionId, ...]) -> None:
        """Somebody asks for another try."""
        for revision in revisions:
            self._refusals.pop(revision, None)
            try:
                await self._aside(self._delivery.forget_refusal, revision)
            except OSError as error:
                raise _of_the_disk(error) from error

    def _remember(self, revision: RevisionId, problems: Problems) -> None:
        self._refusals[revision] = problems
        while len(self._refusals) > _REMEMBERED:
            del self._refusals[next(iter(self._refusals))]

    async def push_endpoints(self, prepared: Prepared) -> int:
        """Sends what the DNS answers changed; how many assignments that was."""
        return self._delivery.push_endpoints(await self._assigned(prepared))

    async def _assigned(self, prepared: Prepared) -> dict[ProxyName, tuple[EnvoyResource, ...]]:
        addresses = {name: _first_leading(answer) for name, answer in self._answers().items()}
        return await self._aside(self._assign, prepared, addresses)

    def _assign(
        self, prepared: Prepared, addresses: Mapping[DnsName, tuple[str, ...]]
    ) -> dict[ProxyName, tuple[EnvoyResource, ...]]:
        assigned = {
            proxy: assignments(configuration.plan, addresses, self._memo)
            for proxy, configuration in prepared.proxies.items()
        }
        self._memo.turn()
        return assigned


def _of_the_disk(error: OSError) -> DeliveryError:
    return DeliveryError(f"{error.filename}: {error.strerror}", "is the disk full, or not writable?")


def _first_leading(answer: Answer) -> tuple[str, ...]:
    """The address for who wants only one comes first; the order of the others has no meaning."""
    if not answer.first:
        return answer.addresses
    return (answer.first, *(address for address in answer.addresses if address != answer.first))
