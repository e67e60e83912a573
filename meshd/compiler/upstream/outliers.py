"""`outlierDetection` of a policy -> when an endpoint is taken out for a while (spec D-50 to D-60)."""

from __future__ import annotations

from typing import Final

from meshd import plan
from meshd.resources.extras import PolicyExtras
from meshd.resources.legacy.custom import type_name
from meshd.resources.traffic_policy import OutlierDetection

_DEFAULT: Final = plan.OutlierDetection()
_NO_EXTRAS: Final = PolicyExtras()
_IN_ENVOYS_WORDS: Final = "envoy.config.cluster.v3.OutlierDetection"
_PANIC: Final = 50


def outlier_detection(
    settings: OutlierDetection | None, extras: PolicyExtras = _NO_EXTRAS
) -> plan.OutlierDetection | None:
    """`extras` can mean a zero (CB-14): then nobody is taken out."""
    if settings is None:
        return None
    split = settings.split_external_local_origin_errors
    return plan.OutlierDetection(
        consecutive_5xx=_count(settings.consecutive_5xx_errors, 5),
        consecutive_gateway_failure=_count(settings.consecutive_gateway_errors, 0),
        consecutive_local_origin_failure=_count(settings.consecutive_local_origin_failures, 5) if split else None,
        interval=settings.interval or _DEFAULT.interval,
        base_ejection_time=settings.base_ejection_time or _DEFAULT.base_ejection_time,
        max_ejection_percent=(settings.max_ejection_percent or _DEFAULT.max_ejection_percent)
        if extras.max_ejection_percent is None
        else extras.max_ejection_percent,
        split_external_local_origin_errors=split,
        error_codes=tuple(sorted(set(settings.outlier_detection_http_error_codes))),
    )


def healthy_panic_percent(settings: OutlierDetection | None, extras: PolicyExtras = _NO_EXTRAS) -> int:
    """D-56: written on every cluster, since Envoy's own 50 would send requests to ejected endpoints.

    Who says in Envoy's own words whom to eject means its 50, too: so it was in v1alpha1 (section 8).
    """
    if settings:
        return settings.min_health_percent or 0
    return _PANIC if type_name(extras.circuit_breaker or {}) == _IN_ENVOYS_WORDS else 0


def _count(given: int | None, default: int) -> int | None:
    """Absent means the default, and zero means never."""
    return (default if given is None else given) or None
