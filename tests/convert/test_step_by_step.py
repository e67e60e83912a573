"""A conversion that remembers the last one comes to the same as one of the whole, whatever is edited in between."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshd.convert.neighbours import Frame, Neighbour
from meshd.convert.report import Report
from meshd.convert.scene import Scene
from meshd.convert.show import to_yaml
from meshd.memo import Memo
from meshd.mesh.load import load, load_older
from meshd.names import BlobId, ServiceHost
from meshd.registry.settings import MeshSettings
from tests.convert.conftest import (
    a_policy,
    a_rule,
    a_service,
    a_workload,
    an_egress_rule,
    an_ingress_rule,
)

HOSTS = ("a", "b", "c")
TCP = "{number: 9000, name: tcp, protocol: TCP}"
TLS = "{number: 443, name: https, protocol: HTTPS}"
HTTP = "{number: 9080, name: http, protocol: HTTP}"

_services = st.one_of(
    st.builds(
        lambda host, ports, labels, namespace: a_service(
            f"{host}.default.svc.cluster.local", *ports, labels=labels, namespace=namespace
        ),
        st.sampled_from(HOSTS),
        st.sampled_from([(HTTP,), (HTTP, TCP), (TCP, TLS), (HTTP, TLS)]),
        st.sampled_from(["", "app: a", "istio: ingressgateway"]),
        st.sampled_from(["default", "other"]),
    ),
    st.builds(
        a_workload,
        st.sampled_from(["w1", "w2"]),
        st.sampled_from(["app: a", "app: a, version: v1", "istio: ingressgateway", "istio: egressgateway"]),
        st.sampled_from(["10.1.0.1", "10.0.0.9"]),
    ),
)
_destinations = st.sampled_from(["name: a", "name: b", "name: c", "service: out.example", "name: a, namespace: other"])
_versions = st.sampled_from(["version: v1", "version: v2", "version: v-1", "version: v.1", "env: x, version: v1"])
_sources = st.builds(
    lambda host, labels: f"source: {{name: {host}{labels}}}",
    st.sampled_from(HOSTS),
    st.sampled_from(["", ", labels: {version: v1}", ", labels: {app: z}"]),
)
_matches = st.one_of(
    st.just(""),
    st.sampled_from(
        [
            "match: {request: {headers: {uri: {prefix: /x}}}}, ",
            "match: {request: {headers: {x-a: {regex: a.*}}}}, ",
            "match: {tcp: {sourceSubnet: [10.9.0.0/16]}}, ",
        ]
    ),
    _sources.map(lambda source: f"match: {{{source}}}, "),
)
_routes = st.one_of(
    st.just("route: []"),
    _versions.map(lambda version: f"route: [{{labels: {{{version}}}}}]"),
    st.builds(
        lambda to, version: f"route: [{{destination: {{{to}}}, labels: {{{version}}}}}]", _destinations, _versions
    ),
    st.builds(
        lambda to, version: f"mirror: {{{to}, labels: {{{version}}}}}, route: [{{labels: {{version: v2}}}}]",
        _destinations,
        _versions,
    ),
    st.just("websocketUpgrade: true, route: [{labels: {version: v1}}]"),
)
_rules = st.builds(
    lambda name, namespace, to, precedence, match, route: a_rule(
        name,
        f"destination: {{{to}}}, precedence: {precedence}, {match}"
        f"{route.rpartition('mirror')[0] or route[route.find('route') :] if 'tcp' in match else route}",
        namespace=namespace,
    ),
    st.sampled_from(["r1", "r2", "r3"]),
    st.sampled_from(["default", "other"]),
    _destinations,
    st.sampled_from([0, 1, 2]),
    _matches,
    _routes,
)
_policies = st.builds(
    lambda name, to, version, source, policy: a_policy(name, f"destination: {{{to}{version}}}, {source}{policy}"),
    st.sampled_from(["p1", "p2"]),
    _destinations,
    st.one_of(st.just(""), _versions.map(lambda version: f", labels: {{{version}}}")),
    st.one_of(st.just(""), _sources.map(lambda source: f"{source}, ")),
    st.sampled_from(["loadBalancing: {name: RANDOM}", "circuitBreaker: {simpleCb: {httpMaxRetries: 0}}"]),
)
_ways_out = st.builds(
    lambda name, to, port, proxied: an_egress_rule(
        name, f"destination: {{service: '{to}'}}, ports: [{port}], useEgressProxy: {proxied}"
    ),
    st.sampled_from(["e1", "e2"]),
    st.sampled_from(["out.example", "*.out.example", "192.0.2.7", "198.51.100.0/24"]),
    st.sampled_from(["{port: 80, protocol: http}", "{port: 443, protocol: https}", "{port: 9000, protocol: tcp}"]),
    st.sampled_from(["true", "false"]),
)
_ways_in = st.builds(
    lambda name, to, port, secret, authority: an_ingress_rule(
        name, f"destination: {{{to}}}, port: {port}, destinationPort: 9080{secret}{authority}"
    ),
    st.sampled_from(["i1", "i2"]),
    _destinations,
    st.sampled_from([80, 443]),
    st.sampled_from(["", ", tlsSecret: front"]),
    st.sampled_from(["", ", match: {request: {headers: {authority: shop.example, uri: {prefix: /x}}}}"]),
)
_today = st.sampled_from(
    [
        (
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a-default}\n"
            "spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}\n"
        ),
        (
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: b}\n"
            "spec: {host: b, subsets: [{name: first, labels: {version: v1}}]}\n"
        ),
        (
            "---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
            "spec: {v1alpha1: {preserveDefaults: false}}\n"
        ),
    ]
)
_objects = st.one_of(_services, _services, _rules, _rules, _rules, _policies, _ways_out, _ways_in, _today)
_edits = st.lists(st.tuples(st.integers(0, 11), st.none() | _objects), min_size=1, max_size=3)

Files = Mapping[str, BlobId]


def _read(blob: BlobId) -> bytes:
    return blob.encode()


def _converted(files: Files, memo: Memo) -> str:
    """As it is printed: with the place of each part, and the whole report."""
    older = load_older(files, _read, memo)
    return to_yaml(older.resources, older.problems)


def _told(files: Files, memo: Memo) -> list[str]:
    return [str(problem) for problem in load(files, _read, memo).problems]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=st.lists(_objects, min_size=4, max_size=12), steps=st.lists(_edits, min_size=1, max_size=4))
def test_after_any_edits_it_is_as_if_nothing_had_been_remembered(start, steps):
    files = {f"{number}.yaml": BlobId(text) for number, text in enumerate(start)}
    memo, other = Memo(), Memo()
    for edits in ((), *steps):
        for number, text in edits:
            files.pop(f"{number}.yaml", None)
            if text is not None:
                files[f"{number}.yaml"] = BlobId(text)

        assert _converted(files, memo) == _converted(files, Memo())
        assert _told(files, other) == _told(files, Memo())
        memo.turn()
        other.turn()


def _objects_of(files: Files, memo: Memo) -> dict[str, int]:
    """Which object each is, by kind and name."""
    made = load_older(files, _read, memo).resources
    memo.turn()
    return {str(each.id): id(each) for each in made}


def _mesh(timeout: str, address: str) -> Files:
    texts = {
        **{host: a_service(f"{host}.default.svc.cluster.local").replace("10.1.0.2", address) for host in HOSTS},
        **{f"rule-{host}": a_rule(f"to-{host}", f"destination: {{name: {host}}}") for host in HOSTS},
        "edited": a_rule(
            "edited", f"destination: {{name: a}}, httpReqTimeout: {{simpleTimeout: {{timeout: {timeout}}}}}"
        ),
        "in": an_ingress_rule("in", "destination: {name: b}, port: 80"),
        "out": an_egress_rule("out", "destination: {service: out.example}, ports: [{port: 80, protocol: http}]"),
    }
    return {f"{name}.yaml": BlobId(text) for name, text in texts.items()}


def test_an_edit_leaves_what_it_is_not_about_the_very_same():
    memo = Memo()
    before = _objects_of(_mesh("1s", "10.1.0.2"), memo)

    after = _objects_of(_mesh("2s", "10.1.0.2"), memo)

    assert {name for name in before if before[name] != after[name]} == {"VirtualService default/a-default"}
    assert len(before) > 6


def test_another_endpoint_changes_no_converted_object():
    memo = Memo()
    before = _objects_of(_mesh("1s", "10.1.0.2"), memo)

    assert _objects_of(_mesh("1s", "10.1.0.3"), memo) == before


def test_a_scene_says_nothing_of_hosts_that_it_was_not_given():
    """Whatever asked would not be asked again when that host changes."""
    scene = Scene(Frame(settings=MeshSettings()), [Neighbour(host=ServiceHost("a.example"))], Report())

    assert scene.ports(ServiceHost("a.example")) == ()
    with pytest.raises(KeyError):
        scene.ports(ServiceHost("b.example"))
