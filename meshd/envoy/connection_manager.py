"""An HTTP chain -> Envoy's HTTP connection manager."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_never

from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from meshd.envoy.access_logs import SILENT, Loggers
from meshd.envoy.circles import Itself, circle_refused
from meshd.envoy.config_sources import ads
from meshd.envoy.connect_refused import connect_refused
from meshd.envoy.http_filters import early_mutations, http_filters
from meshd.envoy.led_on import local_replies
from meshd.envoy.scalars import boolean, duration
from meshd.plan import HttpChain, Side

NAME = "envoy.filters.network.http_connection_manager"

HttpConnectionManager = hcm.HttpConnectionManager

_OF_CLIENTS = HttpConnectionManager.SetCurrentClientCertDetails(subject=boolean(True), cert=True, dns=True, uri=True)
_OF_PEERS = HttpConnectionManager.SetCurrentClientCertDetails(subject=boolean(True), dns=True, uri=True)


def connection_manager(
    chain: HttpChain, dns_refresh_rate: timedelta, logs: Loggers = SILENT, place: Itself | None = None
) -> hcm.HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix=chain.stat_prefix,
        rds=hcm.Rds(config_source=ads(), route_config_name=chain.route_table),
        access_log=logs.requests,
        http_filters=http_filters(chain, dns_refresh_rate, place),
        early_header_mutation_extensions=early_mutations(chain),
        http_protocol_options=_explicit_proxy() if chain.absolute_urls else None,
        local_reply_config=_own_answers(chain, place),
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        generate_request_id=boolean(True),
        normalize_path=boolean(True),
        # Envoy's default would end a stream after five silent minutes.
        stream_idle_timeout=duration(timedelta()),
        # The application sees which server answered, not which proxy stood between.
        server_header_transformation=HttpConnectionManager.PASS_THROUGH,
        **_trust(chain.side),
    )


def _own_answers(chain: HttpChain, place: Itself | None) -> hcm.LocalReplyConfig | None:
    found = local_replies(chain.tells) or hcm.LocalReplyConfig()
    if chain.absolute_urls:
        found.mappers.append(connect_refused())
    if place:
        found.mappers.append(circle_refused())
    return found if found.mappers else None


def _trust(side: Side) -> dict[str, Any]:
    """Whose address the peer's is, and what becomes of `x-forwarded-client-cert`."""
    match side:
        case "outbound":
            # The peer is the application on this host: what it forwards as x-forwarded-for is not its own address.
            return {"use_remote_address": boolean(False)}
        case "gateway":
            # The world: what it claims of a certificate is replaced by what it has shown.
            return {
                "use_remote_address": boolean(True),
                "forward_client_cert_details": HttpConnectionManager.SANITIZE_SET,
                "set_current_client_cert_details": _OF_CLIENTS,
            }
        case "inbound":
            # A proxy of the mesh, which has told already where the request came from. Where it has not shown a
            # certificate, Envoy removes what it claims of others.
            return {
                "use_remote_address": boolean(False),
                "forward_client_cert_details": HttpConnectionManager.APPEND_FORWARD,
                "set_current_client_cert_details": _OF_PEERS,
            }
        case _ as unknown:
            assert_never(unknown)


def _explicit_proxy() -> Http1ProtocolOptions:
    """Clients of an HTTP proxy ask by absolute URL, and the older tools among them in HTTP/1.0."""
    return Http1ProtocolOptions(allow_absolute_url=boolean(True), accept_http_10=True)
