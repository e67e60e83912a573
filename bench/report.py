"""The figures as a table, one column for each size of mesh, beside the budgets of the design."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.run import Measured

_LABEL, _COLUMN = 44, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`ratio`: of the first of `values` between the largest and the smallest mesh."""

    label: str
    values: tuple[tuple[float, ...], ...]
    unit: str
    budget: str = ""


def table(results: Sequence[Measured]) -> str:
    sizes = "".join(f"{f'{result.services} services':>{_COLUMN}}" for result in results)
    documents = "".join(f"{f'{result.documents} documents':>{_COLUMN}}" for result in results)
    lines = [f"{'':<{_LABEL}}{sizes}{'ratio':>8}  budget", f"{'':<{_LABEL}}{documents}"]
    return "\n".join([*lines, *(_line(row) for row in rows(results))])


def rows(results: Sequence[Measured]) -> Iterator[Row]:
    for kind in results[0].changes:
        yield _percentiles(
            f"push of a {kind} until the last ACK, p50/p99",
            [result.changes[kind].until_ack for result in results],
            _BUDGETS.get(kind, ""),
        )
    yield _percentiles("push until a request takes the new route", [result.first_answer for result in results])
    for kind in results[0].changes:
        yield _row(f"CPU of meshd, per {kind}", "ms", [result.changes[kind].meshd.own * 1000 for result in results])
        preflight = [result.changes[kind].meshd.children * 1000 for result in results]
        yield _row(f"CPU of its git and preflight, per {kind}", "ms", preflight)
        yield _row(f"CPU of Envoy, per {kind}", "ms", [result.changes[kind].envoy.own * 1000 for result in results])
    yield _row("resident memory of meshd", "MB", [result.meshd_resident / 1e6 for result in results], "90 / 130 / 450")
    yield _row("resident memory of Envoy", "MB", [result.envoy_resident / 1e6 for result in results])
    yield _row("first start, nothing cached, until live", "s", [result.cold_start for result in results], "8 at 10 000")
    yield _row("restart until meshd serves", "s", [result.restart_served for result in results], "0.5")
    yield _row("restart until Envoy has acknowledged", "s", [result.restart_acknowledged for result in results])
    yield from _peer(results)


_BUDGETS = {"route": "150 / 400 at 1 000; 400 / 1000 at 10 000"}


def _peer(results: Sequence[Measured]) -> Iterator[Row]:
    durations = tuple(
        tuple(_rounded(value * 1000) for value in (min(result.file_xds.durations), max(result.file_xds.durations)))
        for result in results
    )
    yield Row(label="peer: file xDS of the whole set, min/max", values=durations, unit="ms")
    yield _row("peer: CPU of Envoy, per cluster", "ms", [result.file_xds.cpu * 1000 for result in results])


def _percentiles(label: str, measured: Sequence, budget: str = "") -> Row:  # type: ignore[type-arg]
    values = tuple(tuple(_rounded(one.percentile(share) * 1000) for share in (0.5, 0.99)) for one in measured)
    return Row(label=label, values=values, unit="ms", budget=budget)


def _row(label: str, unit: str, values: Sequence[float], budget: str = "") -> Row:
    return Row(label=label, values=tuple((_rounded(value),) for value in values), unit=unit, budget=budget)


def _line(row: Row) -> str:
    cells = "".join(f"{' / '.join(f'{one:g}' for one in value)} {row.unit}".rjust(_COLUMN) for value in row.values)
    first, last = row.values[0][0], row.values[-1][0]
    ratio = f"{last / first:.1f}" if len(row.values) > 1 and first else ""
    return f"{row.label:<{_LABEL}}{cells}{ratio:>8}  {row.budget}".rstrip()


def _rounded(value: float) -> float:
    """Three digits say all that a machine with two cores can know."""
    return float(f"{value:.3g}")
