"""MeshConfig: the settings of the mesh, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "domainSuffix: mesh.internal, rootNamespace: mesh-root, trustDomain: mesh.internal",
        "connectTimeout: 3s, dnsRefreshRate: 1m, httpProxyPort: 15080, proxyListenPort: 1, proxyInboundPort: 2",
        "systemCaFile: /ca.pem, secretRoot: /secrets",
        "localityLb: {enabled: false}, autoMtls: false",
        "defaultHttpRetryPolicy: {attempts: 2, retryOn: 5xx}",
        "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: egress.example, port: {number: 80}}}",
        "identity: {certChain: /a, key: /b, rootCert: /c}",
        "egressGateway: {host: egress.example, selector: {istio: egress}}, ingressGateway: {selector: {istio: in}}",
        "networks: {n1: {gateways: [{address: 192.0.2.1}, {address: '2001:db8::1', port: 443}]}}",
        "features: {mongo: true, redis: false, mysql: false}",
    ],
)
def test_settings(spec: str):
    assert verdict("MeshConfig", f"{{{spec}}}") == []


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("domainSuffix: a_b", ["E-VALUE domainSuffix"]),
        ("rootNamespace: a.b", ["E-VALUE rootNamespace"]),
        ("trustDomain: 'spiffe://a'", ["E-VALUE trustDomain"]),
        ("connectTimeout: 0s", ["E-VALUE connectTimeout"]),
        ("dnsRefreshRate: 5", ["E-TYPE dnsRefreshRate"]),
        ("features: {mysql: true}", ["W-VALUE features.mysql"]),
        ("httpProxyPort: 0", ["E-VALUE httpProxyPort"]),
        ("httpProxyPort: 15001", ["E-VALUE httpProxyPort"]),
        ("proxyListenPort: 15006", ["E-VALUE proxyInboundPort"]),
        ("proxyListenPort: 1, proxyInboundPort: 1, httpProxyPort: 2", ["E-VALUE proxyInboundPort"]),
        ("systemCaFile: ca.pem", ["E-VALUE systemCaFile"]),
        ("secretRoot: secrets", ["E-VALUE secretRoot"]),
        ("autoMtls: 'yes'", ["E-TYPE autoMtls"]),
        ("defaultHttpRetryPolicy: {attempts: 2, retryOn: foo}", ["E-VALUE defaultHttpRetryPolicy.retryOn"]),
        ("outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}", ["E-VALUE outboundTrafficPolicy.mode"]),
        ("outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.example}}",
         ["E-REQUIRED outboundTrafficPolicy.egressProxy.port"]),
        ("identity: {key: key.pem}", ["E-VALUE identity.key"]),
        ("egressGateway: {host: '*.example'}", ["E-VALUE egressGateway.host"]),
        ("ingressGateway: {selector: {istio: 'a b'}}", ["E-VALUE ingressGateway.selector.istio"]),
        ("networks: {n1: {}}", ["E-REQUIRED networks.n1.gateways"]),
        ("networks: {n1: {gateways: []}}", ["E-VALUE networks.n1.gateways"]),
        ("networks: {n1: {gateways: [{address: edge.example}]}}", ["E-VALUE networks.n1.gateways[0].address"]),
        ("networks: {n1: {gateways: [{address: 192.0.2.1, port: 0}]}}", ["E-VALUE networks.n1.gateways[0].port"]),
        ("networks: {n1: null}", ["E-TYPE networks.n1"]),
        ("networks: {'': {gateways: [{address: 192.0.2.1}]}}", ["E-VALUE networks."]),
        ("features: {kafka: true}", ["E-FIELD features.kafka"]),
    ],
)  # fmt: skip
def test_settings_that_are_wrong(spec: str, problems: list[str]):
    assert verdict("MeshConfig", f"{{{spec}}}") == problems


@pytest.mark.spec("E-UNSUPPORTED", "W-4")
def test_what_istio_says_of_networks_and_meshd_does_not_act_on_is_told():
    gateway = "{registryServiceName: edge.example, address: 192.0.2.1, locality: a}"

    assert verdict(
        "MeshConfig", f"networks: {{n1: {{endpoints: [{{fromCidr: 10.0.0.0/8}}], gateways: [{gateway}]}}}}"
    ) == [
        "E-UNSUPPORTED networks.n1.endpoints",
        "E-UNSUPPORTED networks.n1.gateways[0].registryServiceName",
        "E-UNSUPPORTED networks.n1.gateways[0].locality",
    ]
