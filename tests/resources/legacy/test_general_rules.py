"""What all older kinds share: names, durations, labels, and how they are known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.resources.legacy.judging import decoded, file, rule, the, told, verdict

V1 = "route: [{labels: {version: v1}}]"
BODY = "kind: RouteRule\nmetadata: {name: a}\nspec: {destination: {name: reviews}, route: [{labels: {version: v1}}]}\n"


@pytest.mark.spec("GP-06")
@pytest.mark.parametrize(
    "version",
    [
        "",
        "apiVersion: config.istio.io/v1alpha1\n",
        "apiVersion: config.istio.io/v1alpha2\n",
        "apiVersion: config.istio.io/v1beta1\n",
        "apiVersion: config.istio.io/anything\n",
    ],
)
def test_a_kind_is_known_whatever_its_version(version: str):
    found = file(version + BODY)

    assert (len(found.resources), found.problems) == (1, ())


def test_the_word_type_of_2017_beside_the_kind_says_nothing_more():
    (problem,) = file("type: route-rule\n" + BODY).problems

    assert str(problem) == "mesh.yaml:1:1: type: kind says it already; remove it [W-LEGACY]"


@pytest.mark.parametrize(
    ("word", "problems"),
    [
        ("type: egress-rule", ["E-FIELD type"]),
        ("type: [route-rule]", ["E-FIELD type"]),
        ("typ: route-rule", ["E-FIELD typ"]),
    ],
)
def test_another_type_than_that_of_the_kind_is_refused(word: str, problems: list[str]):
    assert [f"{problem.code} {problem.at.path}" for problem in file(f"{word}\n{BODY}").problems] == problems


def test_the_form_before_there_were_kinds_says_how_it_is_written_today():
    (problem,) = file("type: route-rule\nname: a\nspec: {destination: a.default.svc.cluster.local}\n").problems

    assert problem.code == "E-KIND"
    assert problem.hint == "`type` is of early 2017: write `kind: RouteRule`, and the name as `metadata: {name: ...}`"


@pytest.mark.parametrize("group", ["extensions/v1beta1", "networking.k8s.io/v1"])
def test_the_ingress_of_kubernetes_is_refused_not_skipped(group: str):
    (problem,) = file(f"apiVersion: {group}\nkind: Ingress\nmetadata: {{name: a}}\n").problems

    assert problem.code == "E-KIND-INGRESS"
    assert problem.hint == "write a Gateway or an IngressRule"


@pytest.mark.spec("GP-01")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"{V1}, httpReqTimeout: {{simpleTimeout: {{timeout: 1s}}}}", []),
        (f"{V1}, http_req_timeout: {{simple_timeout: {{timeout: 1s}}}}", []),
        (f"{V1}, httpReqTimeot: {{}}", ["E-FIELD httpReqTimeot"]),
        (f"{V1}, httpReqTimeout: {{simpleTimeout: {{time: 1s}}}}", ["E-FIELD httpReqTimeout.simpleTimeout.time"]),
        (f"{V1}, http_req_timeout: {{}}, httpReqTimeout: {{}}", ["W-VALUE httpReqTimeout", "E-DUP-KEY httpReqTimeout"]),
    ],
)
def test_fields_have_their_names_in_camel_case_or_as_protobuf_has_them(spec: str, problems: list[str]):
    assert rule(spec) == problems


def test_an_unknown_field_is_answered_with_the_one_that_was_meant():
    assert told(
        "EgressRule", "{destination: {service: a.com}, ports: [{port: 80, protocol: http}], useProxy: true}"
    ) == ["5:72: spec.useProxy: there is no such field; did you mean 'useEgressProxy'? [E-FIELD]"]


@pytest.mark.spec("GP-02", "CB-16", "DLY-04")
@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("5s", timedelta(seconds=5)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5s", timedelta(milliseconds=1500)),
        ("1d", timedelta(days=1)),
        ("86400s", timedelta(days=1)),
        ("1ms", timedelta(milliseconds=1)),
        ("5000us", timedelta(milliseconds=5)),
        ("1000000ns", timedelta(milliseconds=1)),
        ("0s", "E-DUR-MIN"),
        ("999us", "E-DUR-MIN"),
        ("1.0005s", "E-VALUE"),
        ("36501d", "E-VALUE"),
        ("5", "E-TYPE"),
        ("soon", "E-VALUE"),
        ("-1s", "E-VALUE"),
    ],
)
def test_durations(text: str, delay: timedelta | str):
    spec = f"{{destination: {{name: a}}, {V1}, httpFault: {{delay: {{fixedDelay: {text}}}}}}}"

    if isinstance(delay, str):
        assert verdict("RouteRule", spec) == [f"{delay} httpFault.delay.fixedDelay"]
    else:
        assert the("RouteRule", spec).http_fault.delay.fixed_delay == delay


@pytest.mark.spec("GP-04")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (f"{V1}, httpReqRetries: {{simpleRetry: {{attempts: 1}}, custom: {{}}}}", ["E-ONEOF httpReqRetries.custom"]),
        (f"{V1}, httpReqTimeout: {{custom: {{}}, simpleTimeout: {{}}}}", ["E-ONEOF", "W-VALUE"]),
        (f"{V1}, httpFault: {{delay: {{fixedDelay: 1s, exponentialDelay: 1s}}}}", ["E-ONEOF"]),
        (f"{V1}, httpFault: {{abort: {{httpStatus: 500, grpcStatus: OK}}}}", ["E-ONEOF"]),
        ("match: {request: {headers: {x: {exact: a, prefix: b}}}}", ["E-ONEOF"]),
        ("match: {tcp: {}}, l4Fault: {throttle: {throttleAfterPeriod: 1s, throttleAfterBytes: 1}}", ["E-ONEOF"]),
    ],
)
def test_of_a_oneof_one_is_given(spec: str, problems: list[str]):
    assert [found.split()[0] for found in rule(spec)] == [problem.split()[0] for problem in problems]


@pytest.mark.spec("GP-04")
def test_absent_and_zero_are_different():
    policy = the("DestinationPolicy", "{destination: {name: a}, circuitBreaker: {simpleCb: {httpMaxRetries: 0}}}")

    breaker = policy.circuit_breaker.simple_cb
    assert (breaker.http_max_retries, breaker.max_connections) == (0, None)


@pytest.mark.spec("GP-05", "IS-07")
@pytest.mark.parametrize(
    ("labels", "problems"),
    [
        ("{version: v1}", []),
        ("{example.com/version: ''}", []),
        ("{version: {a: b}}", ["E-TYPE route[0].labels.version"]),
        ("{version: 1}", ["E-TYPE route[0].labels.version"]),
        ("{version: a b}", ["E-VALUE route[0].labels.version"]),
        (f"{{version: {64 * 'a'}}}", ["E-VALUE route[0].labels.version"]),
        (f"{{{64 * 'a'}: b}}", [f"E-VALUE route[0].labels.{64 * 'a'}"]),
        ("{-a: b}", ["E-VALUE route[0].labels.-a"]),
    ],
)
def test_labels(labels: str, problems: list[str]):
    assert rule(f"route: [{{labels: {labels}}}]") == problems


@pytest.mark.spec("DP-03", "RR-05")
@pytest.mark.parametrize(
    ("metadata", "namespace"),
    [("name: a", "default"), ("name: a, namespace: shop", "shop"), ("name: a, uid: x", "default")],
)
def test_the_namespace_is_default_when_none_is_given(metadata: str, namespace: str):
    (found,) = decoded("RouteRule", f"{{destination: {{name: a}}, {V1}}}", metadata).resources

    assert found.metadata.namespace == namespace


@pytest.mark.parametrize("host", ["*.foo.com", "*-bar.foo.com"])
def test_a_wildcard_without_quotes_is_no_yaml_and_the_hint_is_to_quote_it(host: str):
    text = f"kind: EgressRule\nmetadata: {{name: a}}\nspec:\n  destination:\n    service: {host}\n"

    (problem,) = file(text).problems

    assert (problem.code, problem.at.line, problem.hint) == ("E-YAML", 5, "quote values that start with `*`")


@pytest.mark.spec("IS-03", "IS-04", "IS-05", "IS-06", "IS-09", "RR-06")
@pytest.mark.parametrize(
    ("service", "problems"),
    [
        ("name: a", []),
        ("name: a, namespace: shop", []),
        ("name: a, domain: example.com", []),
        ("name: a, namespace: shop, domain: svc.example.com", []),
        ("service: a.example.com", []),
        ("service: A.Example.com", []),
        ("service: '*.example.com'", []),
        ("service: 10.0.0.1", []),
        ("service: 10.0.0.0/8", []),
        ("", ["E-IS-EMPTY"]),
        ("namespace: shop", ["E-IS-EMPTY"]),
        ("domain: example.com", ["E-IS-EMPTY"]),
        ("service: a.example.com, name: a", ["E-IS-BOTH .name"]),
        ("service: a.example.com, namespace: a", ["E-IS-BOTH .namespace"]),
        ("service: a.example.com, domain: a", ["E-IS-BOTH .domain"]),
        ("name: a.b", ["E-VALUE .name"]),
        ("name: ''", ["E-VALUE .name"]),
        ("name: 1", ["E-TYPE .name"]),
        ("name: a, namespace: a.b", ["E-VALUE .namespace"]),
        ("name: a, domain: '*.com'", ["E-VALUE .domain"]),
        ("service: '*'", ["E-VALUE .service"]),
        ("service: a b", ["E-VALUE .service"]),
        ("hostname: a", ["E-FIELD .hostname"]),
    ],
)
def test_a_service_is_named_in_one_way(service: str, problems: list[str]):
    for kind, spec, at in (
        ("RouteRule", f"{{destination: {{{service}}}, {V1}}}", "destination"),
        ("RouteRule", f"{{destination: {{name: a}}, {V1}, mirror: {{{service}}}}}", "mirror"),
        ("RouteRule", f"{{destination: {{name: a}}, {V1}, match: {{source: {{{service}}}}}}}", "match.source"),
        ("RouteRule", f"{{destination: {{name: a}}, route: [{{destination: {{{service}}}}}]}}", "route[0].destination"),
        ("DestinationPolicy", f"{{destination: {{{service}}}, loadBalancing: {{name: RANDOM}}}}", "destination"),
        ("IngressRule", f"{{destination: {{{service}}}, port: 80}}", "destination"),
    ):
        assert [problem.replace(at, "").rstrip() for problem in verdict(kind, spec)] == problems
