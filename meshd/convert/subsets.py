"""Sets of labels become named subsets of a host (C-SUB)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from meshd.convert.names import hashed, sanitised, shortened

Labels = frozenset[tuple[str, str]]


def labels(given: Mapping[str, str]) -> Labels:
    return frozenset(given.items())


def subset_names(wanted: Iterable[Labels], existing: Mapping[str, Labels]) -> Mapping[Labels, str]:
    """`existing`: the subsets that a DestinationRule of today gives the host. No labels: no subset."""
    known = {each: name for name, each in reversed([*existing.items()])}
    found = {each: known.get(each) or _plain_name(each) for each in wanted if each}
    used = [*found.values()]
    return {
        each: hashed(name, _text(each)) if each not in known and (used.count(name) > 1 or name in existing) else name
        for each, name in found.items()
    }


def renamed(names: Mapping[Labels, str]) -> Iterable[tuple[Labels, str]]:
    """Those that are not called as their labels would have it, since others would be, too (C-SUB-04)."""
    return sorted(((each, name) for each, name in names.items() if name != _plain_name(each)), key=lambda pair: pair[1])


def _plain_name(given: Labels) -> str:
    """C-SUB-02 and C-SUB-03."""
    pairs = sorted(given)
    if len(pairs) == 1 and pairs[0][0] == "version":
        text = pairs[0][1]
    else:
        text = "-".join(f"{key.rpartition('/')[2]}-{value}" for key, value in pairs)
    return shortened(sanitised(text), _text(given))


def _text(given: Labels) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(given))
