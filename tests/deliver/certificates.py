"""Certificates as files that are renewed the way certbot does it: a new file, renamed over the old one."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate that is its own CA, and its key: PEM files."""

    chain: Path
    key: Path


def made(directory: Path, name: str, stem: str = "tls") -> Pair:
    """For `name`, as `<stem>.crt` and `<stem>.key`."""
    directory.mkdir(parents=True, exist_ok=True)
    pair = Pair(chain=directory / f"{stem}.crt", key=directory / f"{stem}.key")
    named = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    command = [*_NEW, *named, "-keyout", str(pair.key), "-out", str(pair.chain)]
    subprocess.run(command, check=True, capture_output=True)
    return pair


def renewed(old: Pair, new: Pair) -> None:
    new.chain.rename(old.chain)
    new.key.rename(old.key)


def trusting(ca: Path, client: Pair | None = None) -> ssl.SSLContext:
    """A client's context; the name on the certificate does not matter."""
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False
    if client:
        context.load_cert_chain(client.chain, client.key)
    return context
