"""One delta ADS stream's protocol state: requests in, responses out; no gRPC, no waiting.

It knows what the Envoy at the other end subscribed to and has, so that it is sent what it lacks and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from meshd.deliver.nack import Rejection, rejections
from meshd.deliver.snapshot import NOTHING, Snapshot, Table
from meshd.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, EnvoyResource, TypeUrl

_SERVED: dict[str, TypeUrl] = {url: url for url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET)}
_WILDCARD_TYPES = (CLUSTER, LISTENER)
_TOLD_ABSENT = ""
"""The version of a name that Envoy asked for and that does not exist."""

LARGEST_RESPONSE = 3 * 1024 * 1024
"""In bytes of resource bodies. Envoy 1.40 took 20 MB in one message; the 4 MiB of other gRPC clients is the limit."""
MOST_RESOURCES = 500
"""Adding a cluster costs Envoy 0.2 ms of its main thread, and each waits 1 s for endpoints: they come between."""


@dataclass(slots=True, kw_only=True)
class _Subscription:
    """What Envoy wants of one type, and the version of each resource that it has or is about to have."""

    wildcard: bool
    names: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def outdated(self, table: Table) -> list[EnvoyResource]:
        wanted = table if self.wildcard else (self.names & table.keys())
        return [table[name] for name in wanted if self.known.get(name) != table[name].version]

    def gone(self, table: Table) -> list[str]:
        """Only of what Envoy has by wildcard: it takes leave of a named resource by unsubscribing from it, and
        answers the removal of a route table with an error in its log."""
        return [name for name in self.known if name not in table] if self.wildcard else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A response that waits for its verdict."""

    type_url: TypeUrl
    names: tuple[str, ...]


class Stream:
    """`served` is what the proxy should have at this moment; who changes it calls `update` for the types concerned."""

    def __init__(self, served: Snapshot = NOTHING) -> None:
        self.served = served
        self.node = ""
        self.envoy_version = ""
        self.pending: dict[str, Sent] = {}
        self.rejected: dict[tuple[TypeUrl, str], Rejection] = {}
        self.refused_in_push: list[Rejection] = []
        self.resources_sent = 0
        self._subscriptions: dict[TypeUrl, _Subscription] = {}
        self._rewarm: set[str] = set()
        self._removes_clusters_later = False
        self._nonce = 0

    def receive(self, request: DeltaDiscoveryRequest) -> list[DeltaDiscoveryResponse]:
        """Takes note of a verdict, a subscription or both, and answers what the request asks for."""
        if request.HasField("node"):
            self.node = request.node.id
            self.envoy_version = _version(request.node)
        type_url = _SERVED.get(request.type_url)
        if type_url is None:
            return self._nothing_of(request)
        self._note_verdict(request)
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            return self._first(type_url, request)
        return self._changed(type_url, subscription, request) + self._removals_put_off()

    def update(self, type_url: TypeUrl) -> list[DeltaDiscoveryResponse]:
        """What Envoy lacks of this type, given what is served now."""
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            return []
        table = self.served.table(type_url)
        outdated, gone = subscription.outdated(table), subscription.gone(table)
        return self._responses(type_url, outdated, gone) if outdated or gone else []

    def offer_again(self) -> list[DeltaDiscoveryResponse]:
        """What was refused, once more: what stood in its way, such as a file that was missing, may be gone."""
        waiting = {sent.type_url for sent in self.pending.values()}
        refused = [(type_url, name) for type_url, name in self.rejected if type_url not in waiting]
        for type_url, name in refused:
            if name in self.served.table(type_url):
                self._subscriptions[type_url].known.pop(name, None)
        concerned = {type_url for type_url, _ in refused}
        return [each for type_url in _SERVED.values() if type_url in concerned for each in self.update(type_url)]

    def begin_push(self) -> None:
        """From here on refusals count against the push that begins."""
        self.refused_in_push.clear()

    def subscribed(self, type_url: TypeUrl, name: str) -> bool:
        subscription = self._subscriptions.get(type_url)
        return subscription is not None and subscription.wants(name)

    @property
    def settled(self) -> bool:
        """Envoy has asked for listeners, which it does last, and every answer was acknowledged."""
        return LISTENER in self._subscriptions and not self.pending and not self.rejected

    def _note_verdict(self, request: DeltaDiscoveryRequest) -> None:
        sent = self.pending.pop(request.response_nonce, None)
        if sent is None:
            return
        for name in (*sent.names, ""):
            self.rejected.pop((sent.type_url, name), None)
        if request.HasField("error_detail"):
            for rejection in rejections(sent.type_url, sent.names, request.error_detail.message):
                self.rejected[rejection.type_url, rejection.name] = rejection
                self.refused_in_push.append(rejection)

    def _first(self, type_url: TypeUrl, request: DeltaDiscoveryRequest) -> list[DeltaDiscoveryResponse]:
        names = set(request.resource_names_subscribe)
        wildcard = "*" in names or (not names and type_url in _WILDCARD_TYPES)
        subscription = _Subscription(
            wildcard=wildcard, names=names - {"*"}, known=dict(request.initial_resource_versions)
        )
        self._subscriptions[type_url] = subscription
        if type_url == ENDPOINTS:
            self._forget(self._rewarm)
        table = self.served.table(type_url)
        absent = [] if wildcard else self._unknown(subscription, subscription.names, table)
        outdated, gone = subscription.outdated(table), subscription.gone(table) + absent
        if type_url == CLUSTER and gone:
            self._removes_clusters_later, gone = True, []
        # A fresh Envoy waits for an answer even if it is an empty one; one that has all it should needs none.
        waits = wildcard and not subscription.known
        return self._responses(type_url, outdated, gone) if outdated or gone or waits else []

    def _changed(
        self, type_url: TypeUrl, subscription: _Subscription, request: DeltaDiscoveryRequest
    ) -> list[DeltaDiscoveryResponse]:
        left, joined = set(request.resource_names_unsubscribe), set(request.resource_names_subscribe)
        subscription.names -= left
        subscription.wildcard = (subscription.wildcard and "*" not in left) or "*" in joined
        for name in left:
            subscription.known.pop(name, None)
            self.rejected.pop((type_url, name), None)
        joined.discard("*")
        subscription.names |= joined
        # Who subscribes again wants to be answered, even with what it was sent before.
        for name in joined:
            subscription.known.pop(name, None)
        if not joined:
            return []
        table = self.served.table(type_url)
        wanted = [table[name] for name in sorted(joined & table.keys())]
        return self._responses(type_url, wanted, self._unknown(subscription, joined, table))

    def _removals_put_off(self) -> list[DeltaDiscoveryResponse]:
        """An Envoy that comes back with clusters we no longer serve may still have routes to them: those go first."""
        if not self._removes_clusters_later or self.pending or LISTENER not in self._subscriptions:
            return []
        self._removes_clusters_later = False
        return self.update(CLUSTER)

    @staticmethod
    def _unknown(subscription: _Subscription, names: Iterable[str], table: Table) -> list[str]:
        return sorted(n for n in names if n not in table and subscription.known.get(n) != _TOLD_ABSENT)

    def _forget(self, clusters: Iterable[str]) -> None:
        """Of their assignments Envoy is to be sent a copy, whichever it has."""
        subscription = self._subscriptions.get(ENDPOINTS)
        if subscription is not None:
            for name in clusters:
                subscription.known.pop(name, None)

    def _nothing_of(self, request: DeltaDiscoveryRequest) -> list[DeltaDiscoveryResponse]:
        """Of a type that is never served here, every name is said not to exist, so that Envoy does not wait."""
        if request.response_nonce or not request.resource_names_subscribe:
            return []
        self._nonce += 1
        gone = list(request.resource_names_subscribe)
        return [DeltaDiscoveryResponse(type_url=request.type_url, nonce=str(self._nonce), removed_resources=gone)]

    def _responses(
        self, type_url: TypeUrl, outdated: list[EnvoyResource], gone: list[str]
    ) -> list[DeltaDiscoveryResponse]:
        responses = []
        for batch in list(_batches(outdated)) or [[]]:
            responses.append(self._response(type_url, batch, gone))
            gone = []
            if type_url == CLUSTER:
                responses += self.update(ENDPOINTS)
        return responses

    def _response(self, type_url: TypeUrl, batch: list[EnvoyResource], gone: list[str]) -> DeltaDiscoveryResponse:
        self._remember(type_url, batch, gone)
        self._nonce += 1
        nonce = str(self._nonce)
        self.pending[nonce] = Sent(type_url=type_url, names=(*(r.name for r in batch), *gone))
        self.resources_sent += len(batch)
        response = DeltaDiscoveryResponse(type_url=type_url, nonce=nonce, removed_resources=gone)
        for resource in batch:
            entry = response.resources.add(name=resource.name, version=resource.version)
            entry.resource.type_url = type_url
            entry.resource.value = resource.body
        return response

    def _remember(self, type_url: TypeUrl, batch: list[EnvoyResource], gone: list[str]) -> None:
        subscription = self._subscriptions[type_url]
        subscription.known.update((resource.name, resource.version) for resource in batch)
        for name in gone:
            if subscription.wildcard:
                subscription.known.pop(name, None)
            else:
                subscription.known[name] = _TOLD_ABSENT
        names = [resource.name for resource in batch]
        if type_url == CLUSTER:
            # A changed cluster warms anew, and waits for an assignment that it would not ask for again.
            self._rewarm.update(names)
            self._forget(names)
        elif type_url == ENDPOINTS:
            self._rewarm.difference_update(names)


def _batches(resources: list[EnvoyResource]) -> Iterator[list[EnvoyResource]]:
    batch: list[EnvoyResource] = []
    size = 0
    for resource in resources:
        if batch and (size + len(resource.body) > LARGEST_RESPONSE or len(batch) == MOST_RESOURCES):
            yield batch
            batch, size = [], 0
        batch.append(resource)
        size += len(resource.body) + len(resource.name) + 100
    if batch:
        yield batch


def _version(node: object) -> str:
    version = node.user_agent_build_version.version  # type: ignore[attr-defined]
    return f"{version.major_number}.{version.minor_number}.{version.patch}"
