"""The certificates in `meshd status`: those that need somebody first, and of the others no more than fit the screen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from meshd.cli.screen import mark, shortened, span, wrapped

_SHOWN: Final = 10
_MOST: Final = 20
"""Of those that need somebody: they have often one reason."""
_TAKEN: Final = 11
"""Columns, by the titles of the sections."""

_URGENCY: Final = ("expired", "missing", "invalid", "unreadable", "expires", "ok")
_WORDS: Final = {"certificate": "", "ca": "CA ", "crl": "revocations ", "credentials": "credentials "}

Certificate = dict[str, Any]


def certificate_lines(certificates: list[Certificate]) -> list[str]:
    ordered = sorted(certificates, key=_rank)
    needy = [each for each in ordered if _unwell(each)]
    shown = ordered[: min(max(len(needy), _SHOWN), _MOST)]
    more, bad = len(ordered) - len(shown), len(needy) - _MOST
    lines = [line for each in shown for line in _certificate(each)]
    how = f"{bad} of them not ok" if bad > 0 else "all ok"
    return lines + ([f"  and {more} more, {how}: `-o json` has them"] if more else [])


def _unwell(certificate: Certificate) -> bool:
    return certificate["state"] != "ok" or certificate["inUse"] is False


def _rank(certificate: Certificate) -> tuple[int, bool, str]:
    """What ends first comes first."""
    return _URGENCY.index(certificate["state"]), certificate["inUse"] is not False, certificate["expires"] or ""


def _certificate(certificate: Certificate) -> list[str]:
    good = certificate["state"] == "ok" and certificate["inUse"] is not False
    what = f"{_WORDS[certificate['kind']]}{shortened(certificate['path'], 48)}"
    line = f"{mark(good=good)} {what:<62} {_until(certificate)}"
    about = "  ".join(filter(None, [_who(certificate), _where(certificate["from"])]))
    lines = [about, certificate["reason"]]
    return [line, *(part for text in lines for part in wrapped(text, 2, room=_TAKEN))]


def _until(certificate: Certificate) -> str:
    if certificate["state"] not in {"ok", "expires"}:
        return str(certificate["state"])
    if certificate["inUse"] is False:
        return "not in use"
    if certificate["expires"] is None:
        return "ok"
    left = datetime.fromisoformat(certificate["expires"]) - datetime.now(UTC)
    return f"{certificate['expires'][:10]}, {span(left.total_seconds())} left"


def _who(certificate: Certificate) -> str:
    """Its subject, and the first of its names if that says something else."""
    if certificate["count"] > 1 and certificate["kind"] != "certificate":
        return f"{certificate['count']} of them"
    subject, names = certificate["subject"], certificate["names"]
    others = [name for name in names if subject != f"CN={name}"]
    more = ", …" if len(others) > 2 else ""
    alternatives = f"({', '.join(shortened(name, 40) for name in others[:2])}{more})" if others else ""
    return " ".join(filter(None, [shortened(subject, 60), alternatives]))


def _where(origin: dict[str, Any]) -> str:
    if not origin["file"]:
        return ""
    resource = origin["resource"]
    named = f" {resource['kind']} {resource['namespace']}/{resource['name']}" if resource else ""
    return f"{origin['file']}:{origin['line']}{named}"
