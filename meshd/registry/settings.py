"""The settings of the mesh with every default settled: what a MeshConfig means, and what its absence means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from meshd.problems import NOWHERE, Origin
from meshd.resources.access_log import STDOUT
from meshd.resources.destination import Destination
from meshd.resources.mesh_config import (
    PROXY_INBOUND_PORT,
    PROXY_LISTEN_PORT,
    EgressGateway,
    Features,
    IngressGateway,
    MeshConfig,
    Network,
)
from meshd.resources.mesh_config import Identity as IdentityFiles
from meshd.resources.outbound_proxy import OutboundProxy
from meshd.resources.virtual_service import HTTPRetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The certificate of this host as a member of the mesh, and whom it believes: paths."""

    cert_chain: str = "/etc/meshd/identity/cert-chain.pem"
    key: str = "/etc/meshd/identity/key.pem"
    root_cert: str = "/etc/meshd/identity/root-cert.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLogging:
    """`file` empty: nothing is written. `format` empty: a format of ours or of Istio's."""

    file: str = STDOUT
    format: str = ""
    encoding: Literal["text", "json"] = "json"
    only_failures: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """Spec section 1. `http_proxy_port` None leaves the choice to each host's agent.

    `allow_any` and `egress_proxy`: what becomes of unknown traffic, where no Sidecar says otherwise.
    `has_identity`: the mesh says that its hosts have certificates; else only those that are named as having one do.
    """

    domain_suffix: str = "svc.cluster.local"
    root_namespace: str = "istio-system"
    connect_timeout: timedelta = timedelta(seconds=10)
    default_http_retry_policy: HTTPRetry | None = None
    dns_refresh_rate: timedelta = timedelta(seconds=60)
    http_proxy_port: int | None = None
    system_ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    locality_lb: bool = True
    trust_domain: str = "cluster.local"
    allow_any: bool = False
    egress_proxy: Destination | None = None
    outbound_proxies: tuple[OutboundProxy, ...] = ()
    proxy_listen_port: int = PROXY_LISTEN_PORT
    proxy_inbound_port: int = PROXY_INBOUND_PORT
    secret_root: str = "/etc/meshd/secrets"  # noqa: S105 (a directory)
    identity: Identity = field(default_factory=Identity)
    has_identity: bool = False
    egress_gateway_host: str = "istio-egressgateway.istio-system.svc.cluster.local"
    egress_gateway_selector: Mapping[str, str] = field(default_factory=lambda: {"istio": "egressgateway"})
    egress_gateway_mtls: bool | None = None
    ingress_gateway_selector: Mapping[str, str] = field(default_factory=lambda: {"istio": "ingressgateway"})
    auto_mtls: bool = True
    networks: Mapping[str, Network] = field(default_factory=dict)
    features: Features = field(default_factory=Features)
    preserve_v1alpha1_defaults: bool = True
    verify_v1alpha1_egress: bool = True
    access_log: AccessLogging = field(default_factory=AccessLogging)
    origin: Origin = field(default=NOWHERE, compare=False)


def settle(config: MeshConfig | None) -> MeshSettings:
    """What a MeshConfig means, or its absence."""
    return _settled(config) if config else DEFAULTS


def _settled(config: MeshConfig) -> MeshSettings:
    suffix = (config.domain_suffix or DEFAULTS.domain_suffix).lower().removesuffix(".")
    policy = config.outbound_traffic_policy
    return MeshSettings(
        domain_suffix=suffix,
        root_namespace=config.root_namespace or DEFAULTS.root_namespace,
        connect_timeout=config.connect_timeout or DEFAULTS.connect_timeout,
        default_http_retry_policy=config.default_http_retry_policy,
        dns_refresh_rate=config.dns_refresh_rate or DEFAULTS.dns_refresh_rate,
        http_proxy_port=config.http_proxy_port,
        system_ca_file=config.system_ca_file or DEFAULTS.system_ca_file,
        locality_lb=config.locality_lb.enabled if config.locality_lb else DEFAULTS.locality_lb,
        trust_domain=(config.trust_domain or DEFAULTS.trust_domain).removesuffix("."),
        allow_any=policy is not None and policy.mode == "ALLOW_ANY",
        egress_proxy=policy.egress_proxy if policy else None,
        outbound_proxies=config.outbound_proxies,
        proxy_listen_port=config.proxy_listen_port or DEFAULTS.proxy_listen_port,
        proxy_inbound_port=config.proxy_inbound_port or DEFAULTS.proxy_inbound_port,
        secret_root=(config.secret_root or DEFAULTS.secret_root).rstrip("/"),
        identity=_identity(config.identity),
        has_identity=config.identity is not None,
        egress_gateway_host=_egress_gateway_host(config.egress_gateway, suffix),
        egress_gateway_selector=_selector(config.egress_gateway, DEFAULTS.egress_gateway_selector),
        egress_gateway_mtls=config.egress_gateway.mtls if config.egress_gateway else None,
        ingress_gateway_selector=_selector(config.ingress_gateway, DEFAULTS.ingress_gateway_selector),
        auto_mtls=DEFAULTS.auto_mtls if config.auto_mtls is None else config.auto_mtls,
        networks=config.networks,
        features=config.features or DEFAULTS.features,
        preserve_v1alpha1_defaults=config.v1alpha1.preserve_defaults if config.v1alpha1 else True,
        verify_v1alpha1_egress=config.v1alpha1.egress_tls_verify if config.v1alpha1 else True,
        access_log=_access_log(config),
        origin=config.origin,
    )


def _access_log(config: MeshConfig) -> AccessLogging:
    """Who names a file wants every line of it, as in Istio, unless the filter says otherwise."""
    given = config.access_log_filter or ("FAILURES" if config.access_log_file is None else "ALL")
    text = config.access_log_format or ""
    encoding = config.access_log_encoding or ("JSON" if given == "FAILURES" and not text else "TEXT")
    return AccessLogging(
        file=STDOUT if config.access_log_file is None else config.access_log_file,
        format=text,
        encoding="json" if encoding == "JSON" else "text",
        only_failures=given == "FAILURES",
    )


def _identity(given: IdentityFiles | None) -> Identity:
    default = DEFAULTS.identity
    if given is None:
        return default
    return Identity(
        cert_chain=given.cert_chain or default.cert_chain,
        key=given.key or default.key,
        root_cert=given.root_cert or default.root_cert,
    )


def _egress_gateway_host(given: EgressGateway | None, suffix: str) -> str:
    if given and given.host:
        return given.host.lower().removesuffix(".")
    return f"istio-egressgateway.istio-system.{suffix}"


def _selector(given: EgressGateway | IngressGateway | None, default: Mapping[str, str]) -> Mapping[str, str]:
    return given.selector if given and given.selector else default


DEFAULTS = MeshSettings()
