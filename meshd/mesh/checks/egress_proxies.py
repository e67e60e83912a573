"""Where unknown traffic is sent: `egressProxy` of Sidecars and of the mesh must lead somewhere (spec SC-15)."""

from __future__ import annotations

from collections.abc import Iterator

from meshd.mesh.audience import Audience
from meshd.mesh.checks.destinations import unknown_host
from meshd.mesh.checks.judge import Asker, Judge
from meshd.mesh.gateways import MESH
from meshd.mesh.named import Asking
from meshd.mesh.survey import Survey
from meshd.names import Namespace
from meshd.problems import Problem
from meshd.registry.did_you_mean import Known
from meshd.registry.hosts import complete
from meshd.resources.destination import Destination


def egress_proxies(survey: Survey) -> Iterator[Problem]:
    settings = survey.mesh.settings
    known = Known(survey.mesh.services)
    for destination, asker in _named(survey):
        host = complete(destination.host, asker.namespace, settings.domain_suffix)
        if host not in survey.mesh.services:
            yield unknown_host(host, destination.origin.at("host"), known)
            continue
        asking = Asking(speaks="tcp", through=frozenset({MESH}), ports=frozenset(), origin=destination.origin)
        problem = _judge(survey, asker).problem(destination, host, asking, frozenset(), acts=True)
        if problem:
            yield problem


def _named(survey: Survey) -> Iterator[tuple[Destination, Asker]]:
    settings = survey.mesh.settings
    if settings.egress_proxy:
        root = Namespace(settings.root_namespace)
        yield settings.egress_proxy, Asker(namespace=root, exported=frozenset({"*"}))
    for sidecar in survey.mesh.sidecars:
        policy = sidecar.outbound_traffic_policy
        if policy and policy.egress_proxy:
            namespace = Namespace(sidecar.metadata.namespace)
            everywhere = namespace == settings.root_namespace and sidecar.workload_selector is None
            yield (
                policy.egress_proxy,
                Asker(namespace=namespace, exported=frozenset({"*" if everywhere else namespace})),
            )


def _judge(survey: Survey, asker: Asker) -> Judge:
    residents = survey.residents
    homes = residents.homes if "*" in asker.exported else tuple(n for n in residents.homes if n == asker.namespace)
    return Judge(
        asker,
        Audience(homes=homes, clients=tuple(residents.clients(homes, survey.memo))),
        Namespace(survey.mesh.settings.root_namespace),
        survey.mesh.services,
        survey.rules,
        restores=False,
    )
