"""What compiling costs in CPU, cold and after one change, at growing sizes: `python bench/compile.py [SIZE...]`."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.names import HostName
from meshd.resources.destination import Destination
from meshd.resources.destination_rule import DestinationRule, Subset
from meshd.resources.resource import Metadata, Resource
from meshd.resources.service_entry import ServiceEntry, ServicePort
from meshd.resources.virtual_service import HTTPRoute, HTTPRouteDestination, VirtualService
from meshd.resources.workload_entry import Workload, WorkloadEntry

HOST = HostName("vm-1")


def main(sizes: Sequence[int]) -> None:
    print("services  resources  cold ms  same ms  route ms  rule ms  service ms  RSS MB")
    for size in sizes:
        print(row(size))


def row(size: int) -> str:
    resources = mesh_of(size)
    bench = Bench(resources)
    figures = [
        bench.milliseconds(resources),
        bench.milliseconds(resources),
        bench.milliseconds(bench.changed(VirtualService, lambda v: replace(v, http=(to(v.hosts[0], "v2"),)))),
        bench.milliseconds(bench.changed(DestinationRule, lambda r: replace(r, subsets=r.subsets[::-1]))),
        bench.milliseconds(bench.changed(ServiceEntry, lambda s: replace(s, endpoints=s.endpoints[::-1]))),
    ]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cells = zip(figures, (7, 7, 8, 7, 10), strict=True)
    return f"{size:8}  {len(resources):9}  {'  '.join(f'{ms:{width}.1f}' for ms, width in cells)}  {memory:6}"


class Bench:
    """Passes over one mesh; only the compiler is timed, not the mesh's own assembly."""

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources
        self.memo = Memo()

    def changed(self, kind: type[Resource], change: Callable[[Resource], Resource]) -> list[Resource]:
        index = next(i for i, each in enumerate(self.resources) if isinstance(each, kind))
        self.resources = [*self.resources]
        self.resources[index] = change(self.resources[index])
        return self.resources

    def milliseconds(self, resources: list[Resource]) -> float:
        mesh = assemble(resources, self.memo).mesh
        gc.collect()
        gc.disable()
        start = time.process_time()
        compile_plan(mesh, HOST, Reach(), self.memo)
        took = time.process_time() - start
        gc.enable()
        self.memo.turn()
        return took * 1000


def mesh_of(size: int) -> list[Resource]:
    """Each service with a DestinationRule of two subsets; every tenth with a VirtualService."""
    resources: list[Resource] = [WorkloadEntry(metadata=Metadata(name=HOST), workload=Workload(address="10.0.0.1"))]
    for number in range(size):
        name = f"service-{number}"
        host = f"{name}.default.svc.cluster.local"
        resources.append(service(name, host, number))
        subsets = tuple(Subset(name=version, labels={"version": version}) for version in ("v1", "v2"))
        resources.append(DestinationRule(metadata=Metadata(name=name), host=host, subsets=subsets))
        if number % 10 == 0:
            route = to(host, "v1")
            resources.append(VirtualService(metadata=Metadata(name=name), hosts=(host,), http=(route,)))
    return resources


def service(name: str, host: str, number: int) -> ServiceEntry:
    endpoints = tuple(
        Workload(address=f"10.{number >> 8}.{number & 255}.{last}", labels={"version": f"v{last}"}) for last in (1, 2)
    )
    return ServiceEntry(
        metadata=Metadata(name=name),
        hosts=(host,),
        ports=(ServicePort(number=80, name="http"),),
        resolution="STATIC",
        endpoints=endpoints,
    )


def to(host: str, subset: str) -> HTTPRoute:
    return HTTPRoute(route=(HTTPRouteDestination(destination=Destination(host=host, subset=subset)),))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100, 1_000, 10_000])
