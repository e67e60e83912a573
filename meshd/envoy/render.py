"""ProxyPlan -> everything that Envoy is given but for the endpoints.

Which of a secret's optional files are there is not known here, nor on another machine: none is taken to be.
"""

from __future__ import annotations

from meshd.envoy.access_logs import loggers
from meshd.envoy.clusters import clusters
from meshd.envoy.listeners import listeners
from meshd.envoy.resource import Rendered
from meshd.envoy.routes import routes
from meshd.envoy.secrets import secrets
from meshd.memo import Memo
from meshd.plan import ProxyPlan


def render(plan: ProxyPlan, memo: Memo) -> Rendered:
    """What a plan has in common with the one before, object for object, is the very same resource again."""
    log = memo.same(plan.access_log)
    return Rendered(
        proxy=plan.proxy,
        clusters=clusters(plan.clusters, plan.dns_refresh_rate, memo),
        listeners=listeners(plan.listeners, plan.dns_refresh_rate, memo.recall(loggers, log), memo),
        routes=routes(plan.route_tables, memo),
        secrets=secrets(plan.secrets, frozenset(), memo),
        locality=plan.locality,
    )
