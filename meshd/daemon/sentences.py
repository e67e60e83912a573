"""What is wrong with a proxy, a certificate or a revision, in a sentence."""

from __future__ import annotations

from meshd.control import Json
from meshd.daemon.certificates import Certificate
from meshd.daemon.conditions import Status
from meshd.daemon.status import Proxy, told
from meshd.deliver.target import TIMED_OUT
from meshd.problems import errors
from meshd.reconcile import Rejection


def healthy(proxy: Proxy) -> bool:
    return proxy.state == "LIVE" and proxy.connected and proxy.acknowledged


def ailment(proxy: Proxy) -> str:
    if proxy.state != "LIVE":
        return f"{proxy.name} is {proxy.state}"
    if not proxy.connected:
        return f"{proxy.name} is not connected to meshd ({proxy.mode})"
    return ": ".join([f"{proxy.name} has not acknowledged", *proxy.rejections[:1]])


def certificates_condition(certificates: tuple[Certificate, ...]) -> tuple[Status, str, str]:
    """Status, reason and message of `CertificatesValid`, of what is worst."""
    ranks: tuple[tuple[Status, str, list[Certificate]], ...] = (
        ("False", "Expired", [each for each in certificates if each.state == "expired"]),
        ("False", "Missing", [each for each in certificates if each.state == "missing"]),
        ("False", "Invalid", [each for each in certificates if each.state == "invalid"]),
        ("False", "NotInUse", [each for each in certificates if each.superseding]),
        ("Unknown", "Unreadable", [each for each in certificates if each.state == "unreadable"]),
        ("True", "ExpiresWithinAWeek", [each for each in certificates if each.urgent]),
        ("True", "ExpiresWithinAMonth", [each for each in certificates if each.state == "expires"]),
    )
    for status, reason, found in ranks:
        if found:
            return status, reason, _named(found)
    return "True", "Valid" if certificates else "NoCertificates", ""


def _named(certificates: list[Certificate]) -> str:
    more = f"; and {len(certificates) - 3} more" if len(certificates) > 3 else ""
    return "; ".join(map(_certificate_sentence, certificates[:3])) + more


def _certificate_sentence(certificate: Certificate) -> str:
    if certificate.state == "expires":
        return f"{certificate.path} expires {certificate.expires:%Y-%m-%d %H:%M} UTC"
    # Envoy reads a file whole and well formed, or goes on with the last that was; an expired one it does read. Of
    # credentials it takes every content.
    kept = certificate.state == "missing" or (certificate.state == "invalid" and certificate.kind != "credentials")
    kept = kept and not certificate.count
    return f"{certificate.path}: {certificate.reason}" + ("; proxies keep what they have read" if kept else "")


def is_tried_again(rejection: Rejection) -> bool:
    """By itself, since nobody refused it."""
    return all(problem.code == TIMED_OUT for problem in rejection.problems)


def rejection_sentence(rejection: Rejection) -> str:
    bad = errors(rejection.problems)
    count = f"{len(bad)} error{'' if len(bad) == 1 else 's'}"
    return f"{rejection.revision[:12]} rejected, {count}: {bad[0]}" if bad else f"{rejection.revision[:12]} rejected"


def rejection_body(rejection: Rejection) -> Json:
    message = f"{rejection.revision[:12]} is rejected; the host keeps what it runs"
    return {"message": message, "revision": rejection.revision, "problems": told(rejection.problems)}
