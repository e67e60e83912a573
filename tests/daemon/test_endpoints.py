"""What is told of the endpoints: the plan, the answers and Envoy's view, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from meshd.daemon.circles import circles
from meshd.daemon.endpoints import tell_endpoints
from meshd.names import ClusterName, DnsName, HostName, ListenerName, Locality, ProxyName, ServiceHost, cluster_name
from meshd.plan import (
    Circle,
    Cluster,
    ClusterEndpoints,
    DnsAddress,
    DynamicDns,
    Endpoint,
    InternalAddress,
    IpAddress,
    OriginalDestination,
    ProxyPlan,
    SrvTarget,
    UnixAddress,
)
from meshd.proxies.admin import Upstream
from meshd.resolve.answer import Answer

SHOP = ServiceHost("shop.example")
NAME = DnsName("db.example")


@dataclass
class Host:
    """A host that calls what `calls` says, and whose Envoy sees what `seen` says."""

    host: str = "web-1"
    members: dict[ServiceHost, tuple[Endpoint, ...]] = field(default_factory=dict)
    others: tuple[Cluster, ...] = ()
    known: dict[DnsName, Answer] = field(default_factory=dict)
    seen: Mapping[str, tuple[Upstream, ...]] | None = None
    asked: list[str] = field(default_factory=list)
    leads_back: bool = False

    def plans(self) -> tuple[ProxyPlan, ...]:
        names = {service: cluster_name(service, 80) for service in self.members}
        clusters = tuple(Cluster(name=name, service=service, port=80) for service, name in names.items())
        endpoints = tuple(
            ClusterEndpoints(cluster=names[service], endpoints=given) for service, given in self.members.items()
        )
        everything = (*clusters, *self.others)
        plan = ProxyPlan(proxy="sidecar", host=HostName("web-1"), clusters=everything, endpoints=endpoints)
        return (led_back(plan) if self.leads_back else plan,)

    def answers(self) -> Mapping[DnsName, Answer]:
        return self.known

    async def upstreams(self, _proxy: ProxyName, clusters: str) -> Mapping[str, tuple[Upstream, ...]] | None:
        self.asked.append(clusters)
        return self.seen


def told(host: Host, wanted: str | None = None) -> list[dict[str, Any]]:
    reply = asyncio.run(tell_endpoints(host, wanted))
    assert reply.ok, reply.body
    services: list[dict[str, Any]] = reply.body["services"]
    return services


def led_back(plan: ProxyPlan) -> ProxyPlan:
    """To its own HTTP proxy, at 127.0.0.1."""
    circle = Circle(listener=ListenerName("http_proxy"), blocks=("127.0.0.0/8",), port=5432)
    return replace(plan, endpoints=tuple(replace(each, circles=(circle,)) for each in plan.endpoints))


def one(host: Host) -> dict[str, Any]:
    (row,) = told(host)
    return row


def addresses(row: dict[str, Any]) -> list[str]:
    return [each["address"] for each in row["endpoints"]]


def at(ip: str, port: int = 8080, **more: Any) -> Endpoint:
    return Endpoint(address=IpAddress(ip=ip), port=port, **more)


def by_name(name: DnsName = NAME, *, first_only: bool = False) -> Endpoint:
    return Endpoint(address=DnsAddress(name=name, first_only=first_only), port=5432)


def an_answer(*found: str, **changes: Any) -> Answer:
    now = datetime.now(UTC)
    fields = {"looked_up": now - timedelta(seconds=30), "expires": now + timedelta(seconds=30)}
    return Answer(addresses=found, **(fields | changes))


def test_what_stands_in_the_mesh_is_told_as_it_is_written():
    place = Locality(region="eu", zone="a")
    internal = Endpoint(address=InternalAddress(listener=ListenerName("proxy"), endpoint_id="shop:80"), port=0)
    socket = Endpoint(address=UnixAddress(path="/run/shop.sock"), port=0)
    row = one(Host(members={SHOP: (at("10.0.0.7", weight=3, locality=place), at("fd00::7"), socket, internal)}))

    assert addresses(row) == ["10.0.0.7:8080", "[fd00::7]:8080", "/run/shop.sock", "proxy shop:80"]
    assert [each["source"] for each in row["endpoints"]] == ["static", "static", "static", "internal"]
    assert (row["endpoints"][0]["weight"], row["endpoints"][0]["locality"]) == (3, "eu/a")
    assert row["names"] == []


def test_addresses_of_a_name_have_its_source_and_the_name_its_age_and_what_is_left_of_its_ttl():
    row = one(Host(members={SHOP: (by_name(),)}, known={NAME: an_answer("10.0.0.1", "10.0.0.2")}))

    assert addresses(row) == ["10.0.0.1:5432", "10.0.0.2:5432"]
    assert {(each["source"], each["name"]) for each in row["endpoints"]} == {("dns", "db.example")}
    (name,) = row["names"]
    assert 29 < name["age"] < 40
    assert 20 < name["ttl"] <= 30


def test_of_what_is_kept_nothing_is_left_of_the_ttl_and_the_error_is_told():
    since = datetime(2026, 1, 1, tzinfo=UTC)
    failed = an_answer("10.0.0.1", source="kept", error="SERVFAIL", failing_since=since)

    (name,) = one(Host(members={SHOP: (by_name(),)}, known={NAME: failed}))["names"]

    assert (name["source"], name["ttl"], name["error"], name["since"]) == (
        "kept",
        None,
        "SERVFAIL",
        "2026-01-01T00:00:00+00:00",
    )


def test_a_name_that_was_never_answered_is_told():
    unasked = one(Host(members={SHOP: (by_name(),)}))
    nothing = an_answer(source="none", error="NXDOMAIN")
    in_vain = one(Host(members={SHOP: (by_name(),)}, known={NAME: nothing}))

    assert (unasked["names"][0]["source"], unasked["endpoints"]) == ("none", [])
    (name,) = in_vain["names"]
    assert (name["error"], name["age"], name["addresses"]) == ("NXDOMAIN", None, 0)
    assert set(unasked["names"][0]) == set(name)


def test_who_takes_only_one_address_is_told_that_one():
    host = Host(members={SHOP: (by_name(first_only=True),)}, known={NAME: an_answer("10.0.0.1", "10.0.0.2")})
    host.known[NAME] = an_answer("10.0.0.1", "10.0.0.2", first="10.0.0.2")

    assert addresses(one(host)) == ["10.0.0.2:5432"]


def test_srv_records_say_ports_and_the_order_of_failover():
    name = DnsName("_pg._tcp.example")
    targets = tuple(
        SrvTarget(priority=priority, target=DnsName("a.example"), ip=ip, port=port, weight=1)
        for priority, ip, port in ((10, "10.0.0.1", 5000), (20, "10.0.0.2", 5001))
    )
    answer = an_answer("10.0.0.1", "10.0.0.2", targets=targets, source="srv", first="10.0.0.1")

    row = one(Host(members={SHOP: (by_name(name),)}, known={name: answer}))

    assert [(each["address"], each["priority"], each["source"]) for each in row["endpoints"]] == [
        ("10.0.0.1:5000", 0, "srv"),
        ("10.0.0.2:5001", 1, "srv"),
    ]


def test_an_address_that_two_name_is_told_once_as_envoy_has_it_once():
    host = Host(members={SHOP: (at("10.0.0.1", 5432, priority=1), by_name())}, known={NAME: an_answer("10.0.0.1")})

    (only,) = one(host)["endpoints"]

    assert (only["source"], only["priority"]) == ("dns", 0)


def test_health_is_envoys_word_and_who_is_not_in_rotation_is_absent():
    cluster = cluster_name(SHOP, 80)
    seen = {cluster: (Upstream(address="10.0.0.1:8080", health="ejected"),)}

    row = one(Host(members={SHOP: (at("10.0.0.1"), at("10.0.0.2"))}, seen=seen))

    assert [each["health"] for each in row["endpoints"]] == ["ejected", "absent"]


def test_an_envoy_that_does_not_answer_is_named_and_the_rest_is_told():
    reply = asyncio.run(tell_endpoints(Host(members={SHOP: (at("10.0.0.1"),)}), None))

    assert reply.body["silent"] == ["sidecar"]
    assert reply.body["services"][0]["endpoints"][0]["health"] is None


def test_of_what_envoy_finds_by_itself_it_tells_too():
    dynamic = cluster_name(ServiceHost("*.any.example"), 80)
    dialled = cluster_name(ServiceHost("dialled.example"), 80)
    others = (
        Cluster(name=dynamic, service=ServiceHost("*.any.example"), port=80, discovery=DynamicDns()),
        Cluster(name=dialled, service=ServiceHost("dialled.example"), port=80, discovery=OriginalDestination()),
    )
    seen = {
        dynamic: (Upstream(address="10.0.0.1:80", health="healthy", name="a.any.example:80"),),
        dialled: (Upstream(address="10.0.0.2:80", health="healthy"),),
    }

    rows = told(Host(others=others, seen=seen))

    assert [(each["discovery"], each["endpoints"][0]["name"]) for each in rows] == [
        ("dynamic_dns", "a.any.example:80"),
        ("original_dst", None),
    ]


def test_a_proxys_own_clusters_are_not_told():
    own = Cluster(name=ClusterName("inbound|80||shop.example"), service=SHOP, port=80)

    assert told(Host(others=(own,), seen={})) == []


def test_envoy_is_asked_about_the_one_service_and_not_about_others():
    other = ServiceHost("cart.shop.example")
    host = Host(members={SHOP: (at("10.0.0.1"),), other: (at("10.0.0.2"),)}, seen={})

    assert [row["service"] for row in told(host, "SHOP.example.")] == [SHOP]
    assert [row["service"] for row in told(host, "cart")] == [other]
    assert [row["service"] for row in told(host)] == [other, SHOP]

    assert host.asked == [
        r"^outbound\|[0-9]+\|[^|]*\|(shop\.example)$",
        r"^outbound\|[0-9]+\|[^|]*\|(cart\.shop\.example)$",
        r"^outbound\|",
    ]


def test_an_unknown_service_is_a_no_with_the_nearest_name_and_nobody_is_asked():
    host = Host(members={SHOP: (at("10.0.0.1"),)})

    near, far = (asyncio.run(tell_endpoints(host, name)) for name in ("shopp.example", "x"))

    assert (near.ok, near.body["hint"]) == (False, "did you mean shop.example?")
    assert far.body["hint"] == "`meshd endpoints` lists those that this host calls"
    assert host.asked == []


def test_of_a_name_that_leads_to_its_own_proxy_it_is_told_which_address_that_is():
    known = {NAME: an_answer("10.0.0.1", "127.0.0.1")}
    host = Host(members={SHOP: (by_name(), at("127.0.0.1", 80))}, known=known, leads_back=True)

    row = one(host)

    found = {each["address"]: each["itself"] for each in row["endpoints"]}
    assert found == {"10.0.0.1:5432": None, "127.0.0.1:5432": "http_proxy", "127.0.0.1:80": None}
    (problem,) = circles(host.plans(), known)
    assert problem.code == "W-ENDPOINT-LOOP"
    assert "db.example is 127.0.0.1 at port 5432: this very proxy (http_proxy)" in problem.message
    assert circles(host.plans(), {}) == ()
