"""Plan route tables -> RouteConfigurations, framed from the remembered bytes of their virtual hosts.

One changed virtual host among a thousand then costs one virtual host and a copy.
"""

from __future__ import annotations

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from meshd.envoy.resource import ROUTES, EnvoyResource, Part
from meshd.envoy.scalars import boolean, uint32
from meshd.envoy.virtual_hosts import virtual_host
from meshd.envoy.wire import framed, resource, serialised
from meshd.memo import Memo
from meshd.plan import RouteTable

_VIRTUAL_HOSTS = RouteConfiguration.VIRTUAL_HOSTS_FIELD_NUMBER
_LARGEST_BODY = 1 << 20


def routes(tables: tuple[RouteTable, ...], memo: Memo) -> tuple[EnvoyResource, ...]:
    return tuple(route_configuration(each, memo) for each in tables)


def route_configuration(plan: RouteTable, memo: Memo) -> EnvoyResource:
    """The very same resource as long as the virtual hosts are, even if the table around them is a new object."""
    parts = (memo.recall(virtual_host, each) for each in plan.virtual_hosts)
    return memo.recall(table, plan.name, plan.ignore_port, *parts)


def with_parts(configuration: EnvoyResource, parts: tuple[Part, ...]) -> EnvoyResource:
    """The same table with only these of its virtual hosts, or pieces of them."""
    ignore_port = RouteConfiguration.FromString(configuration.body).ignore_port_in_host_matching
    return table(configuration.name, ignore_port, *parts)


def table(name: str, ignore_port: bool, *parts: Part) -> EnvoyResource:  # noqa: FBT001
    """Name before and settings after the virtual hosts: the order in which protobuf itself would write them."""
    settings = RouteConfiguration(
        # A route may name a cluster that is still on its way; the order of delivery sees to it.
        validate_clusters=boolean(False),
        max_direct_response_body_size_bytes=uint32(_LARGEST_BODY),
        ignore_port_in_host_matching=ignore_port,
    )
    fields = [serialised(RouteConfiguration(name=name))]
    fields += [framed(_VIRTUAL_HOSTS, part.body) for part in parts]
    fields.append(serialised(settings))
    return resource(ROUTES, name, b"".join(fields), parts=parts)
