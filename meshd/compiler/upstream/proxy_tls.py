"""TLS to an outbound proxy: without a word to the contrary both its chain and its name are verified."""

from __future__ import annotations

from meshd.compiler.upstream.tls import client_certificate, root
from meshd.fields import is_ip
from meshd.plan import Secret, UpstreamTls
from meshd.registry.settings import MeshSettings
from meshd.resources.outbound_proxy import OutboundProxy


def proxy_tls(proxy: OutboundProxy, settings: MeshSettings) -> UpstreamTls | None:
    given = proxy.tls
    if given is None or given.mode == "DISABLE":
        return None
    believed, shown = root(given, settings), client_certificate(given, settings)
    host = proxy.host or ""
    return UpstreamTls(
        sni=given.sni or ("" if is_ip(host) else host),
        validation=believed.name if believed else None,
        subject_alt_names=given.subject_alt_names or ((host,) if believed else ()),
        certificate=shown.name if shown else None,
    )


def proxy_secrets(proxy: OutboundProxy, settings: MeshSettings) -> tuple[Secret, ...]:
    given = proxy.tls
    if given is None or given.mode == "DISABLE":
        return ()
    return tuple(each for each in (client_certificate(given, settings), root(given, settings)) if each)
