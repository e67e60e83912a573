"""What a root's matches and those of its delegate ask together, and where they contradict each other (spec 5.9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.string_match import StringMatch

Matches = tuple[HTTPMatchRequest, ...]
Texts = Mapping[str, StringMatch]


def merged_matches(root: Matches, delegate: Matches) -> Matches | HTTPMatchRequest:
    """Every pair without conflict as one match; the delegate's first match that fits none of the root's, if any does.

    Where one side has no match, those of the other stand alone.
    """
    if not root or not delegate:
        return root or delegate
    merged: list[HTTPMatchRequest] = []
    for leaf in delegate:
        fitting = [match for match in root if not _conflict(match, leaf)]
        if not fitting:
            return leaf
        merged.extend(_merged(match, leaf) for match in fitting)
    return tuple(merged)


def joined(root: str, delegate: str) -> str:
    """Names of routes and of matches."""
    return "-".join(name for name in (root, delegate) if name)


def _merged(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> HTTPMatchRequest:
    """The delegate's values win. `ignoreUriCase` is the same in both."""
    return replace(
        leaf,
        name=joined(root.name, leaf.name),
        uri=leaf.uri or root.uri,
        scheme=leaf.scheme or root.scheme,
        method=leaf.method or root.method,
        authority=leaf.authority or root.authority,
        headers={**root.headers, **leaf.headers},
        without_headers={**root.without_headers, **leaf.without_headers},
        query_params={**root.query_params, **leaf.query_params},
        port=leaf.port or root.port,
        source_labels={**root.source_labels, **leaf.source_labels},
        source_namespace=leaf.source_namespace or root.source_namespace,
        gateways=leaf.gateways or root.gateways,
        stat_prefix=leaf.stat_prefix or root.stat_prefix,
    )


def _conflict(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> bool:
    return (
        any(_texts_conflict(ours, theirs) for ours, theirs in _both(root, leaf))
        or root.ignore_uri_case != leaf.ignore_uri_case
        or (root.port > 0 and leaf.port > 0 and root.port != leaf.port)
        or (bool(root.source_namespace) and leaf.source_namespace != root.source_namespace)
        or any(root.source_labels.get(key, value) != value for key, value in leaf.source_labels.items())
        or (bool(root.gateways) and not set(leaf.gateways) <= set(root.gateways))
    )


def _both(root: HTTPMatchRequest, leaf: HTTPMatchRequest) -> Iterator[tuple[StringMatch, StringMatch]]:
    """The texts that both ask of one property."""
    pairs = (
        (root.uri, leaf.uri),
        (root.scheme, leaf.scheme),
        (root.method, leaf.method),
        (root.authority, leaf.authority),
    )
    yield from ((ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None)
    maps: tuple[tuple[Texts, Texts], ...] = (
        (root.headers, leaf.headers),
        (root.without_headers, leaf.without_headers),
        (root.query_params, leaf.query_params),
    )
    for outer, inner in maps:
        yield from ((outer[key], theirs) for key, theirs in inner.items() if key in outer)


def _texts_conflict(root: StringMatch, leaf: StringMatch) -> bool:
    """The delegate may only narrow down what the root takes, as far as that can be told from the texts."""
    if root.is_empty or leaf.is_empty:
        return root.is_empty != leaf.is_empty
    if root.regex is not None or leaf.regex is not None:
        return True
    if root.exact is not None:
        return leaf.exact != root.exact
    narrower = leaf.exact if leaf.prefix is None else leaf.prefix
    return not (narrower or "").startswith(root.prefix or "")
