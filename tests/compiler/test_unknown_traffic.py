"""Requests and connections to what is not in the registry: refused, passed on, or sent to an egress proxy."""

from __future__ import annotations

import pytest

from meshd.compiler import Reach
from meshd.plan import (
    ByEds,
    DynamicDns,
    Forward,
    HttpChain,
    OriginalDestination,
    Respond,
    Tunnel,
    UpstreamHttp,
    VirtualHost,
    WeightedCluster,
)
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.destination_rule import TrafficPolicy, TunnelSettings
from meshd.resources.sidecar import OutboundTrafficPolicy
from tests.builders import a_destination_rule, a_mesh_config, a_port, a_service_entry, a_sidecar
from tests.compiler.outbound import CAPTURE, chains, egress, led
from tests.compiler.plans import a_plan, cluster, codes, compiled, endpoints, listener, table

ANY = OutboundTrafficPolicy(mode="ALLOW_ANY")
NONE_BUT_KNOWN = OutboundTrafficPolicy(mode="REGISTRY_ONLY")
PROXY = OutboundTrafficPolicy(
    mode="ALLOW_ANY", egress_proxy=Destination(host="proxy.shop", port=PortSelector(number=3128))
)
PROXY_SERVICE = a_service_entry("proxy", ports=(a_port(3128, "tcp"),))


def rest(plan, name: str) -> VirtualHost:
    """What becomes of requests to hosts that are not in a table."""
    return table(plan, name).virtual_hosts[-1]


def past(plan) -> list[str]:
    return [each.name for each in plan.clusters if not each.name.startswith(("outbound|", "inbound|", "Inbound"))]


@pytest.mark.spec("SC-14", "SC-16")
def test_what_is_unknown_is_refused_unless_the_mesh_says_otherwise():
    plan = a_plan(a_service_entry(), reach=Reach(capture="nftables"))

    for name in ("80", "http_proxy"):
        answer = rest(plan, name).routes[0].action
        assert isinstance(answer, Respond)
        assert (answer.status, answer.headers[0][0]) == (502, "x-meshd-reason")
    assert led(listener(plan, "virtualOutbound"))[-1] == ("*", "BlackHoleCluster")
    assert past(plan) == ["BlackHoleCluster"]
    assert cluster(plan, "BlackHoleCluster").discovery == ByEds()
    assert endpoints(plan, "BlackHoleCluster") == ()


@pytest.mark.spec("SC-14")
def test_what_is_unknown_goes_on_to_where_it_was_going():
    plan = a_plan(a_service_entry(), a_mesh_config(outbound_traffic_policy=ANY), reach=CAPTURE)

    (route,) = rest(plan, "80").routes
    assert rest(plan, "80").name == route.name == "allow_any"
    assert route.action == Forward(destinations=(WeightedCluster(cluster="PassthroughCluster"),))
    assert led(listener(plan, "virtualOutbound")) == [("15001", "BlackHoleCluster"), ("*", "PassthroughCluster")]
    assert past(plan) == ["BlackHoleCluster", "PassthroughCluster"]
    passthrough = cluster(plan, "PassthroughCluster")
    assert (passthrough.discovery, passthrough.http) == (OriginalDestination(), UpstreamHttp(protocol="downstream"))


@pytest.mark.spec("SC-14")
def test_without_capture_an_http_proxy_finds_unknown_hosts_by_name():
    plan = a_plan(a_service_entry(), a_mesh_config(outbound_traffic_policy=ANY), a_sidecar(egress=(egress(80),)))

    assert rest(plan, "http_proxy").routes[0].action.destinations[0].cluster == "ForwardProxyCluster"
    assert cluster(plan, "ForwardProxyCluster").discovery == DynamicDns()
    (proxy,) = chains(plan, "127.0.0.1_15080")
    assert isinstance(proxy, HttpChain)
    assert proxy.dynamic_dns
    assert past(plan) == ["ForwardProxyCluster"]


@pytest.mark.spec("SC-14")
def test_what_is_sent_to_a_bound_listener_by_an_unknown_name_is_refused():
    """Most often that name is the listener's own: forwarded, the request would come back for ever."""
    plan = a_plan(
        a_service_entry(),
        a_mesh_config(outbound_traffic_policy=ANY),
        a_sidecar(egress=(egress(80),)),
        reach=Reach(http_proxy_port=0),
    )

    assert rest(plan, "80").name == "block_all"
    assert past(plan) == []


@pytest.mark.spec("SC-14")
@pytest.mark.parametrize(("said", "unknown"), [(None, "allow_any"), (NONE_BUT_KNOWN, "block_all"), (ANY, "allow_any")])
def test_a_sidecar_has_the_last_word(said, unknown):
    sidecar = a_sidecar("default", "*/*", outbound_traffic_policy=said)

    plan = a_plan(a_service_entry(), a_mesh_config(outbound_traffic_policy=ANY), sidecar, reach=CAPTURE)

    assert rest(plan, "80").name == unknown


@pytest.mark.spec("SC-15")
def test_an_egress_proxy_takes_all_that_is_unknown():
    tunnel = TunnelSettings(target_host="out.example.com", target_port=443)
    rule = a_destination_rule("proxy", traffic_policy=TrafficPolicy(tunnel=tunnel))
    sidecar = a_sidecar(egress=(egress(80, capture_mode="NONE"), egress(protocol="")), outbound_traffic_policy=PROXY)

    plan = a_plan(a_service_entry(), PROXY_SERVICE, rule, sidecar, reach=Reach(capture="nftables"))

    for name in ("80", "http_proxy"):
        assert rest(plan, name).routes[0].action.destinations[0].cluster == "outbound|3128||proxy.shop"
    connections = listener(plan, "virtualOutbound").chains[-1]
    assert connections.destinations[0].cluster == "outbound|3128||proxy.shop"
    assert connections.tunnel == Tunnel(authority="out.example.com:443")
    assert past(plan) == ["BlackHoleCluster"]


@pytest.mark.spec("SC-15", "SC-13")
def test_an_egress_proxy_need_not_be_imported():
    sidecar = a_sidecar("default", "*/reviews.shop", outbound_traffic_policy=PROXY)

    plan = a_plan(a_service_entry(), PROXY_SERVICE, sidecar, reach=CAPTURE)

    assert cluster(plan, "outbound|3128||proxy.shop")
    assert "0.0.0.0_3128" not in [each.name for each in plan.listeners]


@pytest.mark.parametrize(
    ("proxy", "code"),
    [
        ((), "W-VS-DEST-HIDDEN"),
        ((a_service_entry("proxy"),), "W-VS-DEST-PORT"),
        ((a_service_entry("proxy", ports=(a_port(3128),), resolution="NONE"),), "E-SE-NONE-NOCAPTURE"),
    ],
)
def test_past_an_egress_proxy_that_is_not_there_nothing_gets_through(proxy, code):
    result = compiled(*proxy, a_mesh_config(outbound_traffic_policy=PROXY), reach=CAPTURE)

    assert codes(result) == [code]
    assert led(listener(result.plans[0], "virtualOutbound"))[-1] == ("*", "BlackHoleCluster")


@pytest.mark.spec("S-8")
def test_names_below_a_wildcard_are_looked_up_by_the_proxy_itself():
    wild = a_service_entry(
        "wild",
        hosts=("*.example.com",),
        resolution="DYNAMIC_DNS",
        ports=(a_port(80), a_port(443, "tls", target_port=8443)),
    )

    plan = a_plan(a_service_entry(), wild, reach=CAPTURE)

    (http,) = chains(plan, "0.0.0.0_80")
    assert isinstance(http, HttpChain)
    assert http.dynamic_dns
    assert table(plan, "80").virtual_hosts[0].domains == ("*.example.com", "*.example.com.")
    tls, _ = chains(plan, "0.0.0.0_443")
    assert (tls.match.server_names, tls.sni_dns_port) == (("*.example.com",), 8443)
    assert cluster(plan, "outbound|80||*.example.com").discovery == DynamicDns()


@pytest.mark.spec("S-8")
def test_the_filter_for_such_names_is_where_some_route_leads_there_and_only_there():
    wild = a_service_entry("wild", hosts=("*.example.com",), resolution="DYNAMIC_DNS")
    entries = (egress(80, hosts=("*/*.example.com",)), egress(81, hosts=("*/reviews.shop",)))

    plan = a_plan(a_service_entry(ports=(a_port(81),)), wild, a_sidecar(egress=entries))

    assert chains(plan, "127.0.0.1_80")[0].dynamic_dns
    assert not chains(plan, "127.0.0.1_81")[0].dynamic_dns
    assert chains(plan, "127.0.0.1_15080")[0].dynamic_dns
