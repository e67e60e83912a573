"""RouteRules: hosts, order, versions, callers, and every action (C-HOST, C-SUB, C-RR and section 5)."""

from __future__ import annotations

import json

import pytest

from tests.convert.conftest import RATINGS, REVIEWS, a_rule, a_service, a_workload, an_egress_rule, converted, loaded

HOST = "reviews.default.svc.cluster.local"
TO_V1 = "destination: {name: reviews}, route: [{labels: {version: v1}}]"


def routes(made, name="reviews-default", namespace="default"):
    return made.spec("VirtualService", name, namespace)["http"]


def extras(made, kind="VirtualService", name="reviews-default"):
    return json.loads(made.named(kind, name)["metadata"]["annotations"]["meshd.io/extras"])


def one_route(spec, *more):
    """The first route of a rule for reviews that has this, too."""
    return routes(converted(a_rule(spec=f"destination: {{name: reviews}}, {spec}"), *more))[0]


# --- hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "namespace", "host", "name"),
    [
        ("name: a", "shop", "a.shop.svc.cluster.local", "a-shop"),
        ("name: a, namespace: b", "shop", "a.b.svc.cluster.local", "a-b"),
        ("name: a, namespace: b, domain: mesh.internal", "shop", "a.b.mesh.internal", "a-b"),
        ("service: A.Example.com", "shop", "a.example.com", "a-example-com"),
        ("service: '*.example.com'", "shop", "*.example.com", "wildcard-example-com"),
    ],
)
def test_c_host_01_a_host_is_composed_in_the_namespace_of_the_object(destination, namespace, host, name):
    made = converted(a_rule(spec=f"destination: {{{destination}}}, route: [{{weight: 100}}]", namespace=namespace))

    (virtual_service,) = made.objects
    assert virtual_service["spec"]["hosts"] == [host]
    assert virtual_service["metadata"]["name"] == name


def test_c_host_02_every_reference_has_the_namespace_of_the_rule():
    made = converted(a_rule(spec="destination: {name: a}, mirror: {name: b}, route: [{destination: {name: c}}]",
                            namespace="shop"))  # fmt: skip

    (route,) = routes(made, "a-shop", "shop")
    assert route["mirror"]["host"] == "b.shop.svc.cluster.local"
    assert route["route"][0]["destination"]["host"] == "c.shop.svc.cluster.local"


def test_the_suffix_is_that_of_the_mesh():
    config = "---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: {domainSuffix: mesh.test}\n"

    made = converted(a_rule(spec=TO_V1), config)

    assert made.spec("VirtualService", "reviews-default")["hosts"] == ["reviews.default.mesh.test"]


def test_c_host_04_a_target_that_nobody_has_is_an_error_and_the_others_convert():
    made = converted(
        a_rule("bad", "destination: {name: reviews}, route: [{destination: {name: ratigns}}]"),
        a_rule("mirrored", "destination: {name: reviews}, mirror: {name: nobody}, route: [{weight: 100}]"),
        a_rule("good", TO_V1), REVIEWS, RATINGS,
    )  # fmt: skip

    assert made.codes.count("E-DEST-UNKNOWN") == 2
    assert [route["name"] for route in routes(made)] == ["good"]


def test_c_host_04_rules_for_a_host_that_is_not_there_wait():
    text = a_rule(spec="destination: {name: later}, route: [{labels: {version: v1}}]")

    made = converted(text, REVIEWS)
    mesh = loaded(text, REVIEWS).mesh

    assert "W-DEST-UNKNOWN" in made.codes
    assert [each.metadata.name for each in made.older.dormant] == ["later-default"] * 2
    assert made.objects == []
    assert mesh is not None
    assert (mesh.virtual_services, mesh.destination_rules) == ({}, {})


def test_c_gen_03_rules_of_all_namespaces_are_one_virtual_service():
    made = converted(
        a_rule("x", TO_V1), a_rule("x", f"destination: {{service: {HOST}}}, precedence: 1, match: {{request: "
               "{headers: {uri: /a}}}", namespace="other"),
    )  # fmt: skip

    (virtual_service,) = [each for each in made.objects if each["kind"] == "VirtualService"]
    assert [route["name"] for route in virtual_service["spec"]["http"]] == ["other.x", "default.x"]
    sources = virtual_service["metadata"]["annotations"]["meshd.io/converted-from"]
    assert sources == "RouteRule/default/x, RouteRule/other/x"


def test_c_gen_06_names_that_would_be_the_same_have_a_hash():
    made = converted(
        a_rule("a", "destination: {name: reviews}, route: [{weight: 100}]"),
        a_rule("b", "destination: {name: reviews, domain: other.test}, route: [{weight: 100}]"),
    )

    names = [each["metadata"]["name"] for each in made.objects]
    assert len(set(names)) == 2
    assert all(name.startswith("reviews-default-") and len(name) == len("reviews-default-") + 8 for name in names)


def test_c_gen_06_a_long_name_is_cut():
    made = converted(a_rule(spec=f"destination: {{service: {'a' * 60}.{'b' * 60}.test}}, route: [{{weight: 100}}]"))

    (each,) = made.objects
    assert len(each["metadata"]["name"]) == 63


# --- versions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ("version: v1", "v1"),
        ("env: prod, version: v1", "env-prod-version-v1"),
        ("a.example/tier: web", "tier-web"),
        ("version: '1.0'", "1-0"),
        ("version: ''", "x"),
    ],
)
def test_c_sub_02_a_subset_is_called_after_its_labels(labels, name):
    made = converted(a_rule(spec=f"destination: {{name: reviews}}, route: [{{labels: {{{labels}}}}}]"))

    (subset,) = made.spec("DestinationRule", "reviews-default")["subsets"]
    assert subset["name"] == name
    assert routes(made)[0]["route"][0]["destination"]["subset"] == name


def test_c_sub_03_a_long_subset_is_cut():
    made = converted(
        a_rule(spec=f"destination: {{name: reviews}}, route: [{{labels: {{app: {'a' * 63}, version: v1}}}}]")
    )

    (subset,) = made.spec("DestinationRule", "reviews-default")["subsets"]
    assert len(subset["name"]) == 63


def test_c_sub_04_versions_that_would_be_called_the_same_all_have_a_hash():
    weights = "[{labels: {version: '1.0'}, weight: 50}, {labels: {version: 1-0}, weight: 50}]"

    made = converted(a_rule(spec=f"destination: {{name: reviews}}, route: {weights}"))

    names = [each["name"] for each in made.spec("DestinationRule", "reviews-default")["subsets"]]
    assert len(set(names)) == 2
    assert all(name.startswith("1-0-") for name in names)
    assert names == sorted(names)
    assert made.codes.count("N-SUBSET-NAME") == 2


def test_c_sub_01_versions_belong_to_the_host_that_they_are_of():
    made = converted(
        a_rule(spec="destination: {name: reviews}, mirror: {name: ratings, labels: {version: v3}}, "
               "route: [{destination: {name: ratings}, labels: {version: v2}}]")
    )  # fmt: skip

    subsets = made.spec("DestinationRule", "ratings-default")["subsets"]
    assert [each["name"] for each in subsets] == ["v2", "v3"]
    assert [each["metadata"]["name"] for each in made.objects if each["kind"] == "DestinationRule"] == [
        "ratings-default"
    ]
    (route,) = routes(made)
    assert route["mirror"]["subset"] == "v3"


def test_c_rr_08_labels_of_an_entry_and_its_destination_are_one_version():
    route = one_route("route: [{destination: {name: reviews, labels: {env: prod}}, labels: {version: v1}}]")

    assert route["route"] == [{"destination": {"host": HOST, "subset": "env-prod-version-v1"}}]


def test_c_sub_05_a_subset_of_today_keeps_its_name_and_what_is_missing_is_added():
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: mine}\n"
        f"spec: {{host: {HOST}, subsets: [{{name: stable, labels: {{version: v1}}}}]}}\n"
    )
    weights = "[{labels: {version: v1}, weight: 90}, {labels: {version: v2}, weight: 10}]"
    text = a_rule(spec=f"destination: {{name: reviews}}, route: {weights}")

    made = converted(text, REVIEWS, today)

    assert [to["destination"]["subset"] for to in routes(made)[0]["route"]] == ["stable", "v2"]
    (added,) = [each for each in made.objects if each["kind"] == "DestinationRule"]
    assert added["spec"] == {"host": HOST, "subsets": [{"name": "v2", "labels": {"version": "v2"}}]}
    assert loaded(text, REVIEWS, today).mesh is not None


# --- order and catch-alls -------------------------------------------------------------------------------------


@pytest.mark.spec("RR-10", "RR-11")
def test_c_rr_02_precedence_then_namespace_then_name():
    match = "match: {request: {headers: {uri: /a}}}"
    made = converted(
        a_rule("low", f"destination: {{service: {HOST}}}, precedence: -1, {match}"),
        a_rule("b", f"destination: {{service: {HOST}}}, {match}"),
        a_rule("a", f"destination: {{service: {HOST}}}, {match}"),
        a_rule("z", f"destination: {{service: {HOST}}}, {match}", namespace="aaa"),
        a_rule("high", f"destination: {{service: {HOST}}}, precedence: 7, {match}"),
    )

    (virtual_service,) = made.objects
    names = [route["name"] for route in virtual_service["spec"]["http"]]
    assert names == ["high", "z", "a", "b", "low", "meshd-default"]


@pytest.mark.parametrize(
    ("match", "takes_all"),
    [
        ("", True),
        ("match: {request: {headers: {uri: {prefix: /}}}}, ", True),
        ("match: {request: {headers: {uri: {prefix: /a}}}}, ", False),
        ("match: {request: {headers: {uri: {regex: '.*'}}}}, ", False),
        ("match: {request: {headers: {x-a: b}}}, ", False),
        ("match: {source: {name: ratings}}, ", False),
    ],
)
def test_c_rr_03_a_default_route_stands_behind_rules_that_leave_something(match, takes_all):
    made = converted(a_rule(spec=f"{match}{TO_V1}"))

    assert [route["name"] for route in routes(made)][1:] == ([] if takes_all else ["meshd-default"])


def test_c_rr_03_what_comes_after_a_catch_all_is_told_of_and_left_out():
    made = converted(a_rule("first", f"precedence: 1, {TO_V1}"), a_rule("second", TO_V1))

    assert [route["name"] for route in routes(made)] == ["first"]
    assert "RouteRule default/first" in made.problem("W-RR-SHADOWED").message


def test_c_gen_05_a_virtual_service_of_today_silences_the_rules_of_its_host():
    today = (
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: mine}\n"
        "spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}\n"
    )

    made = converted(a_rule(spec=TO_V1), REVIEWS, today)

    assert made.objects == []
    assert "VirtualService default/mine" in made.problem("W-MIXED-HOST").message


# --- callers --------------------------------------------------------------------------------------------------


def test_c_rr_05_a_caller_is_told_by_the_labels_of_its_service():
    ratings = a_service("ratings.default.svc.cluster.local", labels="app: ratings")
    text = a_rule(spec=f"match: {{source: {{name: ratings, labels: {{version: v2}}}}}}, {TO_V1}")

    (match,) = routes(converted(text, REVIEWS, ratings))[0]["match"]

    assert match == {"sourceLabels": {"app": "ratings", "version": "v2"}, "sourceNamespace": "default"}


def test_c_rr_05_endpoints_may_have_labels_in_common():
    more = ", exportTo: ['*']"
    ratings = a_service("ratings.default.svc.cluster.local", more=more).replace("version: v1", "app: r, version: v1")
    ratings = ratings.replace("{version: v2}", "{app: r, version: v2}")

    (match,) = routes(converted(a_rule(spec=f"match: {{source: {{name: ratings}}}}, {TO_V1}"), REVIEWS, ratings))[0][
        "match"
    ]

    assert match["sourceLabels"] == {"app": "r"}


def test_c_rr_05_a_caller_that_no_label_tells_is_in_the_extras_and_never_everybody():
    text = a_rule(spec=f"match: {{source: {{name: ratings, labels: {{version: v1}}}}}}, {TO_V1}")

    made = converted(text, REVIEWS, RATINGS)

    assert made.problem("L-SOURCE").severity == "warning"
    assert routes(made)[0]["match"][0]["sourceLabels"] == {"meshd.io/source": "nobody"}
    source = {"host": "ratings.default.svc.cluster.local", "labels": {"version": "v1"}}
    assert extras(made)["http"]["my-rule"]["source"] == source


def test_c_rr_05_a_caller_that_nobody_can_be_never_matches():
    ratings = a_service("ratings.default.svc.cluster.local", labels="app: ratings")

    made = converted(
        a_rule(spec=f"match: {{source: {{name: ratings, labels: {{app: x}}}}}}, {TO_V1}"), REVIEWS, ratings
    )

    assert "W-RR-NEVER" in made.codes
    assert made.objects == []


# --- matches and actions --------------------------------------------------------------------------------------


def test_c_rr_06_conditions_are_copied():
    route = one_route(
        "match: {request: {headers: {uri: {prefix: /a}, scheme: http, method: {exact: GET}, "
        "authority: {regex: 'a.*'}, x-b: {prefix: c}}}}"
    )

    assert route["match"] == [
        {
            "uri": {"prefix": "/a"},
            "scheme": {"exact": "http"},
            "method": {"exact": "GET"},
            "authority": {"regex": "a.*"},
            "headers": {"x-b": {"prefix": "c"}},
        }
    ]


def test_c_rr_10_a_single_destination_has_no_weight():
    assert one_route("route: [{labels: {version: v1}, weight: 100}]")["route"] == [
        {"destination": {"host": HOST, "subset": "v1"}}
    ]


def test_the_defaults_of_v1alpha1_are_written_unless_the_mesh_says_otherwise():
    config = (
        "---\napiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
        "spec: {v1alpha1: {preserveDefaults: false}}\n"
    )
    retried = "httpReqRetries: {simpleRetry: {attempts: 2}}, "

    (kept,) = routes(converted(a_rule(spec=f"{retried}{TO_V1}")))
    made = converted(a_rule(spec=f"{retried}{TO_V1}"), config)
    (left_out,) = routes(made)

    assert kept["timeout"] == "15s"
    assert kept["retries"] == {"attempts": 2, "retryOn": "5xx,connect-failure,refused-stream"}
    assert "timeout" not in left_out
    assert left_out["retries"] == {"attempts": 2}
    assert "trafficPolicy" not in made.spec("DestinationRule", "reviews-default")


def test_no_retries_and_a_time_for_each_do_not_go_together():
    made = converted(a_rule(spec=f"httpReqRetries: {{simpleRetry: {{attempts: 0, perTryTimeout: 1s}}}}, {TO_V1}"))

    assert routes(made)[0]["retries"] == {"attempts": 0}
    assert "N-RETRY" in made.codes


def test_websocket_upgrade_takes_upgrades_and_refuses_all_else():
    made = converted(
        a_rule(spec=f"websocketUpgrade: true, match: {{request: {{headers: {{uri: {{prefix: /chat}}}}}}}}, {TO_V1}")
    )

    asked, refused, default = routes(made)
    upgrade = {"uri": {"prefix": "/chat"}, "headers": {"upgrade": {"regex": "(?i)websocket"}}}
    assert (asked["name"], asked["match"]) == ("my-rule", [upgrade])
    assert refused == {
        "name": "my-rule.no-upgrade",
        "match": [{"uri": {"prefix": "/chat"}}],
        "directResponse": {"status": 403},
    }
    assert default["name"] == "meshd-default"
    assert extras(made)["http"]["my-rule"] == {"websocketUpgrade": True}
    assert extras(made)["http"]["meshd-default"] == {"websocketUpgrade": False}


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        ("delay: {fixedDelay: 2s}", {"delay": {"percentage": {"value": 100.0}, "fixedDelay": "2s"}}),
        ("delay: {fixedDelay: 2s, percent: 0.5}", {"delay": {"percentage": {"value": 0.5}, "fixedDelay": "2s"}}),
        ("delay: {fixedDelay: 2s, percent: 0}", {"delay": {"percentage": {}, "fixedDelay": "2s"}}),
        ("abort: {grpcStatus: 14}", {"abort": {"percentage": {"value": 100.0}, "grpcStatus": "UNAVAILABLE"}}),
        ("abort: {httpStatus: 503}", {"abort": {"percentage": {"value": 100.0}, "httpStatus": 503}}),
    ],
)
def test_faults_meet_all_requests_unless_a_share_is_given(fault, written):
    assert one_route(f"httpFault: {{{fault}}}")["fault"] == written


def test_an_exponential_delay_is_kept_and_only_meshd_acts_on_it():
    made = converted(a_rule(spec=f"httpFault: {{delay: {{exponentialDelay: 1s}}}}, {TO_V1}"))

    assert routes(made)[0]["fault"]["delay"]["exponentialDelay"] == "1s"
    assert "L-EXTRA" in made.codes


def test_an_http2_error_is_a_grpc_status_where_all_speak_grpc_and_an_error_elsewhere():
    text = a_rule(spec=f"httpFault: {{abort: {{http2Error: REFUSED_STREAM}}}}, {TO_V1}")

    speaking = converted(text, a_service(HOST, "{number: 1, name: grpc, protocol: GRPC}"))
    other = converted(text, REVIEWS)

    assert routes(speaking)[0]["fault"]["abort"]["grpcStatus"] == "UNAVAILABLE"
    assert "L-HTTP2ERR" in speaking.codes
    assert "E-HTTP2ERR" in other.codes


@pytest.mark.parametrize(
    ("spec", "name", "value"),
    [
        ("httpReqTimeout: {simpleTimeout: {timeout: 1s, overrideHeaderName: x-t}}", "timeout", {"header": "x-t"}),
        ("httpReqRetries: {simpleRetry: {attempts: 1, overrideHeaderName: x-r}}", "retries", {"header": "x-r"}),
        ("httpFault: {delay: {percent: 5, overrideHeaderName: x-d}}", "delay", {"header": "x-d", "percent": 5.0}),
        ("httpFault: {abort: {overrideHeaderName: x-a}}", "abort", {"header": "x-a"}),
    ],
)
def test_headers_that_override_are_in_the_extras(spec, name, value):
    text = a_rule(spec=f"{spec}, {TO_V1}")

    made = converted(text)

    assert extras(made)["http"]["my-rule"][name] == value
    assert "L-EXTRA" in made.codes
    assert [problem for problem in loaded(text, REVIEWS).problems if problem.is_error] == []


@pytest.mark.spec("RTY-09")
def test_retries_that_only_a_header_asks_for_have_their_conditions_in_the_extras():
    """`attempts: 0` allows no word about them (V-81)."""
    text = a_rule(
        spec="httpReqRetries: {simpleRetry: {attempts: 0, perTryTimeout: 2s, overrideHeaderName: x-r}}, " + TO_V1
    )

    made = converted(text)

    assert routes(made)[0]["retries"] == {"attempts": 0}
    assert extras(made)["http"]["my-rule"]["retries"] == {
        "header": "x-r",
        "perTryTimeout": "2s",
        "retryOn": "5xx,connect-failure,refused-stream",
    }
    assert "N-RETRY" not in made.codes


def test_custom_policies_are_in_the_extras():
    custom = "{'@type': type.googleapis.com/envoy.config.route.v3.RetryPolicy, numRetries: 7}"

    made = converted(a_rule(spec=f"httpReqRetries: {{custom: {custom}}}, {TO_V1}"))

    assert extras(made)["http"]["my-rule"]["retries"]["custom"]["numRetries"] == 7
    assert "L-CUSTOM" in made.codes


def test_cors_headers_and_rewrites():
    route = one_route(
        "corsPolicy: {allowOrigin: ['*', 'https://a.test'], exposeHeaders: [x-a]}, appendHeaders: {x-b: c}, "
        "rewrite: {uri: /b/, authority: b.test}"
    )

    assert route["corsPolicy"] == {
        "allowOrigins": [{"regex": ".*"}, {"exact": "https://a.test"}],
        "exposeHeaders": ["x-a"],
    }
    assert route["headers"] == {"request": {"add": {"x-b": "c"}}}
    assert route["rewrite"] == {"uri": "/b/", "authority": "b.test"}


# --- connections ----------------------------------------------------------------------------------------------

TCP = "{number: 9000, name: tcp, protocol: TCP}"
TLS = "{number: 9443, name: https, protocol: HTTPS}"


def tcp_rule(tcp, more=""):
    return a_rule(spec=f"match: {{tcp: {{{tcp}}}{more}}}, {TO_V1}")


def test_c_rr_04_a_rule_of_connections_alone_leaves_requests_as_they_were():
    spec = converted(tcp_rule("destinationSubnet: [10.1.0.0/16]"), a_service(HOST, TCP)).spec(
        "VirtualService", "reviews-default"
    )

    assert "http" not in spec
    assert spec["tcp"][0]["match"] == [{"destinationSubnets": ["10.1.0.0/16"]}]


def test_c_rr_04_with_a_request_it_is_a_rule_of_both():
    made = converted(tcp_rule("sourceSubnet: [10.9.0.0/16]", ", request: {headers: {uri: /a}}"))

    spec = made.spec("VirtualService", "reviews-default")
    assert [route["name"] for route in spec["http"]] == ["my-rule", "meshd-default"]
    assert spec["tcp"][0]["match"] == [{"sourceSubnet": "10.9.0.0/16"}]


def test_c_rr_03_requests_to_a_service_with_rules_of_connections_go_to_all_versions():
    made = converted(tcp_rule("destinationSubnet: [10.1.0.0/16]"))

    assert [route["name"] for route in routes(made)] == ["meshd-default"]


@pytest.mark.spec("RR-02", "RR-03", "RR-13")
@pytest.mark.parametrize(
    ("match", "families"),
    [
        ("", {"http"}),
        ("match: {request: {headers: {uri: /a}}}, ", {"http"}),
        ("match: {tcp: {sourceSubnet: [10.0.0.1]}}, ", {"http", "tcp"}),
        ("match: {request: {headers: {uri: /a}}, tcp: {}}, ", {"http", "tcp"}),
    ],
)
def test_c_rr_04_a_protocol_without_conditions_is_left_alone(match, families):
    """Requests have a route all the same, with the defaults of v1alpha1."""
    reviews = a_service(HOST, "{number: 80, name: http, protocol: HTTP}", "{number: 81, name: tcp, protocol: TCP}")

    spec = converted(a_rule(spec=f"{match}{TO_V1}"), reviews).spec("VirtualService", "reviews-default")

    assert spec.keys() - {"hosts"} == families
    assert (spec["http"][0]["name"] == "my-rule") is (not match or "request" in match)


@pytest.mark.spec("L4M-01", "L4M-02")
def test_c_tcp_01_each_source_subnet_is_an_alternative():
    made = converted(tcp_rule("sourceSubnet: [10.0.0.1, 10.2.0.0/16], destinationSubnet: [10.1.0.0/16]"))

    assert made.spec("VirtualService", "reviews-default")["tcp"][0]["match"] == [
        {"destinationSubnets": ["10.1.0.0/16"], "sourceSubnet": "10.0.0.1"},
        {"destinationSubnets": ["10.1.0.0/16"], "sourceSubnet": "10.2.0.0/16"},
    ]


def test_c_tcp_05_https_ports_are_connections_too():
    made = converted(tcp_rule("sourceSubnet: [10.0.0.0/8]"), a_service(HOST, TCP, TLS))

    spec = made.spec("VirtualService", "reviews-default")
    assert spec["tls"][0]["match"] == [{"sniHosts": [HOST]}]
    assert extras(made)["tls"]["0"] == {"sourceSubnets": ["10.0.0.0/8"]}
    assert "L-TLS-SOURCE" in made.codes


@pytest.mark.spec("L4M-03", "L4M-04")
def test_l4m_04_a_subnet_without_an_address_of_the_service_is_told_of():
    made = converted(tcp_rule("destinationSubnet: [10.1.0.0/16, 192.0.2.0/24]"), a_service(HOST, TCP))

    assert made.problem("W-L4-DEST-OUTSIDE").at.path.endswith("destinationSubnet[1]")


# --- once a revision ------------------------------------------------------------------------------------------


def test_what_holds_for_all_is_told_once():
    made = converted(a_rule("a", TO_V1), a_rule("b", "destination: {name: ratings}, route: [{labels: {version: v1}}]"))

    assert made.codes == ["L-WS-OPEN", "N-THRESHOLDS"]


def test_labels_of_a_service_outside_mean_nothing():
    made = converted(
        an_egress_rule("out", "destination: {service: a.example}, ports: [{port: 80, protocol: http}]"),
        a_rule(spec="destination: {service: a.example}, route: [{labels: {version: v1}}]"),
    )

    assert "W-EG-LABELS" in made.codes
    assert made.spec("VirtualService", "out")["http"][0]["route"] == [{"destination": {"host": "a.example"}}]


def test_a_workload_of_the_mesh_makes_the_input_whole():
    made = converted(a_rule(spec=TO_V1), a_workload("vm", "app: x"))

    assert "W-DEST-UNKNOWN" in made.codes


def test_what_could_not_be_read_is_not_told_of_as_missing():
    rule = a_rule(spec="destination: {name: ratings}, route: [{labels: {version: v1}}]")
    broken = RATINGS.replace("resolution: STATIC", "resolution: STATICAL")

    codes = {problem.code for problem in loaded(rule, REVIEWS, broken).problems}

    assert "W-DEST-UNKNOWN" not in codes
    assert "W-DEST-UNKNOWN" in {problem.code for problem in loaded(rule, REVIEWS).problems}
