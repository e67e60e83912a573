"""Changed resources -> a throw-away static bootstrap, for `envoy --mode validate` to judge these and nothing else.

That mode binds no socket (a listener on a taken port passes), so listeners stand there with their real addresses.
Routes behind RDS are not looked at in that mode; here they stand inline, in connection managers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import VirtualHost

from meshd.envoy.bootstrap import INTERNAL_LISTENERS, layered_runtime
from meshd.envoy.clusters import static_base
from meshd.envoy.inline_secrets import by_name, cluster_with_secrets
from meshd.envoy.listeners import listener
from meshd.envoy.resource import CLUSTER, LISTENER, ROUTES, SECRET, EnvoyResource, Part
from meshd.envoy.routes import table
from meshd.envoy.stand_in import cluster_with_stand_ins, listener_with_stand_ins
from meshd.envoy.static_resources import static_resources, with_inline_routes
from meshd.envoy.tls import taking
from meshd.envoy.wire import serialised
from meshd.names import ListenerName, RouteTableName, SecretName
from meshd.plan import HttpChain, Listener, UnixBind


def trial(resources: Sequence[EnvoyResource | Part]) -> bytes:
    """Clusters, listeners and route tables as they are; a part stands in a table of its own.

    Two parts of one table that claim the same domain are seen only if they are given as that table: `with_parts`
    makes a table of some of them. Endpoints are left out: a cluster is judged without. Who takes a secret is judged
    with a stand-in for it; a secret is judged by itself, which means that Envoy reads its files.
    """
    clusters = [cluster_with_stand_ins(static_base(each.body)) for each in _of_type(resources, CLUSTER)]
    clusters += [_cluster_around(each, number) for number, each in enumerate(_of_type(resources, SECRET))]
    listeners = [with_inline_routes(listener_with_stand_ins(each.body), {}) for each in _of_type(resources, LISTENER)]
    tables = [each for each in resources if isinstance(each, Part) or each.type_url == ROUTES]
    listeners += [_listener_around(each, number) for number, each in enumerate(tables)]
    return serialised(_nobody()) + static_resources(listeners, clusters)


def _nobody() -> bootstrap_pb2.Bootstrap:
    return bootstrap_pb2.Bootstrap(layered_runtime=layered_runtime(), bootstrap_extensions=[INTERNAL_LISTENERS])


def single_routes(part: Part) -> tuple[Part, ...]:
    """One part per route of this one, to find out which of them Envoy means: it does not say."""
    whole = VirtualHost.FromString(part.body)
    return tuple(
        Part(
            name=part.name,
            body=serialised(VirtualHost(name=whole.name, domains=whole.domains, routes=[route])),
            origin=origin,
            origins=(origin,),
        )
        for route, origin in zip(whole.routes, part.origins, strict=True)
    )


def _of_type(resources: Sequence[EnvoyResource | Part], type_url: str) -> Iterator[EnvoyResource]:
    return (each for each in resources if isinstance(each, EnvoyResource) and each.type_url == type_url)


def _cluster_around(secret: EnvoyResource, number: int) -> bytes:
    """Of secrets that nobody takes Envoy does not look at the files."""
    taker = Cluster(name=f"trial-{number}", transport_socket=taking(SecretName(secret.name), secret.body))
    return cluster_with_secrets(serialised(taker), by_name((secret,)))


def _listener_around(each: EnvoyResource | Part, number: int) -> bytes:
    """The filters that routes may configure must be there, or Envoy would not look at what they are told."""
    whole = table(each.name, True, each) if isinstance(each, Part) else each
    chain = HttpChain(
        route_table=RouteTableName(whole.name), stat_prefix="trial", exponential_delays=True, header_overrides=True
    )
    around = Listener(name=ListenerName(f"trial-{number}"), bind=UnixBind(path=f"@trial-{number}"), chains=(chain,))
    return with_inline_routes(listener(around).body, {whole.name: whole.body})
