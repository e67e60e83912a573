"""What becomes of the connections of a chain with faults: their shares, and what stands inside for them."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from meshd.envoy import render
from meshd.envoy.connection_faults import inside, leads_inside, spread
from meshd.memo import Memo
from meshd.plan import (
    BitsPerSecond,
    ChainMatch,
    ConnectionFaults,
    DownstreamTls,
    InternalBind,
    TcpChain,
    Termination,
    Throttle,
    Tunnel,
)
from tests.envoy.plans import OWN, a_listener, a_plan, to
from tests.envoy.shown import shown_listener

SLOW = Throttle(to_client=BitsPerSecond(8192))
HALF_SLOW = Throttle(millionths=500_000, to_service=BitsPerSecond(8193))
LATE = Termination(after=timedelta(seconds=3))
HALF_LATE = Termination(millionths=500_000, after=timedelta(seconds=3))
AT_ONCE = Termination()
TWO = (to("a", weight=1), to("b", weight=3))


def a_chain(throttle: Throttle | None = None, termination: Termination | None = None, **fields: object) -> TcpChain:
    faults = ConnectionFaults(name="rule", throttle=throttle, termination=termination)
    return TcpChain(**{"destinations": (to("a"),), "stat_prefix": "tcp", "faults": faults, **fields})  # type: ignore[arg-type]


def shares(chain: TcpChain) -> dict[str, Fraction]:
    weights = {each.cluster.removesuffix("_rule"): each.weight for each in spread(chain).destinations}
    return {name: Fraction(weight, sum(weights.values())) for name, weight in weights.items()}


def within(chain: TcpChain) -> dict[str, TcpChain]:
    listeners = inside(a_listener("outer", chain))
    return {each.name.removesuffix("_rule"): each.chains[0] for each in listeners}  # type: ignore[misc]


def filters(listener: dict) -> list[str]:
    (chain,) = listener["filter_chains"]
    return [each["name"].removeprefix("envoy.filters.network.") for each in chain["filters"]]


def settings_of(chain: TcpChain, number: int = 0) -> dict:
    (shown,) = shown_listener(a_listener("a", chain))["filter_chains"]
    return dict(shown["filters"][number]["typed_config"])


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        pytest.param(a_chain(SLOW), {"a": 1}, id="all are throttled where they are"),
        pytest.param(a_chain(HALF_SLOW), {"l4Fault_throttle": 1 / 2, "a": 1 / 2}, id="some are throttled inside"),
        pytest.param(a_chain(None, LATE), {"l4Fault_terminate": 1}, id="all are reset inside"),
        pytest.param(
            a_chain(None, HALF_LATE, destinations=TWO),
            {"l4Fault_terminate": 1 / 2, "a": 1 / 8, "b": 3 / 8},
            id="what is spared goes by the weights of the rule",
        ),
        pytest.param(
            a_chain(HALF_SLOW, HALF_LATE),
            {"l4Fault_throttle": 1 / 2, "l4Fault_terminate": 1 / 4, "a": 1 / 4},
            id="each chooses for itself",
        ),
    ],
)
@pytest.mark.spec("TRM-02", "THR-02")
def test_shares_are_weights(chain: TcpChain, expected: dict[str, float]):
    assert shares(chain) == expected
    assert leads_inside(chain) is (set(expected) != {"a"})


@pytest.mark.spec("L4F-05")
def test_who_is_throttled_may_be_reset_afterwards_and_what_is_reset_is_asked_no_more():
    found = within(a_chain(HALF_SLOW, HALF_LATE, destinations=TWO))

    assert sorted(found) == ["l4Fault_terminate", "l4Fault_throttle"]
    assert shares(found["l4Fault_throttle"]) == {"l4Fault_terminate": 1 / 2, "a": 1 / 8, "b": 3 / 8}
    assert filters(shown_listener(a_listener("a", found["l4Fault_throttle"]))) == [
        "tcp_bandwidth_limit",
        "set_filter_state",
        "tcp_proxy",
    ]
    assert found["l4Fault_terminate"].destinations == TWO
    assert found["l4Fault_terminate"].max_connection_duration == timedelta(seconds=3)


def test_a_pool_may_end_connections_before_the_fault_does():
    chain = a_chain(None, LATE, max_connection_duration=timedelta(seconds=1))

    assert within(chain)["l4Fault_terminate"].max_connection_duration == timedelta(seconds=1)


@pytest.mark.spec("TRM-03")
def test_who_is_reset_at_once_is_heard_by_nobody():
    (cut,) = within(a_chain(None, AT_ONCE)).values()

    assert cut.destinations == ()
    assert filters(shown_listener(a_listener("a", cut))) == ["rbac", "tcp_proxy"]
    assert settings_of(cut)["rules"]["action"] == "DENY"
    assert settings_of(cut, 1)["upstream_connect_mode"] == "ON_DOWNSTREAM_DATA"


@pytest.mark.spec("THR-03", "THR-04")
@pytest.mark.parametrize(("bits", "kib"), [(1, 1), (8191, 1), (8192, 1), (8193, 2), (819_200, 100), (2**63 - 1, 2**50)])
def test_limits_are_rounded_up_to_the_kib_of_envoy(bits: int, kib: int):
    limit = BitsPerSecond(bits)

    assert settings_of(a_chain(Throttle(to_client=limit)))["value"]["write_limit_kbps"] == kib
    assert settings_of(a_chain(Throttle(to_service=limit)))["value"]["read_limit_kbps"] == kib
    assert "read_limit_kbps" not in settings_of(a_chain(Throttle(to_client=limit)))["value"]


def test_what_a_tunnel_or_redis_needs_a_chain_for_has_one_inside():
    tunnel = Tunnel(authority="db:5432")
    for special in ({"tunnel": tunnel}, {"filtered": "redis"}):
        chain = a_chain(HALF_SLOW, HALF_LATE, **special)
        found = within(chain)

        assert shares(chain) == {"l4Fault_throttle": 1 / 2, "l4Fault_terminate": 1 / 4, "l4Fault_spare": 1 / 4}
        assert (spread(chain).tunnel, spread(chain).filtered) == (None, None)
        assert shares(found["l4Fault_terminate"]) == {"l4Fault_spare": 1}
        assert (found["l4Fault_spare"].tunnel, found["l4Fault_spare"].filtered) == (chain.tunnel, chain.filtered)
        assert spread(a_chain(SLOW, **special)).tunnel == chain.tunnel


def test_mongo_is_counted_once_and_tls_ended_once():
    own = DownstreamTls(certificates=(OWN,))
    chain = a_chain(HALF_SLOW, tls=own, filtered="mongo", match=ChainMatch(server_names=("db.shop",)))
    (throttled,) = within(chain).values()

    assert spread(chain).filtered == "mongo"
    assert (throttled.filtered, throttled.tls, throttled.match) == (None, None, ChainMatch())


def test_shares_that_envoy_could_not_bear_are_made_smaller_but_not_nothing():
    heavy = (to("a", weight=4_294_967_291), to("b", weight=1))
    weights = [each.weight for each in spread(a_chain(HALF_SLOW, HALF_LATE, destinations=heavy)).destinations]

    assert sum(weights) <= 4_294_967_295
    assert weights[-1] == 1
    assert weights[0] == pytest.approx(2 * weights[1], rel=1e-6)


def test_rules_that_several_listeners_have_share_what_is_inside():
    chain = a_chain(HALF_SLOW)
    rendered = render(a_plan(listeners=(a_listener("one", chain), a_listener("two", chain, port=1))), Memo())

    names = ["l4Fault_throttle_rule", "one", "two"]
    assert [each.name for each in rendered.listeners] == names
    assert [each.name for each in rendered.clusters] == names[:1]


def test_what_is_inside_is_of_the_side_of_its_chain_and_told_both_ends():
    (found,) = inside(a_listener("outer", a_chain(HALF_SLOW)))

    assert found.bind == InternalBind()
    assert found.captures
    assert found.side == "outbound"


def test_a_chain_without_faults_or_without_destinations_has_nothing_inside():
    assert within(TcpChain(destinations=(to("a"),), stat_prefix="tcp")) == {}
    assert within(a_chain(HALF_SLOW, HALF_LATE, destinations=())) == {}
