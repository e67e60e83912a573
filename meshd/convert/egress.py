"""Services outside the mesh -> ServiceEntries, and VirtualServices with what v1alpha1 did by default (C-EG)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshd.convert.drafts import Draft, metadata
from meshd.convert.egress_proxy import check_gateway, through_proxy
from meshd.convert.names import provisional
from meshd.convert.outside import PROTOCOLS, Outside, port_name
from meshd.convert.report import Report
from meshd.convert.routes import HTTPEntry, L4Entry, Subsets, default_entry, http_entries, tcp_entries
from meshd.convert.rules import Ruled
from meshd.convert.scene import Scene
from meshd.convert.virtual_services import assembled
from meshd.registry.services import agree
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.extras import ServiceEntryExtras
from meshd.resources.legacy import LegacyResource
from meshd.resources.service_entry import Resolution, ServiceEntry, ServicePort
from meshd.resources.workload_entry import Workload


def egress(there: Outside, group: tuple[Ruled, ...], subsets: Subsets, scene: Scene) -> Iterator[Draft]:
    """`group`: the RouteRules of the destination (C-EG-07)."""
    _report_changes(there, scene)
    _check_tls(there, scene)
    yield service_entry(there)
    entries = _entries(there, group, subsets, scene)
    connections = _connections(there, group, subsets, scene)
    sources: tuple[LegacyResource, ...] = (*there.sources, *(each.rule for each in group))
    if there.uses_proxy:
        if check_gateway(there, scene):
            yield from through_proxy(there, entries, connections, sources, scene)
    elif entries or connections:
        yield assembled(
            name=provisional(there.name, there.host),
            namespace=there.namespace,
            hosts=(there.host,),
            gateways=(),
            http=entries,
            tcp=connections,
            sources=sources,
        )


def _entries(there: Outside, group: tuple[Ruled, ...], subsets: Subsets, scene: Scene) -> tuple[HTTPEntry, ...]:
    if not there.http_ports or scene.virtual_service_of(there.host):
        return ()
    at = group[0].rule.origin if group else there.origin
    if group:
        return tuple(http_entries(there.host, group, subsets, scene, at))
    return (default_entry(there.host, scene, at),)  # C-EG-05


def _connections(there: Outside, group: tuple[Ruled, ...], subsets: Subsets, scene: Scene) -> tuple[L4Entry, ...]:
    """What no rule takes needs none: it goes to the service itself."""
    return tuple(tcp_entries(group, subsets, scene)) if there.tcp_ports else ()


# --- the ServiceEntry -----------------------------------------------------------------------------------------


def service_entry(there: Outside) -> Draft:
    """C-EG-01 and C-EG-02."""
    extras = ServiceEntryExtras(resolution_without_capture="DYNAMIC_DNS" if _is_by_name(there) else None)
    return Draft(resource=_service(there), sources=there.sources, extras=extras)


def mixed(there: Outside, entries: Iterable[ServiceEntry], report: Report) -> bool:
    """MIG-05. `entries`: those of today for the host; what agrees is one service with it, as C-EG-06 has it."""
    near = (each for each in entries if each.metadata.namespace == there.namespace)
    other = next((each for each in near if not agree(each, _service(there))), None)
    if other is None:
        return False
    for rule in there.sources:
        message = f"this rule is ignored: {other.id} ({other.origin}) speaks of {there.host}"
        report.add("W-MIXED-HOST", rule.origin, message, "add what it says there, and remove it here")
    return True


def _service(there: Outside) -> ServiceEntry:
    return ServiceEntry(
        metadata=metadata(provisional(there.name, there.host), there.namespace, there.sources),
        hosts=(there.host,),
        addresses=(there.text,) if there.is_address else (),
        ports=tuple(
            ServicePort(number=port.port, name=port_name(port), protocol=PROTOCOLS[port.protocol], origin=port.origin)
            for port in there.ports
        ),
        location="MESH_EXTERNAL",
        resolution=_resolution(there),
        endpoints=(Workload(address=there.text, origin=there.origin),)
        if there.is_address and not there.is_block
        else (),
        origin=there.origin,
    )


def _is_by_name(there: Outside) -> bool:
    return there.is_wildcard and not there.uses_proxy


def _resolution(there: Outside) -> Resolution:
    if there.is_wildcard:
        # A gateway has no original destination to go to (7.1).
        return "DYNAMIC_DNS" if there.uses_proxy else "NONE"
    if there.is_address:
        return "NONE" if there.is_block else "STATIC"
    return "DNS"


def _check_tls(there: Outside, scene: Scene) -> None:
    """Where a DestinationRule of today has the word, it must open the TLS: requests would leave in plain text."""
    today = scene.rules_of(there.host)
    if not today:
        return
    policy = next((rule.traffic_policy for rule in today if rule.traffic_policy), None)
    for port in there.tls_ports:
        if not _opens_tls(policy, port.port):
            message = f"https needs TLS to port {port.port}, and {today[0].id} ({today[0].origin}) opens none"
            hint = f"add portLevelSettings: [{{port: {{number: {port.port}}}, tls: {{mode: SIMPLE}}}}] there"
            scene.report.add("E-EG-CONFLICT", port.origin.at("protocol"), message, hint)


def _opens_tls(policy: TrafficPolicy | None, number: int) -> bool:
    if policy is None:
        return False
    own = next((each for each in policy.port_level_settings if each.port.number == number), None)
    tls = own.tls if own else policy.tls
    return tls is not None and tls.mode != "DISABLE"


def _report_changes(there: Outside, scene: Scene) -> None:
    at = there.sources[0].destination.origin.at("service")
    if scene.settings.allow_any:
        message = "what no EgressRule names can be reached too: outboundTrafficPolicy is ALLOW_ANY"
        scene.report.once("N-ALLOW-ANY", at, message, "set it to REGISTRY_ONLY, and the rules are an allow-list again")
    if not (there.is_wildcard or there.is_address):
        message = f"{there.text} is looked up by the proxy; in v1alpha1 calls went to the address that was dialled"
        scene.report.add("N-EG-DNS", at, message)
