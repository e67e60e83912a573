"""The mesh's outbound proxies -> the way of one cluster: straight to its endpoints, or through the proxy of this host.

What goes through is led to a listener inside, which asks the proxy for a tunnel; what those are made of is said by
`compiler/outbound_proxy.py`. Names go to the proxy as they are: nobody here looks them up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, assert_never

from meshd.compiler.host import Host
from meshd.compiler.upstream.call import Call
from meshd.compiler.upstream.no_proxy import NoProxy, no_proxy
from meshd.fields import is_ip
from meshd.names import ClusterName, ListenerName
from meshd.plan import (
    Address,
    ByEds,
    Discovery,
    DnsAddress,
    DynamicDns,
    Endpoint,
    InternalAddress,
    IpAddress,
    OriginalDestination,
    Told,
    UnixAddress,
)
from meshd.registry.hosts import is_wildcard
from meshd.registry.service import Port
from meshd.resources.outbound_proxy import OutboundProxy

BY_ENDPOINT: Final = ListenerName("outboundProxy")
"""Its tunnels lead to what the endpoint is called that led there."""
BY_AUTHORITY: Final = ListenerName("outboundProxy_any")
"""Its tunnels lead to whom the connection was for, name or address and port."""

NO_PROXY: Final = ClusterName("NoProxyCluster")
"""Where dialled addresses lead that `noProxy` names."""


def by_host(port: int) -> ListenerName:
    """Its tunnels lead to the host that the connection was for, at this port."""
    return ListenerName(f"{BY_ENDPOINT}_{port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`via`: the proxy, empty where there is none. `tells`: what a connection has to say to find its end."""

    discovery: Discovery
    endpoints: tuple[Endpoint, ...]
    via: str = ""
    tells: Told | None = None


def proxy_of(host: Host) -> OutboundProxy | None:
    """The first that selects the host; but who is the proxy himself goes out on his own."""
    labels = host.client.labels
    for each in host.settings.outbound_proxies:
        if all(labels.get(key) == value for key, value in each.selector.items()):
            return None if each.direct or _is_on(each, host) else each
    return None


def exempt(proxy: OutboundProxy) -> NoProxy:
    """The proxy itself is reached without it, at whatever port."""
    return no_proxy((*proxy.no_proxy, proxy.host or ""))


def way(call: Call, discovery: Discovery, endpoints: tuple[Endpoint, ...]) -> Way:
    """`endpoints`: where the service itself is, if that is known."""
    proxy = proxy_of(call.host) if call.service.location == "MESH_EXTERNAL" else None
    straight = Way(discovery=discovery, endpoints=endpoints)
    if proxy is None:
        return straight
    exempted = exempt(proxy)
    if exempted.covers(call.service.host, _port(call.port, discovery)):
        return straight
    match discovery:
        case ByEds():
            led = tuple(_led(each, exempted) for each in endpoints)
            return replace(straight, endpoints=led, via=called(proxy) if led != endpoints else "")
        case DynamicDns() | OriginalDestination():
            return _told(call, discovery, proxy)
        case _ as unknown:
            assert_never(unknown)


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def leading(listener: ListenerName, endpoint_id: str) -> Endpoint:
    return Endpoint(address=InternalAddress(listener=listener, endpoint_id=endpoint_id), port=0)


def called(proxy: OutboundProxy) -> str:
    """For people."""
    return authority(proxy.host or "", proxy.port or 0)


def _is_on(proxy: OutboundProxy, host: Host) -> bool:
    return proxy.host in {host.name, host.address, *host.addresses}


def _port(port: Port, discovery: Discovery) -> int:
    """Where it is called."""
    changed = discovery.port if isinstance(discovery, OriginalDestination) else None
    return changed or port.target_port


def _led(endpoint: Endpoint, exempted: NoProxy) -> Endpoint:
    host = _host(endpoint.address)
    if not host or exempted.covers(host, endpoint.port):
        return endpoint
    inside = leading(BY_ENDPOINT, authority(host, endpoint.port))
    return replace(endpoint, address=inside.address, port=inside.port)


def _host(address: Address) -> str:
    """What a proxy elsewhere may be asked for; empty where it could not lead there: it looks up no SRV records."""
    match address:
        case IpAddress(ip=text):
            return text
        case DnsAddress(name=name):
            return "" if name.startswith("_") else name
        case UnixAddress() | InternalAddress():
            return ""
        case _ as unknown:
            assert_never(unknown)


def _told(call: Call, discovery: Discovery, proxy: OutboundProxy) -> Way:
    """Of a name nothing has to be told. Below a wildcard requests tell their Host, TLS its server name; all else is
    told by the address that was dialled."""
    service, port = call.service, call.port
    number = _port(port, discovery)
    tells: Told | None = None
    balances = service.resolution in {"NONE", "DYNAMIC_DNS"}
    if balances and not is_wildcard(service.host) and not is_ip(service.host) and not _is_network(call):
        end = leading(BY_ENDPOINT, authority(service.host, number))
    elif balances and port.family != "tcp":
        tells, end = "host" if port.family == "http" else "server_name", leading(by_host(number), service.host)
    elif port.family == "http":
        tells, end = "host", leading(BY_AUTHORITY, service.host)
    else:
        tells, end = "address", leading(BY_AUTHORITY, service.host)
    return Way(discovery=ByEds(), endpoints=(end,), via=called(proxy), tells=tells)


def _is_network(call: Call) -> bool:
    """Connections to its addresses: the name is no more than what the service is called."""
    return call.port.family == "tcp" and bool(call.service.addresses)
