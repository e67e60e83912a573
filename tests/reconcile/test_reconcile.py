"""The story of a pass, with fakes where the world is."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from meshd.compiler import Reach
from meshd.names import BlobId, HostName, RevisionId
from meshd.problems import NOWHERE, Problem
from meshd.reconcile import Delivered, Refused, World, is_due_again, prepare, reconcile

HOST = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 127.0.0.1}
"""
SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  location: MESH_INTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: %s}]
"""
REFUSAL = (Problem(code="E-ENVOY-REFUSED", at=NOWHERE, message="Envoy refuses it"),)


class Tree:
    def __init__(self, revision, files):
        self.id = revision
        self.files = files


class History:
    """Commits by number; each is all its files."""

    def __init__(self):
        self.trees: list[Tree] = []
        self.blobs: dict[BlobId, bytes] = {}

    def commit(self, **files: str) -> RevisionId:
        blobs = {}
        for name, text in files.items():
            blob = BlobId(hashlib.sha1(text.encode()).hexdigest())
            self.blobs[blob] = text.encode()
            blobs[f"{name}.yaml"] = blob
        self.trees.append(Tree(RevisionId(f"{len(self.trees):040x}"), blobs))
        return self.trees[-1].id

    def fetch(self):
        return self.trees[-1].id

    def revision(self, revision):
        return self.trees[int(revision, 16)]

    def read(self, blob):
        return self.blobs[blob]

    def ancestors(self, revision):
        return (tree.id for tree in reversed(self.trees[: int(revision, 16)]))


class Resolver:
    def __init__(self):
        self.wanted = []

    def want(self, names):
        self.wanted.append(frozenset(names))

    async def settle(self, names, deadline):
        pass


class Delivery:
    def __init__(self):
        self.delivered = []
        self.refuses = set()
        self.waits_for_files = set()
        self.remembered = {}
        self.due = set()

    async def deliver(self, prepared):
        if prepared.revision in self.refuses:
            return Refused(problems=REFUSAL)
        if prepared.revision in self.waits_for_files:
            return Refused(problems=REFUSAL)
        self.delivered.append(prepared.revision)
        return Delivered(generation=len(self.delivered), sent=1)

    def refusal(self, revision):
        return self.remembered.get(revision)

    def is_due(self, revision):
        return revision in self.due


async def here(function, *given):
    return function(*given)


@pytest.fixture
def history():
    return History()


@pytest.fixture
def world(history):
    return World(
        host=HostName("web-1"),
        reach=Reach(http_proxy_port=15080),
        source=history,
        resolver=Resolver(),
        delivery=Delivery(),
        aside=here,
    )


def a_pass(world):
    return asyncio.run(reconcile(world))


def test_the_head_is_delivered_once(world, history):
    head = history.commit(host=HOST, shop=SERVICE % "a.example")

    first, second = a_pass(world), a_pass(world)

    assert first.accepted == head
    assert first.delivered == Delivered(generation=1, sent=1)
    assert (second.accepted, second.delivered) == (head, None)
    assert world.delivery.delivered == [head]


def test_a_bad_head_leaves_what_runs_and_is_judged_once(world, history):
    good = history.commit(host=HOST)
    a_pass(world)
    bad = history.commit(host="nonsense: true\n")

    first, second = a_pass(world), a_pass(world)

    assert first.accepted == good
    assert [each.revision for each in first.rejected] == [bad]
    assert second.rejected == first.rejected
    assert world.delivery.delivered == [good]


def test_a_new_host_takes_the_newest_good_ancestor(world, history):
    history.commit(host=HOST)
    good = history.commit(host=HOST, shop=SERVICE % "a.example")
    history.commit(host="nonsense: true\n")
    history.commit(host="nonsense: false\n")

    outcome = a_pass(world)

    assert outcome.accepted == good
    assert len(outcome.rejected) == 2


def test_what_envoy_refuses_is_passed_over(world, history):
    good = history.commit(host=HOST)
    world.delivery.refuses = {history.commit(host=HOST, shop=SERVICE % "a.example")}

    outcome = a_pass(world)

    assert outcome.accepted == good
    assert outcome.rejected[0].problems == REFUSAL


def test_what_was_refused_in_another_life_is_not_tried_again(world, history):
    history.commit(host=HOST)
    refused = history.commit(host=HOST, shop=SERVICE % "a.example")
    world.delivery.remembered[refused] = REFUSAL

    outcome = a_pass(world)

    assert outcome.rejected[0].revision == refused
    assert refused not in world.delivery.delivered


def test_a_host_that_no_revision_knows_accepts_none(world, history):
    history.commit(other=HOST.replace("web-1", "web-2"))

    outcome = a_pass(world)

    assert (outcome.accepted, outcome.delivered) == (None, None)
    assert {problem.code for problem in outcome.rejected[0].problems} == {"E-HOST-UNKNOWN"}


def test_what_is_bad_on_a_line_that_was_left_is_forgotten(world, history):
    history.commit(host=HOST)
    for number in range(50):
        history.commit(host=f"nonsense: {number}\n")
        a_pass(world)
    history.commit(host=HOST)

    a_pass(world)

    assert world.rejected == {}


def test_names_of_old_and_new_are_wanted_until_the_new_is_in_force(world, history):
    history.commit(host=HOST, shop=SERVICE % "a.example")
    a_pass(world)
    history.commit(host=HOST, shop=SERVICE % "b.example")
    world.resolver.wanted.clear()

    a_pass(world)

    assert world.resolver.wanted == [{"a.example", "b.example"}, {"b.example"}]


def test_an_understood_revision_is_prepared_without_being_delivered(world, history):
    head = history.commit(host=HOST)

    prepared = prepare(world, head)

    assert prepared is not None
    assert set(prepared.proxies) == set() or world.delivery.delivered == []


def test_a_refusal_that_the_delivery_remembers_no_more_is_tried_again_by_the_next_pass(world, history):
    good = history.commit(host=HOST)
    a_pass(world)
    bad = history.commit(host=HOST, service=SERVICE % "10.0.0.1")
    world.delivery.refuses.add(bad)
    world.delivery.remembered[bad] = REFUSAL
    for _ in range(3):
        assert a_pass(world).rejected[0].problems == REFUSAL
    world.delivery.refuses.clear()
    world.delivery.remembered.clear()

    outcome = a_pass(world)

    assert (outcome.accepted, outcome.rejected) == (bad, ())
    assert world.delivery.delivered == [good, bad]


def test_another_pass_is_due_when_the_delivery_wants_another_try_at_what_it_refused(world, history):
    history.commit(host=HOST)
    a_pass(world)
    slow = history.commit(host=HOST, shop=SERVICE % "a.example")
    world.delivery.refuses.add(slow)
    assert a_pass(world).accepted != slow
    world.delivery.remembered[slow] = REFUSAL
    assert not is_due_again(world)

    world.delivery.due.add(slow)
    assert is_due_again(world)
    assert a_pass(world).accepted != slow

    better = history.commit(host=HOST, shop=SERVICE % "b.example")
    assert a_pass(world).accepted == better
    assert not is_due_again(world)


def test_what_this_host_can_put_right_is_tried_again_by_the_next_pass(world, history):
    good = history.commit(host=HOST)
    a_pass(world)
    bad = history.commit(host=HOST, service=SERVICE % "10.0.0.1")
    world.delivery.waits_for_files.add(bad)
    assert a_pass(world).accepted == good
    assert a_pass(world).rejected[0].problems == REFUSAL
    world.delivery.waits_for_files.clear()

    outcome = a_pass(world)

    assert (outcome.accepted, outcome.rejected) == (bad, ())
    assert world.delivery.delivered == [good, bad]


MEMBER = HOST.replace("{name: web-1}", "{name: web-1, annotations: {istio.io/autoRegistrationGroup: shop}}")
GROUP = """\
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: shop}
spec: {template: {}, probe: {exec: {command: [/bin/true]}}}
"""


@pytest.mark.spec("E-WG-EXEC", "W-15")
def test_what_the_agent_does_not_allow_is_told_and_keeps_no_revision_from_its_host(world, history):
    revision = history.commit(host=MEMBER, group=GROUP)

    outcome = a_pass(world)

    assert (outcome.accepted, outcome.rejected) == (revision, ())
    assert "E-WG-EXEC" in {problem.code for problem in outcome.problems}
    assert world.current.probes == ()


@pytest.mark.spec("W-15")
def test_what_it_allows_is_prepared_with_the_rest(world, history):
    history.commit(host=MEMBER, group=GROUP)
    world.reach = Reach(exec_probes=True)

    a_pass(world)

    assert [probe.workload for probe in world.current.probes] == ["default/web-1"]
