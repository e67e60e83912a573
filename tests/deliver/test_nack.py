"""Envoy's own words, as 1.40 says them, and whom they accuse."""

from __future__ import annotations

from meshd.deliver.nack import Rejection, plain, rejection_problems, rejections
from meshd.deliver.snapshot import NOTHING
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES
from tests.deliver.worlds import World, a_virtual_host

DUMP = """goo.gle/debugproto
cluster_name: "b"
endpoints { port_value: 70000 }
: Proto constraint validation failed (ClusterLoadAssignmentValidationError.Endpoints[0]: value must be less)"""


def blamed(found: tuple[Rejection, ...]) -> list[tuple[str, str]]:
    return [(rejection.name, rejection.text) for rejection in found]


def test_several_clusters_are_told_apart() -> None:
    text = "Error adding/updating cluster(s) outbound|80||a.b: no, never: really, outbound|80||a: duplicate"

    found = rejections(CLUSTER, ("outbound|80||a", "outbound|80||a.b", "other"), text)

    assert blamed(found) == [("outbound|80||a.b", "no, never: really"), ("outbound|80||a", "duplicate")]


def test_listeners_stand_on_lines_of_their_own() -> None:
    text = (
        "Error adding/updating listener(s) 127.0.0.1_80: cannot bind '127.0.0.1:80': Address already in use\n"
        "127.0.0.1_81: cannot bind '127.0.0.1:81': Permission denied\n"
    )

    assert blamed(rejections(LISTENER, ("127.0.0.1_81", "127.0.0.1_80"), text)) == [
        ("127.0.0.1_80", "cannot bind '127.0.0.1:80': Address already in use"),
        ("127.0.0.1_81", "cannot bind '127.0.0.1:81': Permission denied"),
    ]


def test_text_without_a_name_is_about_the_only_resource_that_was_sent() -> None:
    assert blamed(rejections(ROUTES, ("http",), "missing ): (\n")) == [("http", "missing ): (")]


def test_the_one_resource_that_the_text_mentions_is_meant() -> None:
    (found,) = rejections(ENDPOINTS, ("a", "b"), DUMP)

    assert found.name == "b"
    assert found.text.startswith("Proto constraint validation failed")


def test_text_that_tells_nothing_accuses_nobody() -> None:
    (found,) = rejections(CLUSTER, ("a", "b"), "Invalid duration: Expected positive duration")

    (problem,) = rejection_problems([found], NOTHING)

    assert found.name == ""
    assert str(problem) == ("Envoy refuses a cluster: Invalid duration: Expected positive duration [E-ENVOY-REJECTED]")


def test_long_words_are_cut() -> None:
    assert len(plain("x" * 10_000)) < 600


def test_a_virtual_host_that_is_mentioned_gives_the_line() -> None:
    hosts = (a_virtual_host("cart.shop", "a"), a_virtual_host("shop", "a"))
    snapshot = World(clusters={"a": (9,)}, hosts=hosts).snapshot()
    rejection = Rejection(type_url=ROUTES, name="http", text="Duplicate entry of domain shop in route http")

    (problem,) = rejection_problems([rejection], snapshot)

    assert problem.at.file == "shop.yaml"


def test_refused_endpoints_are_at_the_line_of_their_cluster() -> None:
    snapshot = World(clusters={"a": (9,)}).snapshot()

    (problem,) = rejection_problems([Rejection(type_url=ENDPOINTS, name="a", text="no")], snapshot)

    assert problem.at == snapshot.clusters["a"].origin


def test_of_a_long_complaint_the_end_is_kept_where_the_cause_is() -> None:
    text = plain("it " + "was " * 200 + "the butler")

    assert text.startswith("it was was")
    assert text.endswith(" was the butler")
    assert len(text) <= 505
