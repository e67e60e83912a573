"""A certificate authority for as long as the demo lasts, and one server certificate of it; made by openssl."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshd.demo.commands import run

_NEW: Final = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """`authority` is what a client trusts; the other two are the server's. All are PEM files."""

    authority: Path
    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context


async def issue(directory: Path, host: str) -> Certificate:
    """Into `directory`, with which the authority's key goes. Both are good for two days."""
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    made = Certificate(authority=authority, chain=directory / "server.pem", key=directory / "server.key")
    await run(
        *(*_NEW, "-days", "2", "-subj", "/CN=meshd demo CA"),
        *("-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", str(authority_key), "-out", str(authority)),
        cwd=directory,
    )
    await run(
        *(*_NEW, "-days", "2", "-subj", f"/CN={host}"),
        *("-CA", str(authority), "-CAkey", str(authority_key)),
        *("-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE"),
        *("-keyout", str(made.key), "-out", str(made.chain)),
        cwd=directory,
    )
    return made
