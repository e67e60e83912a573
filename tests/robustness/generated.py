"""Random meshes, from the types of the resources and what their annotations say of each value.

A mesh is a fixed world (services, workloads, subsets) and a few random objects that speak of it. Many are invalid:
those that `load` takes are what the tests want.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import yaml
from hypothesis import strategies as st

from meshd.decode.messages import camel_case
from meshd.fields import Message, NotYet
from meshd.resources.destination import Destination
from meshd.resources.destination_rule import DestinationRule
from meshd.resources.gateway import Gateway
from meshd.resources.mesh_config import MeshConfig
from meshd.resources.resource import Resource
from meshd.resources.service_entry import ServiceEntry
from meshd.resources.sidecar import Sidecar
from meshd.resources.virtual_service import VirtualService

WORLD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1}
spec:
  labels: {app: reviews, version: v1, istio: ingressgateway}
  locality: eu/eu-1/a
  address: 10.0.0.1
  serviceAccount: reviews
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-2}
spec: {address: 10.0.0.2, labels: {app: reviews, version: v2}, locality: us/us-1/b}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 9000, name: grpc, protocol: GRPC}]
  workloadSelector: {labels: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}, {number: 8080, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.example.com]
  addresses: [10.1.0.9]
  resolution: STATIC
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  endpoints: [{address: 10.0.0.9}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews-subsets, namespace: default}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8081, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 5433, name: tcp, protocol: TCP}, hosts: ['*']}
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*.example.com'], tls: {mode: PASSTHROUGH}}
"""

_TEXTS = (
    "a",
    "v1",
    "v2",
    "reviews",
    "GET",
    "POST",
    "*",
    "x-user",
    "cookie",
    "/",
    "/api",
    "/api/v1",
    ".*",
    "[a-z]{1,64}",
    "value",
    "",
    "reviews.default.svc.cluster.local",
    "api.example.com",
    "db.example.com",
    "*.example.com",
    "shop.example.com",
    "10.0.0.1",
    "10.1.0.0/16",
    "::1",
    "fd00::/8",
    "mesh",
    "front",
    "default/front",
    "HTTP",
    "HTTPS",
    "TLS",
    "TCP",
    "GRPC",
    "http",
    "tls",
    "eu",
    "eu/eu-1/*",
    "us/*",
    "us",
    "*/reviews.default.svc.cluster.local",
    "./*",
    "*/*",
    "5xx,reset",
    "connect-failure",
    "503",
    "127.0.0.1:8080",
    "unix:///tmp/s",
    "version",
    "topology.istio.io/network",
    "OK",
    "CANCELLED",
    "spiffe://cluster.local/ns/a/sa/b",
    "%START_TIME%",
    "100%%",
    "Basic x",
    "localhost",
    "default",
    ".",
    "istio-system",
)
_NUMBERS = (0, 1, 2, 3, 7, 10, 50, 80, 100, 200, 301, 404, 443, 503, 1024, 5432, 8080, 8081, 8443, 9000, 65537)
_FRACTIONS = (0, 0.0001, 0.5, 1.5, 10, 33.3, 99.9999, 100)
_DURATIONS = ("0s", "1ms", "20ms", "0.25s", "1s", "10s", "1m30s", "1h", "24h")
_FILES = {"server_certificate", "private_key", "ca_certificates", "client_certificate", "ca_crl"}
# What a free text field mostly is: a random text would nearly never mean anything in the world above.
_PROTOCOLS = ("HTTP", "HTTPS", "TLS", "TCP", "GRPC", "HTTP2", "MONGO")
_MEANT: Mapping[str, tuple[str, ...]] = {
    "protocol": _PROTOCOLS,
    "VirtualService.hosts": ("reviews", "api.example.com", "db.example.com", "*.example.org", "shop.example.org"),
    "Server.hosts": (
        "api.example.com",
        "*.example.com",
        "*",
        "*/shop.example.com",
        "./reviews.default.svc.cluster.local",
    ),
    "IstioEgressListener.hosts": ("*/*", "./*", "~/*", "*/reviews.default.svc.cluster.local", "./db.example.com"),
    "ServiceEntry.hosts": ("shop.example.com", "a.example.com", "*.wild.example.com"),
    "key": ("x-user", "cookie", "version", "app", "eu/eu-1/*", "us", "us/*", "http", "tls"),
    "allow_headers": ("x-user", "*"),
    "expose_headers": ("x-user", "*"),
    "http_header_name": ("x-user",),
    "remove": ("x-user", "cookie"),
    "target_host": ("db.example.com", "10.1.0.9"),
    "name": ("a", "b", "v1", "http-web", "tls-x"),
    "body": ("aGVsbG8=",),
    "bytes": ("aGVsbG8=",),
    "host": ("reviews", "reviews.default.svc.cluster.local", "api.example.com", "db.example.com"),
    "subset": ("v1", "v2"),
    "gateways": ("mesh", "front"),
    "server_certificate": ("/etc/m/cert.pem",),
    "client_certificate": ("/etc/m/cert.pem",),
    "private_key": ("/etc/m/key.pem",),
    "ca_certificates": ("/etc/m/ca.pem", "system"),
}
_HTTP_DESTINATIONS: tuple[dict[str, Any], ...] = (
    {"host": "reviews", "port": {"number": 80}},
    {"host": "reviews", "subset": "v1", "port": {"number": 80}},
    {"host": "reviews", "subset": "v2", "port": {"number": 9000}},
    {"host": "api.example.com", "port": {"number": 8080}},
)
_DESTINATIONS = (
    {"host": "db.example.com"},
    {"host": "api.example.com", "port": {"number": 443}},
    {"host": "reviews", "subset": "v1", "port": {"number": 80}},
)
_NEEDED = {
    ("GatewayPort", "number"),
    ("VirtualService", "hosts"),
    ("SidecarPort", "number"),
    ("SidecarPort", "protocol"),
}
_AT_LEAST_ONE: Mapping[str, tuple[str, ...]] = {
    "VirtualService": ("http", "tls", "tcp"),
    "ConnectionPoolSettings": ("tcp", "http"),
    "TrafficPolicy": ("load_balancer", "connection_pool", "outlier_detection", "tls", "port_level_settings"),
    "PortTrafficPolicy": ("load_balancer", "connection_pool", "outlier_detection", "tls"),
    "Sidecar": ("egress", "ingress", "outbound_traffic_policy"),
    "HTTPFaultInjection": ("delay", "abort"),
    "HTTPRewrite": ("uri", "uri_regex_rewrite", "authority"),
    "HTTPRetry": ("attempts",),
    "PortSelector": ("number",),
}
# Fields that nearly always need another object or another field, and have tests of their own.
_RARE = {("PortSelector", "name"), ("HTTPRoute", "delegate"), ("OutboundTrafficPolicy", "egress_proxy")}
_LEFT_OUT = {"ca_crl", "credential_name", "credential_names", "ca_cert_credential_name", "creation_timestamp"}


def meshes() -> st.SearchStrategy[dict[str, str]]:
    """The text of each file: the world, and one for each random object."""
    return st.lists(st.sampled_from(_KINDS).flatmap(_object), min_size=1, max_size=4).map(_files)


def _files(objects: list[dict[str, Any]]) -> dict[str, str]:
    random = {
        f"random-{number}.yaml": yaml.dump(_named(number, each), Dumper=_Dumper) for number, each in enumerate(objects)
    }
    return {"world.yaml": WORLD, **random}


_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_KINDS: tuple[type[Resource], ...] = (
    VirtualService,
    VirtualService,
    VirtualService,
    DestinationRule,
    DestinationRule,
    ServiceEntry,
    Gateway,
    Sidecar,
    MeshConfig,
)


def _named(number: int, found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "metadata": {"name": f"random-{number}"}}


def _object(kind: type[Resource]) -> st.SearchStrategy[dict[str, Any]]:
    head = {"apiVersion": f"{kind.GROUP}/{kind.VERSIONS[-1]}", "kind": kind.KIND}
    return _message(kind, frozenset({"metadata", "origin"})).map(lambda spec: {**head, "spec": _plausible(kind, spec)})


def _plausible(kind: type[Resource], spec: dict[str, Any]) -> dict[str, Any]:
    """What fields of one object owe to each other, where chance would hardly ever get it right."""
    if kind is VirtualService:
        for rule in (*spec.get("http", ()), *spec.get("tls", ()), *spec.get("tcp", ())):
            for number, to in enumerate(rule.get("route", ())):
                to["weight"] = number + 1
        for rule in spec.get("tls", ()):
            for match in rule["match"]:
                match["sniHosts"] = [host for host in spec["hosts"] if "." in host][:1] or ["api.example.com"]
    for proxy in spec.get("outboundProxies", ()):
        proxy.pop("direct", None)
        proxy.update({"host": "proxy.corp.example", "port": 3128, "selector": {}})
    for server in spec.get("servers", ()):
        if server["port"]["protocol"] in {"HTTPS", "TLS"}:
            server.setdefault("tls", {"mode": "SIMPLE", "serverCertificate": "/m/cert", "privateKey": "/m/key"})
        else:
            server.pop("tls", None)
    return spec


@cache
def _message(kind: type[Message], without: frozenset[str] = frozenset({"origin"})) -> st.SearchStrategy[dict[str, Any]]:
    return st.deferred(lambda: _fields(kind, without))


def _fields(kind: type[Message], without: frozenset[str]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    grouped = {name for group in (*kind.ONEOFS, *kind.EXACTLY_ONE) for name in group}
    for field in dataclasses.fields(kind):
        if field.name in without or _is_left_out(kind, field.name, hints[field.name]):
            continue
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        needed = needed or (kind.__name__, field.name) in _NEEDED
        name = f"{kind.__name__}.{field.name}"
        is_destination = Destination in (hints[field.name], *get_args(hints[field.name]))
        values = (
            _destination(kind) if is_destination else _values(hints[field.name], name if name in _MEANT else field.name)
        )
        (required if needed else optional)[field.name] = values
    plain = {name: each for name, each in optional.items() if name not in grouped}
    needed_one = _AT_LEAST_ONE.get(kind.__name__, ())
    chosen = [_one_of(needed_one, {**required, **optional}, needed=True)] if needed_one else []
    chosen += [
        _one_of(group, {**required, **optional}, needed=group in kind.EXACTLY_ONE)
        for group in (*kind.ONEOFS, *kind.EXACTLY_ONE)
    ]
    parts = [st.fixed_dictionaries(required), _some(plain), *chosen]
    return st.tuples(*parts).map(lambda found: {camel_case(k): v for part in found for k, v in part.items()})


def _some(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A few fields: with all of them hardly any object would be valid."""
    if not fields:
        return st.just({})
    names = st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen}))


def _one_of(
    group: tuple[str, ...], fields: Mapping[str, st.SearchStrategy[Any]], *, needed: bool
) -> st.SearchStrategy[dict[str, Any]]:
    choices = [st.fixed_dictionaries({name: fields[name]}) for name in group if name in fields]
    nothing = [] if needed or not choices else [st.just({})]
    return st.one_of(*choices, *nothing) if choices else st.just({})


def _is_left_out(kind: type[Message], name: str, hint: object) -> bool:
    return (
        name in _LEFT_OUT
        or (kind.__name__, name) in _RARE
        or any(isinstance(extra, NotYet) for extra in getattr(hint, "__metadata__", ()))
    )


def _destination(holder: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    """One that is there, mostly: chance would hardly find a port of its host."""
    known = _DESTINATIONS if holder.__name__ == "RouteDestination" else _HTTP_DESTINATIONS
    return st.one_of(st.sampled_from(known), st.sampled_from(known), st.sampled_from(known), _message(Destination))


def _values(hint: Any, name: str, checks: tuple[Callable[[object], str], ...] = ()) -> st.SearchStrategy[Any]:
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *extras = get_args(hint)
        return _values(inner, name, (*checks, *(extra for extra in extras if callable(extra))))
    if origin in {types.UnionType, typing.Union}:
        return _values(next(arg for arg in get_args(hint) if arg is not type(None)), name, checks)
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin is tuple:
        return st.lists(_values(get_args(hint)[0], name), min_size=1, max_size=2, unique="host" in name)
    if origin is not None and isinstance(origin, type) and issubclass(origin, typing.cast("type", Mapping)):
        key, value = get_args(hint)
        return st.dictionaries(
            _values(key, "key"), _values(value, name), min_size=0 if _passes({}, checks) else 1, max_size=2
        )
    if isinstance(hint, type) and issubclass(hint, Message):
        return _message(hint)
    return _scalar(hint, name, checks)


def _scalar(hint: Any, name: str, checks: tuple[Callable[[object], str], ...]) -> st.SearchStrategy[Any]:
    if hint is bool:
        return st.booleans()
    if hint is timedelta:
        return st.sampled_from(_DURATIONS)
    if hint is bytes:
        return st.just("aGVsbG8=")
    pool = _MEANT.get(name) or {int: _NUMBERS, float: _FRACTIONS}.get(hint, _TEXTS)
    if name == "number":
        pool = (80, 443, 5432, 8080, 8081, 8443, 9000)
    fitting = [value for value in pool if _passes(value, checks)] or list(pool)
    return st.sampled_from(fitting)


def _passes(value: object, checks: tuple[Callable[[object], str], ...]) -> bool:
    return not any(check(value) for check in checks)
