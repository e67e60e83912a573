"""The files of secrets on this host -> which of the optional ones are there, and what is wrong with those in use.

Envoy would find out too, later and in words that name no resource. Keys are never read here, only looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from meshd.deliver.snapshot import Snapshot
from meshd.envoy.resource import EnvoyResource
from meshd.envoy.secrets import files_of, is_identity, optional_files
from meshd.envoy.secrets import secrets as envoy_secrets
from meshd.memo import Memo
from meshd.plan import CertificateSecret, Secret
from meshd.problems import Origin, Problem, Problems

_CERTIFICATES = (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN TRUSTED CERTIFICATE-----")
_REVOCATIONS = (b"-----BEGIN X509 CRL-----",)
_LARGEST = 16 * 1024 * 1024
_IN_PLACE = "it must be on this host, where its Envoys may read it"
_IDENTITY = "it is this host's identity, for mutual TLS with what has a service account; without it: `autoMtls: false`"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, and what to do about it."""

    message: str
    hint: str = _IN_PLACE


def present(secrets: Iterable[Secret]) -> frozenset[str]:
    """The optional files that are there. One that a link leads out of its store is not."""
    return frozenset(file for secret in secrets for file in optional_files(secret) if _is_there(file, secret.below))


def problems(secret: Secret, found: frozenset[str]) -> Problems:
    """`found`: what `present` says."""
    return tuple(_problem(secret.origin, fault) for fault in _faults(secret, files_of(secret, found)))


def readable(secret: Secret, found: frozenset[str]) -> bool:
    """By meshd, so that its Envoy can judge it. What only the proxies may read, they judge."""
    return all(os.access(file, os.R_OK) for file in files_of(secret, found))


def chosen_anew(secrets: Iterable[Secret], served: Snapshot) -> tuple[EnvoyResource, ...]:
    """Of those that are served, where other files are to be used now, and can be."""
    choosing = [secret for secret in secrets if optional_files(secret) and secret.name in served.secrets]
    found = present(choosing)
    resources = zip(choosing, envoy_secrets(choosing, found, Memo()), strict=True)
    return tuple(
        resource
        for secret, resource in resources
        if resource.version != served.secrets[secret.name].version and not problems(secret, found)
    )


def _faults(secret: Secret, files: tuple[str, ...]) -> Iterator[Fault]:
    first, *second = files
    yield from _fault("certificate" if isinstance(secret, CertificateSecret) else "CA", first, secret, _CERTIFICATES)
    for file in second:
        if isinstance(secret, CertificateSecret):
            yield from _fault("private key", file, secret, ())
        else:
            yield from _fault("revocation list", file, secret, _REVOCATIONS)


def _fault(what: str, file: str, secret: Secret, marks: tuple[bytes, ...]) -> Iterator[Fault]:
    """`marks`: one of them begins what must be inside; none, and the file is not opened."""
    try:
        path = resolved(file, secret.below)
        if path is None:
            yield _absent(what, file, secret)
        elif not stat.S_ISREG(path.stat().st_mode):
            yield Fault(f"{what} {file} is no file")
        elif marks and os.access(path, os.R_OK) and not _holds(path, marks):
            yield Fault(f"{what} {file} is not PEM", f"it needs a line `{marks[0].decode()}`")
    except PermissionError:
        return  # in a directory that is closed to meshd; whether the proxy gets in, it will say itself
    except OSError as error:
        yield Fault(f"{what} {file}: {error.strerror}")
    except ValueError:
        yield Fault(f"{what} {file!r} is not the name of a file")


def _absent(what: str, file: str, secret: Secret) -> Fault:
    if os.path.lexists(file):
        where = f"out of {secret.below}" if secret.below else "to nowhere"
        return Fault(f"{what} {file} is a link that leads {where}", "put the file itself there")
    return Fault(f"{what} {file} does not exist", _IDENTITY if is_identity(secret.name) else _IN_PLACE)


def _is_there(file: str, below: str) -> bool:
    try:
        return resolved(file, below) is not None
    except (OSError, ValueError):
        return False


def resolved(file: str, below: str) -> Path | None:
    """Where it is, all links followed; None when it is not there, or not `below`."""
    path = Path(os.path.realpath(file))
    if below and not path.is_relative_to(os.path.realpath(below)):
        return None
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return path


def _holds(path: Path, marks: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        content = file.read(_LARGEST)
    return any(mark in content for mark in marks)


def _problem(at: Origin, fault: Fault) -> Problem:
    return Problem(code="E-SECRET-FILE", at=at, message=fault.message, hint=fault.hint)
