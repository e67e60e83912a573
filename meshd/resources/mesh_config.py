"""MeshConfig: the settings of the whole mesh, in the repository (spec section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from meshd.fields import Count, Duration, LabelMap, Message, Port, fqdn, is_ip, namespace_label
from meshd.resources.resource import Resource
from meshd.resources.sidecar import OutboundTrafficPolicy
from meshd.resources.virtual_service import HTTPRetry


def ip_address(value: object) -> str:
    return "" if is_ip(str(value)) else f"{value!r} is not an IP address"


def absolute_path(value: object) -> str:
    return "" if str(value).startswith("/") else f"{value!r} is not an absolute path"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLb(Message):
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Message):
    """Where each host of the mesh has its own certificate: SPIFFE, issued and renewed by the operator."""

    cert_chain: Annotated[str, absolute_path] | None = None
    key: Annotated[str, absolute_path] | None = None
    root_cert: Annotated[str, absolute_path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressGateway(Message):
    host: Annotated[str, fqdn] | None = None
    selector: LabelMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressGateway(Message):
    selector: LabelMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGateway(Message):
    """An AUTO_PASSTHROUGH server of that network."""

    address: Annotated[str, ip_address]
    port: Port = 15443


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Message):
    """What Istio's MeshNetworks say: how workloads of another network are reached (spec W-4)."""

    gateways: Annotated[tuple[NetworkGateway, ...], Count(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features(Message):
    """Whether Envoy's sniffing filters of these protocols are used (spec 3.5)."""

    mongo: bool = False
    redis: bool = False
    mysql: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig(Resource):
    """What is absent here has the default of spec section 1."""

    KIND: ClassVar[str] = "MeshConfig"
    GROUP: ClassVar[str] = "meshd.io"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)

    domain_suffix: Annotated[str, fqdn] | None = None
    root_namespace: Annotated[str, namespace_label] | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    connect_timeout: Duration | None = None
    default_http_retry_policy: HTTPRetry | None = None
    dns_refresh_rate: Duration | None = None
    http_proxy_port: Port | None = None
    system_ca_file: Annotated[str, absolute_path] | None = None
    locality_lb: LocalityLb | None = None
    trust_domain: Annotated[str, fqdn] | None = None
    proxy_listen_port: Port | None = None
    proxy_inbound_port: Port | None = None
    secret_root: Annotated[str, absolute_path] | None = None
    identity: Identity | None = None
    egress_gateway: EgressGateway | None = None
    ingress_gateway: IngressGateway | None = None
    auto_mtls: bool | None = None
    networks: Mapping[str, Network] = field(default_factory=dict)
    features: Features | None = None
