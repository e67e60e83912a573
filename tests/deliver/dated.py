"""Certificates and lists of revocations with dates of one's choice: an authority by `openssl ca`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.deliver.certificates import Pair, made

_CONFIGURATION = """\
[ca]
default_ca=own
[own]
database={directory}/index.txt
new_certs_dir={directory}
serial={directory}/serial
default_md=sha256
unique_subject=no
policy=any
copy_extensions=copy
default_crl_days=30
[any]
commonName=supplied
organizationName=optional
"""


@dataclass(frozen=True, kw_only=True)
class Authority:
    directory: Path
    own: Pair

    def signed(self, subject: str, begins: datetime, ends: datetime, *, names: str = "", stem: str = "tls") -> Pair:
        """`subject` as openssl takes it, `/CN=shop.example`; `names` a subjectAltName."""
        pair = Pair(chain=self.directory / f"{stem}.crt", key=self.directory / f"{stem}.key")
        request = self.directory / f"{stem}.csr"
        named = ["-addext", f"subjectAltName={names}"] if names else []
        new = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-utf8"]
        _openssl(*new, "-subj", subject, *named, "-keyout", pair.key, "-out", request)
        dates = ["-startdate", _written(begins), "-enddate", _written(ends)]
        files = ["-in", request, "-out", pair.chain]
        self._ca("-batch", "-notext", "-rand_serial", "-utf8", *dates, *files)
        return pair

    def revocations(self, begins: datetime, ends: datetime) -> Path:
        file = self.directory / "ca.crl"
        self._ca("-gencrl", "-crl_lastupdate", _written(begins), "-crl_nextupdate", _written(ends), "-out", file)
        return file

    def _ca(self, *arguments: str | Path) -> None:
        keys = ["-cert", self.own.chain, "-keyfile", self.own.key]
        _openssl("ca", "-config", self.directory / "ca.cnf", *keys, *arguments)


def authority(directory: Path) -> Authority:
    own = made(directory, "dated CA", stem="ca")
    (directory / "ca.cnf").write_text(_CONFIGURATION.format(directory=directory))
    (directory / "index.txt").touch()
    return Authority(directory=directory, own=own)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _written(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%SZ}"
