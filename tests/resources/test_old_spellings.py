"""Every spelling of 2018 (spec section 12): it is told, and means what its present form means."""

from __future__ import annotations

import pytest

from meshd.decode import DecodedFile, Kinds, decode_file
from meshd.resources import KINDS, NOT_YET
from meshd.resources.resource import Resource
from tests.resources.judging import told, verdict


def decoded(kind: str, spec: str) -> DecodedFile[Resource]:
    text = f"apiVersion: networking.istio.io/v1alpha3\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
    return decode_file("mesh.yaml", text.encode(), Kinds(types=KINDS, not_yet=NOT_YET))


def assert_same(kind: str, old: str, new: str, *places: str) -> None:
    """`places`: where the old one is told."""
    then, now = decoded(kind, old), decoded(kind, new)

    assert [str(problem) for problem in now.problems] == []
    assert [f"{problem.code} {problem.at.path}" for problem in then.problems] == [
        f"W-LEGACY spec.{place}" for place in places
    ]
    assert then.resources == now.resources != ()


TO = "route: [{destination: {host: reviews}}]"


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        (f"{TO}, appendHeaders: {{x-a: '1'}}", f"{TO}, headers: {{request: {{add: {{x-a: '1'}}}}}}", ["appendHeaders"]),
        (f"{TO}, appendRequestHeaders: {{x-a: '1'}}", f"{TO}, headers: {{request: {{add: {{x-a: '1'}}}}}}",
         ["appendRequestHeaders"]),
        (f"{TO}, append_request_headers: {{x-a: '1'}}, appendHeaders: {{x-b: '2'}}",
         f"{TO}, headers: {{request: {{add: {{x-b: '2', x-a: '1'}}}}}}", ["appendRequestHeaders", "appendHeaders"]),
        (f"{TO}, removeRequestHeaders: {{x-a: '', x-b: ''}}", f"{TO}, headers: {{request: {{remove: [x-a, x-b]}}}}",
         ["removeRequestHeaders"]),
        (f"{TO}, removeRequestHeaders: [x-a]", f"{TO}, headers: {{request: {{remove: [x-a]}}}}",
         ["removeRequestHeaders"]),
        (f"{TO}, appendResponseHeaders: {{x-a: '1'}}, removeResponseHeaders: {{server: ''}}",
         f"{TO}, headers: {{response: {{add: {{x-a: '1'}}, remove: [server]}}}}",
         ["appendResponseHeaders", "removeResponseHeaders"]),
        (f"{TO}, appendHeaders: {{x-a: '1', x-b: '2'}}, headers: {{request: {{add: {{x-a: '3'}}, set: {{x-c: '4'}}}}}}",
         f"{TO}, headers: {{request: {{add: {{x-a: '3', x-b: '2'}}, set: {{x-c: '4'}}}}}}", ["appendHeaders"]),
        (("route: [{destination: {host: a}, appendRequestHeaders: {x-a: '1'}, removeRequestHeaders: [x-b], "
         "appendResponseHeaders: {x-c: '1'}, removeResponseHeaders: [x-d]}]"),
         ("route: [{destination: {host: a}, headers: {request: {add: {x-a: '1'}, remove: [x-b]}, "
         "response: {add: {x-c: '1'}, remove: [x-d]}}}]"),
         ["route[0].appendRequestHeaders", "route[0].removeRequestHeaders", "route[0].appendResponseHeaders",
          "route[0].removeResponseHeaders"]),
        ("route: [{destination: {name: reviews}}]", TO, ["route[0].destination.name"]),
        (f"{TO}, mirror: {{host: b}}, mirrorPercent: 7",
         f"{TO}, mirror: {{host: b}}, mirrorPercentage: {{value: 7}}", ["mirrorPercent"]),
        (f"{TO}, mirror: {{host: b}}, mirror_percent: 0",
         f"{TO}, mirror: {{host: b}}, mirrorPercentage: {{value: 0}}", ["mirrorPercent"]),
        (f"{TO}, mirror: {{host: b}}, mirrorPercent: 7, mirrorPercentage: {{value: 3}}",
         f"{TO}, mirror: {{host: b}}, mirrorPercentage: {{value: 3}}", ["mirrorPercent"]),
        (f"{TO}, fault: {{delay: {{percent: 10, fixedDelay: 5s}}}}",
         f"{TO}, fault: {{delay: {{percentage: {{value: 10}}, fixedDelay: 5s}}}}", ["fault.delay.percent"]),
        (f"{TO}, fault: {{abort: {{percent: 10, httpStatus: 400, percentage: {{value: 0.5}}}}}}",
         f"{TO}, fault: {{abort: {{percentage: {{value: 0.5}}, httpStatus: 400}}}}", ["fault.abort.percent"]),
        (f"{TO}, corsPolicy: {{allowOrigin: [example.com, '*']}}",
         f"{TO}, corsPolicy: {{allowOrigins: [{{exact: example.com}}, {{exact: '*'}}]}}", ["corsPolicy.allowOrigin"]),
        (f"{TO}, corsPolicy: {{allowOrigin: [a], allowOrigins: [{{prefix: b}}]}}",
         f"{TO}, corsPolicy: {{allowOrigins: [{{prefix: b}}]}}", ["corsPolicy.allowOrigin"]),
    ],
)  # fmt: skip
@pytest.mark.spec("V-23", "V-25", "V-54", "V-71", "V-91")
def test_of_http_routes(old: str, new: str, places: list[str]):
    hosts = "hosts: [reviews]"

    places = [f"http[0].{place}" for place in places]
    assert_same("VirtualService", f"{hosts}, http: [{{{old}}}]", f"{hosts}, http: [{{{new}}}]", *places)


def test_websockets_are_always_allowed():
    websocket = decoded("VirtualService", f"hosts: [a], http: [{{{TO}, websocketUpgrade: true}}]")

    assert [str(problem) for problem in websocket.problems] == [
        "mesh.yaml:4:87: spec.http[0].websocketUpgrade: WebSockets are always allowed; leave it out [W-LEGACY]"
    ]


def test_a_fault_without_a_share_meets_nobody_today():
    assert verdict("VirtualService", f"{{hosts: [a], http: [{{{TO}, fault: {{abort: {{httpStatus: 400}}}}}}]}}") == [
        "W-VALUE http[0].fault.abort"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("destinationSubnet: 10.0.0.0/8", "destinationSubnets: [10.0.0.0/8]"),
        ("destinationSubnet: [10.0.0.0/8, 10.1.2.3]", "destinationSubnets: [10.0.0.0/8, 10.1.2.3]"),
        ("destination_subnet: 10.0.0.0/8, destinationSubnets: [10.1.2.3]",
         "destinationSubnets: [10.1.2.3, 10.0.0.0/8]"),
    ],
)  # fmt: skip
@pytest.mark.spec("V-110")
def test_of_tcp_routes(old: str, new: str):
    spec = f"hosts: [db], tcp: [{{match: [{{port: 1, %s}}], {TO}}}]"

    assert_same("VirtualService", spec % old, spec % new, "tcp[0].match[0].destinationSubnet")


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        ("name: reviews", "host: reviews", ["name"]),
        ("host: a, trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}",
         "host: a, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}", ["trafficPolicy.loadBalancer.simple"]),
        ("host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpHeader: x-user}}}",
         "host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}",
         ["trafficPolicy.loadBalancer.consistentHash.httpHeader"]),
        ("host: a, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 2048}}}",
         ("host: a, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, "
         "ringHash: {minimumRingSize: 2048}}}}"),
         ["trafficPolicy.loadBalancer.consistentHash.minimumRingSize"]),
        ("host: a, trafficPolicy: {outlierDetection: {consecutiveErrors: 3}}",
         "host: a, trafficPolicy: {outlierDetection: {consecutiveGatewayErrors: 3}}",
         ["trafficPolicy.outlierDetection.consecutiveErrors"]),
        (("host: a, trafficPolicy: {outlierDetection: {http: {consecutiveErrors: 7, interval: 5m, "
         "baseEjectionTime: 15m, maxEjectionPercent: 50}}}"),
         ("host: a, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 7, interval: 5m, baseEjectionTime: 15m, "
         "maxEjectionPercent: 50}}"), ["trafficPolicy.outlierDetection.http"]),
        (("host: a, trafficPolicy: {outlierDetection: {interval: 1s, consecutive5xxErrors: 0, "
         "http: {consecutiveErrors: 7, interval: 5m}}}"),
         "host: a, trafficPolicy: {outlierDetection: {interval: 1s, consecutive5xxErrors: 0}}",
         ["trafficPolicy.outlierDetection.http"]),
        (("host: a, subsets: [{name: v1, trafficPolicy: {portLevelSettings: [{port: {number: 80}, "
         "loadBalancer: {simple: LEAST_CONN}}]}}]"),
         ("host: a, subsets: [{name: v1, trafficPolicy: {portLevelSettings: [{port: {number: 80}, "
         "loadBalancer: {simple: LEAST_REQUEST}}]}}]"),
         ["subsets[0].trafficPolicy.portLevelSettings[0].loadBalancer.simple"]),
    ],
)  # fmt: skip
@pytest.mark.spec("D-1", "D-10", "D-12", "D-18", "D-52")
def test_of_destination_rules(old: str, new: str, places: list[str]):
    assert_same("DestinationRule", old, new, *places)


@pytest.mark.parametrize(
    ("old", "problems"),
    [
        ("appendHeaders: {':path': a}", ["W-LEGACY http[0].appendHeaders", "E-VALUE http[0].appendHeaders.:path"]),
        ("appendHeaders: {x-a: '50%'}", ["W-LEGACY http[0].appendHeaders", "E-VALUE http[0].appendHeaders.x-a"]),
        ("appendResponseHeaders: {host: a}",
         ["W-LEGACY http[0].appendResponseHeaders", "E-VALUE http[0].appendResponseHeaders.host"]),
        ("removeResponseHeaders: {host: a}",
         ["W-LEGACY http[0].removeResponseHeaders", "E-VALUE http[0].removeResponseHeaders.host"]),
        ("removeRequestHeaders: x-a", ["E-TYPE http[0].removeRequestHeaders"]),
        ("appendHeaders: {host: a}, rewrite: {authority: b}",
         ["W-LEGACY http[0].appendHeaders", "E-VALUE http[0].add.host"]),
    ],
)  # fmt: skip
def test_old_headers_are_looked_at_like_those_of_today(old: str, problems: list[str]):
    found = verdict("VirtualService", f"{{hosts: [a], http: [{{{TO}, {old}}}]}}")

    assert sorted(found) == sorted(problems)


def test_a_port_was_never_chosen_by_its_name():
    assert told(
        "DestinationRule", "{host: a, trafficPolicy: {portLevelSettings: [{port: {name: http}, tls: {}}]}}"
    ) == [
        (
            "5:63: spec.trafficPolicy.portLevelSettings[0].port.name: a port is not chosen by its name; "
            "write its number [E-PORT-NAME]"
        )
    ]


def test_an_external_service_is_called_service_entry_now():
    (problem,) = decoded("ExternalService", "hosts: [a]").problems

    assert problem.code == "E-KIND"
    assert problem.hint == "it is called 'ServiceEntry' now"
