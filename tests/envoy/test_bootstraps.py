from __future__ import annotations

from dataclasses import replace

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from google.protobuf.json_format import MessageToDict

from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings, locality_of, xds_bootstrap
from meshd.envoy.fallback import fallback
from meshd.envoy.trial import trial
from meshd.memo import Memo
from meshd.names import Locality
from meshd.plan import ProxyPlan
from tests.envoy.plans import ANSWERS, a_listener, a_plan, at, endpoints_of


def shown(bootstrap: bytes) -> dict:
    return MessageToDict(Bootstrap.FromString(bootstrap), preserving_proto_field_name=True)


def test_the_xds_bootstrap_asks_meshd_for_everything(settings: BootstrapSettings):
    bootstrap = shown(xds_bootstrap(settings))

    meshd = bootstrap["static_resources"]["clusters"][0]
    (place,) = meshd["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert place["endpoint"]["address"] == {"pipe": {"path": settings.xds_socket}}
    assert bootstrap["admin"]["address"] == {"pipe": {"path": settings.admin_socket, "mode": 0o660}}
    assert bootstrap["node"]["id"] == "sidecar~web-1"
    stream = bootstrap["dynamic_resources"]["ads_config"]
    assert (stream["api_type"], stream["set_node_on_first_message_only"]) == ("DELTA_GRPC", True)
    assert stream["grpc_services"][0]["envoy_grpc"] == {
        "cluster_name": "meshd",
        "retry_policy": {"retry_back_off": {"base_interval": "0.100s", "max_interval": "1s"}},
    }
    assert bootstrap["dynamic_resources"]["cds_config"]["initial_fetch_timeout"] == "1s"


@pytest.mark.spec("D-24")
def test_a_process_knows_where_it_stands_and_asks_who_stands_beside_it(settings: BootstrapSettings):
    written = xds_bootstrap(replace(settings, locality=Locality(region="eu", zone="west", subzone="r1")))

    bootstrap = shown(written)

    (_, local) = bootstrap["static_resources"]["clusters"]
    assert bootstrap["node"]["locality"] == {"region": "eu", "zone": "west", "sub_zone": "r1"}
    assert bootstrap["cluster_manager"] == {"local_cluster_name": "local"}
    assert (local["name"], local["type"]) == ("local", "EDS")
    assert locality_of(written) == Locality(region="eu", zone="west", subzone="r1")


def test_the_fallback_brings_the_local_cluster_along_also_when_there_is_nobody_in_it(settings: BootstrapSettings):
    neighbours = a_plan(endpoints=(endpoints_of("local", at("10.0.0.2")),))

    with_them, alone = (
        shown(fallback(render(plan, Memo()), assignments(plan, {}, Memo()), settings))["static_resources"]["clusters"]
        for plan in (neighbours, a_plan())
    )

    assert [each["name"] for each in with_them] == ["local"]
    assert len(with_them[0]["load_assignment"]["endpoints"]) == 1
    assert alone == [{"name": "local", "connect_timeout": "1s"}]


def test_the_fallback_needs_nobody(everything: ProxyPlan, settings: BootstrapSettings):
    memo = Memo()
    rendered = render(everything, memo)

    bootstrap = Bootstrap.FromString(fallback(rendered, assignments(everything, ANSWERS, memo), settings))

    shown = MessageToDict(bootstrap, preserving_proto_field_name=True)
    clusters, listeners = (
        {each["name"]: each for each in shown["static_resources"][kind]} for kind in ("clusters", "listeners")
    )
    assert "dynamic_resources" not in shown
    assert {"type", "eds_cluster_config"}.isdisjoint(clusters["b-ring"])
    assert len(clusters["b-ring"]["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 3
    assert "ads" not in str(shown["static_resources"])
    assert listeners["proxy"]["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]


def test_the_fallback_is_the_same_every_time(everything: ProxyPlan, settings: BootstrapSettings):
    def made() -> bytes:
        memo = Memo()
        return fallback(render(everything, memo), assignments(everything, ANSWERS, memo), settings)

    assert made() == made()


def test_a_fallback_that_remembers_the_last_one_is_the_same(everything: ProxyPlan, settings: BootstrapSettings):
    memo, of_fallbacks = Memo(), Memo()
    rendered, endpoints = render(everything, memo), assignments(everything, ANSWERS, memo)
    renewed = replace(everything, secrets=everything.secrets[:1])

    made = [fallback(rendered, endpoints, settings, of_fallbacks) for _ in range(3)]
    less = fallback(render(renewed, memo), endpoints, settings, of_fallbacks)

    assert set(made) == {fallback(rendered, endpoints, settings)}
    assert less == fallback(render(renewed, Memo()), endpoints, settings)
    assert less != made[0]


def test_a_listener_whose_table_is_missing_gets_an_empty_one(settings: BootstrapSettings):
    rendered = render(a_plan(listeners=(a_listener(),)), Memo())

    (listener,) = shown(fallback(rendered, (), settings))["static_resources"]["listeners"]

    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["route_config"]["name"] == "http_proxy"
    assert "rds" not in manager


def test_a_trial_leaves_endpoints_out(everything: ProxyPlan):
    memo = Memo()
    endpoints = assignments(everything, ANSWERS, memo)
    planned = {each.name for each in everything.clusters}
    clusters = [each for each in render(everything, memo).clusters if each.name in planned]

    bootstrap = shown(trial((*clusters, *endpoints)))

    assert len(bootstrap["static_resources"]["clusters"]) == len(everything.clusters)
    assert "load_assignment" not in str(bootstrap)
