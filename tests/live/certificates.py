"""A certificate authority for one session, and what it signs; made by openssl, good for two days."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW = ("openssl", "req", "-x509", "-nodes", "-days", "2")
_ECDSA = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
_RSA = ("-newkey", "rsa:2048")


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

    def signed(self, name: str, *alternatives: str, rsa: bool = False) -> Pair:
        """A certificate with subject `name`, and with `DNS:...` and `URI:...` alternatives."""
        more = ("-CA", str(self.file), "-CAkey", str(self.key), "-addext", "basicConstraints=critical,CA:FALSE")
        named = ("-addext", f"subjectAltName={','.join(alternatives)}")
        return _made(self.directory, name, *more, *named, kind=_RSA if rsa else _ECDSA)

    def expired(self, name: str, *alternatives: str) -> Pair:
        """One whose last day was yesterday."""
        stem = self.directory / name
        pair, request = Pair(chain=stem.with_suffix(".pem"), key=stem.with_suffix(".key")), stem.with_suffix(".csr")
        asked = ("openssl", "req", "-new", "-nodes", *_ECDSA, "-subj", f"/CN={name}", "-keyout", pair.key)
        named = ("-addext", f"subjectAltName={','.join(alternatives)}", "-out", request)
        signed = ("openssl", "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-days", "-1")
        for command in ((*asked, *named), (*signed, "-copy_extensions", "copyall", "-out", pair.chain)):
            subprocess.run(command, check=True, capture_output=True)
        return pair

    def revoking(self, pair: Pair) -> Path:
        """A list of revocations with this certificate on it."""
        directory = self.directory / "revoked"
        directory.mkdir()
        (directory / "index.txt").touch()
        config = directory / "ca.cnf"
        lines = ("[ca]", "default_ca=own", "[own]", f"database={directory}/index.txt", "default_md=sha256")
        config.write_text("\n".join((*lines, "default_crl_days=2", "")))
        command = ("openssl", "ca", "-config", config, "-cert", self.file, "-keyfile", self.key)
        for more in (("-revoke", pair.chain), ("-gencrl", "-out", directory / "ca.crl")):
            subprocess.run([*command, *more], check=True, capture_output=True)
        return directory / "ca.crl"


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


def _made(directory: Path, name: str, *more: str, kind: tuple[str, ...] = _ECDSA) -> Pair:
    stem = directory / name.replace(" ", "-")
    pair = Pair(chain=stem.with_suffix(".pem"), key=stem.with_suffix(".key"))
    files = ("-keyout", str(pair.key), "-out", str(pair.chain))
    subprocess.run([*_NEW, *kind, "-subj", f"/CN={name}", *more, *files], check=True, capture_output=True)
    return pair
