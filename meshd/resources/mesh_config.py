"""MeshConfig: the settings of the whole mesh, in the repository (spec section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from meshd.fields import Duration, Later, Message, Port, fqdn, namespace_label
from meshd.resources.resource import Resource
from meshd.resources.sidecar import OutboundTrafficPolicy
from meshd.resources.virtual_service import HTTPRetry


def absolute_path(value: object) -> str:
    return "" if str(value).startswith("/") else f"{value!r} is not an absolute path"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalityLb(Message):
    enabled: bool = True


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
    trust_domain: Later = None
    proxy_listen_port: Later = None
    proxy_inbound_port: Later = None
    secret_root: Later = None
    identity: Later = None
    egress_gateway: Later = None
    ingress_gateway: Later = None
    auto_mtls: Later = None
