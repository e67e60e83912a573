"""`custom`, a google.protobuf.Any: a message of Envoy's own API, which is handed on to Envoy (inventory CB-03 ...)."""

from __future__ import annotations

from collections.abc import Mapping

from meshd.fields import Json

Custom = Mapping[str, Json]
"""With its `@type`: `type.googleapis.com/envoy.config.cluster.v3.CircuitBreakers`, say."""
