"""What happens to some requests only, and what is counted: told by statistics and numbers (spec 5.2, 5.6)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live.cases import Case, case
from tests.live.requests import get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

DELAYS = "http[.]outbound_[0-9._]+[.]fault[.]delays_injected"
ABORTS = "http[.]outbound_[0-9._]+[.]fault[.]aborts_injected"
TO_V1 = "    - route: [{destination: {host: $host, subset: v1}}]\n"


def faulted(id: str, fault: str, *more: str) -> Case:  # noqa: A002
    return case(id, http=TO_V1 + f"      fault: {{{fault}}}\n" + "".join(f"      {line}\n" for line in more))


DELAYED = (
    faulted("V-70-all-by-percentage", "delay: {fixedDelay: 1ms, percentage: {value: 100}}"),
    faulted("V-71-all-by-percent", "delay: {fixedDelay: 1ms, percent: 100}"),
)
EXPONENTIAL = faulted("V-73-exponentialDelay", "delay: {exponentialDelay: 16ms, percentage: {value: 100}}")
NEVER_DELAYED = (
    faulted("V-70-none-by-absent-percentage", "delay: {fixedDelay: 1ms}"),
    faulted("V-70-none-by-percentage-zero", "delay: {fixedDelay: 1ms, percentage: {value: 0}}"),
    faulted("V-70-percentage-wins-over-percent", "delay: {fixedDelay: 1ms, percentage: {value: 0}, percent: 100}"),
    faulted("V-71-none-by-percent-zero", "delay: {fixedDelay: 1ms, percent: 0}"),
    faulted("V-73-none-by-absent-percentage", "delay: {exponentialDelay: 16ms}"),
    faulted("V-78-a-delay-without-length", "delay: {percentage: {value: 100}}"),
)
HALF_DELAYED = faulted("V-70-half-of-them", "delay: {fixedDelay: 1ms, percentage: {value: 50}}")
HALF_ABORTED = faulted("V-77-half-of-them", "abort: {httpStatus: 500, percentage: {value: 50}}")
TENTH_ABORTED = faulted("V-77-a-tenth-by-percent", "abort: {httpStatus: 500, percent: 10}")
SMALLEST = faulted("V-77-the-smallest-percentage", "abort: {httpStatus: 500, percentage: {value: 0.0001}}")
BOTH = faulted(
    "V-70-delays-and-aborts-are-drawn-independently",
    "delay: {fixedDelay: 1ms, percentage: {value: 50}}, abort: {httpStatus: 500, percentage: {value: 50}}",
)
MIRRORS = case(
    "V-21-each-mirror-by-its-own-share",
    http=TO_V1
    + "      mirrors:\n"
    + "      - {destination: {host: $host, subset: v2}, percentage: {value: 25}}\n"
    + "      - {destination: {host: $host, subset: v3}, percentage: {value: 75}}\n",
)
PERCENT = case(
    "V-23-mirrorPercent-is-a-share", http=TO_V1 + "      mirror: {host: $host, subset: v2}\n      mirrorPercent: 50\n"
)
COPIED = case("V-21-a-mirror-for-the-end", http=TO_V1 + "      mirror: {host: $host, subset: v2}\n")
COUNTED = case(
    "V-41-a-route-is-counted-by-its-name",
    http="""
    - match: [{uri: {prefix: /cart}, statPrefix: cart}, {uri: {prefix: /basket}, statPrefix: basket}]
      route: [{destination: {host: $host, subset: v1}}]
    - route: [{destination: {host: $host, subset: v1}}]
    """,
)

CASES = (
    *DELAYED,
    *NEVER_DELAYED,
    *(EXPONENTIAL, HALF_DELAYED, HALF_ABORTED, TENTH_ABORTED, SMALLEST, BOTH, MIRRORS, PERCENT, COPIED, COUNTED),
)


def counted(live: Live, statistic: str, asked: Case, number: int) -> int:
    """By how much it grows with so many requests."""
    before = live.statistic(statistic)
    for _ in range(number):
        live.send(get(), asked)
    return live.statistic(statistic) - before


@pytest.mark.parametrize("delayed", DELAYED, ids=lambda case: case.id)
def test_all_are_delayed(live: Live, delayed: Case):
    assert counted(live, DELAYS, delayed, 5) == 5


@pytest.mark.parametrize("delayed", NEVER_DELAYED, ids=lambda case: case.id)
def test_none_is_delayed(live: Live, delayed: Case):
    assert counted(live, DELAYS, delayed, 20) == 0


def test_half_are_delayed(live: Live):
    """5 standard deviations of 200 draws are 35."""
    assert 65 <= counted(live, DELAYS, HALF_DELAYED, 200) <= 135


def test_an_exponential_delay_is_made_of_binary_digits(live: Live):
    """V-73: 2.175 of them on average, with a variance of 1.3; 5 standard deviations for 40 requests are 36."""
    assert 51 <= counted(live, DELAYS, EXPONENTIAL, 40) <= 123


def test_a_share_is_aborted(live: Live):
    """V-77. 5 standard deviations of 200 draws are 35, and of a tenth 21."""
    statuses = {
        each.id: Counter(live.send(get(), each).status for _ in range(200)) for each in (HALF_ABORTED, SMALLEST)
    }

    assert 65 <= statuses[HALF_ABORTED.id][500] <= 135
    assert statuses[SMALLEST.id] == {200: 200}
    assert 1 <= counted(live, ABORTS, TENTH_ABORTED, 200) <= 41


def test_one_draw_says_nothing_of_the_other(live: Live):
    """V-70. All four outcomes are as likely; that one of them is missing in 100 is one in 10^12."""
    outcomes = set()
    for _ in range(100):
        before = live.statistic(DELAYS)
        status = live.send(get(), BOTH).status
        outcomes.add((live.statistic(DELAYS) - before, status))

    assert outcomes == {(0, 200), (0, 500), (1, 200), (1, 500)}


def test_each_mirror_gets_its_own_share(live: Live):
    """V-21. 5 standard deviations of 200 draws of a quarter are 31."""
    answers = [live.send(get(), MIRRORS) for _ in range(200)]
    live.holds(COPIED, get().gives(reached=("v1", "v2")))
    copies = Counter(copy.by for answer in answers for copy in live.copies(answer))

    assert 19 <= copies["v2"] <= 81
    assert 119 <= copies["v3"] <= 181


def test_the_old_percent_of_a_mirror_is_a_share_too(live: Live):
    """V-23. 5 standard deviations of 200 draws are 35."""
    answers = [live.send(get(), PERCENT) for _ in range(200)]
    live.holds(COPIED, get().gives(reached=("v1", "v2")))

    assert 65 <= sum(len(live.copies(answer)) for answer in answers) <= 135


def test_a_route_is_counted_by_the_name_it_is_given(live: Live):
    """V-41."""
    for path in ("/cart/1", "/cart/2", "/basket", "/"):
        live.send(get(path), COUNTED)
    host = f"vhost[.]{COUNTED.host.replace('.', '[.]')}:80[.]route[.]"

    assert live.statistic(f"{host}cart[.]upstream_rq_200") == 2
    assert live.statistic(f"{host}basket[.]upstream_rq_200") == 1
