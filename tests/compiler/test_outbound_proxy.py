"""Which way each cluster goes on a host that has an outbound proxy."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.compiler import Reach, compile_plan
from meshd.memo import Memo
from meshd.names import HostName
from meshd.plan import ClusterEndpoints, DnsAddress, InternalAddress, IpAddress, ProxyPlan, TcpChain, UnixAddress
from meshd.resources.destination_rule import TrafficPolicy
from meshd.resources.outbound_proxy import OutboundProxy
from meshd.resources.resource import Resource
from meshd.resources.traffic_policy import LoadBalancerSettings
from tests.builders import (
    a_destination_rule,
    a_mesh,
    a_mesh_config,
    a_port,
    a_service_entry,
    a_workload_entry,
    an_endpoint,
)

CAPTURED = Reach(capture="nftables")
TCP, WILD = (a_port(80, "tcp"),), ("*.api.example",)


def plan_of(*resources: Resource, reach: Reach | None = None, **proxy: Any) -> ProxyPlan:
    given = {"host": "proxy.corp.example", "port": 3128, **proxy}
    config = a_mesh_config(outbound_proxies=(OutboundProxy(**given),))
    entry = a_workload_entry("vm-1", "10.0.0.1", labels={"app": "web"})
    (plan,) = compile_plan(a_mesh(config, entry, *resources), HostName("vm-1"), reach or Reach(), Memo()).plans
    return plan


def outside(**given: Any) -> Resource:
    spec = {"hosts": ("api.example",), "location": "MESH_EXTERNAL", "resolution": "DNS", **given}
    return a_service_entry("api", **spec)


def led(plan: ProxyPlan, cluster: str = "outbound|80||api.example") -> list[str]:
    """Where the endpoints of a cluster are."""
    return [_told(each) for each in _endpoints(plan, cluster).endpoints]


def _endpoints(plan: ProxyPlan, cluster: str) -> ClusterEndpoints:
    return next(each for each in plan.endpoints if each.cluster == cluster)


def _told(endpoint: Any) -> str:
    match endpoint.address:
        case InternalAddress(listener=listener, endpoint_id=name):
            return f"{listener}: {name}"
        case IpAddress(ip=text):
            return f"{text}:{endpoint.port}"
        case DnsAddress(name=name):
            return f"{name}:{endpoint.port}"
        case UnixAddress(path=path):
            return str(path)
    raise AssertionError(endpoint)


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("origin.example", "outboundProxy: origin.example:80"),
        ("203.0.113.7", "outboundProxy: 203.0.113.7:80"),
        ("2001:db8::7", "outboundProxy: [2001:db8::7]:80"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("unix:///run/api.sock", "/run/api.sock"),
        ("_http._tcp.example", "_http._tcp.example:0"),
        ("proxy.corp.example", "proxy.corp.example:80"),
    ],
)
def test_endpoints(address: str, where: str):
    assert led(plan_of(outside(endpoints=(an_endpoint(address),)))) == [where]


def test_the_proxy_itself_is_never_asked_for():
    relay = outside(hosts=("proxy.corp.example",), ports=(a_port(3128, "tcp"),))
    other = outside(hosts=("10.0.0.9.example",), endpoints=(an_endpoint("10.0.0.9"),), ports=(a_port(3128, "http"),))

    assert led(plan_of(relay), "outbound|3128||proxy.corp.example") == ["proxy.corp.example:3128"]
    assert led(plan_of(other, host="10.0.0.9"), "outbound|3128||10.0.0.9.example") == ["10.0.0.9:3128"]


@pytest.mark.parametrize("own", ["vm-1", "10.0.0.1"])
def test_the_host_that_is_the_proxy_goes_out_by_itself(own: str):
    plan = plan_of(outside(), host=own)

    assert led(plan) == ["api.example:80"]
    assert [each.name for each in plan.clusters if each.name == "outboundProxy"] == []


def test_names_that_go_through_are_not_looked_up():
    assert plan_of(outside()).dns_names == ("proxy.corp.example",)


def test_what_is_inside_goes_as_before():
    assert led(plan_of(outside(location="MESH_INTERNAL"))) == ["api.example:80"]


@pytest.mark.parametrize(
    ("given", "where", "tells"),
    [
        ({"ports": TCP}, "outboundProxy: api.example:80", None),
        ({"ports": TCP, "addresses": ("198.51.100.0/24",)}, "outboundProxy_any: api.example", "address"),
        ({"hosts": WILD, "ports": TCP}, "outboundProxy_any: *.api.example", "address"),
        ({"hosts": WILD, "ports": (a_port(80, "tls"),)}, "outboundProxy_80: *.api.example", "server_name"),
        ({"hosts": WILD}, "outboundProxy_80: *.api.example", None),
        ({"hosts": WILD, "ports": (a_port(target_port=8080),)}, "outboundProxy_8080: *.api.example", None),
    ],
)
def test_resolution_none_where_connections_are_captured(given: dict[str, Any], where: str, tells: str | None):
    service = outside(resolution="NONE", **given)

    plan = plan_of(service, reach=CAPTURED)

    (host,) = given.get("hosts", ("api.example",))
    assert led(plan, f"outbound|80||{host}") == [where]
    chains = [chain for each in plan.listeners for chain in each.chains if isinstance(chain, TcpChain)]
    assert {chain.tells for chain in chains if chain.destinations[:1] and host in chain.stat_prefix} <= {tells}


def test_without_capture_a_name_is_enough_and_an_address_is_not_known():
    named = outside(resolution="NONE")
    block = outside(resolution="NONE", addresses=("198.51.100.0/24",), ports=(a_port(80, "tcp"),))

    assert led(plan_of(named)) == ["outboundProxy: api.example:80"]
    assert [each.name for each in plan_of(block).clusters] == ["outboundProxy"]


def test_passthrough_goes_through_as_it_was_dialled():
    passing = TrafficPolicy(load_balancer=LoadBalancerSettings(simple="PASSTHROUGH"))
    rule = a_destination_rule("api", host="api.example", traffic_policy=passing)
    bytes_only = outside(ports=(a_port(80, "tcp"),), addresses=("198.51.100.7",))

    assert led(plan_of(outside(), rule, reach=CAPTURED)) == ["outboundProxy_any: api.example"]
    assert led(plan_of(bytes_only, rule, reach=CAPTURED)) == ["outboundProxy_any: api.example"]


def test_credentials_are_named_and_never_read():
    plan = plan_of(outside(), credential_name="corporate")

    assert [each.file for each in plan.credentials] == ["/etc/meshd/secrets/corporate/proxy-authorization"]


def test_what_has_not_changed_is_the_same_object_again():
    memo, config = Memo(), a_mesh_config(outbound_proxies=(OutboundProxy(host="p.example", port=3128),))
    mesh = a_mesh(config, a_workload_entry("vm-1", "10.0.0.1"), outside(), memo=memo)
    (first,) = compile_plan(mesh, HostName("vm-1"), Reach(), memo).plans
    memo.turn()

    (second,) = compile_plan(mesh, HostName("vm-1"), Reach(), memo).plans

    assert all(one is two for one, two in zip(first.listeners, second.listeners, strict=True))
    assert all(one is two for one, two in zip(first.clusters, second.clusters, strict=True))
