"""Whether this host has a certificate of the mesh, and the TLS that it ends with it (spec section 10, 6.4, W-7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshd.compiler.gateway.server_tls import HTTP_ALPN, MESH_ALPN
from meshd.compiler.host import Host
from meshd.compiler.inbound.local_services import LocalService
from meshd.compiler.upstream.mesh_tls import speaks_mesh_tls
from meshd.compiler.upstream.secrets import identity_certificate, mesh_root
from meshd.mesh.rules import MergedRule
from meshd.plan import DownstreamTls
from meshd.registry.settings import MeshSettings
from meshd.resources.destination_rule import PortTrafficPolicy, TrafficPolicy
from meshd.resources.traffic_policy import ClientTLSSettings


def has_identity(host: Host, services: Iterable[LocalService]) -> bool:
    """The mesh says so of all hosts; or somebody opens the mesh's TLS to this one, so it must have what that takes.

    Of others nothing is taken for granted: without its files Envoy would wait for them, and serve nobody.
    """
    settings = host.settings
    named = bool(host.service_account) and settings.auto_mtls
    return settings.has_identity or named or any(has_peers(each, settings) for each in services)


def has_peers(local: LocalService, settings: MeshSettings) -> bool:
    """Clients open the mesh's TLS to it: of themselves, or as a DestinationRule tells them."""
    of_themselves = settings.auto_mtls and any(map(speaks_mesh_tls, local.instances))
    return of_themselves or any(_asks_for_it(rule) for rules in local.rules for rule in rules)


def mutual_tls(settings: MeshSettings, *, http: bool) -> DownstreamTls:
    """Whoever the mesh vouches for may come in; who of them may do what, is not for the proxy to say."""
    return DownstreamTls(
        certificates=(identity_certificate(settings).name,),
        alpn=HTTP_ALPN if http else (MESH_ALPN,),
        validation=mesh_root(settings).name,
        requires_client_certificate=True,
        trust_domain=settings.trust_domain,
    )


def _asks_for_it(rule: MergedRule) -> bool:
    policies = (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets.values()))
    return any(tls.mode == "ISTIO_MUTUAL" for policy in policies if policy for tls in _settings(policy))


def _settings(policy: TrafficPolicy) -> Iterator[ClientTLSSettings]:
    levels: tuple[TrafficPolicy | PortTrafficPolicy, ...] = (policy, *policy.port_level_settings)
    return (level.tls for level in levels if level.tls)
