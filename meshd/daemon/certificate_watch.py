"""When the certificates and credentials of what is served are looked at: on a schedule and soon after a delivery, never
on the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from meshd.daemon.certificates import Certificate, credentials_judged, judged, tell
from meshd.deliver import credential_files
from meshd.deliver.certificates import CertificateFiles, Content, Fault, HostFile
from meshd.names import ProxyName, SecretName
from meshd.plan import Credentials, ProxyPlan, Secret
from meshd.proxies.admin import InUse

log = structlog.get_logger()

EVERY: Final = timedelta(seconds=2)
ASK_EVERY: Final = timedelta(minutes=1)
"""A proxy that gave no answer."""
DOUBT_EVERY: Final = timedelta(seconds=10)
READING: Final = timedelta(seconds=1.5)
"""What Envoy is given to read a file that is new."""
MOST_LISTED: Final = 3_000
"""Certificates that Envoy may have to list: it does so for each cluster and chain anew. With the roots of the system in
1 000 clusters that is 39 MB and a second, in which it would do nothing else.
"""
_SHARE: Final = 100
"""A look is followed by a pause of so many times its length, at least: thousands of files cost 1 % of one CPU."""

Secrets = Mapping[ProxyName, tuple[Secret, ...]]


class Host(Protocol):
    """Whose certificates they are."""

    def secrets(self) -> Secrets | None:
        """Of each proxy, as it was told; None while that is not understood yet."""

    def plans(self) -> tuple[ProxyPlan, ...]: ...

    async def in_use(self, proxy: ProxyName, /) -> InUse | None:
        """What it has read; None when it does not say."""


class CertificateWatch:
    """`seen` is given what is known, after every look."""

    def __init__(
        self, host: Host, now: Callable[[], datetime], seen: Callable[[tuple[Certificate, ...]], None]
    ) -> None:
        self._host = host
        self._now = now
        self._told = seen
        self._files = CertificateFiles()
        self._found: tuple[HostFile, ...] = ()
        self._seen: tuple[Certificate, ...] = ()
        self._use = _Use(host)
        self._again = asyncio.Event()
        self._crash = ""

    def soon(self) -> None:
        """Other certificates may be in use than a moment ago."""
        self._again.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.monotonic()
            await self._looked()
            pause = max(EVERY.total_seconds(), (time.monotonic() - began) * _SHARE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._again.wait()
            self._again.clear()

    async def _looked(self) -> None:
        try:
            await self.look()
        except Exception as error:
            # What only watches must not end; and a fault that stays is one event.
            if repr(error) != self._crash:
                log.exception("certificates.crashed", next="please report this")
            self._crash = repr(error)

    async def look(self) -> None:
        secrets = self._host.secrets()
        if secrets is None:
            return
        distinct = tuple(dict.fromkeys(secret for each in secrets.values() for secret in each))
        before, self._found = self._found, await asyncio.to_thread(self._files.look, distinct)
        shown = await asyncio.to_thread(_shown, self._host.plans())
        now = self._now()
        await self._use.look(self._found, frozenset(self._found) - frozenset(before), secrets, now)
        was, self._seen = self._seen, (*self._certificates(secrets, now), *shown)
        tell(was, self._seen)
        self._told(self._seen)

    def _certificates(self, secrets: Secrets, now: datetime) -> Iterator[Certificate]:
        for each in self._found:
            yield judged(each, _takers(each, secrets), now, used=self._use.of(each))


def _shown(plans: tuple[ProxyPlan, ...]) -> tuple[Certificate, ...]:
    """The credentials that the proxies show to others. Envoy says nothing of these, so each look is at the files."""
    takers: dict[Credentials, list[ProxyName]] = {}
    for plan in plans:
        for each in plan.credentials:
            takers.setdefault(each, []).append(plan.proxy)
    return tuple(
        credentials_judged(each, tuple(proxies), credential_files.fault(each)) for each, proxies in takers.items()
    )


class _Use:
    """Whether the proxies have read what the files hold. They are asked when a file is another one, until all of them
    have it: each answer costs Envoy's main thread a list of all that it has.

    Of a file that is new nothing is known until the next look, and a proxy that was found to have another certificate
    is asked twice before that is told: it may be about to read.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._fresh: frozenset[HostFile] = frozenset()
        self._known: Mapping[HostFile, bool] = {}
        self._doubted: frozenset[HostFile] = frozenset()
        self._ask_at: datetime | None = None

    def of(self, file: HostFile) -> bool | None:
        used = self._known.get(file)
        if file in self._fresh or (used is False and file not in self._doubted):
            return None
        return used

    async def look(
        self, files: tuple[HostFile, ...], fresh: frozenset[HostFile], secrets: Secrets, now: datetime
    ) -> None:
        self._fresh = fresh
        if fresh:
            self._ask_at = now + READING
        elif self._ask_at is not None and now >= self._ask_at:
            before = frozenset(file for file, used in self._known.items() if not used)
            answers = await self._answers(files)
            says = {proxy: answer for proxy, answer in answers.items() if answer is not None}
            self._known = dict(_used(files, secrets, says))
            others = frozenset(file for file, used in self._known.items() if not used)
            self._doubted = others & before
            self._ask_at = _next(now, others=others, before=before, silent=len(says) < len(answers))

    async def _answers(self, files: tuple[HostFile, ...]) -> Mapping[ProxyName, InUse | None]:
        counts = {file.secret.name: file.found.count for file in files if isinstance(file.found, Content)}
        proxies = [plan.proxy for plan in self._host.plans() if 0 < listed(plan, counts) <= MOST_LISTED]
        answers = await asyncio.gather(*(self._host.in_use(proxy) for proxy in proxies))
        return dict(zip(proxies, answers, strict=True))


def _next(now: datetime, *, others: frozenset[HostFile], before: frozenset[HostFile], silent: bool) -> datetime | None:
    """None once all are in use: what a proxy has read it keeps."""
    if others:
        return now + (DOUBT_EVERY if others == before else READING)
    return now + ASK_EVERY if silent else None


def _used(
    files: tuple[HostFile, ...], secrets: Secrets, says: Mapping[ProxyName, InUse]
) -> Iterator[tuple[HostFile, bool]]:
    for file in files:
        used = _has(file, [says[proxy] for proxy in _takers(file, secrets) if proxy in says])
        if used is not None:
            yield file, used


def listed(plan: ProxyPlan, counts: Mapping[SecretName, int]) -> int:
    """How many certificates Envoy lists when it is asked. `counts`: those in each secret."""
    upstream = (tls for cluster in plan.clusters for tls in (cluster.tls, cluster.mesh_tls) if tls is not None)
    downstream = (chain.tls for listener in plan.listeners for chain in listener.chains if chain.tls is not None)
    names = [name for tls in upstream for name in (tls.certificate, tls.validation)]
    names += [name for tls in downstream for name in (*tls.certificates, tls.validation)]
    return sum(counts.get(name, 1) for name in names if name is not None)


def _has(file: HostFile, proxies: list[InUse]) -> bool | None:
    """Of lists of revocations Envoy says nothing."""
    if file.kind == "crl" or isinstance(file.found, Fault) or not proxies:
        return None
    serial, certificate = file.found.serial, file.kind == "certificate"
    return all(serial in (each.certificates if certificate else each.authorities) for each in proxies)


def _takers(file: HostFile, secrets: Secrets) -> tuple[ProxyName, ...]:
    return tuple(proxy for proxy, taken in secrets.items() if file.secret in taken)
