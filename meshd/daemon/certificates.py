"""A file of a secret, the time of day, and whether the proxies use it -> a certificate as status tells it, and the log.

Credentials are told in the same list, though nothing of them has a date. What the files hold comes from
`deliver/certificates.py` and `deliver/credential_files.py`. When to look is `certificate_watch.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import structlog

from meshd.control import Json
from meshd.deliver.certificates import Content, Fault, HostFile, Kind
from meshd.deliver.lifetime import Stage
from meshd.names import ProxyName
from meshd.plan import Credentials
from meshd.problems import Origin

log = structlog.get_logger()

State = Literal["ok", "expires", "expired", "missing", "unreadable", "invalid"]

_STATES: Final[Mapping[Stage, State]] = {
    "ok": "ok",
    "early": "invalid",
    "expires": "expires",
    "urgent": "expires",
    "expired": "expired",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One file that proxies of this host take, and how it is with it.

    `secret`: as Envoy knows it; empty of credentials, which Envoy reads by their path. `credential` is empty where the
    resource names the file itself. `urgent`: it expires within a week. `in_use`: the proxies run with what the file
    holds now; None while that is not known.
    """

    proxies: tuple[ProxyName, ...]
    kind: Kind | Literal["credentials"]
    path: str
    secret: str
    credential: str
    subject: str = ""
    names: tuple[str, ...] = ()
    serial: int | None = None
    count: int = 0
    expires: datetime | None = None
    state: State
    urgent: bool = False
    in_use: bool | None = None
    reason: str = ""
    origin: Origin

    @property
    def good(self) -> bool:
        return self.state in {"ok", "expires"} and not self.superseding

    def as_json(self) -> Json:
        """The stable keys of `status -o json`. `from`: who names it, as of a problem."""
        at, resource = self.origin, self.origin.resource
        return {
            "path": self.path,
            "kind": self.kind,
            "credential": self.credential or None,
            "secret": self.secret,
            "proxies": list(self.proxies),
            "state": self.state,
            "reason": self.reason,
            "subject": self.subject,
            "names": list(self.names),
            "serial": f"{self.serial:x}" if self.serial is not None else None,
            "count": self.count,
            "expires": self.expires.isoformat() if self.expires is not None else None,
            "inUse": self.in_use,
            "from": {
                "file": at.file,
                "line": at.line,
                "column": at.column,
                "path": at.path,
                "resource": resource
                and {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name},
            },
        }

    @property
    def superseding(self) -> bool:
        """It is fine, and the proxies have another one."""
        return self.state in {"ok", "expires"} and self.in_use is False


def judged(file: HostFile, proxies: tuple[ProxyName, ...], now: datetime, *, used: bool | None) -> Certificate:
    secret = file.secret
    unread = Certificate(
        proxies=proxies,
        kind=file.kind,
        path=file.path,
        secret=secret.name,
        credential=_credential(file.path, secret.below),
        state="ok",
        origin=secret.origin,
    )
    if isinstance(file.found, Fault):
        return replace(unread, state=file.found.flaw, reason=file.found.text)
    return _read(unread, file.found, now, used=used)


def credentials_judged(credentials: Credentials, proxies: tuple[ProxyName, ...], fault: Fault | None) -> Certificate:
    return Certificate(
        proxies=proxies,
        kind="credentials",
        path=credentials.file,
        secret="",
        credential=_credential(credentials.file, credentials.below),
        state=fault.flaw if fault else "ok",
        reason=fault.text if fault else "",
        origin=credentials.origin,
    )


def _read(unread: Certificate, found: Content, now: datetime, *, used: bool | None) -> Certificate:
    stage = found.lifetime.stage(now)
    return replace(
        unread,
        subject=found.subject,
        names=found.names,
        serial=found.serial,
        count=found.count,
        expires=found.lifetime.ends,
        state=_STATES[stage],
        urgent=stage == "urgent",
        in_use=used,
        reason=_reason(stage, found, used=used),
    )


def _reason(stage: Stage, found: Content, *, used: bool | None) -> str:
    if stage == "early":
        return f"it does not hold before {found.lifetime.begins:%Y-%m-%d %H:%M} UTC"
    if stage == "expired":
        return f"it ran out {found.lifetime.ends:%Y-%m-%d %H:%M} UTC; put a newer one in its place"
    if used is False:
        return "the proxy still has another one: does the key fit, may the proxy read both, and does Envoy watch it?"
    return ""


def _credential(path: str, below: str) -> str:
    return path.removeprefix(below).strip("/").rpartition("/")[0] if below else ""


def tell(before: Iterable[Certificate], after: Iterable[Certificate]) -> None:
    """What got better or worse, once."""
    known = {(each.secret, each.kind, each.path): each for each in before}
    for each in after:
        was = known.get((each.secret, each.kind, each.path))
        if was is None:
            if _grade(each) != ("ok", False, False):
                _log(each)
        elif _grade(was) != _grade(each):
            _log(each)
        elif was.serial != each.serial:
            log.info("certificate.renewed", path=each.path, subject=each.subject, expires=_when(each.expires))


def _grade(certificate: Certificate) -> tuple[State, bool, bool]:
    return certificate.state, certificate.urgent, certificate.superseding


def _log(certificate: Certificate) -> None:
    quiet = certificate.state in {"ok", "unreadable"} and not certificate.superseding
    say = log.info if quiet else log.warning
    say(
        f"{_called(certificate)}.{'unused' if certificate.superseding else certificate.state}",
        path=certificate.path,
        subject=certificate.subject,
        expires=_when(certificate.expires),
        why=certificate.reason,
        at=str(certificate.origin) if certificate.origin.file else "",
    )


def _called(certificate: Certificate) -> str:
    return "credentials" if certificate.kind == "credentials" else "certificate"


def _when(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""
