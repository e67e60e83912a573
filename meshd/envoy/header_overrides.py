"""What a route leaves to its requests -> copies of their headers into those that Envoy obeys.

Envoy takes out of a request from outside what it would obey in it, but for the headers of faults, which it leaves
(measured). So these are taken out here before anything is copied: nobody gets a fault by a header that no route names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutationPerRoute, Mutations
from google.protobuf.message import Message

from meshd.plan import HeaderMatch, HeaderOverrides, TextMatch

TIMEOUT: Final = "x-envoy-upstream-rq-timeout-ms"
RETRIES: Final = "x-envoy-max-retries"
KEPT: Final = {TIMEOUT: "x-meshd-rq-timeout-ms", RETRIES: "x-meshd-max-retries"}
"""Where a header is kept that Envoy would take out before any filter sees it."""

FAULTS_COPIED: Final = "envoy.filters.http.header_mutation.faults"
"""The filter before those of faults."""
COPIED: Final = "envoy.filters.http.header_mutation.overrides"
"""The one behind them, which also sees to it that no server is told of them."""
FORGOTTEN: Final = "envoy.filters.http.header_mutation.kept"

_DELAY: Final = "x-envoy-fault-delay-request"
_ABORT: Final = "x-envoy-fault-abort-request"
_SHARES: Final = {
    _DELAY: (f"{_DELAY}-percentage",),
    _ABORT: (f"{_ABORT}-percentage", "x-envoy-fault-abort-grpc-request"),
}
"""What else the fault filter obeys once it obeys the header; no route can name that."""

ASKS_FOR_DELAY: Final = HeaderMatch(name=_DELAY, text=TextMatch(kind="regex", value="[0-9]{1,9}"))
"""Milliseconds. With more digits Envoy would hold the request for years."""
ASKS_FOR_ABORT: Final = HeaderMatch(name=_ABORT, text=TextMatch(kind="regex", value="[2-5][0-9]{2}"))


def removed(header: str) -> HeaderMutation:
    return HeaderMutation(remove=header)


def copied(header: str, *, to: str) -> HeaderMutation:
    """A header that is not there is not copied: its empty value is not kept. Of several, the first is."""
    return HeaderMutation(
        append=HeaderValueOption(
            header=HeaderValue(key=to, value=f"%REQ({header})%"),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            keep_empty_value=False,
        )
    )


def override_config(overrides: HeaderOverrides | None) -> dict[str, Message]:
    """The entries of one route, under the filters' names."""
    if overrides is None:
        return {}
    found = {FAULTS_COPIED: list(_faults(overrides)), COPIED: list(_others(overrides))}
    return {
        name: HeaderMutationPerRoute(mutations=Mutations(request_mutations=mutations))
        for name, mutations in found.items()
        if mutations
    }


def _faults(overrides: HeaderOverrides) -> Iterator[HeaderMutation]:
    for target, asked in ((_DELAY, overrides.delay), (_ABORT, overrides.abort)):
        if asked:
            yield from _set(target, asked.header)
            yield from map(removed, _SHARES[target])


def _others(overrides: HeaderOverrides) -> Iterator[HeaderMutation]:
    if overrides.timeout:
        yield copied(_source(overrides.timeout), to=TIMEOUT)
    if overrides.retries:
        yield copied(_source(overrides.retries), to=RETRIES)
    for target, asked in ((_DELAY, overrides.delay), (_ABORT, overrides.abort)):
        if asked:
            yield removed(target)


def _set(target: str, header: str) -> Iterator[HeaderMutation]:
    """Somebody may name the very header that Envoy obeys."""
    if header != target:
        yield removed(target)
        yield copied(_source(header), to=target)


def _source(header: str) -> str:
    return KEPT.get(header, header)
