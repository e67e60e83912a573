"""An HTTP chain -> Envoy's HTTP connection manager."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from meshd.envoy.config_sources import ads
from meshd.envoy.http_filters import early_mutations, http_filters
from meshd.envoy.scalars import boolean, duration
from meshd.plan import HttpChain

NAME = "envoy.filters.network.http_connection_manager"

HttpConnectionManager = hcm.HttpConnectionManager


def connection_manager(chain: HttpChain) -> hcm.HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix=chain.stat_prefix,
        rds=hcm.Rds(config_source=ads(), route_config_name=chain.route_table),
        http_filters=http_filters(chain),
        early_header_mutation_extensions=early_mutations(chain),
        http_protocol_options=_explicit_proxy() if chain.absolute_urls else None,
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        # The peer is the application on this host: what it forwards as x-forwarded-for is not its own address.
        use_remote_address=boolean(False),
        generate_request_id=boolean(True),
        normalize_path=boolean(True),
        # Envoy's default would end a stream after five silent minutes.
        stream_idle_timeout=duration(timedelta()),
        # The application sees which server answered, not which proxy stood between.
        server_header_transformation=HttpConnectionManager.PASS_THROUGH,
    )


def _explicit_proxy() -> Http1ProtocolOptions:
    """Clients of an HTTP proxy ask by absolute URL, and the older tools among them in HTTP/1.0."""
    return Http1ProtocolOptions(allow_absolute_url=boolean(True), accept_http_10=True)
