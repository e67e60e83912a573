"""The agent's configuration and the ports of its proxies -> the table of this host. Asks the host for users alone."""

from __future__ import annotations

from typing import Final

from meshd.capture.owners import Owners
from meshd.capture.served import Served
from meshd.capture.table import Redirections, Table, table
from meshd.config import AgentConfig
from meshd.config.nftables import PROXIES
from meshd.problems import Problems

_SSH: Final = 22
_WHO: Final = "say who meshd runs as: nftables.agentUser"
_WHOSE: Final = "say who the Envoys run as: nftables.proxyUser"


def wanted_table(config: AgentConfig, served: Served) -> tuple[Table | None, Problems]:
    """None when users or groups are not known here; the problems say which."""
    owners = Owners()
    redirections = _redirections(config, served, owners)
    return (None if owners.problems else table(redirections)), tuple(owners.problems)


def proxy_user(config: AgentConfig) -> tuple[str | int, str]:
    """Who runs the Envoys, and which setting says so."""
    chosen = config.nftables
    if chosen.proxy_user is not None:
        return chosen.proxy_user, "proxyUser"
    return (PROXIES, "proxyUser") if config.envoy.supervisor == "systemd" else (chosen.agent_user, "agentUser")


def _redirections(config: AgentConfig, served: Served, owners: Owners) -> Redirections:
    chosen = config.nftables
    at = chosen.origin if chosen.origin.file else config.origin.at("nftables")
    user, setting = proxy_user(config)
    proxies = owners.user(user, at.at(setting), _WHOSE if setting == "proxyUser" else _WHO)
    # With one user for both, the proxies count: that of meshd would hide from the sidecar what they call on this host.
    agent = proxies if user == chosen.agent_user else owners.user(chosen.agent_user, at.at("agentUser"), _WHO)
    others = owners.users(chosen.exclude_outbound_users, at.at("excludeOutboundUsers"))
    return Redirections(
        outbound_port=served.proxy_listen_port,
        inbound_port=served.proxy_inbound_port,
        proxies=proxies,
        left_alone=(agent | others) - proxies,
        groups_left_alone=owners.groups(chosen.exclude_outbound_groups, at.at("excludeOutboundGroups")),
        interfaces_left_alone=chosen.exclude_interfaces,
        networks=None if chosen.include_outbound_IP_ranges == "*" else chosen.include_outbound_IP_ranges,
        networks_left_alone=chosen.exclude_outbound_IP_ranges,
        ports=frozenset(chosen.include_outbound_ports),
        ports_left_alone=frozenset(chosen.exclude_outbound_ports),
        own_ports=None if chosen.include_inbound_ports == "*" else frozenset(chosen.include_inbound_ports),
        # Whatever is written, nobody is to lock himself out.
        own_ports_left_alone=frozenset({*chosen.exclude_inbound_ports, *served.bound, _SSH}),
    )
