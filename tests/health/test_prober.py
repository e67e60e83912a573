from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from meshd.health.prober import Prober
from meshd.health.result import HEALTHY, unhealthy
from meshd.plan import TcpProbe
from meshd.problems import Origin
from tests.health.conftest import FakeClock, a_probe, on_a_loop, settled

WORKLOAD = "default/shop-1"
SECOND = timedelta(seconds=1)


class Ward:
    """A prober whose runs find what `result` is at the time."""

    def __init__(self, file=None) -> None:
        self.clock = FakeClock()
        self.result = HEALTHY
        self.runs = 0
        self.running = 0
        self.most_at_once = 0
        self.hold: asyncio.Event | None = None
        self.told: list[tuple[str, bool]] = []
        self.prober = Prober(self.clock, self._changed, kept=file, run=self._run)

    async def _run(self, _probe):
        self.runs += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        if self.hold:
            await self.hold.wait()
        self.running -= 1
        return self.result

    def _changed(self, health) -> None:
        self.told.append((health.workload, health.healthy))

    def health(self):
        return self.prober.states()[0]


@pytest.mark.spec("W-12", "W-17")
@on_a_loop
async def test_a_workload_is_unhealthy_after_the_threshold_of_failures_in_a_row():
    ward = Ward()
    ward.prober.want([a_probe(failure_threshold=3)])
    await ward.clock.advance(1)
    ward.result = unhealthy("status 503")

    await ward.clock.advance(20)
    assert ward.prober.unhealthy == frozenset()
    assert ward.health().reason == "status 503"
    await ward.clock.advance(10)

    assert ward.prober.unhealthy == {WORKLOAD}
    assert ward.told == [(WORKLOAD, False)]
    await ward.prober.close()


@pytest.mark.spec("W-12")
@on_a_loop
async def test_a_success_between_failures_begins_the_count_again():
    ward = Ward()
    ward.prober.want([a_probe(failure_threshold=2)])
    await ward.clock.advance(1)

    for result in (unhealthy("a"), HEALTHY, unhealthy("b"), HEALTHY):
        ward.result = result
        await ward.clock.advance(10)

    assert ward.prober.unhealthy == frozenset()
    await ward.prober.close()


@pytest.mark.spec("W-12")
@on_a_loop
async def test_it_comes_back_after_the_threshold_of_successes_in_a_row():
    ward = Ward()
    ward.result = unhealthy("connection refused")
    ward.prober.want([a_probe(success_threshold=2)])
    await ward.clock.advance(1)
    ward.result = HEALTHY

    await ward.clock.advance(10)
    assert ward.prober.unhealthy == {WORKLOAD}
    await ward.clock.advance(10)

    assert ward.prober.unhealthy == frozenset()
    assert ward.told == [(WORKLOAD, False), (WORKLOAD, True)]
    await ward.prober.close()


@on_a_loop
async def test_nobody_is_withdrawn_before_a_run_found_something_and_then_the_first_run_decides():
    ward = Ward()
    ward.result = unhealthy("status 500")
    ward.prober.want([a_probe(failure_threshold=3)])
    await settled()
    assert ward.prober.unhealthy == frozenset()
    assert ward.health().reason == "not probed yet"

    await ward.clock.advance(1)

    assert ward.prober.unhealthy == {WORKLOAD}
    await ward.prober.close()


@pytest.mark.spec("W-12")
@on_a_loop
async def test_the_first_run_waits_for_the_initial_delay_and_little_longer():
    ward = Ward()
    ward.prober.want([a_probe(initial_delay=timedelta(seconds=30))])

    await ward.clock.advance(29.9)
    assert ward.runs == 0
    await ward.clock.advance(1.1)

    assert ward.runs == 1
    await ward.prober.close()


@pytest.mark.spec("W-12")
@on_a_loop
async def test_runs_follow_each_other_by_the_period():
    ward = Ward()
    ward.prober.want([a_probe(period=timedelta(seconds=5))])

    await ward.clock.advance(1 + 5 * 4)

    assert ward.runs == 5
    await ward.prober.close()


@on_a_loop
async def test_a_run_that_takes_longer_than_the_period_is_not_overtaken():
    ward = Ward()
    ward.hold = asyncio.Event()
    ward.prober.want([a_probe()])

    await ward.clock.advance(100)
    assert ward.runs == 1
    ward.hold.set()
    await settled()

    assert ward.runs == 2
    assert ward.most_at_once == 1
    await ward.prober.close()


@on_a_loop
async def test_a_probe_that_is_written_elsewhere_now_goes_on_as_before():
    ward = Ward()
    ward.result = unhealthy("no")
    ward.prober.want([a_probe(origin=Origin("a.yaml", 1, 1))])
    await ward.clock.advance(1)
    before = ward.health()

    ward.prober.want([a_probe(origin=Origin("b.yaml", 7, 1))])
    await ward.clock.advance(5)

    assert ward.health() == before
    assert ward.runs == 1
    await ward.prober.close()


@on_a_loop
async def test_a_changed_probe_keeps_the_verdict_until_it_has_one_of_its_own():
    ward = Ward()
    ward.result = unhealthy("no")
    ward.prober.want([a_probe()])
    await ward.clock.advance(1)
    ward.result = HEALTHY

    ward.prober.want([a_probe(action=TcpProbe(host="127.0.0.1", port=2), success_threshold=5)])
    await settled()
    assert ward.prober.unhealthy == {WORKLOAD}
    await ward.clock.advance(1)

    assert ward.prober.unhealthy == frozenset()
    await ward.prober.close()


@on_a_loop
async def test_who_is_not_wanted_any_more_is_neither_probed_nor_unhealthy():
    ward = Ward()
    ward.result = unhealthy("no")
    ward.prober.want([a_probe()])
    await ward.clock.advance(1)

    ward.prober.want([])
    await ward.clock.advance(100)

    assert ward.prober.states() == ()
    assert ward.prober.unhealthy == frozenset()
    assert ward.runs == 1
    await ward.prober.close()


@on_a_loop
async def test_a_restart_goes_on_from_what_was_known(tmp_path):
    ward = Ward(tmp_path / "health.json")
    ward.result = unhealthy("status 503")
    ward.prober.want([a_probe()])
    await ward.clock.advance(1)
    await ward.prober.close()

    again = Ward(tmp_path / "health.json")
    again.prober.want([a_probe(success_threshold=2)])
    assert again.prober.unhealthy == {WORKLOAD}
    assert again.health().reason == "status 503"
    await again.clock.advance(1)

    assert again.prober.unhealthy == {WORKLOAD}, "one success of two"
    await again.prober.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "workloads": {"a/b": {}}}'])
@on_a_loop
async def test_a_file_that_is_not_ours_is_as_good_as_none(tmp_path, text):
    file = tmp_path / "health.json"
    file.write_text(text)

    ward = Ward(file)
    ward.prober.want([a_probe()])
    await ward.clock.advance(1)
    await ward.prober.close()

    assert json.loads(file.read_text())["workloads"][WORKLOAD]["healthy"] is True


@on_a_loop
async def test_a_disk_that_is_gone_does_not_end_the_probing(tmp_path, capsys):
    ward = Ward(tmp_path / "gone" / "health.json")
    ward.prober.want([a_probe()])

    await ward.clock.advance(11)

    assert ward.runs == 2
    await ward.prober.close()


@on_a_loop
async def test_a_fault_of_ours_in_a_run_is_no_verdict(capsys):
    ward = Ward()

    async def broken(_probe):
        ward.runs += 1
        raise RuntimeError("a fault")

    prober = Prober(ward.clock, ward._changed, run=broken)
    prober.want([a_probe()])
    await ward.clock.advance(11)

    assert ward.runs == 2
    assert prober.unhealthy == frozenset()
    await prober.close()
