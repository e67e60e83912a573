"""DestinationRule, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict


def rule(spec: str) -> list[str]:
    return verdict("DestinationRule", f"{{host: reviews.shop, {spec}}}")


def policy(spec: str) -> list[str]:
    """Paths from `trafficPolicy`."""
    return [problem.replace(" trafficPolicy", " ") for problem in rule(f"trafficPolicy: {{{spec}}}")]


def part(name: str, spec: str) -> list[str]:
    """Paths from one part of the policy."""
    return [problem.replace(f" .{name}", " ") for problem in policy(f"{name}: {{{spec}}}")]


@pytest.mark.spec("D-1")
@pytest.mark.parametrize(
    ("host", "problems"),
    [
        ("reviews", []),
        ("reviews.shop.svc.cluster.local", []),
        ("'*.shop'", []),
        ("'*shop.example'", []),
        ("'*'", []),
        ("10.0.0.1", ["E-VALUE host"]),
        ("'2001:db8::1'", ["E-VALUE host"]),
        ("a_b", ["E-VALUE host"]),
        ("''", ["E-VALUE host"]),
        ("null", ["E-REQUIRED host"]),
    ],
)
def test_its_host(host: str, problems: list[str]):
    assert verdict("DestinationRule", f"host: {host}") == problems


@pytest.mark.spec("D-3", "D-4", "D-5", "D-6")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("subsets: [{name: v1, labels: {version: v1}}, {name: all}]", []),
        ("subsets: [{name: V1}, {name: v-2}]", []),
        ("subsets: [{labels: {version: v1}}]", ["E-REQUIRED subsets[0].name"]),
        ("subsets: [{name: v1.0}]", ["E-VALUE subsets[0].name"]),
        ("subsets: [{name: ''}]", ["E-VALUE subsets[0].name"]),
        ("subsets: [null]", ["E-TYPE subsets[0]"]),
        ("subsets: [{name: v1, labels: {version: 'a b'}}]", ["E-VALUE subsets[0].labels.version"]),
        ("subsets: [{name: v1, labels: {version: 1}}]", ["E-TYPE subsets[0].labels.version"]),
        ("subsets: [{name: v1}, {name: v1}]", ["E-VALUE subsets[0].name", "E-VALUE subsets[1].name"]),
        ("subsets: [{name: v1, trafficPolicy: {}}]", ["E-VALUE subsets[0].trafficPolicy"]),
        ("exportTo: ['*']", []),
        ("exportTo: ['.', shop]", []),
        ("exportTo: [shop, shop]", ["E-VALUE exportTo"]),
        ("exportTo: ['*', shop]", ["E-VALUE exportTo"]),
        ("exportTo: ['~']", ["E-VALUE exportTo"]),
        ("workloadSelector: {matchLabels: {app: a}}", []),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: ['.']", []),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: [default]", []),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: ['*']", ["E-VALUE exportTo"]),
        ("workloadSelector: {matchLabels: {app: a}}, exportTo: ['.', shop]", ["E-VALUE exportTo"]),
        ("workloadSelector: {matchLabels: {app: '*'}}", ["E-VALUE workloadSelector.matchLabels.app"]),
        ("workloadSelector: {matchLabels: {'': a}}", ["E-VALUE workloadSelector.matchLabels."]),
        ("workloadSelector: {}", ["W-VALUE workloadSelector"]),
    ],
)
def test_subsets_export_and_selector(spec: str, problems: list[str]):
    assert rule(spec) == problems


@pytest.mark.spec("D-2", "D-90", "D-91", "D-92", "D-93")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("", ["E-VALUE "]),
        ("portLevelSettings: []", ["E-VALUE "]),
        ("tunnel: {targetHost: proxy.example, targetPort: 443}", []),
        ("tunnel: {targetHost: 10.0.0.1, targetPort: 443, protocol: POST}", []),
        ("tunnel: {targetHost: a, targetPort: 443, protocol: ''}", []),
        ("tunnel: {}", ["E-REQUIRED .tunnel.targetHost", "E-REQUIRED .tunnel.targetPort"]),
        ("tunnel: {targetHost: '*.a', targetPort: 443}", ["E-VALUE .tunnel.targetHost"]),
        ("tunnel: {targetHost: a, targetPort: 0}", ["E-VALUE .tunnel.targetPort"]),
        ("tunnel: {targetHost: a, targetPort: 443, protocol: GET}", ["E-VALUE .tunnel.protocol"]),
        ("proxyProtocol: {}", []),
        ("proxyProtocol: {version: V2}", []),
        ("proxyProtocol: {version: V3}", ["E-VALUE .proxyProtocol.version"]),
        ("tunnel: {targetHost: a, targetPort: 443}, proxyProtocol: {}", ["E-ONEOF .proxyProtocol"]),
        ("retryBudget: {}", []),
        ("retryBudget: {percent: 100, minRetryConcurrency: 0, budgetInterval: 0s}", []),
        ("retryBudget: {percent: 101}", ["E-VALUE .retryBudget.percent"]),
        ("retryBudget: {minRetryConcurrency: -1}", ["E-VALUE .retryBudget.minRetryConcurrency"]),
        ("portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]", []),
        ("portLevelSettings: [{port: {number: 80}}]", ["E-VALUE .portLevelSettings[0]"]),
        ("portLevelSettings: [{tls: {}}]", ["E-REQUIRED .portLevelSettings[0].port"]),
        ("portLevelSettings: [{port: {}, tls: {}}]", ["E-REQUIRED .portLevelSettings[0].port"]),
        ("portLevelSettings: [{port: {name: http}, tls: {}}]", ["E-PORT-NAME .portLevelSettings[0].port.name"]),
        ("portLevelSettings: [{port: {number: 80}, tunnel: {}}]", ["E-FIELD .portLevelSettings[0].tunnel"]),
        ("portLevelSettings: [{port: {number: 80}, tls: {}}, {port: {number: 80}, tls: {}}]",
         ["W-VALUE .portLevelSettings[1].port"]),
    ],
)  # fmt: skip
def test_the_parts_of_a_policy(spec: str, problems: list[str]):
    assert policy(spec) == problems


@pytest.mark.spec("D-2")
def test_a_subset_has_a_policy_of_the_same_kind():
    tunnel = "tunnel: {targetHost: a, targetPort: 443}"

    assert rule(f"subsets: [{{name: v1, trafficPolicy: {{{tunnel}, proxyProtocol: {{}}}}}}]") == [
        "E-ONEOF subsets[0].trafficPolicy.proxyProtocol"
    ]


@pytest.mark.spec("D-93")
def test_ports_may_be_many_but_not_more():
    def ports(count: int) -> list[str]:
        settings = (f"{{port: {{number: {number + 1}}}, tls: {{}}}}" for number in range(count))
        return policy(f"portLevelSettings: [{', '.join(settings)}]")

    assert ports(4096) == []
    assert ports(4097) == ["E-VALUE .portLevelSettings"]


@pytest.mark.spec("D-10", "D-11", "D-12", "D-13", "D-14", "D-15", "D-16", "D-17", "D-18", "D-25", "D-26", "D-27")
@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("", []),
        ("simple: LEAST_CONN", ["W-LEGACY .simple"]),
        ("simple: PASSTHROUGH", []),
        ("simple: FASTEST", ["E-VALUE .simple"]),
        ("simple: round_robin", ["E-VALUE .simple"]),
        ("simple: RANDOM, consistentHash: {useSourceIp: true}", ["E-ONEOF .consistentHash"]),
        ("consistentHash: {httpHeaderName: x-user}", []),
        ("consistentHash: {httpHeaderName: 'x user'}", ["E-VALUE .consistentHash.httpHeaderName"]),
        ("consistentHash: {httpHeaderName: ''}", ["E-VALUE .consistentHash.httpHeaderName"]),
        ("consistentHash: {httpHeaderName: x-user, useSourceIp: true}", ["E-ONEOF .consistentHash.useSourceIp"]),
        ("consistentHash: {httpQueryParameterName: user}", []),
        ("consistentHash: {httpQueryParameterName: ''}", ["E-VALUE .consistentHash.httpQueryParameterName"]),
        ("consistentHash: {}", ["W-VALUE .consistentHash"]),
        ("consistentHash: {useSourceIp: false}", ["W-VALUE .consistentHash"]),
        ("consistentHash: {httpCookie: {name: c}}", []),
        ("consistentHash: {httpCookie: {name: c, path: /, ttl: 0s, attributes: [{name: SameSite, value: Lax}]}}", []),
        ("consistentHash: {httpCookie: {ttl: 1h}}", ["E-REQUIRED .consistentHash.httpCookie.name"]),
        ("consistentHash: {httpCookie: {name: ''}}", ["E-VALUE .consistentHash.httpCookie.name"]),
        ("consistentHash: {httpCookie: {name: c, attributes: [{name: a}, {name: a}]}}",
         ["E-VALUE .consistentHash.httpCookie.attributes[0].name",
          "E-VALUE .consistentHash.httpCookie.attributes[1].name"]),
        ("consistentHash: {useSourceIp: true, ringHash: {}}", []),
        ("consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388608}}", []),
        ("consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}",
         ["E-VALUE .consistentHash.ringHash.minimumRingSize"]),
        ("consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}", []),
        ("consistentHash: {useSourceIp: true, maglev: {tableSize: 5000011}}",
         ["E-VALUE .consistentHash.maglev.tableSize"]),
        ("consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}",
         ["E-VALUE .consistentHash.maglev.tableSize"]),
        ("consistentHash: {useSourceIp: true, maglev: {tableSize: 0}}",
         ["E-VALUE .consistentHash.maglev.tableSize"]),
        ("consistentHash: {useSourceIp: true, maglev: {}}", ["E-REQUIRED .consistentHash.maglev.tableSize"]),
        ("consistentHash: {useSourceIp: true, maglev: {tableSize: 7}, ringHash: {}}",
         ["E-ONEOF .consistentHash.ringHash"]),
        ("consistentHash: {useSourceIp: true, minimumRingSize: 10}", ["W-LEGACY .consistentHash.minimumRingSize"]),
        ("consistentHash: {useSourceIp: true, minimumRingSize: 0, ringHash: {}}", []),
        ("consistentHash: {useSourceIp: true, minimumRingSize: 10, ringHash: {}}",
         ["E-VALUE .consistentHash.minimumRingSize", "W-LEGACY .consistentHash.minimumRingSize"]),
        ("simple: ROUND_ROBIN, warmup: {duration: 10s, aggression: 2.5, minimumPercent: 0}", []),
        ("simple: ROUND_ROBIN, warmup: {}", ["E-REQUIRED .warmup.duration"]),
        ("warmup: {duration: 10s, minimumPercent: 150}", ["E-VALUE .warmup.minimumPercent"]),
        ("warmup: {duration: 10s, aggression: 0}", ["E-VALUE .warmup.aggression"]),
        ("simple: RANDOM, warmup: {duration: 10s}", ["W-VALUE .warmup"]),
        ("simple: PASSTHROUGH, warmup: {duration: 10s}", ["W-VALUE .warmup"]),
        ("consistentHash: {useSourceIp: true}, warmup: {duration: 10s}", ["W-VALUE .warmup"]),
        ("warmupDurationSecs: 10s", ["W-LEGACY .warmupDurationSecs"]),
        ("warmupDurationSecs: 0s", ["E-VALUE .warmupDurationSecs"]),
        ("warmupDurationSecs: 10s, warmup: {duration: 10s}",
         ["E-VALUE .warmupDurationSecs", "W-LEGACY .warmupDurationSecs"]),
        ("backendUtilization: {}", ["W-VALUE .backendUtilization"]),
        ("backendUtilization: {blackoutPeriod: 10s, metrics: [a, {b: 1}]}", ["W-VALUE .backendUtilization"]),
        ("backendUtilization: {}, simple: RANDOM", ["E-ONEOF .simple"]),
    ],
)  # fmt: skip
def test_how_requests_are_spread(spec: str, problems: list[str]):
    assert sorted(part("loadBalancer", spec)) == sorted(problems)


@pytest.mark.spec("D-19", "D-20", "D-21", "D-22")
@pytest.mark.parametrize(
    ("setting", "problems"),
    [
        ("", []),
        ("enabled: false", []),
        ("distribute: [{from: us/west/*, to: {us/west/*: 80, us/east/*: 20}}]", []),
        ("distribute: [{from: us, to: {us: 100}}, {from: eu, to: {'*': 100}}]", []),
        ("distribute: [{from: '*', to: {us: 99, eu: 1}}]", []),
        ("distribute: [{to: {us: 100}}]", ["E-REQUIRED .distribute[0].from"]),
        ("distribute: [{from: us}]", ["E-VALUE .distribute[0].to"]),
        ("distribute: [{from: us, to: {us: 80, eu: 21}}]", ["E-VALUE .distribute[0].to"]),
        ("distribute: [{from: us, to: {us: 100, eu: 0}}]", ["E-VALUE .distribute[0].to.eu"]),
        ("distribute: [{from: us, to: {us: 101}}]", ["E-VALUE .distribute[0].to.us"]),
        ("distribute: [{from: us//a, to: {us: 100}}]", ["E-VALUE .distribute[0].from"]),
        ("distribute: [{from: '', to: {us: 100}}]", ["E-VALUE .distribute[0].from"]),
        ("distribute: [{from: us/*/a, to: {us: 100}}]", ["E-VALUE .distribute[0].from"]),
        ("distribute: [{from: '*/*', to: {us: 100}}]", ["E-VALUE .distribute[0].from"]),
        ("distribute: [{from: us/a/b/c, to: {us: 100}}]", ["E-VALUE .distribute[0].from"]),
        ("distribute: [{from: us*, to: {us: 100}}]", ["W-VALUE .distribute[0].from"]),
        ("distribute: [{from: us, to: {us/a: 50, us/*: 50}}]", ["E-VALUE .distribute[0].to.us/*"]),
        ("distribute: [{from: us, to: {us/a/b: 50, us/a/c: 50}}]", []),
        ("distribute: [{from: us, to: {us/a/b: 50, us/a: 50}}]", ["E-VALUE .distribute[0].to.us/a"]),
        ("distribute: [{from: us/a, to: {us: 100}}, {from: us/*, to: {us: 100}}]", ["E-VALUE .distribute[1].from"]),
        ("distribute: [{from: '*', to: {us: 100}}, {from: eu, to: {us: 100}}]", ["E-VALUE .distribute[1].from"]),
        ("failover: [{from: us, to: eu}]", []),
        ("failover: [{from: us, to: us}]", ["E-VALUE .failover[0].to"]),
        ("failover: [{from: us/a, to: eu}]", ["E-VALUE .failover[0].from"]),
        ("failover: [{from: us, to: '*'}]", ["E-VALUE .failover[0].to"]),
        ("failover: [{from: us}]", ["E-REQUIRED .failover[0].to"]),
        ("failover: [{from: us, to: eu}], distribute: [{from: us, to: {us: 100}}]", ["E-ONEOF .distribute"]),
        ("failover: [], distribute: [{from: us, to: {us: 100}}]", []),
        ("failoverPriority: [topology.kubernetes.io/region, version=v1]", []),
        ("failoverPriority: [version, topology.kubernetes.io/zone], failover: [{from: us, to: eu}]",
         ["E-VALUE .failoverPriority[1]"]),
        ("failoverPriority: [topology.istio.io/subzone=a], failover: [{from: us, to: eu}]", []),
    ],
)  # fmt: skip
def test_localities(setting: str, problems: list[str]):
    found = policy(f"outlierDetection: {{}}, loadBalancer: {{localityLbSetting: {{{setting}}}}}")

    assert [problem.replace(" .loadBalancer.localityLbSetting", " ") for problem in found] == problems


@pytest.mark.spec("D-24")
@pytest.mark.parametrize(
    ("setting", "problems"),
    [
        ("", []),
        ("enabled: false, minClusterSize: 1, failover: [{from: us, to: eu}], failoverPriority: [version]", []),
        ("minClusterSize: 0", ["E-VALUE .minClusterSize"]),
        ("failover: [{from: us, to: us/a}]", ["E-VALUE .failover[0].to"]),
        ("failoverPriority: [topology.kubernetes.io/region]", ["E-VALUE .failoverPriority[0]"]),
        ("distribute: []", ["E-FIELD .distribute"]),
    ],
)
def test_zones(setting: str, problems: list[str]):
    found = policy(f"outlierDetection: {{}}, loadBalancer: {{zoneAwareLbSetting: {{{setting}}}}}")

    assert [problem.replace(" .loadBalancer.zoneAwareLbSetting", " ") for problem in found] == problems


@pytest.mark.spec("D-24")
def test_localities_are_weighed_in_one_way():
    assert part("loadBalancer", "localityLbSetting: {}, zoneAwareLbSetting: {}") == ["E-ONEOF .zoneAwareLbSetting"]


@pytest.mark.spec("D-21", "D-22", "D-24")
@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("localityLbSetting: {failover: [{from: us, to: eu}]}", "localityLbSetting.failover"),
        ("localityLbSetting: {failoverPriority: [version]}", "localityLbSetting.failoverPriority"),
        ("zoneAwareLbSetting: {failover: [{from: us, to: eu}]}", "zoneAwareLbSetting.failover"),
    ],
)
def test_failover_needs_outlier_detection_on_the_same_level(setting: str, name: str):
    balancer = f"loadBalancer: {{{setting}}}"
    outliers = "outlierDetection: {}"

    assert policy(f"{balancer}, {outliers}") == []
    assert policy(balancer) == [f"W-VALUE .loadBalancer.{name}"]
    assert policy(f"{outliers}, portLevelSettings: [{{port: {{number: 80}}, {balancer}}}]") == [
        f"W-VALUE .portLevelSettings[0].loadBalancer.{name}"
    ]
    assert rule(f"trafficPolicy: {{{outliers}}}, subsets: [{{name: v1, trafficPolicy: {{{balancer}}}}}]") == [
        f"W-VALUE subsets[0].trafficPolicy.loadBalancer.{name}"
    ]


@pytest.mark.spec("D-30", "D-31", "D-32", "D-33", "D-34", "D-35", "D-36", "D-37", "D-38", "D-39", "D-40", "D-41")
@pytest.mark.spec("D-42", "D-43", "D-44")
@pytest.mark.parametrize(
    ("pool", "problems"),
    [
        ("", ["E-VALUE "]),
        ("tcp: {}", []),
        ("tcp: {maxConnections: 0, idleTimeout: 0s}", []),
        ("tcp: {maxConnections: -1}", ["E-VALUE .tcp.maxConnections"]),
        ("tcp: {maxConnections: 2147483648}", ["E-VALUE .tcp.maxConnections"]),
        ("tcp: {connectTimeout: 0s}", ["E-VALUE .tcp.connectTimeout"]),
        ("tcp: {maxConnectionDuration: 100us}", ["E-VALUE .tcp.maxConnectionDuration"]),
        ("tcp: {tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}}", []),
        ("tcp: {tcpKeepalive: {time: 0s}}", ["E-VALUE .tcp.tcpKeepalive.time"]),
        ("tcp: {tcpKeepalive: {probes: -1}}", ["E-VALUE .tcp.tcpKeepalive.probes"]),
        ("http: {http1MaxPendingRequests: 0, http2MaxRequests: 0, maxRetries: 0, maxRequestsPerConnection: 0}", []),
        ("http: {http1MaxPendingRequests: -1}", ["E-VALUE .http.http1MaxPendingRequests"]),
        ("http: {http2MaxRequests: -1}", ["E-VALUE .http.http2MaxRequests"]),
        ("http: {maxRequestsPerConnection: 536870913}", ["E-VALUE .http.maxRequestsPerConnection"]),
        ("http: {maxRetries: -1}", ["E-VALUE .http.maxRetries"]),
        ("http: {idleTimeout: 0s}", ["E-VALUE .http.idleTimeout"]),
        ("http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 10}", []),
        ("http: {maxConcurrentStreams: -1}", ["E-VALUE .http.maxConcurrentStreams"]),
        ("http: {h2UpgradePolicy: YES}", ["E-SCALAR .http.h2UpgradePolicy"]),
        ("http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}", ["E-VALUE .http.useClientProtocol"]),
        ("http: {h2UpgradePolicy: DO_NOT_UPGRADE, useClientProtocol: true}", []),
        ("http: {http2KeepAlive: {interval: 15s, timeout: 5s}}", []),
        ("http: {http2KeepAlive: {interval: 15s}}", ["E-REQUIRED .http.http2KeepAlive.timeout"]),
        ("http: {http2KeepAlive: {interval: 0s, timeout: 5s}}", ["E-VALUE .http.http2KeepAlive.interval"]),
    ],
)
def test_connection_pools(pool: str, problems: list[str]):
    assert part("connectionPool", pool) == problems


@pytest.mark.spec("D-50", "D-51", "D-52", "D-53", "D-54", "D-55", "D-56", "D-57", "D-58", "D-59")
@pytest.mark.parametrize(
    ("outliers", "problems"),
    [
        ("", []),
        ("consecutive5xxErrors: 0, consecutiveGatewayErrors: 4294967295", []),
        ("consecutive5xxErrors: -1", ["E-VALUE .consecutive5xxErrors"]),
        ("consecutiveErrors: 3", ["W-LEGACY .consecutiveErrors"]),
        ("interval: 0s", ["E-VALUE .interval"]),
        ("interval: 1ms, baseEjectionTime: 1ms", []),
        ("baseEjectionTime: 10us", ["E-VALUE .baseEjectionTime"]),
        ("maxEjectionPercent: 101", ["E-VALUE .maxEjectionPercent"]),
        ("maxEjectionPercent: 0, minHealthPercent: 100", []),
        ("minHealthPercent: -1", ["E-VALUE .minHealthPercent"]),
        ("consecutiveLocalOriginFailures: 3", ["E-VALUE .consecutiveLocalOriginFailures"]),
        ("consecutiveLocalOriginFailures: 0", []),
        ("consecutiveLocalOriginFailures: 3, splitExternalLocalOriginErrors: true", []),
        ("outlierDetectionHttpErrorCodes: [100, 599]", []),
        ("outlierDetectionHttpErrorCodes: [600]", ["E-VALUE .outlierDetectionHttpErrorCodes[0]"]),
    ],
)
def test_outlier_detection(outliers: str, problems: list[str]):
    assert part("outlierDetection", outliers) == problems


PAIR = "clientCertificate: /c.pem, privateKey: /k.pem"


@pytest.mark.spec("D-70", "D-71", "D-72", "D-73", "D-74", "D-75", "D-76", "D-77", "D-78", "D-79", "D-81", "D-82")
@pytest.mark.parametrize(
    ("tls", "problems"),
    [
        ("", []),
        ("mode: DISABLE, sni: a", ["W-VALUE .sni"]),
        (f"{PAIR}, insecureSkipVerify: true, subjectAltNames: [a]",
         ["W-VALUE .clientCertificate", "W-VALUE .privateKey", "W-VALUE .subjectAltNames",
          "W-VALUE .insecureSkipVerify"]),
        ("mode: OFF", ["E-SCALAR .mode"]),
        ("mode: TLS", ["E-VALUE .mode"]),
        ("mode: SIMPLE", []),
        ("mode: SIMPLE, caCertificates: /ca.pem, subjectAltNames: [a], sni: a, caCrl: /ca.crl", []),
        ("mode: SIMPLE, caCertificates: system, sni: ''", []),
        ("mode: SIMPLE, sni: %s" % (256 * "a"), ["E-VALUE .sni"]),
        ("mode: SIMPLE, clientCertificate: /c.pem", ["W-VALUE .clientCertificate"]),
        ("mode: SIMPLE, credentialName: a", []),
        ("mode: SIMPLE, credentialName: shop/edge", []),
        ("mode: SIMPLE, credentialName: ../edge", ["E-VALUE .credentialName"]),
        ("mode: SIMPLE, credentialName: 'kubernetes://edge'", ["E-VALUE .credentialName"]),
        ("mode: SIMPLE, credentialName: a, caCertificates: /ca.pem", ["E-VALUE .caCertificates"]),
        ("mode: SIMPLE, credentialName: a, clientCertificate: ''", []),
        (f"mode: MUTUAL, {PAIR}", []),
        (f"mode: MUTUAL, {PAIR}, caCertificates: /ca.pem, caCrl: /ca.crl", []),
        ("mode: MUTUAL, clientCertificate: /c.pem", ["E-REQUIRED "]),
        ("mode: MUTUAL", ["E-REQUIRED ", "E-REQUIRED "]),
        ("mode: MUTUAL, credentialName: a", []),
        (f"mode: MUTUAL, credentialName: a, {PAIR}, caCrl: /ca.crl",
         ["E-VALUE .clientCertificate", "E-VALUE .privateKey", "E-VALUE .caCrl"]),
        ("mode: SIMPLE, insecureSkipVerify: true", ["W-TLS-INSECURE .insecureSkipVerify"]),
        ("mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca.pem, subjectAltNames: [a]",
         ["E-VALUE .caCertificates", "E-VALUE .subjectAltNames", "W-TLS-INSECURE .insecureSkipVerify"]),
        ("mode: SIMPLE, insecureSkipVerify: true, credentialName: a",
         ["E-VALUE .credentialName", "W-TLS-INSECURE .insecureSkipVerify"]),
        ("mode: MUTUAL, insecureSkipVerify: true, credentialName: a", ["W-TLS-INSECURE .insecureSkipVerify"]),
        (f"mode: MUTUAL, insecureSkipVerify: true, {PAIR}, subjectAltNames: [a]",
         ["E-VALUE .subjectAltNames", "W-TLS-INSECURE .insecureSkipVerify"]),
        ("mode: SIMPLE, insecureSkipVerify: true, caCrl: /ca.crl",
         ["W-TLS-INSECURE .insecureSkipVerify", "W-VALUE .caCrl"]),
        ("mode: ISTIO_MUTUAL, sni: a, subjectAltNames: [spiffe://a]", []),
        (f"mode: ISTIO_MUTUAL, {PAIR}", ["W-VALUE .clientCertificate", "W-VALUE .privateKey"]),
        ("mode: ISTIO_MUTUAL, credentialName: a, caCertificates: /ca.pem, caCrl: /ca.crl, insecureSkipVerify: true",
         ["W-VALUE .credentialName", "W-VALUE .caCertificates", "W-VALUE .caCrl", "W-VALUE .insecureSkipVerify"]),
    ],
)  # fmt: skip
def test_how_tls_is_opened(tls: str, problems: list[str]):
    assert sorted(part("tls", tls)) == sorted(problems)
