"""What a host is to run, as a pass prepared it; and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from meshd.deliver.manifest import Label
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.names import ProxyName, RevisionId
from meshd.plan import Credentials, Secret
from meshd.problems import Problems

TIMED_OUT: Final = "E-ENVOY-TIMEOUT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTarget:
    """`secrets`: those of the plan. What they are in `rendered` gives way to what this host's files make of them."""

    rendered: Rendered
    assignments: tuple[EnvoyResource, ...]
    secrets: tuple[Secret, ...] = ()
    credentials: tuple[Credentials, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What every proxy of this host is to run, as of one revision."""

    revision: RevisionId
    proxies: Mapping[ProxyName, ProxyTarget]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The generation is active. `resources` is how many were sent to the proxies that were there."""

    generation: Label
    acknowledged: tuple[ProxyName, ...]
    absent: tuple[ProxyName, ...]
    resources: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing changed, or everything was changed back; the revision is remembered as refused.

    But not for `secrets`, and otherwise as long as the files of its secrets stay as they are: they can be put right
    without another revision. Nor for `patience`: a proxy did not say anything in time, and may be just busy.
    """

    problems: Problems
    stage: Literal["secrets", "preflight", "acknowledgement", "patience"]


Outcome = Delivered | Refused
