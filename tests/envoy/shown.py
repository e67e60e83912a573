"""Rendered resources as plain Python, in Envoy's own field names, for tests to look into."""

from __future__ import annotations

import json
from typing import Any

from meshd.envoy import render
from meshd.envoy.clusters import cluster
from meshd.envoy.resource import ENDPOINTS, EnvoyResource, Rendered
from meshd.envoy.show import to_json
from meshd.memo import Memo
from meshd.plan import Cluster, Listener, Route
from tests.envoy.plans import a_plan, a_table, a_virtual_host


def tree(rendered: Rendered, *assignments: EnvoyResource) -> Any:
    return json.loads(to_json(rendered, assignments))


def shown(resource: EnvoyResource) -> Any:
    empty = Rendered(proxy="sidecar", clusters=(), listeners=(), routes=())
    if resource.type_url == ENDPOINTS:
        return tree(empty, resource)["endpoints"][0]
    return tree(Rendered(proxy="sidecar", clusters=(resource,), listeners=(), routes=()))["clusters"][0]


def shown_cluster(plan: Cluster) -> Any:
    return shown(cluster(plan))


def shown_listener(plan: Listener) -> Any:
    return tree(render(a_plan(listeners=(plan,)), Memo()))["listeners"][0]


def shown_route(plan: Route) -> Any:
    table = a_table(a_virtual_host("reviews", plan))
    return tree(render(a_plan(route_tables=(table,)), Memo()))["routes"][0]["virtual_hosts"][0]["routes"][0]
