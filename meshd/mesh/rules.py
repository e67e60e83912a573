"""DestinationRules that speak of one host with one voice, merged (spec 6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from meshd.memo import Memo, together
from meshd.names import Namespace, ServiceHost
from meshd.problems import Origin
from meshd.registry.hosts import complete
from meshd.registry.precedence import exports
from meshd.resources.destination_rule import DestinationRule, Subset, TrafficPolicy
from meshd.resources.extras import PolicyExtras, SourceExtras

Trait = Literal["tls", "tunnel", "proxyProtocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedRule:
    """One or more DestinationRules with the same host, namespace, `exportTo`, selector and source.

    `host` is complete; `rules` are in the order of spec 2.6. Of a subset given twice, and of the traffic policy, the
    first counts. `selector` None: the rule is for every client; otherwise for those of its own namespace with these
    labels only. With a `source` it is for those who are that, whatever their namespace and labels (C-DP-06).
    The same object comes back on the next pass while the DestinationRules in it are the same.
    """

    host: ServiceHost
    namespace: Namespace
    export_to: frozenset[str]
    selector: Mapping[str, str] | None
    traffic_policy: TrafficPolicy | None
    subsets: Mapping[str, Subset]
    rules: tuple[DestinationRule, ...]
    source: SourceExtras | None = None
    extras: PolicyExtras | None = None
    """Those of the traffic policy."""
    extras_of_subsets: Mapping[str, PolicyExtras] = field(default_factory=dict)
    traits: frozenset[Trait] = frozenset()
    """What its policies have that few have, so that one need not look into each rule of a mesh for it."""

    @property
    def is_selective(self) -> bool:
        """It is for some clients only."""
        return self.selector is not None or self.source is not None

    @property
    def is_for_labels(self) -> bool:
        """It is for the clients that its selector tells: a source stands in for that."""
        return self.selector is not None and self.source is None

    @property
    def origin(self) -> Origin:
        return self.rules[0].origin

    @property
    def policies(self) -> tuple[TrafficPolicy, ...]:
        """Its own traffic policy and those of its subsets."""
        return _policies(self.traffic_policy, self.subsets)


def selector_of(rule: DestinationRule) -> Mapping[str, str] | None:
    return rule.workload_selector.match_labels if rule.workload_selector else None


def exports_of(rule: DestinationRule) -> frozenset[str]:
    """A rule for selected workloads never leaves its namespace (spec 3.3)."""
    namespace = Namespace(rule.metadata.namespace)
    return frozenset({namespace}) if rule.workload_selector else exports(rule.export_to, namespace)


def merged_rules(
    rules: Iterable[DestinationRule], domain_suffix: str, memo: Memo
) -> dict[ServiceHost, tuple[MergedRule, ...]]:
    """Every rule under its complete host; `rules` in the order of spec 2.6, and so are those of each host."""
    groups: dict[tuple[object, ...], list[DestinationRule]] = {}
    for rule in rules:
        groups.setdefault(_voice(rule, domain_suffix), []).append(rule)
    by_host: dict[ServiceHost, list[MergedRule]] = {}
    for group in groups.values():
        merged = memo.recall(_merge, domain_suffix, *group)
        by_host.setdefault(merged.host, []).append(merged)
    return {host: memo.recall(together, *found) for host, found in by_host.items()}


def _voice(rule: DestinationRule, domain_suffix: str) -> tuple[object, ...]:
    namespace = Namespace(rule.metadata.namespace)
    selector, source = selector_of(rule), rule.extras.source
    return (
        complete(rule.host, namespace, domain_suffix),
        namespace,
        exports_of(rule),
        None if selector is None else frozenset(selector.items()),
        None if source is None else (source.host, frozenset(source.labels.items())),
    )


def _merge(domain_suffix: str, *rules: DestinationRule) -> MergedRule:
    first = rules[0]
    namespace = Namespace(first.metadata.namespace)
    subsets: dict[str, Subset] = {}
    extras_of_subsets: dict[str, PolicyExtras] = {}
    for rule, subset in _subsets(rules):
        if subsets.setdefault(subset.name, subset) is subset and subset.name in rule.extras.subsets:
            extras_of_subsets[subset.name] = rule.extras.subsets[subset.name]
    speaking = _speaking(rules)
    policy = speaking.traffic_policy
    return MergedRule(
        host=complete(first.host, namespace, domain_suffix),
        namespace=namespace,
        export_to=exports_of(first),
        selector=selector_of(first),
        traffic_policy=policy,
        subsets=subsets,
        rules=rules,
        source=first.extras.source,
        extras=speaking.extras.traffic_policy,
        extras_of_subsets=extras_of_subsets,
        traits=frozenset(trait for each in _policies(policy, subsets) for trait in _traits(each)),
    )


def _speaking(rules: Iterable[DestinationRule]) -> DestinationRule:
    """Whose traffic policy counts; where there is none, extras may still have one."""
    first, *others = rules
    found = (rule for rule in (first, *others) if rule.traffic_policy)
    return next(found, None) or next((rule for rule in others if rule.extras.traffic_policy), first)


def _policies(policy: TrafficPolicy | None, subsets: Mapping[str, Subset]) -> tuple[TrafficPolicy, ...]:
    return tuple(each for each in (policy, *(subset.traffic_policy for subset in subsets.values())) if each)


def _traits(policy: TrafficPolicy) -> Iterator[Trait]:
    """TLS counts where it is on; of a port as of all."""
    if any(tls and tls.mode != "DISABLE" for tls in (policy.tls, *(each.tls for each in policy.port_level_settings))):
        yield "tls"
    if policy.tunnel:
        yield "tunnel"
    if policy.proxy_protocol:
        yield "proxyProtocol"


def _subsets(rules: Iterable[DestinationRule]) -> Iterator[tuple[DestinationRule, Subset]]:
    return ((rule, subset) for rule in rules for subset in rule.subsets)
