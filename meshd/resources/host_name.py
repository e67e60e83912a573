"""How host names and wildcards relate (spec 3.2), and `exportTo` as every kind has it (spec 3.3)."""

from __future__ import annotations

from collections.abc import Iterator

from meshd.fields import fqdn
from meshd.problems import Origin, Problem
from meshd.resources.finding import invalid


def is_wildcard(host: str) -> bool:
    return host.startswith("*")


def is_partial_wildcard(host: str) -> bool:
    """`*foo.com` or `*-foo.com`: neither a whole label nor everything."""
    return is_wildcard(host) and host != "*" and not host.startswith("*.")


def full_name_or_wildcard(name: str) -> str:
    """What is wrong with a host of a Gateway or Sidecar: a FQDN, `*.` and a domain, or `*` (spec 3.1, G-3.7, SC-13)."""
    if name == "*":
        return ""
    domain = name.removeprefix("*.")
    if fqdn(domain):
        return f"{name!r} is not a host name, '*.' and a domain, or '*'"
    return "" if "." in name else f"{name!r} is a short name; write it in full"


def subset_of(host: str, cover: str) -> bool:
    """Every name that `host` stands for, `cover` stands for too."""
    if is_wildcard(cover):
        return host.removeprefix("*").endswith(cover[1:])
    return host == cover


def matches(one: str, other: str) -> bool:
    """Some name is meant by both: `*.foo.com` matches `bar.foo.com` and `*.com`, but not `foo.com`."""
    return subset_of(one, other) or subset_of(other, one)


def wildcards_over(host: str) -> Iterator[str]:
    """All wildcards that cover a host, but for itself; the most specific first."""
    text = host.removeprefix("*")
    for start in range(len(text) + 1):
        wildcard = "*" + text[start:]
        if wildcard != host:
            yield wildcard


def check_exports(
    origin: Origin, targets: tuple[str, ...], namespace: str, *, nobody: bool = False
) -> Iterator[Problem]:
    """Spec 3.3; `nobody`: whether `~` may stand there."""
    at = origin.at("exportTo")
    if "~" in targets and not nobody:
        yield invalid(at, "'~' (nobody) is for a ServiceEntry only")
    for alone in ("*", "~"):
        if alone in targets and len(targets) > 1:
            yield invalid(at, f"{alone!r} must be the only entry")
    settled = [namespace if target == "." else target for target in targets]
    for target in sorted({target for target in settled if settled.count(target) > 1}):
        yield invalid(at, f"{target!r} is given twice", "'.' is the object's own namespace")
