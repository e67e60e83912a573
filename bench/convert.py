"""What one edit among many older rules costs in CPU, from files to a mesh: `python bench/convert.py [HOSTS...]`.

Five RouteRules for each host, and a DestinationPolicy for every tenth.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence

from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId

RULES = 5


def main(sizes: Sequence[int]) -> None:
    print("hosts  rules  cold ms  same ms  rule ms  new rule ms  policy ms  endpoint ms")
    for size in sizes:
        print(row(size))


def row(size: int) -> str:
    bench = Bench(size)
    cold, same = bench.milliseconds(), bench.milliseconds()
    gc.freeze()
    figures = [
        cold,
        same,
        bench.best(lambda turn: {"r7-1": rule(7, 1, turn)}),
        bench.best(lambda turn: {f"new-{turn}": rule(8, 2, turn).replace("name: rule", f"name: new-{turn}")}),
        bench.best(lambda turn: {"p10": policy(10, turn)}),
        bench.best(lambda turn: {"s9": service(9, turn)}),
    ]
    cells = zip(figures, (7, 7, 7, 11, 9, 11), strict=True)
    return f"{size:5}  {size * RULES:5}  {'  '.join(f'{ms:{width}.1f}' for ms, width in cells)}"


class Bench:
    """Passes over one mesh; an edit is one file, as after a push."""

    def __init__(self, size: int) -> None:
        self.files = {f"s{number}": service(number) for number in range(size)}
        self.files |= {f"r{number}-{of}": rule(number, of) for number in range(size) for of in range(RULES)}
        self.files |= {f"p{number}": policy(number) for number in range(0, size, 10)}
        self.memo = Memo()

    def best(self, edit: Callable[[int], dict[str, str]]) -> float:
        found = []
        for turn in range(1, 6):
            self.files |= edit(turn)
            found.append(self.milliseconds())
        return min(found)

    def milliseconds(self) -> float:
        blobs = {f"{name}.yaml": BlobId(text) for name, text in sorted(self.files.items())}
        gc.collect()
        gc.disable()
        start = time.process_time()
        loaded = load(blobs, str.encode, self.memo)
        took = time.process_time() - start
        gc.enable()
        assert loaded.mesh is not None, loaded.problems[:3]
        self.memo.turn()
        return took * 1000


def service(number: int, turn: int = 0) -> str:
    network = f"10.{number >> 8}.{number & 255}"
    return f"""apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: svc-{number}}}
spec:
  hosts: [svc-{number}.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: {network}.1, labels: {{version: v1}}}}
  - {{address: {network}.{2 + turn}, labels: {{version: v2}}}}
"""


def rule(number: int, of: int, turn: int = 0) -> str:
    match = f"match: {{request: {{headers: {{uri: {{prefix: /{of}}}}}}}}}" if of else ""
    return f"""apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {{name: rule-{number}-{of}}}
spec:
  destination: {{name: svc-{number}}}
  precedence: {of}
  {match}
  httpReqTimeout: {{simpleTimeout: {{timeout: {5000 + turn}ms}}}}
  route: [{{labels: {{version: v{1 + of % 2}}}}}]
"""


def policy(number: int, turn: int = 0) -> str:
    return f"""apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: {{name: policy-{number}}}
spec:
  destination: {{name: svc-{number}, labels: {{version: v1}}}}
  circuitBreaker: {{simpleCb: {{maxConnections: {100 + turn}}}}}
"""


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100, 1_000])
