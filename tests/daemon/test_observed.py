"""What status and verdicts say in each situation."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from meshd.daemon.capturing import Captured
from meshd.daemon.observed import Observed
from meshd.daemon.status import Proxy, Workload
from meshd.deliver.error import DeliveryError
from meshd.names import RevisionId
from meshd.problems import NOWHERE, Origin, Problem
from meshd.proxies.error import ProxyError
from meshd.reconcile import Delivered, Outcome, Rejection
from meshd.source.revision import SourceError

GOOD, BAD = RevisionId("a" * 40), RevisionId("b" * 40)
REJECTION = Rejection(
    revision=BAD, problems=(Problem(code="E-VALUE", at=Origin("shop.yaml", 3, 7), message="must not be empty"),)
)


class Host:
    host = "web-1"
    active: RevisionId | None = GOOD
    probed: tuple[Workload, ...] = ()
    redirected: Captured | None = None
    led_back: tuple[Problem, ...] = ()

    def commit(self, _revision):
        return None

    def told_source(self):
        return {"url": "/mesh.git", "branch": "main"}

    def names(self):
        return 0

    def stale_names(self):
        return ()

    def circles(self):
        return self.led_back

    def workloads(self):
        return self.probed

    def captured(self):
        return self.redirected

    def is_behind(self, revision, _head):
        return revision == "c" * 40


def a_workload(*, healthy: bool = True, reason: str = "") -> Workload:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    return Workload(workload="default/shop-1", healthy=healthy, since=since, reason=reason)


def a_proxy(**changes) -> Proxy:
    fields = {"name": "sidecar", "state": "LIVE", "pid": 1, "version": "", "mode": "xds", "generation": 1}
    return Proxy(**(fields | {"connected": True, "acknowledged": True} | changes))


def conditions(observed, *proxies):
    told = observed.status(proxies)["conditions"]
    return {each["type"]: (each["status"], each["reason"]) for each in told}


@pytest.fixture
def observed():
    observed = Observed(Host())
    observed.reconciled(Outcome(fetched=GOOD, accepted=GOOD, delivered=Delivered(generation=1, sent=0)))
    return observed


def test_all_is_well(observed):
    told = conditions(observed, a_proxy())

    assert told["Ready"] == ("True", "Serving")
    assert told["Stalled"] == ("False", "Succeeded")
    assert observed.verdict().ok


@pytest.mark.spec("W-17")
@pytest.mark.parametrize(
    ("probed", "condition"),
    [
        ((), ("True", "NoProbes")),
        ((a_workload(),), ("True", "Probed")),
        ((a_workload(healthy=False, reason="status 503"),), ("False", "ProbeFailed")),
    ],
)
def test_workloads_have_a_condition_of_their_own_and_do_not_make_the_host_unready(observed, probed, condition):
    observed._host.probed = probed

    told = conditions(observed, a_proxy())

    assert told["WorkloadsHealthy"] == condition
    assert told["Ready"] == ("True", "Serving")


def test_a_capture_that_is_not_loaded_is_told_and_does_not_make_the_host_unready(observed):
    observed._host.redirected = Captured(status="False", reason="NotLoaded", message="no table is loaded")
    told = conditions(observed, a_proxy())
    assert told["Captured"] == ("False", "NotLoaded")
    assert told["Ready"] == ("True", "Serving")

    observed._host.redirected = None

    assert "Captured" not in conditions(observed, a_proxy())


def test_status_shows_each_workload_that_is_probed(observed):
    observed._host.probed = (a_workload(healthy=False, reason="status 503"),)

    (shown,) = observed.status(())["workloads"]

    assert shown == {
        "workload": "default/shop-1",
        "healthy": False,
        "since": "2026-01-01T00:00:00+00:00",
        "reason": "status 503",
    }


@pytest.mark.spec("E-WG-EXEC")
def test_a_probe_that_is_not_allowed_is_told_though_the_revision_is_in_force():
    observed = Observed(Host())
    problem = Problem(code="E-WG-EXEC", at=Origin("groups.yaml", 9, 3), message="default/shop-1 is not probed")
    observed.reconciled(Outcome(fetched=GOOD, accepted=GOOD, problems=(problem,)))

    told = conditions(observed, a_proxy())

    assert told["WorkloadsHealthy"] == ("Unknown", "ProbeNotAllowed")
    assert told["Ready"] == ("True", "Serving")
    assert observed.verdict().ok


def test_a_pass_that_crashed_is_no_yes_though_the_one_before_it_was(observed):
    observed.begin()
    observed.crashed(RuntimeError("a fault"))

    reply = observed.verdict()

    assert not reply.ok
    assert "a fault" in reply.body["failure"]
    assert conditions(observed, a_proxy())["Stalled"] == ("True", "InternalError")
    assert conditions(observed, a_proxy())["Reconciling"] == ("True", "ProgressingWithRetry")


def test_a_revision_whose_commit_cannot_be_read_is_told_by_its_id(observed):
    told = observed.status([a_proxy()])["revision"]

    assert told["active"] == {"id": GOOD, "author": "", "time": None, "subject": ""}
    json.dumps(told)


def test_a_refusal_by_envoy_says_what_envoy_says(observed):
    proxy = a_proxy(acknowledged=False, rejections=("cannot bind '127.0.0.1:15080': Address already in use",))

    told = observed.status([proxy])["conditions"]

    message = next(each["message"] for each in told if each["type"] == "ProxiesHealthy")
    assert message == "sidecar has not acknowledged: cannot bind '127.0.0.1:15080': Address already in use"


def test_what_stays_wrong_is_logged_once(observed, capsys):
    for _ in range(3):
        observed.delivery_failed(DeliveryError("the disk is full"))
        observed.proxy_failed(ProxyError("no such unit"))

    said = capsys.readouterr().out
    assert said.count("delivery.failed") == 1
    assert said.count("proxy.failed") == 1


def test_before_anything_was_fetched_ready_says_why(observed):
    observed = Observed(Host())
    observed._host.active = None

    assert conditions(observed)["Ready"] == ("False", "NoRevision")
    observed.fetch_failed(SourceError("RepositoryUnreachable", "connection refused"))
    assert conditions(observed)["Ready"] == ("False", "RepositoryUnreachable")
    assert conditions(observed)["FetchFailed"] == ("True", "RepositoryUnreachable")
    observed.delivery_failed(DeliveryError("the disk is full"))
    assert conditions(observed)["Ready"] == ("False", "DeliveryFailed")
    assert conditions(observed)["FetchFailed"] == ("False", "Succeeded")


def test_systemctl_status_has_what_is_wrong_and_what_to_do(observed):
    observed.fetch_failed(SourceError("BranchNotFound", "no branch 'mian' in the repository", "its branches: main"))

    assert observed.sentence().endswith(" active, no branch 'mian' in the repository; its branches: main")


def test_waiting_is_settled_by_activity_rejection_and_overtaking_alone(observed):
    observed.reconciled(Outcome(fetched=BAD, accepted=GOOD, rejected=(REJECTION,)))

    assert [observed.settled(each) for each in ("aaaa", "bbbb", "c" * 40, "dddd")] == [True, True, True, False]
    assert observed.verdict_on("aaaa").ok
    assert observed.verdict_on("bbbb").body["problems"][0]["code"] == "E-VALUE"
    assert not observed.verdict_on("c" * 40).ok


def test_a_name_that_leads_back_to_its_proxy_is_a_problem_and_logged_once(capsys):
    host = Host()
    host.led_back = (Problem(code="W-ENDPOINT-LOOP", at=NOWHERE, message="db.example is this very proxy"),)
    observed = Observed(host)

    problems = [observed.status([])["problems"] for _ in range(3)][-1]

    assert [each["code"] for each in problems] == ["W-ENDPOINT-LOOP"]
    assert capsys.readouterr().out.count("endpoint.left-out") == 1
    host.led_back = ()
    assert observed.status([])["problems"] == []


def test_a_wait_in_vain_says_what_stands_in_the_way(observed):
    observed.fetch_failed(SourceError("RepositoryUnreachable", "connection refused"))

    assert "connection refused" in observed.late("dddd", 5).body["message"]


def test_who_waits_for_what_was_not_in_time_goes_on_waiting_since_it_is_tried_again(observed):
    late = Problem(code="E-ENVOY-TIMEOUT", at=NOWHERE, message="the sidecar did not acknowledge cluster v2 within 15 s")

    observed.reconciled(Outcome(fetched=BAD, accepted=GOOD, rejected=(Rejection(revision=BAD, problems=(late,)),)))

    assert not observed.settled("bbbb")
    assert "did not acknowledge cluster v2" in observed.late("bbbb", 5).body["message"]
    assert not observed.verdict().ok
    assert conditions(observed)["Stalled"] == ("True", "RevisionTimedOut")
    assert conditions(observed)["Reconciling"] == ("True", "ProgressingWithRetry")


def test_a_reload_is_a_yes_though_somebody_pushed_something_bad_before_it(observed):
    observed.reconciled(Outcome(fetched=BAD, accepted=GOOD, rejected=(REJECTION,)))

    assert observed.verdict_on_reload(frozenset({BAD})).ok
    assert not observed.verdict_on_reload(frozenset()).ok
    assert "the configuration is in force" in observed.verdict_on_reload(frozenset()).body["message"]
