"""Who speaks the mesh's own mutual TLS, under which names, and how it is opened to them (spec 6.4, D-74, W-7)."""

from __future__ import annotations

from typing import Final

from meshd import plan
from meshd.compiler.upstream.call import Call
from meshd.compiler.upstream.secrets import identity_certificate, mesh_root
from meshd.names import SubsetName, mesh_sni
from meshd.registry.service import Instance, Port, Service
from meshd.registry.settings import MeshSettings

_ALPN: Final = ("istio",)
_ALPN_HTTP2: Final = ("istio", "h2")


def speaks_mesh_tls(instance: Instance) -> bool:
    return instance.speaks_mesh_tls


def mesh_tls(
    call: Call, http: plan.UpstreamHttp | None, *, sni: str | None = None, subject_alt_names: tuple[str, ...] = ()
) -> plan.UpstreamTls:
    """`sni` and names, where they are given, count instead of those that the mesh gives a service."""
    settings = call.host.settings
    return plan.UpstreamTls(
        sni=sni or _sni(call),
        validation=mesh_root(settings).name,
        subject_alt_names=subject_alt_names or _names(call.service, call.port, settings.trust_domain),
        certificate=identity_certificate(settings).name,
        alpn=_ALPN_HTTP2 if http and http.protocol == "http2" else _ALPN,
    )


def mesh_secrets(settings: MeshSettings) -> tuple[plan.Secret, ...]:
    return (identity_certificate(settings), mesh_root(settings))


def _sni(call: Call) -> str | None:
    """One cluster of DYNAMIC_DNS stands for many hosts: there each request names its own."""
    if call.service.resolution == "DYNAMIC_DNS":
        return None
    return mesh_sni(call.service.host, call.port.number, SubsetName(call.subset))


def _names(service: Service, port: Port, trust_domain: str) -> tuple[str, ...]:
    """Whoever may answer for the service, in any of its subsets. Nobody is named: anyone whom the mesh vouches for."""
    accounts = {instance.service_account for instance in service.instances_of(port)} - {""}
    identities = {f"spiffe://{trust_domain}/ns/{service.namespace}/sa/{account}" for account in accounts}
    return tuple(sorted({*identities, *service.subject_alt_names}))
