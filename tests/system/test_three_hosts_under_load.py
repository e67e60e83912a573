"""What fails, ends, moves or is loaded again while applications go out by the gateway: none of their requests fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dns_server import DnsServer
from tests.live.certificates import authority
from tests.live.namespace import Namespace
from tests.system.fresh import fresh
from tests.system.host import Host
from tests.system.network import GATEWAY, OTHER_GATEWAY, add_address, needs_root
from tests.system.three_hosts import MESH, ThreeHosts, changed, three_hosts
from tests.waiting import until

pytestmark = [pytest.mark.envoy, needs_root]

SHOP, FILES = "203.0.113.10", "203.0.113.11"
FOREIGN = """
table inet filter {
  set friends { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.5 }; }
  chain input { type filter hook input priority 0; policy accept; ip saddr @friends counter accept; }
  chain output { type nat hook output priority -100; tcp dport 81 redirect to :82; }
}
table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; oifname "eth9" masquerade; }; }
table inet meshd2 { }
"""
BY_NAME = changed(
    "  resolution: STATIC\n  addresses: [10.1.0.9] ",
    "  resolution: DNS\n  endpoints: [{address: egress.corp.example}]\n  addresses: [10.1.0.9] ",
    *changed("  workloadSelector:\n    labels: {istio: egressgateway}\n", "", *MESH),
)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, short: Path, envoy_binary: Path) -> Iterator[ThreeHosts]:
    with three_hosts(authority(tmp_path_factory.mktemp("ca")), short, envoy_binary) as hosts:
        hosts.network.site("shop.example", SHOP)
        hosts.network.site("files.example", FILES)
        add_address(hosts.edge, OTHER_GATEWAY)
        for host in (hosts.client, hosts.gateway):
            host.configure(resolver="{timeout: 200ms}")
        hosts.start(*MESH)
        yield hosts


def stale(hosts: ThreeHosts) -> dict:
    """What the gateway's status says of the name, as long as it cannot be looked up."""
    found = hosts.gateway.status()["endpoints"]["stale"]
    return next((each for each in found if each["name"] == "shop.example"), {})


@contextmanager
def dead(names: DnsServer) -> Iterator[None]:
    names.silent = True
    try:
        yield
    finally:
        names.silent = False


def test_dns_dies_and_traffic_goes_on_and_status_says_how_old_the_addresses_are(hosts: ThreeHosts):
    with hosts.load("shop.example") as wrk:
        with dead(hosts.network.names):
            told = until(lambda: stale(hosts), what="the failure in status")
            until(lambda: stale(hosts)["age"] > told["age"], what="it to grow older")
            assert hosts.gateway.status()["ready"]
            assert "Timeout for" in hosts.gateway.meshd("status").stdout
        until(lambda: not stale(hosts), what="DNS to be well again")
        count = wrk.stop()

    assert (told["error"], told["kept"]) == ("Timeout", 1)
    assert count.requests > 100
    assert count.failed == 0, count.text


def rules(room: Namespace) -> str:
    """All but the counters."""
    return room.run("nft", "-s", "list", "ruleset")


def test_the_capture_is_loaded_again_under_load_and_tables_of_others_stay_as_they_are(hosts: ThreeHosts):
    """New connections all the time, and old ones that go on."""
    own = rules(hosts.application)
    hosts.application.run("nft", "-f", "-", given=FOREIGN)
    both = rules(hosts.application)
    with hosts.load("shop.example") as kept, fresh(hosts.application, SHOP, "shop.example") as others:
        for _ in range(5):
            hosts.capture()
        others.until_more()
        count = kept.stop()
    again = rules(hosts.application)

    hosts.capture("remove")
    alone = rules(hosts.application)
    before = hosts.network.strays()
    # Of a site that nobody calls under load: for two minutes the kernel takes the same ports for this connection again,
    # and does not ask the table that was loaded meanwhile.
    past = hosts.curl("http://files.example/")
    hosts.capture()

    assert sections(again) == sections(both)
    assert sections(again) == sections(own + alone)
    assert (past.ended, hosts.network.strays() > before) == (7, True), past
    assert hosts.curl("http://shop.example/").told["by"] == "shop.example"
    assert count.requests > 100
    assert count.failed == 0, count.text
    assert others.failures == []


def sections(text: str) -> set[str]:
    """The tables: nft lists them in the order in which they were made."""
    return {part.strip() for part in f"\n{text}".split("\ntable ") if part.strip()}


def test_daemons_are_killed_and_come_back_and_nobody_notices(hosts: ThreeHosts):
    pids = [host.envoy_pid() for host in (hosts.client, hosts.gateway)]
    with hosts.load("shop.example") as kept, fresh(hosts.application, SHOP, "shop.example") as others:
        for host in (hosts.client, hosts.gateway):
            host.kill()
        assert hosts.curl("http://shop.example/").status == 200
        hosts.both(Host.start)
        hosts.push(*MESH, "# and what is pushed arrives\n")
        others.until_more()
        count = kept.stop()

    assert [host.envoy_pid() for host in (hosts.client, hosts.gateway)] == pids
    assert hosts.client.condition("Captured")["status"] == "True"
    assert count.requests > 100
    assert count.failed == 0, count.text
    assert others.failures == []


def test_a_push_gives_the_gateway_another_address_and_no_request_fails(hosts: ThreeHosts):
    """The old one answers until the mesh has the new one: then nobody is there any more, and it may go."""
    with hosts.load("shop.example") as wrk:
        hosts.push(*changed(f"  address: {GATEWAY}\n", f"  address: {OTHER_GATEWAY}\n", *MESH))
        until(lambda: callers(hosts) == {OTHER_GATEWAY}, what="nobody to call the old address")
        refuse(hosts, GATEWAY)
        hosts.until_more()
        count = wrk.stop()

    assert count.requests > 100
    assert count.failed == 0, count.text
    hosts.edge.run("nft", "delete", "table", "inet", "gone")
    hosts.push(*MESH)


def test_so_does_another_answer_of_dns(hosts: ThreeHosts):
    hosts.network.names.set("egress.corp.example", GATEWAY, ttl=1)
    hosts.push(*BY_NAME)
    hosts.until_answered("shop.example")
    generation = hosts.client.status()["proxies"][0]["generation"]
    with hosts.load("shop.example") as wrk:
        hosts.network.names.set("egress.corp.example", OTHER_GATEWAY, ttl=1)
        until(lambda: callers(hosts) == {OTHER_GATEWAY}, what="nobody to call the old address")
        refuse(hosts, GATEWAY)
        hosts.until_more()
        count = wrk.stop()

    assert count.requests > 100
    assert count.failed == 0, count.text
    assert hosts.client.status()["proxies"][0]["generation"] == generation
    hosts.edge.run("nft", "delete", "table", "inet", "gone")


def callers(hosts: ThreeHosts) -> set[str]:
    """The addresses of the gateway at which it is called now."""
    lines = hosts.edge.run("ss", "-Htn", "state", "established", "sport", "=", ":80").splitlines()
    return {line.split()[2].rpartition(":")[0].removeprefix("[::ffff:").removesuffix("]") for line in lines}


def refuse(hosts: ThreeHosts, address: str) -> None:
    hook = "type filter hook input priority 0"
    table = f"table inet gone {{ chain in {{ {hook}; ip daddr {address} tcp dport 80 reject with tcp reset; }}; }}"
    hosts.edge.run("nft", "-f", "-", given=table)
