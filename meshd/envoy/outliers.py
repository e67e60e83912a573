"""Plan outlier detection -> Envoy's. Success-rate ejection is always off: Istio's API has no word for it."""

from __future__ import annotations

from envoy.config.cluster.v3 import outlier_detection_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from meshd.envoy.scalars import duration, maybe_uint32, uint32
from meshd.plan import OutlierDetection


def outlier_detection(outliers: OutlierDetection) -> outlier_detection_pb2.OutlierDetection:
    """A kind of failure without a count is counted by Envoy all the same, but ejects nobody."""
    return outlier_detection_pb2.OutlierDetection(
        consecutive_5xx=maybe_uint32(outliers.consecutive_5xx),
        enforcing_consecutive_5xx=_enforced(outliers.consecutive_5xx),
        consecutive_gateway_failure=maybe_uint32(outliers.consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure=_enforced(outliers.consecutive_gateway_failure),
        consecutive_local_origin_failure=maybe_uint32(outliers.consecutive_local_origin_failure),
        enforcing_consecutive_local_origin_failure=_enforced(outliers.consecutive_local_origin_failure),
        split_external_local_origin_errors=outliers.split_external_local_origin_errors,
        interval=duration(outliers.interval),
        base_ejection_time=duration(outliers.base_ejection_time),
        max_ejection_percent=uint32(outliers.max_ejection_percent),
        enforcing_success_rate=uint32(0),
        enforcing_local_origin_success_rate=uint32(0),
    )


def _enforced(count: int | None) -> UInt32Value:
    return uint32(0 if count is None else 100)
