"""Plan retries -> Envoy's retry policy."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.route.v3 import route_components_pb2 as route
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)

from meshd.envoy.scalars import duration, maybe_duration, uint32
from meshd.envoy.wire import packed
from meshd.plan import RetryPolicy

_OTHER_HOSTS = route.RetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts", typed_config=packed(PreviousHostsPredicate())
)
_OTHER_PRIORITIES = route.RetryPolicy.RetryPriority(
    name="envoy.retry_priorities.previous_priorities",
    typed_config=packed(PreviousPrioritiesConfig(update_frequency=2)),
)


def retry_policy(policy: RetryPolicy) -> route.RetryPolicy:
    return route.RetryPolicy(
        retry_on=",".join(policy.retry_on),
        num_retries=uint32(policy.attempts),
        per_try_timeout=maybe_duration(policy.per_try_timeout),
        retry_priority=_OTHER_PRIORITIES if policy.remote_localities else None,
        retry_host_predicate=[_OTHER_HOSTS] if policy.avoid_previous_hosts else [],
        # One host of many may be all that is left to try: look a few times, then take what comes.
        host_selection_retry_max_attempts=5,
        retriable_status_codes=policy.retriable_status_codes,
        retry_back_off=_back_off(policy.base_interval),
    )


def _back_off(base: timedelta | None) -> route.RetryPolicy.RetryBackOff | None:
    return None if base is None else route.RetryPolicy.RetryBackOff(base_interval=duration(base))
