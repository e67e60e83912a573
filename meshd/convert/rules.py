"""Which RouteRules count, for which host, in which order, and where each of them leads (C-RR-01, 02, 05 and 08)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from meshd.convert.matches import Caller, caller, is_nobody, takes_every_request
from meshd.convert.scene import Scene
from meshd.convert.subnets import check_destination_subnets
from meshd.convert.subsets import Labels, labels
from meshd.names import ServiceHost
from meshd.problems import Origin
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.route_rule import RouteRule

_GRPC: Final = frozenset({"GRPC", "GRPC-WEB"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a share of the traffic goes; no labels are all versions. A `weight` of 0 is that of a single target.

    `named`: where the rule names the host, if it is another than its own.
    """

    host: ServiceHost
    labels: Labels
    weight: int
    origin: Origin
    named: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """A rule that counts. `name` tells it from the others of its host; `of_http` also says that it can be reached."""

    rule: RouteRule
    name: str
    host: ServiceHost
    targets: tuple[Target, ...]
    mirror: Target | None
    who: Caller | None
    of_http: bool
    of_tcp: bool


def ruled(host: ServiceHost, group: Sequence[RouteRule], scene: Scene) -> tuple[Ruled, ...]:
    """`group`: the rules of a host, in their order; without those that have an error, or never apply."""
    if _is_mixed(host, group, scene):
        return ()
    return tuple(_reached(_counting(host, group, scene), scene))


def order(rule: RouteRule) -> tuple[int, str, str]:
    return (-rule.precedence, rule.metadata.namespace, rule.metadata.name)


def _is_mixed(host: ServiceHost, group: Iterable[RouteRule], scene: Scene) -> bool:
    """C-GEN-05."""
    today = scene.virtual_service_of(host)
    if today is None:
        return False
    for rule in group:
        message = f"this rule is ignored: {today.id} ({today.origin}) speaks of {host}"
        scene.report.add("W-MIXED-HOST", rule.origin, message, "move the rule there, and remove it here")
    return True


def _counting(host: ServiceHost, group: Sequence[RouteRule], scene: Scene) -> Iterator[Ruled]:
    names = Counter(rule.metadata.name for rule in group)
    if scene.is_missing(host):
        message = f"no ServiceEntry has the host {host!r}, so that this rule does nothing"
        scene.report.add("W-DEST-UNKNOWN", group[0].destination.origin, message, near=host)
    for rule in group:
        who = _who(rule, scene)
        targets = _targets(rule, host, scene)
        mirror = _target(rule.mirror, rule, scene) if rule.mirror else None
        if who == "nobody" or not _is_sound(rule, host, targets, mirror, scene):
            continue
        check_destination_subnets(rule, host, scene)
        name = rule.metadata.name
        yield Ruled(
            rule=rule,
            name=name if names[name] == 1 else f"{rule.metadata.namespace}.{name}",
            host=host,
            targets=targets,
            mirror=mirror,
            who=who if isinstance(who, Caller) else None,
            of_http=rule.is_of_http,
            of_tcp=rule.is_of_tcp and bool(targets),
        )


def _reached(group: Iterable[Ruled], scene: Scene) -> Iterator[Ruled]:
    """C-RR-03: what comes after a rule that takes every request is not reached by any."""
    before: Ruled | None = None
    for each in group:
        if before and each.of_http:
            message = f"no request reaches this rule: {before.rule.id} ({before.rule.origin}) takes them all"
            scene.report.add("W-RR-SHADOWED", each.rule.origin, message, "give it a higher precedence, or remove it")
            if each.of_tcp:
                yield _of_tcp_alone(each)
            continue
        yield each
        if each.of_http and takes_every_request(each.rule.match):
            before = each


def _of_tcp_alone(each: Ruled) -> Ruled:
    return Ruled(
        rule=each.rule,
        name=each.name,
        host=each.host,
        targets=each.targets,
        mirror=None,
        who=each.who,
        of_http=False,
        of_tcp=True,
    )


# --- who is meant ---------------------------------------------------------------------------------------------


def _who(rule: RouteRule, scene: Scene) -> Caller | Literal["everybody", "nobody"]:
    given = rule.match.source if rule.match else None
    if given is None:
        return "everybody"
    source = scene.source(given, rule.metadata.namespace)
    return "nobody" if is_nobody(source, given, scene.report) else caller(source, given.origin, scene.report)


# --- where it leads -------------------------------------------------------------------------------------------


def _targets(rule: RouteRule, host: ServiceHost, scene: Scene) -> tuple[Target, ...]:
    if rule.redirect:
        return ()
    if not rule.route:  # C-RR-09
        return (Target(host=host, labels=frozenset(), weight=0, origin=rule.origin, named=rule.origin),)
    found = []
    for each in rule.route:
        to = scene.host_of(each.destination, rule.metadata.namespace) if each.destination else host
        found.append(
            Target(
                host=to,
                labels=_version(each.version, to, each.origin, scene),
                weight=(each.weight or 0) if len(rule.route) > 1 else 0,
                origin=each.origin,
                named=each.destination.origin if each.destination else each.origin,
            )
        )
    return tuple(found)


def _target(service: IstioService, rule: RouteRule, scene: Scene) -> Target:
    host = scene.host_of(service, rule.metadata.namespace)
    version = _version(service.labels, host, service.origin, scene)
    return Target(host=host, labels=version, weight=0, origin=service.origin, named=service.origin)


def _version(given: Mapping[str, str], host: ServiceHost, at: Origin, scene: Scene) -> Labels:
    """C-EG-07: what is outside has no instances with labels."""
    if given and scene.outside(host):
        message = f"labels are ignored: {host} is outside the mesh, where nobody knows of versions"
        scene.report.add("W-EG-LABELS", at.at("labels"), message, "remove them")
        return frozenset()
    return labels(given)


def _is_sound(
    rule: RouteRule, host: ServiceHost, targets: tuple[Target, ...], mirror: Target | None, scene: Scene
) -> bool:
    others = [each for each in (*targets, *((mirror,) if mirror else ())) if each.host != host]
    unknown = [each for each in others if scene.is_missing(each.host)]
    for each in unknown:
        message = f"no ServiceEntry has the host {each.host!r}"
        scene.report.add("E-DEST-UNKNOWN", each.named, message, near=each.host)
    past_proxy = [each for each in others if scene.leads_past_proxy(each.host, each.named)]
    return _check_http2_error(rule, targets, scene) and not (unknown or past_proxy)


def _check_http2_error(rule: RouteRule, targets: tuple[Target, ...], scene: Scene) -> bool:
    """ABT-05."""
    abort = rule.http_fault.abort if rule.http_fault else None
    if abort is None or abort.http2_error is None:
        return True
    at = abort.origin.at("http2Error")
    ports = [port for each in targets for port in scene.ports(each.host) if port.family == "http"]
    other = next((port for port in ports if port.protocol not in _GRPC), None)
    if other:
        message = f"port {other.number} speaks {other.protocol} ({other.origin}), not gRPC"
        scene.report.add("E-HTTP2ERR", at, message, "write httpStatus")
        return False
    message = f"{abort.http2_error} becomes the gRPC status that a client would make of it"
    scene.report.add("L-HTTP2ERR", at, message, "write grpcStatus")
    return True
