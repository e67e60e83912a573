"""Which resource has the word for a client: the DestinationRule of a service, the Sidecar, the client of a host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.mesh.rules import MergedRule
from meshd.names import Namespace
from meshd.registry.hosts import covering
from meshd.registry.precedence import exported_to
from meshd.registry.service import Service
from meshd.resources.sidecar import Sidecar

Candidates = Sequence[tuple[MergedRule, ...]]


def rule_for(mesh: Mesh, service: Service, client: Client) -> MergedRule | None:
    """The DestinationRule in force for a service (spec 6.1); None where no rule has a say.

    The answer already unites the rules that merge; read `traffic_policy` and `subsets` from it. It is the same
    object on the next pass while the DestinationRules in it are the same, so it may key a memo.

    The client's namespace is asked first, then the service's, then the root namespace. The first that has a rule for
    the host decides, by its most specific host; nothing is inherited from a wildcard rule beside an exact one.
    """
    candidates = [rules for _, rules in covering(service.host, mesh.destination_rules)]
    return rule_among(candidates, service, client, Namespace(mesh.settings.root_namespace))


def rule_among(candidates: Candidates, service: Service, client: Client, root: Namespace) -> MergedRule | None:
    """As `rule_for`, where the rules that cover the service's host are known already, the most specific host first."""
    if not candidates:
        return None
    return (
        _own(candidates, client, root)
        or _exported(candidates, service.namespace, client)
        or _exported(candidates, root, client)
    )


def _own(candidates: Candidates, client: Client, root: Namespace) -> MergedRule | None:
    """In the root namespace only what is private to it counts as its own: the rest is there for everybody.

    What is for a source is its own wherever that is written (C-DP-06).
    """
    private = frozenset({root})
    return _most_specific(
        candidates,
        lambda rule: (
            _selects(rule, client)
            if rule.source
            else rule.namespace == client.namespace
            and _applies(rule, client)
            and (client.namespace != root or rule.export_to == private)
        ),
    )


def _exported(candidates: Candidates, namespace: Namespace, client: Client) -> MergedRule | None:
    """The host is chosen before `exportTo` is looked at: an exact rule hides wildcards even where it is hidden."""
    for rules in candidates:
        here = [rule for rule in rules if rule.namespace == namespace and _selects(rule, client)]
        if here:
            return _word(rule for rule in here if exported_to(rule.export_to, client.namespace))
    return None


def _most_specific(candidates: Candidates, counts: Callable[[MergedRule], bool]) -> MergedRule | None:
    words = (_word(rule for rule in rules if counts(rule)) for rules in candidates)
    return next((word for word in words if word), None)


def _word(rules: Iterable[MergedRule]) -> MergedRule | None:
    """Of rules for one host: the first that is for this client in particular, else the last (spec 6.1).

    Of those for a source, the one that asks it for most labels comes first.
    """
    last, particular = None, None
    for rule in rules:
        if rule.is_selective and (particular is None or _labels(rule) > _labels(particular)):
            particular = rule
        last = rule
    return particular or last


def _labels(rule: MergedRule) -> int:
    return len(rule.source.labels) if rule.source else 0


def _applies(rule: MergedRule, client: Client) -> bool:
    return _selects(rule, client) and exported_to(rule.export_to, client.namespace)


def _selects(rule: MergedRule, client: Client) -> bool:
    if rule.source is not None:
        return client.is_source(rule.source)
    if rule.selector is None:
        return True
    return rule.namespace == client.namespace and client.selected_by(rule.selector)


def sidecar_for(mesh: Mesh, client: Client) -> Sidecar | None:
    """SC-1: one that selects the client by labels, else the namespace's, else the root namespace's."""
    own = [sidecar for sidecar in mesh.sidecars if sidecar.metadata.namespace == client.namespace]
    selecting = (s for s in own if s.workload_selector and client.selected_by(s.workload_selector.labels))
    general = (s for s in own if s.workload_selector is None)
    root = mesh.settings.root_namespace
    everyone = (s for s in mesh.sidecars if s.workload_selector is None and s.metadata.namespace == root)
    return next(selecting, None) or next(general, None) or next(everyone, None)
