"""What has to be known of a connection before its chain is chosen -> listener filters, and no more than needed.

An inspector waits for the client to speak first, which a client of MySQL or SMTP never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from envoy.config.listener.v3.listener_components_pb2 import ListenerFilter, ListenerFilterChainMatchPredicate
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.type.v3.range_pb2 import Int32Range
from google.protobuf.message import Message

from meshd.envoy.chain_matches import PLAIN_HTTP
from meshd.envoy.tunnels import credential_filters
from meshd.envoy.wire import packed
from meshd.plan import ChainMatch, HttpChain, Listener, TcpChain

_TLS_INSPECTOR: Final = "envoy.filters.listener.tls_inspector"


def listener_filters(plan: Listener, matches: Sequence[ChainMatch]) -> list[ListenerFilter]:
    """In the order in which a connection meets them: where it was going, then what it says."""
    filters = []
    if plan.captures:
        filters.append(_filter("envoy.filters.listener.original_dst", OriginalDst()))
    if plan.proxy_protocol:
        filters.append(_filter("envoy.filters.listener.proxy_protocol", ProxyProtocol()))
    filters += credential_filters(credentials_of(plan))
    return filters + inspectors(plan, matches)


def credentials_of(plan: Listener) -> str:
    """What tunnels show; they are alone in their listener."""
    tunnels = (chain.tunnel for chain in plan.chains if isinstance(chain, TcpChain) and chain.tunnel)
    return next((tunnel.credentials for tunnel in tunnels), "")


def inspectors(plan: Listener, matches: Sequence[ChainMatch]) -> list[ListenerFilter]:
    unless = _going_to(plan.server_first)
    filters = []
    asks_for_tls = any(match.server_names or match.transport or match.alpn for match in matches)
    if asks_for_tls or _looks_up_sni(plan) or _is_for_applications(plan):
        filters.append(_filter(_TLS_INSPECTOR, TlsInspector(), unless))
    elif plan.tls_ports:
        filters.append(_filter(_TLS_INSPECTOR, TlsInspector(), _not_going_to(plan.tls_ports)))
    if any(match.transport != "tls" and not set(PLAIN_HTTP).isdisjoint(match.alpn) for match in matches):
        filters.append(_filter("envoy.filters.listener.http_inspector", HttpInspector(), unless))
    return filters


def _is_for_applications(plan: Listener) -> bool:
    """An application that opens TLS where it should not (it is opened for it) is told by name in the access log.

    Only where all is HTTP: beside it may be clients that wait for their server to speak.
    """
    return plan.side == "outbound" and all(isinstance(chain, HttpChain) for chain in plan.chains)


def _looks_up_sni(plan: Listener) -> bool:
    return any(isinstance(chain, TcpChain) and _asks_for_sni(chain) for chain in plan.chains)


def _asks_for_sni(chain: TcpChain) -> bool:
    return chain.sni_dns_port is not None or chain.tells == "server_name"


def _going_to(ports: Sequence[int]) -> ListenerFilterChainMatchPredicate | None:
    """Connections to any of these; Envoy wants an alternative to be between two at least."""
    if not ports:
        return None
    each = [
        ListenerFilterChainMatchPredicate(destination_port_range=Int32Range(start=port, end=port + 1)) for port in ports
    ]
    if len(each) == 1:
        return each[0]
    return ListenerFilterChainMatchPredicate(or_match=ListenerFilterChainMatchPredicate.MatchSet(rules=each))


def _not_going_to(ports: Sequence[int]) -> ListenerFilterChainMatchPredicate:
    return ListenerFilterChainMatchPredicate(not_match=_going_to(ports))


def _filter(name: str, settings: Message, unless: ListenerFilterChainMatchPredicate | None = None) -> ListenerFilter:
    return ListenerFilter(name=name, typed_config=packed(settings), filter_disabled=unless)
