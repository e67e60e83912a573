"""Where Envoy asks for resources: always on the one aggregated stream from meshd, so that meshd sets the order."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource

from meshd.envoy.scalars import maybe_duration


def ads(initial_fetch_timeout: timedelta | None = None) -> ConfigSource:
    """None keeps Envoy's 15 s.

    Endpoints and routes keep them: when that time is over a cluster goes live without endpoints and a listener
    without routes, and 10 000 new clusters take Envoy longer than a second before it reads their endpoints.
    """
    return ConfigSource(
        ads=AggregatedConfigSource(),
        initial_fetch_timeout=maybe_duration(initial_fetch_timeout),
        resource_api_version=ApiVersion.V3,
    )
