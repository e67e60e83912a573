"""What the settings of the mesh mean, field by field."""

from __future__ import annotations

from datetime import timedelta

from meshd.decode import Kinds, decode_file
from meshd.registry.settings import DEFAULTS, MeshSettings, settle
from meshd.resources.destination import Destination, PortSelector
from meshd.resources.mesh_config import Features, MeshConfig, Network, NetworkGateway
from meshd.resources.retry import HTTPRetry


def settled(spec: str) -> MeshSettings:
    text = f"apiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {{name: mesh}}\nspec: {{{spec}}}\n"
    decoded = decode_file("mesh.yaml", text.encode(), Kinds(types=(MeshConfig,), not_yet={}))
    assert not decoded.problems
    (config,) = decoded.resources
    return settle(config)


def test_nothing_said_is_every_default():
    assert settled("") == DEFAULTS
    assert settled("egressGateway: {}, ingressGateway: {}, features: {}, localityLb: {}") == DEFAULTS


def test_every_setting_is_taken_over():
    settings = settled("""
        domainSuffix: Mesh.Internal., rootNamespace: root, trustDomain: mesh.internal., connectTimeout: 3s,
        defaultHttpRetryPolicy: {attempts: 1}, dnsRefreshRate: 5s, httpProxyPort: 1, proxyListenPort: 2,
        proxyInboundPort: 3, systemCaFile: /ca.pem, secretRoot: /secrets/, localityLb: {enabled: false},
        autoMtls: false, outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: out.example, port: {number: 80}}},
        egressGateway: {host: Out.Example., selector: {a: b}}, ingressGateway: {selector: {c: d}},
        networks: {n1: {gateways: [{address: 192.0.2.1}]}}, features: {redis: true},
        v1alpha1: {preserveDefaults: false, egressTlsVerify: false}
    """)

    assert (settings.domain_suffix, settings.root_namespace, settings.trust_domain) == (
        "mesh.internal",
        "root",
        "mesh.internal",
    )
    assert (settings.connect_timeout, settings.dns_refresh_rate) == (timedelta(seconds=3), timedelta(seconds=5))
    assert settings.default_http_retry_policy == HTTPRetry(attempts=1)
    assert (settings.http_proxy_port, settings.proxy_listen_port, settings.proxy_inbound_port) == (1, 2, 3)
    assert (settings.system_ca_file, settings.secret_root) == ("/ca.pem", "/secrets")
    assert not settings.locality_lb
    assert not settings.auto_mtls
    assert settings.allow_any
    assert settings.egress_proxy == Destination(host="out.example", port=PortSelector(number=80))
    assert (settings.egress_gateway_host, settings.egress_gateway_selector) == ("out.example", {"a": "b"})
    assert settings.ingress_gateway_selector == {"c": "d"}
    assert settings.networks == {"n1": Network(gateways=(NetworkGateway(address="192.0.2.1", port=15443),))}
    assert settings.features == Features(redis=True)
    assert not settings.preserve_v1alpha1_defaults
    assert not settings.verify_v1alpha1_egress


def test_the_identity_of_hosts_is_settled_file_by_file():
    identity = settled("identity: {key: /keys/key.pem}").identity

    assert identity.key == "/keys/key.pem"
    assert (identity.cert_chain, identity.root_cert) == (DEFAULTS.identity.cert_chain, DEFAULTS.identity.root_cert)


def test_the_egress_gateway_is_in_the_domain_of_the_mesh():
    assert (
        settled("domainSuffix: mesh.internal").egress_gateway_host == "istio-egressgateway.istio-system.mesh.internal"
    )


def test_unknown_traffic_is_dropped_unless_a_policy_says_otherwise():
    assert not settled("").allow_any
    assert not settled("outboundTrafficPolicy: {}").allow_any
    assert settled("outboundTrafficPolicy: {mode: ALLOW_ANY}").allow_any
