"""Cases of the older kinds: rules for a service with versions v1 to v3, in the words of v1alpha1."""

from __future__ import annotations

from tests.live.cases import Case, case
from tests.live.requests import Exchange


def rules(
    id: str,  # noqa: A002
    *exchanges: Exchange,
    specs: tuple[str, ...],
    policies: tuple[str, ...] = (),
    more: str = "",
    **parts: str,
) -> Case:
    """One RouteRule for each spec, one DestinationPolicy for each of `policies`; `more`: other documents."""
    texts = [_text("RouteRule", index, f"destination: {{service: $host}}, {spec}") for index, spec in enumerate(specs)]
    texts += [_text("DestinationPolicy", index, spec) for index, spec in enumerate(policies)]
    return case(id, *exchanges, http="", subsets="", mesh="\n---\n".join((*texts, more) if more else texts), **parts)


def _text(kind: str, index: int, spec: str) -> str:
    return f"kind: {kind}\nmetadata: {{name: $name-{index}}}\nspec: {{{spec}}}\n"


def request(**headers: str) -> str:
    listed = ", ".join(f"{name.replace('_', '-')}: {match}" for name, match in headers.items())
    return f"match: {{request: {{headers: {{{listed}}}}}}}"


def to(version: str) -> str:
    return f"route: [{{labels: {{version: {version}}}}}]"
