"""What one delta ADS stream answers: the protocol without its transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from envoy.config.core.v3.base_pb2 import Node
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.rpc.status_pb2 import Status

from meshd.deliver import stream as stream_module
from meshd.deliver.snapshot import NOTHING, Snapshot
from meshd.deliver.stream import Stream
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET
from meshd.names import SecretName
from meshd.plan import CertificateSecret
from tests.deliver.worlds import World, a_cluster, a_virtual_host

Responses = Sequence[DeltaDiscoveryResponse]


def a_snapshot(*clusters: str, seconds: int = 1) -> Snapshot:
    names = dict.fromkeys(clusters, (9,))
    changed = {name: a_cluster(name, seconds=seconds) for name in clusters}
    return World(port=8080, clusters=names, changed=changed, hosts=(a_virtual_host("shop", "a"),)).snapshot()


def ask(stream: Stream, type_url: str, *names: str, **more: object) -> Responses:
    return stream.receive(DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names, **more))


def acknowledge(stream: Stream, responses: Responses, complaint: str = "") -> None:
    error = Status(code=13, message=complaint) if complaint else None
    for response in responses:
        stream.receive(
            DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce, error_detail=error)
        )


def names(responses: Responses) -> list[list[str]]:
    return [[resource.name for resource in response.resources] for response in responses]


def gone(responses: Responses) -> list[str]:
    return [name for response in responses for name in response.removed_resources]


def a_connected_stream(served: Snapshot) -> Stream:
    """A fresh Envoy that has asked for everything, and has acknowledged it."""
    stream = Stream(served)
    acknowledge(stream, ask(stream, CLUSTER, node=Node(id="sidecar~web-1")))
    acknowledge(stream, ask(stream, ENDPOINTS, *served.endpoints))
    acknowledge(stream, ask(stream, LISTENER))
    acknowledge(stream, ask(stream, ROUTES, "http"))
    assert stream.settled
    return stream


def test_a_fresh_envoy_is_answered_even_with_nothing() -> None:
    stream = Stream(NOTHING)

    assert names(ask(stream, CLUSTER)) == [[]]
    assert names(ask(stream, LISTENER)) == [[]]


def test_the_node_of_the_first_request_is_remembered() -> None:
    stream = a_connected_stream(a_snapshot("a"))

    assert stream.node == "sidecar~web-1"


def test_an_envoy_that_has_everything_is_sent_nothing() -> None:
    served = a_snapshot("a", "b")
    stream = Stream(served)

    for type_url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES):
        table = served.table(type_url)
        has = {name: resource.version for name, resource in table.items()}
        subscribes = tuple(table) if type_url in (ENDPOINTS, ROUTES) else ()
        assert ask(stream, type_url, *subscribes, initial_resource_versions=has) == []

    assert stream.settled


def test_an_explicit_star_is_a_wildcard_and_can_be_taken_back() -> None:
    stream = Stream(a_snapshot("a", "b"))
    assert names(ask(stream, CLUSTER, "*")) == [["a", "b"]]

    stream.receive(DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_unsubscribe=["*"]))
    stream.served = a_snapshot("a", "b", "c")

    assert stream.update(CLUSTER) == []


def test_what_was_removed_while_envoy_was_away_is_announced() -> None:
    stream = Stream(a_snapshot("a"))

    assert gone(ask(stream, LISTENER, initial_resource_versions={"old": "1"})) == ["old"]


def test_clusters_that_were_removed_meanwhile_go_only_after_the_routes_that_led_to_them() -> None:
    served = a_snapshot("a")
    stream = Stream(served)
    has = {"a": served.clusters["a"].version, "old": "1"}

    assert ask(stream, CLUSTER, initial_resource_versions=has) == []
    routes = ask(stream, ROUTES, "http", initial_resource_versions={"http": "older"})
    listeners = ask(stream, LISTENER)
    acknowledge(stream, listeners)
    last = stream.receive(DeltaDiscoveryRequest(type_url=ROUTES, response_nonce=routes[0].nonce))

    assert gone(last) == ["old"]


def test_a_name_that_does_not_exist_is_said_to_be_gone_once_and_sent_when_it_comes() -> None:
    stream = a_connected_stream(a_snapshot("a"))

    assert gone(ask(stream, ENDPOINTS, "b")) == ["b"]
    assert stream.update(ENDPOINTS) == []
    stream.served = a_snapshot("a", "b")

    assert names(stream.update(ENDPOINTS)) == [["b"]]


def test_who_subscribes_again_is_answered_again() -> None:
    stream = a_connected_stream(a_snapshot("a"))

    stream.receive(DeltaDiscoveryRequest(type_url=ENDPOINTS, resource_names_unsubscribe=["a"]))

    assert names(ask(stream, ENDPOINTS, "a")) == [["a"]]


def test_what_was_unsubscribed_is_not_sent() -> None:
    stream = a_connected_stream(a_snapshot("a"))
    stream.receive(DeltaDiscoveryRequest(type_url=ROUTES, resource_names_unsubscribe=["http"]))
    stream.served = NOTHING

    assert stream.update(ROUTES) == []


def test_a_changed_cluster_is_followed_by_its_unchanged_endpoints() -> None:
    stream = a_connected_stream(a_snapshot("a", "b"))
    stream.served = a_snapshot("a", "b", seconds=2)

    responses = stream.update(CLUSTER)

    assert [(r.type_url, len(r.resources)) for r in responses] == [(CLUSTER, 2), (ENDPOINTS, 2)]


def test_a_cluster_that_changed_while_envoy_was_away_brings_its_endpoints_although_envoy_has_them() -> None:
    served = a_snapshot("a", "b", seconds=2)
    has = {name: resource.version for name, resource in served.endpoints.items()}
    before = a_snapshot("a", "b").clusters["a"].version
    stream = Stream(served)

    ask(stream, CLUSTER, initial_resource_versions={"a": before, "b": served.clusters["b"].version})

    assert names(ask(stream, ENDPOINTS, "a", "b", initial_resource_versions=has)) == [["a"]]


def test_many_clusters_come_in_portions_with_their_endpoints_between() -> None:
    many = [f"c{i}" for i in range(1200)]
    stream = a_connected_stream(a_snapshot(*many))
    stream.served = a_snapshot(*many, seconds=2)

    responses = stream.update(CLUSTER)

    assert [response.type_url for response in responses] == [CLUSTER, ENDPOINTS] * 3


def test_a_response_stays_below_the_size_that_grpc_accepts() -> None:
    resources = list(a_snapshot(*(f"c{i}" for i in range(4))).clusters.values())
    size = len(resources[0].body)

    batches = list(stream_module._batches(resources * (stream_module.LARGEST_RESPONSE // size // 4 + 1)))

    assert len(batches) > 1


def test_types_that_are_not_served_have_no_resources() -> None:
    stream = Stream(NOTHING)
    layer = "type.googleapis.com/envoy.service.runtime.v3.Runtime"

    responses = ask(stream, layer, "limits")

    assert gone(responses) == ["limits"]
    assert ask(stream, layer, response_nonce=responses[0].nonce) == []


def test_secrets_are_sent_to_who_asks_for_them_and_their_end_is_not_announced() -> None:
    own = CertificateSecret(name=SecretName("own"), certificate_chain="/a/tls.crt", private_key="/a/tls.key")
    served = replace(a_snapshot("a"), secrets=World(secrets=(own,)).snapshot().secrets)
    stream = a_connected_stream(served)
    assert stream.update(SECRET) == []

    assert names(ask(stream, SECRET, "own")) == [["own"]]
    moved = replace(own, private_key="/b/tls.key")
    stream.served = replace(served, secrets=World(secrets=(moved,)).snapshot().secrets)
    assert names(stream.update(SECRET)) == [["own"]]
    stream.served = replace(served, secrets={})
    assert stream.update(SECRET) == []


def test_a_rejection_names_its_resources_and_ends_when_a_good_one_is_acknowledged() -> None:
    stream = a_connected_stream(a_snapshot("a", "b"))
    stream.served = a_snapshot("a", "b", seconds=2)

    acknowledge(stream, stream.update(CLUSTER)[:1], "Error adding/updating cluster(s) b: too slow")

    assert [(r.name, r.text) for r in stream.rejected.values()] == [("b", "too slow")]
    assert not stream.settled
    stream.served = a_snapshot("a", "b")
    acknowledge(stream, stream.update(CLUSTER))
    assert stream.rejected == {}


def test_a_verdict_on_nothing_that_was_sent_is_ignored() -> None:
    stream = a_connected_stream(a_snapshot("a"))

    stream.receive(DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="99", error_detail=Status(message="?")))

    assert stream.settled


def test_what_was_refused_is_offered_again_when_somebody_says_so() -> None:
    """A file that the listener needs was missing when Envoy came."""
    stream = Stream(a_snapshot("a"))
    listeners = ask(stream, LISTENER)
    (listener,) = names(listeners)[0]
    acknowledge(stream, listeners, f"Error adding/updating listener(s) {listener}: Invalid path: /etc/x")
    assert stream.update(LISTENER) == []

    again = stream.offer_again()

    assert names(again) == [[listener]]
    assert stream.offer_again() == []  # the verdict is awaited
    acknowledge(stream, again)
    assert not stream.rejected
    assert stream.offer_again() == []


def test_what_was_refused_and_is_served_no_more_is_not_offered_again() -> None:
    stream = a_connected_stream(a_snapshot("a"))
    stream.served = a_snapshot("a", "b")
    acknowledge(stream, stream.update(CLUSTER), "Error adding/updating cluster(s) b: no")
    stream.served = a_snapshot("a")

    again = stream.offer_again()

    assert gone(again) == ["b"]
    acknowledge(stream, again)
    assert not stream.rejected
