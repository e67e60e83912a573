"""MeshConfig: the settings of the whole mesh, in the repository (spec section 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Annotated, ClassVar, Final, Literal

from meshd.fields import (
    Count,
    Duration,
    HostText,
    LabelMap,
    Later,
    Message,
    Port,
    absolute_path,
    fqdn,
    ip_address,
    namespace_label,
)
from meshd.problems import Problem
from meshd.resources.access_log import LARGEST_FORMAT, Encoding, check_file, check_format, log_file
from meshd.resources.finding import doubtful, invalid
from meshd.resources.outbound_proxy import OutboundProxy, check_together
from meshd.resources.resource import Resource
from meshd.resources.sidecar import OutboundTrafficPolicy
from meshd.resources.virtual_service import HTTPRetry

PROXY_LISTEN_PORT: Final = 15001
PROXY_INBOUND_PORT: Final = 15006


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLb(Message):
    """Whether calls prefer endpoints that are near, where a DestinationRule does not say otherwise."""

    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Message):
    """Where each host of the mesh has its own certificate: SPIFFE, issued and renewed by the operator."""

    cert_chain: Annotated[str, absolute_path] | None = None
    key: Annotated[str, absolute_path] | None = None
    root_cert: Annotated[str, absolute_path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressGateway(Message):
    """The service of the egress gateways, and the labels of the workloads that are such.

    `mtls`: whether `useEgressProxy` goes there in the mesh's own TLS; absent: where gateways have identities (Q-06).
    """

    host: Annotated[HostText, fqdn] | None = None
    selector: LabelMap = field(default_factory=dict)
    mtls: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressGateway(Message):
    """The labels of the workloads that are ingress gateways."""

    selector: LabelMap = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkGateway(Message):
    """An AUTO_PASSTHROUGH server of that network."""

    address: Annotated[str, ip_address]
    port: Port = 15443
    registry_service_name: Later = None
    locality: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Message):
    """What Istio's MeshNetworks say: how workloads of another network are reached (spec W-4).

    Which network an endpoint is in, its WorkloadEntry says; it is not told from its address.
    """

    gateways: Annotated[tuple[NetworkGateway, ...], Count(1)]
    endpoints: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Features(Message):
    """Whether Envoy's sniffing filters of these protocols are used (spec 3.5)."""

    mongo: bool = False
    redis: bool = False
    mysql: bool = False

    def check(self) -> Iterator[Problem]:
        """Envoy has its filter for MySQL in builds with contrib extensions only, and meshd cannot know of all hosts."""
        if self.mysql:
            message = "has no effect: Envoy's filter for MySQL is not in its usual builds"
            yield doubtful(self.origin.at("mysql"), message, "MYSQL ports are proxied as TCP; remove it")


@dataclass(frozen=True, slots=True, kw_only=True)
class V1alpha1(Message):
    """How the kinds of v1alpha1 are read: with the defaults they had, and whether servers outside are verified."""

    preserve_defaults: bool = True
    egress_tls_verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig(Resource):
    """What is absent here has the default of spec section 1."""

    KIND: ClassVar[str] = "MeshConfig"
    GROUP: ClassVar[str] = "meshd.io"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)

    domain_suffix: Annotated[HostText, fqdn] | None = None
    root_namespace: Annotated[str, namespace_label] | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    outbound_proxies: tuple[OutboundProxy, ...] = ()
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
    networks: Mapping[Annotated[str, Count(1)], Network] = field(default_factory=dict)
    features: Features | None = None
    v1alpha1: V1alpha1 | None = None
    access_log_file: Annotated[str, log_file] | None = None
    access_log_format: Annotated[str, Count(0, LARGEST_FORMAT)] | None = None
    access_log_encoding: Encoding | None = None
    access_log_filter: Literal["ALL", "FAILURES"] | None = None

    def check(self) -> Iterator[Problem]:
        yield from self._check_ports()
        yield from check_together(self.outbound_proxies, self.origin.at("secretRoot"), self.secret_root or "")
        yield from check_file(self.access_log_file or "", self.origin.at("accessLogFile"))
        if self.access_log_format:
            yield from check_format(self.access_log_format, self.access_log_encoding, self.origin.at("accessLogFormat"))

    def _check_ports(self) -> Iterator[Problem]:
        """The proxy's own: two listeners on one would keep each other out."""
        ports = {
            "proxyListenPort": self.proxy_listen_port or PROXY_LISTEN_PORT,
            "proxyInboundPort": self.proxy_inbound_port or PROXY_INBOUND_PORT,
            "httpProxyPort": self.http_proxy_port,
        }
        for (one, port), (other, its) in combinations(ports.items(), 2):
            if port == its:
                yield invalid(self.origin.at(other), f"{its} is {one} too", "give each its own port")
