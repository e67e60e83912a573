"""Resources built directly, for tests of rooms that do not care about YAML: each states only what matters to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.client import Client
from meshd.mesh.mesh import Mesh
from meshd.names import Namespace
from meshd.problems import Origin
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.destination_rule import DestinationRule, Subset, TrafficPolicy
from meshd.resources.gateway import Gateway, GatewayMetadata, GatewayPort, Server
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Metadata, Resource
from meshd.resources.server_tls import ServerTLSMode, ServerTLSSettings
from meshd.resources.service_entry import ServiceEntry, ServicePort
from meshd.resources.sidecar import IstioEgressListener, Sidecar
from meshd.resources.string_match import StringMatch
from meshd.resources.virtual_service import HTTPMatchRequest, HTTPRoute, HTTPRouteDestination, VirtualService
from meshd.resources.workload_entry import Workload, WorkloadEntry


def an_origin(kind: str, name: str, line: int = 1) -> Origin:
    return Origin(f"{kind.lower()}-{name}.yaml", line, 1, "spec")


def a_port(number: int = 80, name: str = "http", **more: Any) -> ServicePort:
    return ServicePort(number=number, name=name, **more)


def an_endpoint(address: str = "10.0.0.1", **more: Any) -> Workload:
    return Workload(address=address, **more)


def a_service_entry(name: str = "reviews", **given: Any) -> ServiceEntry:
    """Host `<name>.shop`, port 80 `http`, STATIC without endpoints."""
    metadata, spec = _split(name, given)
    defaults: dict[str, Any] = {"hosts": (f"{name}.shop",), "ports": (a_port(),), "resolution": "STATIC"}
    return ServiceEntry(metadata=metadata, origin=an_origin("ServiceEntry", name), **{**defaults, **spec})


def a_workload_entry(name: str = "vm-1", address: str = "10.0.0.1", **given: Any) -> WorkloadEntry:
    metadata, spec = _split(name, given)
    origin = an_origin("WorkloadEntry", name)
    return WorkloadEntry(metadata=metadata, origin=origin, workload=Workload(address=address, origin=origin, **spec))


def a_destination(host: str = "reviews.shop", subset: str | None = None, port: int | None = None) -> Destination:
    return Destination(host=host, subset=subset, port=PortSelector(number=port) if port else None)


def a_route(*destinations: Destination, match: tuple[HTTPMatchRequest, ...] = (), **given: Any) -> HTTPRoute:
    """Forwards to the destinations, to reviews.shop when none is named, with equal weights where there are several."""
    weight = 0 if len(destinations) < 2 else 50
    to = tuple(HTTPRouteDestination(destination=d, weight=weight) for d in destinations or (a_destination(),))
    return HTTPRoute(match=match, **{"route": to, **given})


def a_match(**given: Any) -> HTTPMatchRequest:
    """`uri="/cart"` is a prefix match; anything else as HTTPMatchRequest has it."""
    if isinstance(given.get("uri"), str):
        given["uri"] = StringMatch(prefix=given["uri"])
    return HTTPMatchRequest(**given)


def a_virtual_service(name: str = "reviews", *http: HTTPRoute, **given: Any) -> VirtualService:
    """Host `<name>.shop`; without routes it forwards everything to that host."""
    metadata, spec = _split(name, given)
    defaults: dict[str, Any] = {"hosts": (f"{name}.shop",), "http": http or (a_route(a_destination(f"{name}.shop")),)}
    return VirtualService(metadata=metadata, origin=an_origin("VirtualService", name), **{**defaults, **spec})


def a_subset(name: str, traffic_policy: TrafficPolicy | None = None, **labels: str) -> Subset:
    return Subset(name=name, labels=labels or {"version": name}, traffic_policy=traffic_policy)


def a_destination_rule(name: str = "reviews", *subsets: str | Subset, **given: Any) -> DestinationRule:
    """Host `<name>.shop`; a subset given by name selects label `version`."""
    metadata, spec = _split(name, given)
    given_subsets = tuple(a_subset(subset) if isinstance(subset, str) else subset for subset in subsets)
    defaults: dict[str, Any] = {"host": f"{name}.shop", "subsets": given_subsets}
    return DestinationRule(metadata=metadata, origin=an_origin("DestinationRule", name), **{**defaults, **spec})


def a_sidecar(name: str = "default", *hosts: str, **given: Any) -> Sidecar:
    """One egress listener with these hosts, unless `egress` is given."""
    metadata, spec = _split(name, given)
    defaults: dict[str, Any] = {"egress": (IstioEgressListener(hosts=hosts),) if hosts else ()}
    return Sidecar(metadata=metadata, origin=an_origin("Sidecar", name), **{**defaults, **spec})


def a_server(number: int = 80, protocol: str = "HTTP", *hosts: str, **given: Any) -> Server:
    """For all hosts where none is named. `tls` may be just its mode; ports are named after what they are."""
    tls = given.pop("tls", None)
    if isinstance(tls, str):
        tls = ServerTLSSettings(mode=cast("ServerTLSMode", tls))
    name = given.pop("port_name", f"{protocol.lower()}-{number}")
    return Server(
        port=GatewayPort(number=number, protocol=protocol, name=name), hosts=hosts or ("*",), tls=tls, **given
    )


def a_gateway(name: str = "front", *servers: Server, **given: Any) -> Gateway:
    """Selects `istio: ingressgateway`. One HTTP server on port 80 for all hosts, where none is given."""
    metadata, spec = _split(name, given)
    defaults: dict[str, Any] = {"servers": servers or (a_server(),), "selector": {"istio": "ingressgateway"}}
    origin = an_origin("Gateway", name)
    placed = tuple(replace(each, origin=replace(origin, line=line)) for line, each in enumerate(defaults["servers"], 2))
    of_gateway = GatewayMetadata(**{field.name: getattr(metadata, field.name) for field in fields(metadata)})
    return Gateway(metadata=of_gateway, origin=origin, **{**defaults, "servers": placed, **spec})


def a_mesh_config(name: str = "mesh", **given: Any) -> MeshConfig:
    metadata, spec = _split(name, given)
    return MeshConfig(metadata=metadata, origin=an_origin("MeshConfig", name), **spec)


def a_client(namespace: str = "default", **labels: str) -> Client:
    return Client(namespace=Namespace(namespace), labels=labels)


def a_mesh(*resources: Resource, memo: Memo | None = None) -> Mesh:
    """As `load` would build it, without any check."""
    return assemble(resources, memo or Memo()).mesh


_METADATA = {field.name for field in fields(Metadata)} - {"name", "origin"}


def _split(name: str, given: Mapping[str, Any]) -> tuple[Metadata, dict[str, Any]]:
    """`namespace`, `annotations` and `metadata_labels` are for the metadata, all else for the spec."""
    spec = dict(given)
    ours = {key: spec.pop(key) for key in _METADATA - {"labels"} if key in spec}
    if "metadata_labels" in spec:
        ours["labels"] = spec.pop("metadata_labels")
    return replace(Metadata(name=name), **ours), spec
