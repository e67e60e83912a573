"""A `custom` message of extras -> what the plan carries of it, unread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from meshd import plan
from meshd.decode.json_values import plain_json
from meshd.resources.extras import PolicyExtras
from meshd.resources.legacy.custom import Custom, type_name
from meshd.resources.legacy.refused import TYPE


def custom(given: Iterable[Custom | None]) -> tuple[plan.Custom, ...]:
    """In the same order; the same message is the same text, whatever the order of its fields."""
    return tuple(_planned(given))


def custom_policies(extras: PolicyExtras, found: plan.Discovery) -> tuple[plan.Custom, ...]:
    """What is said of the whole cluster comes last. Where traffic says whom it calls there is no choice (LB-11)."""
    balancer = extras.load_balancing if isinstance(found, plan.ByEds) else None
    return custom((balancer, extras.circuit_breaker, extras.cluster))


def _planned(given: Iterable[Custom | None]) -> Iterator[plan.Custom]:
    for each in given:
        if each is not None:
            fields = {name: plain_json(value) for name, value in each.items() if name != TYPE}
            yield plan.Custom(type_name=type_name(each), json=json.dumps(fields, sort_keys=True, ensure_ascii=False))
