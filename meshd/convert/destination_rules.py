"""DestinationRules of a host: its policies, and the versions that rules and policies speak of (C-DP-01, 06 and 07)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshd.convert.drafts import Draft, metadata, origin_of
from meshd.convert.matches import caller
from meshd.convert.names import of_host, provisional
from meshd.convert.outside import Outside
from meshd.convert.policies import ByLabels, OfSource, Policies
from meshd.convert.policy_parts import Parts, parts
from meshd.convert.scene import Scene
from meshd.convert.subsets import Labels
from meshd.convert.versions import Versions
from meshd.convert.virtual_services import name_of, namespace_of
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.resources.client_tls import ClientTLSSettings
from meshd.resources.destination import PortSelector
from meshd.resources.destination_rule import DestinationRule, LabelSelector, PortTrafficPolicy, Subset, TrafficPolicy
from meshd.resources.extras import DestinationRuleExtras, PolicyExtras
from meshd.resources.legacy import LegacyResource
from meshd.resources.legacy.egress_rule import Port
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.traffic_policy import LoadBalancerSettings


def destination_rules(host: ServiceHost, policies: Policies, versions: Versions, scene: Scene) -> Iterator[Draft]:
    """One for every caller, where there is anything to say, and one for each source with policies of its own."""
    there = scene.outside(host)
    sources = _sources((*_general(policies), *versions.sources, *(there.sources if there and there.tls_ports else ())))
    if sources and (policies.general or versions.names or (there and there.tls_ports)):
        yield _for_everybody(host, policies, versions, sources, scene)
    for each in policies.of_sources:
        yield _for_source(host, policies, each, versions, scene)


def _general(policies: Policies) -> tuple[LegacyResource, ...]:
    return tuple(each for each in policies.all if each in policies.general.values())


def _sources(given: Iterable[LegacyResource]) -> tuple[LegacyResource, ...]:
    """Each once."""
    return tuple({id(each): each for each in given}.values())


def additional_subsets(host: ServiceHost, versions: Versions, scene: Scene) -> Iterator[Draft]:
    """C-GEN-05: what routes need and the DestinationRule of today has not; of one voice with that."""
    today = scene.rules_of(host)[0]
    known = {subset.name for rule in scene.rules_of(host) for subset in rule.subsets}
    missing = {each: name for each, name in versions.names.items() if name not in known}
    if not missing:
        return
    resource = DestinationRule(
        metadata=metadata(provisional(f"{of_host(host)}-subsets", host), today.metadata.namespace, versions.sources),
        host=host,
        subsets=_subsets(missing, versions, {}, None, scene),
        export_to=today.export_to,
        origin=origin_of(versions.sources),
    )
    yield Draft(resource=resource, sources=versions.sources)


def report_overruled(host: ServiceHost, drafts: Iterable[Draft], scene: Scene) -> None:
    """Of all DestinationRules that stand for a host the closest counts alone: a wildcard's TLS would go unseen."""
    for draft in drafts:
        other = scene.wider_rule_of(host, draft.resource.metadata.namespace)
        if other:
            message = (
                f"{other.id} ({other.origin}) counts no longer for {host}, which now has a DestinationRule of its own"
            )
            scene.report.add("W-MIXED-HOST", draft.resource.origin, message, "say it again in one for this host alone")
            return


def _for_everybody(
    host: ServiceHost, policies: Policies, versions: Versions, sources: tuple[LegacyResource, ...], scene: Scene
) -> Draft:
    there = scene.outside(host)
    name, namespace = _place(host, sources[0], scene)
    whole = policies.general.get(frozenset())
    of_all = parts(whole, scene.report) if whole else Parts()
    at = whole.origin if whole else origin_of(sources)
    resource = DestinationRule(
        metadata=metadata(name, namespace, sources),
        host=host,
        traffic_policy=_outside_policy(there, of_all, at, scene, is_given=whole is not None)
        if there
        else _policy(of_all, at, scene, fallback=True),
        subsets=_subsets(versions.names, versions, policies.general, of_all, scene),
        origin=origin_of(sources),
    )
    return Draft(resource=resource, sources=sources, extras=_extras(policies.general, versions, scene))


def _place(host: ServiceHost, source: LegacyResource, scene: Scene) -> tuple[str, str]:
    there = scene.outside(host)
    if there:
        return provisional(there.name, there.host), there.namespace
    service: IstioService = getattr(source, "destination")  # noqa: B009  (both kinds have one)
    namespace = source.metadata.namespace
    if scene.host_of(service, namespace) != host:  # a rule of another host that routes here
        home = scene.home(host) or _namespace_within(host, scene) or namespace
        return provisional(_base_within(host, scene), host), home
    return name_of(host, service, namespace), namespace_of(host, service, namespace, scene)


def _base_within(host: ServiceHost, scene: Scene) -> str:
    """As if it were named by its parts, which its text cannot tell."""
    namespace = _namespace_within(host, scene)
    return f"{host.partition('.')[0]}-{namespace}" if namespace else of_host(host)


def _namespace_within(host: ServiceHost, scene: Scene) -> str | None:
    _, _, rest = host.partition(".")
    namespace = rest.removesuffix(f".{scene.settings.domain_suffix}")
    return namespace if rest != namespace and "." not in namespace else None


# --- the parts ------------------------------------------------------------------------------------------------


def _policy(given: Parts, at: Origin, scene: Scene, *, fallback: bool) -> TrafficPolicy | None:
    """`fallback`: v1alpha1's own load balancer is written where none is given (C-DP-02)."""
    balancer = given.load_balancer or (_round_robin(at, scene) if fallback else None)
    if not (balancer or given.connection_pool or given.outlier_detection):
        return None
    return TrafficPolicy(
        load_balancer=balancer,
        connection_pool=given.connection_pool,
        outlier_detection=given.outlier_detection,
        origin=at,
    )


def _round_robin(at: Origin, scene: Scene) -> LoadBalancerSettings | None:
    return LoadBalancerSettings(simple="ROUND_ROBIN", origin=at) if scene.settings.preserve_v1alpha1_defaults else None


def _subsets(
    names: Mapping[Labels, str], versions: Versions, policies: ByLabels, of_all: Parts | None, scene: Scene
) -> tuple[Subset, ...]:
    """C-SUB-06 and C-DP-04."""
    return tuple(
        Subset(
            name=name,
            labels=dict(sorted(version)),
            traffic_policy=_of_version(policies, version, of_all, scene),
            origin=_origin_of_version(policies, version, versions, scene),
        )
        for version, name in sorted(names.items(), key=lambda pair: pair[1])
    )


def _of_version(policies: ByLabels, version: Labels, of_all: Parts | None, scene: Scene) -> TrafficPolicy | None:
    policy = policies.get(version)
    if policy is None:
        return None
    inherits = of_all is not None and (of_all.load_balancer or of_all.extras.load_balancing) is not None
    return _policy(parts(policy, scene.report), policy.origin, scene, fallback=not inherits)


def _origin_of_version(policies: ByLabels, version: Labels, versions: Versions, scene: Scene) -> Origin:
    """Whoever speaks of it first; but what only extras say may stand nowhere else."""
    policy = policies.get(version)
    return policy.origin if policy and _given(parts(policy, scene.report).extras) else versions.origins[version]


def _extras(policies: ByLabels, versions: Versions, scene: Scene) -> DestinationRuleExtras:
    found = {each: parts(policy, scene.report).extras for each, policy in policies.items()}
    return DestinationRuleExtras(
        traffic_policy=_given(found.get(frozenset())),
        subsets={versions.names[each]: extras for each, extras in found.items() if each and _given(extras)},
    )


def _given(extras: PolicyExtras | None) -> PolicyExtras | None:
    return None if extras == PolicyExtras() else extras


# --- for one source -------------------------------------------------------------------------------------------


def _for_source(host: ServiceHost, policies: Policies, each: OfSource, versions: Versions, scene: Scene) -> Draft:
    """C-DP-06: what selects a client by labels stands in for all else that is said of the host."""
    sources: tuple[LegacyResource, ...] = tuple(sorted(each.policies.values(), key=lambda policy: policy.id))
    first = each.first
    assert first.source is not None
    who = caller(each.source, first.source.origin, scene.report)
    effective = {**policies.general, **each.policies}
    whole = effective.get(frozenset())
    of_all = parts(whole, scene.report) if whole else Parts()
    at = whole.origin if whole else first.origin
    name, _ = _place(host, first, scene)
    key = ",".join(f"{label}={value}" for label, value in sorted(each.source.labels.items()))
    short = first.source.name or of_host(each.source.host)
    extras = _extras(effective, versions, scene)
    there = scene.outside(host)
    resource = DestinationRule(
        metadata=metadata(
            provisional(f"{name.partition(chr(10))[0]}-from-{short}", f"{host} {each.source.host} {key}"),
            each.source.namespace,
            sources,
        ),
        host=host,
        traffic_policy=_outside_policy(there, of_all, at, scene, is_given=whole is not None)
        if there
        else _policy(of_all, at, scene, fallback=True),
        subsets=_subsets(versions.names, versions, effective, of_all, scene),
        export_to=(".",),
        workload_selector=LabelSelector(match_labels=who.labels, origin=first.source.origin),
        origin=first.origin,
    )
    return Draft(
        resource=resource,
        sources=sources,
        extras=DestinationRuleExtras(source=who.extras, traffic_policy=extras.traffic_policy, subsets=extras.subsets),
    )


# --- outside the mesh -----------------------------------------------------------------------------------------


def _outside_policy(there: Outside, of_all: Parts, at: Origin, scene: Scene, *, is_given: bool) -> TrafficPolicy | None:
    """C-EG-03 and C-DP-07: the settings of a port inherit nothing, so that the policy stands there, too.

    Where the client says by address where it goes, there is nothing to balance (LB-11).
    """
    has_choice = not (there.is_wildcard or there.is_block)
    given = (
        of_all
        if has_choice
        else Parts(
            connection_pool=of_all.connection_pool, outlier_detection=of_all.outlier_detection, extras=of_all.extras
        )
    )
    general = _policy(given, at, scene, fallback=is_given and has_choice)
    ports = tuple(_originating(there, port, given, scene, has_choice=has_choice) for port in there.tls_ports)
    if not (general or ports):
        return None
    general = general or TrafficPolicy(origin=at)
    return TrafficPolicy(
        load_balancer=general.load_balancer,
        connection_pool=general.connection_pool,
        outlier_detection=general.outlier_detection,
        port_level_settings=ports,
        origin=at,
    )


def _originating(there: Outside, port: Port, given: Parts, scene: Scene, *, has_choice: bool) -> PortTrafficPolicy:
    at = port.origin
    verifies = scene.settings.verify_v1alpha1_egress
    tls = ClientTLSSettings(
        mode="SIMPLE",
        subject_alt_names=(there.text,) if there.is_address and verifies else (),
        insecure_skip_verify=not verifies,
        origin=at,
    )
    if verifies:
        message = f"the certificate of {there.text} is verified now; in v1alpha1 it was not"
        hint = "if it cannot be: MeshConfig, `v1alpha1: {egressTlsVerify: false}`"
        scene.report.add("N-TLS-VERIFY", at, message, hint)
    else:
        message = "anybody can pose as this service: nothing is verified"
        scene.report.add("W-TLS-INSECURE", at, message, "MeshConfig, `v1alpha1: {egressTlsVerify: true}`")
    return PortTrafficPolicy(
        port=PortSelector(number=port.port, origin=at),
        load_balancer=given.load_balancer or (_round_robin(at, scene) if has_choice else None),
        connection_pool=given.connection_pool,
        outlier_detection=given.outlier_detection,
        tls=tls,
        origin=at,
    )
