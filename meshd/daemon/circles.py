"""What names stand for now -> those that lead back to the very proxy that would call them, each as a problem.

What stands in the mesh as an address the compiler has told already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshd.daemon.delivering import resolved
from meshd.envoy.answers import as_text, spots
from meshd.names import DnsName
from meshd.plan import ClusterEndpoints, DnsAddress, Endpoint, ProxyPlan
from meshd.problems import Problem, Problems, in_order
from meshd.resolve.answer import Answer


def circles(plans: Iterable[ProxyPlan], answers: Mapping[DnsName, Answer]) -> Problems:
    suspicious = (each for plan in plans for each in plan.endpoints if each.circles)
    return in_order(dict.fromkeys(problem for each in suspicious for problem in _of_cluster(each, answers)))


def _of_cluster(cluster: ClusterEndpoints, answers: Mapping[DnsName, Answer]) -> Iterator[Problem]:
    for endpoint in cluster.endpoints:
        if isinstance(endpoint.address, DnsAddress) and endpoint.address.name in answers:
            yield from _of_name(cluster, endpoint, endpoint.address, answers[endpoint.address.name])


def _of_name(cluster: ClusterEndpoints, endpoint: Endpoint, address: DnsAddress, answer: Answer) -> Iterator[Problem]:
    for spot in spots(as_text(resolved(answer)), first_only=address.first_only):
        port = endpoint.port if spot.port is None else spot.port
        circle = next((each for each in cluster.circles if each.takes(spot.address, port)), None)
        if circle is not None:
            yield Problem(
                code="W-ENDPOINT-LOOP",
                at=cluster.origin,
                message=f"{address.name} is {spot.address} at port {port}: this very proxy ({circle.listener}), which "
                "would call itself for ever; this endpoint is left out",
                hint="the name has to lead this host elsewhere than its clients",
            )
