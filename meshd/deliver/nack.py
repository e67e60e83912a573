"""Envoy's words of refusal -> which resource they are about, and the problem at the line that it came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshd.deliver.snapshot import Snapshot
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EnvoyResource, TypeUrl
from meshd.problems import NOWHERE, Origin, Problem, Problems

KINDS: dict[TypeUrl, str] = {
    CLUSTER: "cluster",
    ENDPOINTS: "endpoints of cluster",
    LISTENER: "listener",
    ROUTES: "route table",
    SECRET: "secret",
}

_PREFIX = re.compile(r"Error adding/updating (?:cluster|listener)\(s\) ")
_DUMP = re.compile(r"goo\.gle/debug\S*\s.*?: (?=Proto constraint)", re.DOTALL)
_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """`name` is empty when neither Envoy's text nor what was sent tells which resource is meant."""

    type_url: TypeUrl
    name: str
    text: str


def rejections(type_url: TypeUrl, sent: Iterable[str], text: str) -> tuple[Rejection, ...]:
    """One for each resource that the text of a NACK complains about; `sent` is what its response held."""
    names = tuple(sent)
    complaints = dict(_listed(names, text)) or {_sole(names, text): text}
    return tuple(Rejection(type_url=type_url, name=n, text=plain(t)) for n, t in complaints.items())


def problem(code: str, rejection: Rejection, snapshot: Snapshot) -> Problem:
    """The rejection at the line that its resource came from, or nowhere when it names none."""
    kind = KINDS[rejection.type_url]
    resource = snapshot.table(rejection.type_url).get(rejection.name)
    if resource is None:
        what = f"{kind} {rejection.name}" if rejection.name else f"a {kind}"
        return Problem(code=code, at=NOWHERE, message=f"Envoy refuses {what}: {rejection.text}")
    at = _origin(resource, rejection.text)
    if at == NOWHERE and rejection.type_url == ENDPOINTS:
        at = _cluster_origin(snapshot, rejection.name)
    return Problem(code=code, at=at, message=f"Envoy refuses {kind} {resource.name}: {rejection.text}")


def rejection_problems(found: Iterable[Rejection], snapshot: Snapshot) -> Problems:
    return tuple(problem("E-ENVOY-REJECTED", rejection, snapshot) for rejection in found)


def plain(text: str) -> str:
    """Envoy's words on one line, without the dump of the whole message that it puts before them.

    It tells a cause at the end, behind each of the messages around it: where there is too much, the middle goes.
    """
    words = " ".join(_DUMP.sub("", text).split())
    if len(words) <= _LONGEST_TEXT:
        return words
    half = _LONGEST_TEXT // 2
    return f"{words[:half]} ... {words[-half:]}"


def mentions(text: str, name: str) -> bool:
    """The name stands in the text, and is not a piece of a longer one."""
    return re.search(rf"(?<![\w.|-]){re.escape(name)}(?![\w|-]|\.\w)", text) is not None


def _listed(names: tuple[str, ...], text: str) -> Iterator[tuple[str, str]]:
    """`Error adding/updating cluster(s) a: why, b: why`; listeners are separated by line breaks."""
    prefix = _PREFIX.match(text)
    if prefix is None:
        return
    listed = text[prefix.end() :]
    starts = sorted((at, name) for name in names for at in _entries(name, listed))
    ends = [at for at, _ in starts[1:]] + [len(listed)]
    for (start, name), end in zip(starts, ends, strict=True):
        yield name, listed[start + len(name) + 2 : end].rstrip(", \n")


def _entries(name: str, listed: str) -> Iterator[int]:
    for match in re.finditer(rf"(?:^|, |\n){re.escape(name)}: ", listed):
        yield match.end() - len(name) - 2


def _sole(names: tuple[str, ...], text: str) -> str:
    """The one resource that can be meant: all that was sent, or the only one that the text mentions."""
    if len(names) == 1:
        return names[0]
    mentioned = [name for name in names if mentions(text, name)]
    return mentioned[0] if len(mentioned) == 1 else ""


def _origin(resource: EnvoyResource, text: str) -> Origin:
    """The virtual host that the text mentions, else the resource."""
    mentioned = (part.origin for part in resource.parts if mentions(text, part.name))
    return next(mentioned, resource.origin)


def _cluster_origin(snapshot: Snapshot, name: str) -> Origin:
    cluster = snapshot.clusters.get(name)
    return cluster.origin if cluster else NOWHERE
