"""ProxyPlan -> everything that Envoy is given but for the endpoints.

Which of a secret's optional files are there is not known here, nor on another machine: none is taken to be.
"""

from __future__ import annotations

from operator import attrgetter

from meshd.envoy.access_logs import loggers
from meshd.envoy.clusters import clusters, leading_inside
from meshd.envoy.connection_faults import inside
from meshd.envoy.listeners import listeners
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.envoy.routes import routes
from meshd.envoy.secrets import secrets
from meshd.memo import Memo
from meshd.plan import Listener, ProxyPlan


def render(plan: ProxyPlan, memo: Memo) -> Rendered:
    """What a plan has in common with the one before, object for object, is the very same resource again."""
    log = memo.same(plan.access_log)
    given = memo.recall(loggers, log)
    led_to = _inside(plan, memo)
    leading = tuple(memo.recall(leading_inside, each) for each in led_to)
    return Rendered(
        proxy=plan.proxy,
        clusters=_and(clusters(plan.clusters, plan.dns_refresh_rate, memo), leading),
        listeners=_and(
            listeners(plan.listeners, plan.dns_refresh_rate, given, memo),
            listeners(led_to, plan.dns_refresh_rate, given, memo),
        ),
        routes=routes(plan.route_tables, memo),
        secrets=secrets(plan.secrets, frozenset(), memo),
        locality=plan.locality,
    )


def _inside(plan: ProxyPlan, memo: Memo) -> tuple[Listener, ...]:
    """Connections of one rule come together there, whichever listener took them."""
    found = (each for outer in plan.listeners for each in memo.recall(inside, outer))
    return tuple({each.name: each for each in found}.values())


def _and(planned: tuple[EnvoyResource, ...], others: tuple[EnvoyResource, ...]) -> tuple[EnvoyResource, ...]:
    return tuple(sorted((*planned, *others), key=attrgetter("name"))) if others else planned
