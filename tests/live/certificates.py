"""A certificate authority for one session, and what it signs; made by openssl, good for two days."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two PEM files."""

    chain: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Authority:
    """`file` is what clients trust."""

    directory: Path
    file: Path
    key: Path

    def signed(self, name: str, *alternatives: str) -> Pair:
        """A certificate with subject `name`, and with `DNS:...` and `URI:...` alternatives."""
        more = ("-CA", str(self.file), "-CAkey", str(self.key), "-addext", "basicConstraints=critical,CA:FALSE")
        return _made(self.directory, name, *more, "-addext", f"subjectAltName={','.join(alternatives)}")


def authority(directory: Path, name: str = "live CA") -> Authority:
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    pair = _made(directory, name, *usage)
    return Authority(directory=directory, file=pair.chain, key=pair.key)


def server_context(pair: Pair, *, clients: Authority | None = None, h2: bool = False) -> ssl.SSLContext:
    """`clients`: only those are taken whose certificate this authority signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.chain, pair.key)
    if clients:
        context.load_verify_locations(clients.file)
        context.verify_mode = ssl.CERT_REQUIRED
    if h2:
        context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _made(directory: Path, name: str, *more: str) -> Pair:
    stem = directory / name.replace(" ", "-")
    pair = Pair(chain=stem.with_suffix(".pem"), key=stem.with_suffix(".key"))
    files = ("-keyout", str(pair.key), "-out", str(pair.chain))
    subprocess.run([*_NEW, "-subj", f"/CN={name}", *more, *files], check=True, capture_output=True)
    return pair
