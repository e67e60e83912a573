"""Loads and removes the table, by the system's own `nft`, whatever the environment says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from meshd.capture.error import CaptureError
from meshd.capture.knock import loaded
from meshd.capture.table import REMOVAL, Table

_PLACES: Final = ("/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft")
_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_DEADLINE: Final = 20.0
"""Seconds. It takes milliseconds, unless somebody else's tables are huge and changing."""


def load(table: Table, places: tuple[str, ...] = _PLACES) -> None:
    """In one transaction with the removal of the one before it."""
    _nft(table.text, places)
    if loaded(table) != "same":
        hint = "does another table exempt the loopback from connection tracking (notrack)? `nft list ruleset` shows it"
        raise CaptureError("the table is loaded, and yet connections do not pass through it", hint)


def remove(places: tuple[str, ...] = _PLACES) -> None:
    """Nothing happens where it is not loaded."""
    _nft(REMOVAL, places)


def _nft(text: str, places: tuple[str, ...]) -> None:
    binary = next((place for place in places if Path(place).is_file()), None)
    if binary is None:
        raise CaptureError("there is no nft on this host", "install nftables (Debian, RHEL: package `nftables`)")
    try:
        done = subprocess.run(  # noqa: S603
            (binary, "-f", "-"),
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE,
            env=_ENVIRONMENT,
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"{binary} failed: {error}", "") from error
    if done.returncode != 0:
        raise _complaint(binary, done.stderr)


def _complaint(binary: str, said: str) -> CaptureError:
    words = " ".join(said.split())[:300] or "it said nothing"
    if "Operation not permitted" in said:
        hint = "run as root, or by the unit: `systemctl start meshd-capture`"
        return CaptureError("the tables of the kernel may only be changed with CAP_NET_ADMIN", hint)
    if "No such file or directory" in said or "not supported" in said:
        hint = "the kernel needs nf_tables with nat, redir and fib: `modprobe -a nft_chain_nat nft_redir nft_fib_inet`"
        return CaptureError(f"{binary}: {words}", hint)
    return CaptureError(f"{binary}: {words}", "please report this, with the output of `meshd capture show`")
