from __future__ import annotations

import pytest

from tests.resources.judging import verdict


def rule(spec: str) -> list[str]:
    return verdict("DestinationRule", f"{{host: reviews.shop, {spec}}}")


def policy(spec: str) -> list[str]:
    """Paths from `trafficPolicy`."""
    return [problem.replace(" trafficPolicy", " ") for problem in rule(f"trafficPolicy: {{{spec}}}")]


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("subsets: [{name: v1, labels: {version: v1}}, {name: all}]", []),
        ("subsets: [{name: v1}, {name: v1}]", ["E-VALUE subsets[0].name", "E-VALUE subsets[1].name"]),
        ("subsets: [{name: v1, trafficPolicy: {}}]", ["E-VALUE subsets[0].trafficPolicy"]),
        ("exportTo: [shop, shop]", ["E-VALUE exportTo"]),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: ['.']", []),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: [default]", []),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: ['*']", ["E-VALUE exportTo"]),
        ("workloadSelector: {}", ["W-VALUE workloadSelector"]),
    ],
)
def test_subsets_export_and_selector(spec: str, problems: list[str]):
    assert rule(spec) == problems


def test_its_old_name_for_the_host_is_read():
    assert verdict("DestinationRule", "name: reviews.shop") == ["W-LEGACY name"]


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("", ["E-VALUE "]),
        ("tunnel: {}", ["E-UNSUPPORTED .tunnel"]),
        ("portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]", []),
        ("portLevelSettings: [{port: {number: 80}}]", ["E-VALUE .portLevelSettings[0]"]),
        ("portLevelSettings: [{port: {number: 80}, tls: {}}, {port: {number: 80}, tls: {}}]",
         ["W-VALUE .portLevelSettings[1].port"]),
        ("loadBalancer: {simple: LEAST_CONN}", ["W-LEGACY .loadBalancer.simple"]),
        ("loadBalancer: {simple: PASSTHROUGH}", ["E-UNSUPPORTED .loadBalancer.simple"]),
        ("loadBalancer: {consistentHash: {httpHeaderName: x-user}}", []),
        ("loadBalancer: {consistentHash: {httpHeaderName: 'x user'}}",
         ["E-VALUE .loadBalancer.consistentHash.httpHeaderName"]),
        ("loadBalancer: {consistentHash: {}}", ["W-VALUE .loadBalancer.consistentHash"]),
        ("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}", []),
        ("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}}",
         ["E-VALUE .loadBalancer.consistentHash.maglev.tableSize"]),
        ("loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 10}}",
         ["W-LEGACY .loadBalancer.consistentHash.minimumRingSize"]),
        ("loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 10, ringHash: {}}}",
         ["E-VALUE .loadBalancer.consistentHash.minimumRingSize",
          "W-LEGACY .loadBalancer.consistentHash.minimumRingSize"]),
        ("loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: a}, {name: a}]}}}",
         ["E-VALUE .loadBalancer.consistentHash.httpCookie.attributes[0].name",
          "E-VALUE .loadBalancer.consistentHash.httpCookie.attributes[1].name"]),
        ("loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s, aggression: 2.5}}", []),
        ("loadBalancer: {simple: RANDOM, warmup: {duration: 10s}}", ["W-VALUE .loadBalancer.warmup"]),
        ("loadBalancer: {warmup: {duration: 10s, aggression: 0}}", ["E-VALUE .loadBalancer.warmup.aggression"]),
        ("loadBalancer: {warmupDurationSecs: 10s}", ["W-LEGACY .loadBalancer.warmupDurationSecs"]),
        ("loadBalancer: {warmupDurationSecs: 10s, warmup: {duration: 10s}}",
         ["E-VALUE .loadBalancer.warmupDurationSecs", "W-LEGACY .loadBalancer.warmupDurationSecs"]),
        ("connectionPool: {}", ["E-VALUE .connectionPool"]),
        ("connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}",
         ["E-VALUE .connectionPool.http.useClientProtocol"]),
        ("outlierDetection: {}", []),
        ("outlierDetection: {consecutiveErrors: 3}", ["W-LEGACY .outlierDetection.consecutiveErrors"]),
        ("outlierDetection: {consecutiveLocalOriginFailures: 3}",
         ["E-VALUE .outlierDetection.consecutiveLocalOriginFailures"]),
        ("outlierDetection: {consecutiveLocalOriginFailures: 3, splitExternalLocalOriginErrors: true}", []),
        ("outlierDetection: {http: {consecutiveErrors: 1}}", ["E-UNSUPPORTED .outlierDetection.http"]),
    ],
)  # fmt: skip
def test_how_endpoints_are_called(spec: str, problems: list[str]):
    assert policy(spec) == problems


@pytest.mark.parametrize(
    ("tls", "problems"),
    [
        ("mode: SIMPLE, caCertificates: /ca.pem, subjectAltNames: [a], sni: a", []),
        ("mode: SIMPLE, clientCertificate: /c.pem", ["W-VALUE .clientCertificate"]),
        ("mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem", []),
        ("mode: MUTUAL, clientCertificate: /c.pem", ["E-REQUIRED "]),
        ("mode: DISABLE, sni: a", ["W-VALUE .sni"]),
        ("mode: SIMPLE, insecureSkipVerify: true", ["W-TLS-INSECURE .insecureSkipVerify"]),
        ("mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca.pem, subjectAltNames: [a]",
         ["E-VALUE .caCertificates", "E-VALUE .subjectAltNames", "W-TLS-INSECURE .insecureSkipVerify"]),
        ("mode: ISTIO_MUTUAL", ["E-UNSUPPORTED .mode"]),
        ("mode: SIMPLE, credentialName: a", ["E-UNSUPPORTED .credentialName"]),
    ],
)  # fmt: skip
def test_how_tls_is_opened(tls: str, problems: list[str]):
    found = [problem.replace(" .tls", " ") for problem in policy(f"tls: {{{tls}}}")]

    assert sorted(found) == sorted(problems)
