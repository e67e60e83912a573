"""DestinationRule and Sidecar -> what acts on the way in: connection pool and retry budget alone (D-45, SC-9)."""

from __future__ import annotations

from dataclasses import replace

from meshd.compiler.host import Host
from meshd.compiler.inbound.local_services import LocalPort
from meshd.compiler.upstream.policy import Policy, effective_policy
from meshd.mesh.selection import rule_among
from meshd.names import Namespace
from meshd.resources.sidecar import Sidecar
from meshd.resources.traffic_policy import ConnectionPoolSettings


def inbound_policy(
    local: LocalPort | None, host: Host, sidecar: Sidecar | None, own: ConnectionPoolSettings | None = None
) -> Policy:
    """`own`: of the ingress entry. A pool replaces the next one whole. `local` None: no service is answered there."""
    ruled = _ruled(local, host) if local else Policy()
    general = sidecar.inbound_connection_pool if sidecar else None
    pool = own or general or ruled.connection_pool
    return Policy(connection_pool=_for_servers(pool), retry_budget=ruled.retry_budget)


def _ruled(each: LocalPort, host: Host) -> Policy:
    """As a client in the server's place would read it. A rule for selected clients is no word to servers (6.1)."""
    candidates = [tuple(rule for rule in rules if not rule.is_selective) for rules in each.local.rules]
    root = Namespace(host.settings.root_namespace)
    return effective_policy(rule_among(candidates, each.local.service, host.client, root), "", each.port.number)


def _for_servers(pool: ConnectionPoolSettings | None) -> ConnectionPoolSettings | None:
    """D-40 is for clients: what the server speaks is not for its clients to raise."""
    if pool is None or pool.http is None:
        return pool
    return replace(pool, http=replace(pool.http, h2_upgrade_policy="DEFAULT"))
