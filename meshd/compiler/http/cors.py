"""CorsPolicy -> what a route tells browsers (spec 5.8)."""

from __future__ import annotations

from meshd import plan
from meshd.compiler.http.matches import text_match
from meshd.resources.virtual_service import CorsPolicy


def cors(policy: CorsPolicy | None) -> plan.Cors | None:
    if policy is None:
        return None
    return plan.Cors(
        allow_origins=tuple(text for text in map(text_match, policy.allow_origins) if text),
        allow_methods=policy.allow_methods,
        allow_headers=policy.allow_headers,
        expose_headers=policy.expose_headers,
        max_age=policy.max_age,
        allow_credentials=policy.allow_credentials,
        forward_not_matching_preflights=policy.unmatched_preflights != "IGNORE",
    )
