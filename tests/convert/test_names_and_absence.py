"""Names that meet, names without a dot, and hosts that nobody has: what is printed means what the rules meant."""

from __future__ import annotations

import yaml

from meshd.convert.show import to_yaml
from meshd.mesh.load import Loaded
from tests.convert.conftest import (
    RATINGS,
    REVIEWS,
    Conversion,
    a_policy,
    a_rule,
    a_service,
    a_workload,
    an_egress_rule,
    an_ingress_rule,
    converted,
    loaded,
)

PREFIX = "match: {request: {headers: {uri: {prefix: %s}}}}"
TO_V1 = "route: [{labels: {version: v1}}]"


def errors(found: Loaded) -> list[str]:
    return [str(problem) for problem in found.problems if problem.is_error]


def read_again(made: Conversion, *today: str) -> Loaded:
    return loaded(made.text, *today)


# --- names that meet ------------------------------------------------------------------------------------------


def test_rules_whose_names_differ_by_a_dot_alone_keep_their_addresses_apart():
    one = an_egress_rule("a.b", "destination: {service: 192.0.2.1}, ports: [{port: 80, protocol: tcp}]")
    other = an_egress_rule("a-b", "destination: {service: 192.0.2.2}, ports: [{port: 80, protocol: tcp}]")

    made = converted(one, other)
    entries = [each for each in made.objects if each["kind"] == "ServiceEntry"]

    assert {(*each["spec"]["hosts"], *each["spec"]["addresses"]) for each in entries} == {
        ("a.b.default.egress.invalid", "192.0.2.1"),
        ("a-b.default.egress.invalid", "192.0.2.2"),
    }
    assert len({each["metadata"]["name"] for each in entries}) == 2
    assert errors(read_again(made)) == []


def test_a_long_name_of_a_rule_is_cut_in_the_host_of_its_address():
    name = "x" * 80

    made = converted(an_egress_rule(name, "destination: {service: 192.0.2.1}, ports: [{port: 80, protocol: tcp}]"))

    (entry,) = (each for each in made.objects if each["kind"] == "ServiceEntry")
    assert len(entry["spec"]["hosts"][0].partition(".")[0]) == 63


def test_a_rule_called_like_the_default_route_keeps_its_extras_and_its_comment():
    taken = a_rule("meshd-default", f"destination: {{name: reviews}}, {PREFIX % '/a'}, websocketUpgrade: true, {TO_V1}")

    made = converted(taken, REVIEWS)
    metadata = made.named("VirtualService", "reviews-default")["metadata"]
    extras = yaml.safe_load(metadata["annotations"]["meshd.io/extras"])["http"]

    assert extras["meshd-default"] == {"websocketUpgrade": True}
    assert extras["meshd-default.2"] == {"websocketUpgrade": False}
    assert "# all other requests" not in made.text


def test_a_rule_called_like_the_refusal_of_another_keeps_its_extras():
    upgrading = a_rule("x", f"destination: {{name: reviews}}, {PREFIX % '/a'}, websocketUpgrade: true, {TO_V1}")
    patient = "httpReqTimeout: {simpleTimeout: {timeout: 1s, overrideHeaderName: x-a}}"
    other = a_rule("x.no-upgrade", f"destination: {{name: reviews}}, {PREFIX % '/b'}, {patient}, {TO_V1}")

    made = converted(upgrading, other, REVIEWS)
    routes = {each["name"]: each for each in made.spec("VirtualService", "reviews-default")["http"]}
    metadata = made.named("VirtualService", "reviews-default")["metadata"]
    extras = yaml.safe_load(metadata["annotations"]["meshd.io/extras"])["http"]

    (name,) = (name for name, each in extras.items() if "timeout" in each)
    assert routes[name]["match"][0]["uri"] == {"prefix": "/b"}


# --- names without a dot --------------------------------------------------------------------------------------


def test_a_destination_without_a_dot_is_a_full_name():
    rule = a_rule(spec=f"destination: {{service: db}}, {TO_V1}")
    db = a_service("db")

    made = converted(rule, db)

    assert made.spec("VirtualService", "db")["hosts"] == ["db."]
    assert made.spec("DestinationRule", "db")["host"] == "db."
    assert errors(loaded(rule, db)) == errors(read_again(made, db)) == []


def test_what_is_outside_may_have_a_name_without_a_dot():
    rule = an_egress_rule("db", "destination: {service: db}, useEgressProxy: true, ports: [{port: 80, protocol: http}]")
    gateway = a_workload("out", "istio: egressgateway") + a_service(
        "istio-egressgateway.istio-system.svc.cluster.local", "{number: 80, name: http, protocol: HTTP}"
    )

    made = converted(rule, gateway)

    assert made.spec("Gateway", "db-egress")["servers"][0]["hosts"] == ["db."]
    assert errors(loaded(rule, gateway)) == errors(read_again(made, gateway)) == []


def test_a_short_name_in_the_place_of_a_full_one_is_told_of():
    made = converted(a_rule(spec="destination: {service: reviews}"), REVIEWS)

    assert made.problem("W-DEST-UNKNOWN").hint.endswith("write name: reviews")


# --- hosts that nobody has ------------------------------------------------------------------------------------


def test_what_is_for_a_host_that_nobody_has_is_printed_as_comments():
    rule = a_rule(spec=f"destination: {{name: later}}, {TO_V1}")

    made = converted(rule, REVIEWS)
    awake = "".join(f"{line.removeprefix('# ')}\n" for line in to_yaml((), (), made.older.dormant).splitlines()[2:])

    assert made.objects == []
    assert errors(read_again(made, REVIEWS)) == []
    assert [each["kind"] for each in yaml.safe_load_all(awake)] == ["DestinationRule", "VirtualService"]
    assert errors(loaded(awake, REVIEWS, a_service("later.default.svc.cluster.local"))) == []


def test_a_policy_for_a_host_that_nobody_has_is_told_of_at_its_destination():
    policy = a_policy("waits", "destination: {service: 192.0.2.1}, loadBalancing: {name: RANDOM}")

    made = converted(policy, REVIEWS)

    assert made.problem("W-DEST-UNKNOWN").at.path == "spec.destination"
    assert made.objects == []
    assert "W-DR-UNUSED" not in {problem.code for problem in loaded(policy, REVIEWS).problems}


def test_a_mirror_that_nobody_has_is_told_of_where_it_stands():
    made = converted(a_rule(spec="destination: {name: reviews}, mirror: {name: nobody}"), REVIEWS)

    assert made.problem("E-DEST-UNKNOWN").at.path == "spec.mirror"


# --- bytes and prefixes ---------------------------------------------------------------------------------------


def test_a_redirect_leaves_connections_alone():
    spec = f"destination: {{name: both}}, match: {{tcp: {{}}, {PREFIX[8:-1] % '/a'}}}, redirect: {{uri: /b}}"
    both = a_service("both.default.svc.cluster.local", "{number: 1, name: http, protocol: HTTP}",
                     "{number: 2, name: tcp, protocol: TCP}")  # fmt: skip

    made = converted(a_rule(spec=spec), both)

    assert "tcp" not in made.spec("VirtualService", "both-default")
    assert [each.at.path for each in made.older.problems if each.at.path.startswith("spec.match")] == ["spec.match.tcp"]


def test_c_in_07_behind_a_regex_a_prefix_is_rewritten_and_the_rest_is_kept():
    rule = a_rule("r", f"destination: {{name: ratings}}, {PREFIX % '/a.b/'}, rewrite: {{uri: '/v1\\1/'}}")
    edge = an_ingress_rule(
        "i", "port: 80, destination: {name: ratings}, match: {request: {headers: {uri: {regex: '/a.*'}}}}"
    )

    made = converted(rule, edge, RATINGS)
    (route,) = (each for each in made.spec("VirtualService", "ingress-wildcard")["http"] if each["name"] == "i.r")

    assert route["match"][0]["uri"] == {"regex": "/a.*"}
    assert route["rewrite"] == {"uriRegexRewrite": {"match": r"^/a\.b/", "rewrite": r"/v1\\1/"}}
