"""The four kinds of v1alpha1, one module each; `LEGACY_KINDS` lists them. What they mean today, `convert` knows."""

from __future__ import annotations

from typing import Final

from meshd.resources.legacy.destination_policy import DestinationPolicy
from meshd.resources.legacy.egress_rule import EgressRule
from meshd.resources.legacy.ingress_rule import IngressRule
from meshd.resources.legacy.legacy_resource import LegacyResource
from meshd.resources.legacy.route_rule import RouteRule

__all__ = ["LEGACY_KINDS", "DestinationPolicy", "EgressRule", "IngressRule", "LegacyResource", "RouteRule"]

LEGACY_KINDS: Final[tuple[type[LegacyResource], ...]] = (RouteRule, DestinationPolicy, EgressRule, IngressRule)
