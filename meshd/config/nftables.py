"""Which connections of this host are redirected to its sidecar, in Istio's words. No look at the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from meshd.config.checks import interface, network, user_or_group
from meshd.fields import Message, Port

Network = Annotated[str, network]
Owner = Annotated[str | int, user_or_group]
"""A user or group, by name or number."""

AGENT: Final = "meshd"
PROXIES: Final = "meshd-envoy"
"""Who the units run as."""

_SSH: Final = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class NftablesConfig(Message):
    """What is excluded wins over what is included, and `"*"` is all.

    `include_outbound_ports` are redirected whatever the address. `agent_user` runs meshd; `proxy_user` runs its Envoys,
    and nobody is that unless it is said: the user of their units, or with `supervisor: child` that of meshd.
    """

    include_outbound_IP_ranges: Literal["*"] | tuple[Network, ...] = "*"  # noqa: N815  (Istio's includeOutboundIPRanges)
    exclude_outbound_IP_ranges: tuple[Network, ...] = ()  # noqa: N815
    include_outbound_ports: tuple[Port, ...] = ()
    exclude_outbound_ports: tuple[Port, ...] = (_SSH,)
    include_inbound_ports: Literal["*"] | tuple[Port, ...] = "*"
    exclude_inbound_ports: tuple[Port, ...] = (_SSH,)
    exclude_interfaces: tuple[Annotated[str, interface], ...] = ()
    exclude_outbound_users: tuple[Owner, ...] = ()
    exclude_outbound_groups: tuple[Owner, ...] = ()
    agent_user: Owner = AGENT
    proxy_user: Owner | None = None
