"""The secrets of a plan -> what their files on this host are: whom they name and how long they hold, or what is wrong.

Keys are looked at, never read. What only the proxies may read is told as that; it is no fault.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from meshd.deliver import secret_files
from meshd.deliver.files import marks
from meshd.deliver.lifetime import Lifetime
from meshd.deliver.x509 import Certificate, MalformedError, certificates, revocations
from meshd.envoy.secrets import files_of
from meshd.plan import CertificateSecret, Secret

Kind = Literal["certificate", "ca", "crl"]
Flaw = Literal["missing", "unreadable", "invalid"]

_LARGEST: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds: `subject` and `names` of its first certificate, and how many there are.

    `serials`: of the first, as Envoy tells which it uses. `lifetime` of a chain is that of its first to end, of many
    authorities the last one's.
    """

    subject: str
    names: tuple[str, ...] = ()
    serial: int | None = None
    count: int = 1
    lifetime: Lifetime


@dataclass(frozen=True, slots=True)
class Fault:
    flaw: Flaw
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFile:
    """One file of one secret, but for keys: those are seen in the `found` of their certificate.

    `marks`: which files they are at this moment, with the key; another one may mean another verdict of Envoy.
    """

    secret: Secret
    kind: Kind
    path: str
    marks: tuple[str, ...] = ()
    found: Content | Fault


class CertificateFiles:
    """Reads a file again only if it is another one than before. Blocking."""

    def __init__(self) -> None:
        self._known: dict[tuple[Kind, str], tuple[str, Content | Fault]] = {}

    def look(self, secrets: Iterable[Secret]) -> tuple[HostFile, ...]:
        wanted = tuple(secrets)
        optional = secret_files.present(wanted)
        files = [self._file(secret, *each) for secret in wanted for each in _files(secret, optional)]
        seen = {(each.kind, each.path) for each in files}
        self._known = {key: known for key, known in self._known.items() if key in seen}
        return tuple(files)

    def _file(self, secret: Secret, kind: Kind, path: str) -> HostFile:
        found = _absent(secret, path) or self._content(kind, path)
        if isinstance(secret, CertificateSecret) and isinstance(found, Content):
            found = _absent(secret, secret.private_key, "its private key ") or found
        files = [path, secret.private_key] if isinstance(secret, CertificateSecret) else [path]
        return HostFile(secret=secret, kind=kind, path=path, marks=tuple(marks(files).values()), found=found)

    def _content(self, kind: Kind, path: str) -> Content | Fault:
        mark = marks([path])[path]
        known, content = self._known.get((kind, path), ("", None))
        if content is None or known != mark or not mark:
            content = _read(kind, path)
            self._known[kind, path] = mark, content
        return content


def _files(secret: Secret, optional: frozenset[str]) -> Iterator[tuple[Kind, str]]:
    first, *second = files_of(secret, optional)
    if isinstance(secret, CertificateSecret):
        yield "certificate", first
        return
    yield "ca", first
    for crl in second:
        yield "crl", crl


def _absent(secret: Secret, path: str, what: str = "it ") -> Fault | None:
    """None for what is in a directory that is closed to meshd: whether it is there, the proxy will see."""
    try:
        if secret_files.resolved(path, secret.below) is not None:
            return None
    except PermissionError:
        return None
    except (OSError, ValueError) as error:
        return Fault("invalid", f"{what}cannot be looked at: {error}")
    name = "" if what == "it " else f"({path}) "
    if os.path.lexists(path):
        where = f"out of {secret.below}" if secret.below else "to nowhere"
        return Fault("missing", f"{what}{name}is a link that leads {where}")
    return Fault("missing", f"{what}{name}does not exist")


def _read(kind: Kind, path: str) -> Content | Fault:
    try:
        file = Path(path)
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for
            return Fault("invalid", "it is no file")
        with file.open("rb") as stream:
            return _PARSE[kind](stream.read(_LARGEST))
    except PermissionError:
        return Fault("unreadable", "meshd may not read it, so nothing is known of its dates")
    except MalformedError as error:
        return Fault("invalid", str(error))
    except OSError as error:
        return Fault("invalid", f"it cannot be read: {error.strerror}")


def _chain(pem: bytes) -> Content:
    """It holds as long as all of it do."""
    return _of_certificates(certificates(pem), min)


def _authorities(pem: bytes) -> Content:
    """Of those that one may believe, old ones stay in the file: it holds as long as any of them."""
    return _of_certificates(certificates(pem), max)


def _of_certificates(found: tuple[Certificate, ...], last: Callable[[Iterable[datetime]], datetime]) -> Content:
    ends = last(each.ends for each in found)
    one = next(each for each in found if each.ends == ends)
    return Content(
        subject=found[0].subject,
        names=found[0].names,
        serial=found[0].serial,
        count=len(found),
        lifetime=Lifetime(begins=one.begins, ends=ends),
    )


def _lists(pem: bytes) -> Content:
    """Envoy takes nobody of an authority whose list is overdue."""
    found = revocations(pem)
    first = min(found, key=lambda each: (each.ends is None, each.ends))
    lifetime = Lifetime(begins=first.begins, ends=first.ends, short=True)
    return Content(subject=found[0].issuer, count=len(found), lifetime=lifetime)


_PARSE: Final[Mapping[Kind, Callable[[bytes], Content]]] = {"certificate": _chain, "ca": _authorities, "crl": _lists}
