"""The figures as a table, one column for each size of mesh, beside the budgets of the design."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.measure import Series
from bench.run import Measured

_LABEL, _COLUMN, _RATIO = 40, 17, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cell for each size; `ratio` compares the first figure of the last cell with that of the first."""

    label: str
    cells: tuple[tuple[float, ...], ...]
    unit: str
    budget: str = ""

    @property
    def ratio(self) -> str:
        first, last = self.cells[0][0], self.cells[-1][0]
        return f"{last / first:.1f}" if len(self.cells) > 1 and first else ""


def table(results: Sequence[Measured]) -> str:
    return "\n".join([*_head(results), *(_line(row) for row in rows(results))])


def rows(results: Sequence[Measured]) -> Iterator[Row]:
    def row(label: str, unit: str, cell: Callable[[Measured], tuple[float, ...]], budget: str = "") -> Row:
        return Row(label=label, unit=unit, budget=budget, cells=tuple(cell(result) for result in results))

    for kind in results[0].changes:
        yield row(
            f"{kind}: push to last ACK, p50/p99", "ms", lambda one, k=kind: _ms(one.changes[k].until_ack), _BUDGET
        )
    yield row("route: push to first request by it", "ms", lambda one: _ms(one.first_answer))
    for kind in results[0].changes:
        yield row(f"{kind}: CPU of meshd/children/Envoy", "ms", lambda one, k=kind: _cpu(one, k))
    yield row("memory of meshd", "MB", lambda one: (one.meshd_resident / 1e6,), "90, 130; 450 at 10 000")
    yield row("memory of Envoy", "MB", lambda one: (one.envoy_resident / 1e6,))
    yield row("first start, nothing cached, until live", "s", lambda one: (one.cold_start,), "8 at 10 000")
    yield row("restart: until meshd serves", "s", lambda one: (one.restart_served,), "0.5")
    yield row("restart: until Envoy has acknowledged", "s", lambda one: (one.restart_acknowledged,))
    yield row("peer, cluster: rename to loaded, p50/p99", "ms", lambda one: _ms(one.file_xds.durations))
    yield row("peer, cluster: CPU of Envoy", "ms", lambda one: (one.file_xds.cpu * 1000,))


_BUDGET = "150/400 at 1 000"


def _head(results: Sequence[Measured]) -> tuple[str, str]:
    services = "".join(f"{result.services} services".rjust(_COLUMN) for result in results)
    documents = "".join(f"{result.documents} documents".rjust(_COLUMN) for result in results)
    return f"{'':<{_LABEL}}{services}{'ratio':>{_RATIO}}  budget", f"{'':<{_LABEL}}{documents}"


def _line(row: Row) -> str:
    cells = "".join(f"{'/'.join(map(_figure, cell))} {row.unit}".rjust(_COLUMN) for cell in row.cells)
    return f"{row.label:<{_LABEL}}{cells}{row.ratio:>{_RATIO}}  {row.budget}".rstrip()


def _ack(result: Measured, kind: str) -> tuple[float, ...]:
    return _ms(result.changes[kind].until_ack)


def _ms(series: Series) -> tuple[float, ...]:
    return tuple(series.percentile(share) * 1000 for share in (0.5, 0.99))


def _cpu(result: Measured, kind: str) -> tuple[float, ...]:
    change = result.changes[kind]
    return change.meshd.own * 1000, change.meshd.children * 1000, change.envoy.own * 1000


def _figure(value: float) -> str:
    """Three digits say all that a machine with two cores can know."""
    return f"{float(f'{value:.3g}'):g}"
