"""`outboundProxies` of a MeshConfig, judged alone."""

from __future__ import annotations

import pytest

from tests.resources.judging import verdict


@pytest.mark.parametrize(
    "proxies",
    [
        "{host: proxy.corp.example, port: 3128}",
        "{host: 10.0.0.1, port: 8080, credentialName: corporate/main}",
        "{host: 'fd00::1', port: 3128, tls: {mode: SIMPLE}}",
        "{host: proxy, port: 443, tls: {mode: MUTUAL, clientCertificate: /a, privateKey: /b, caCertificates: /c}}",
        "{selector: {site: lab}, direct: true}, {host: proxy.corp.example, port: 3128}",
        "{host: p, port: 1, noProxy: [a, .b.example, '*.c.example', 10.0.0.0/8, 10.0.0.1]}",
        "{host: p, port: 1, noProxy: ['fd00::/8', '[fd00::1]:443']}",
        "{host: p, port: 1, noProxy: ['a.example:8443', '10.0.0.1:80', '.b:1', 'fd00::1']}",
    ],
)
def test_proxies(proxies: str):
    assert verdict("MeshConfig", f"{{outboundProxies: [{proxies}]}}") == []


@pytest.mark.parametrize(
    ("proxies", "problems"),
    [
        ("{port: 3128}", ["E-REQUIRED outboundProxies[0].host"]),
        ("{host: p}", ["E-REQUIRED outboundProxies[0].port"]),
        ("{host: 'http://p', port: 1}", ["E-VALUE outboundProxies[0].host"]),
        ("{host: p, port: 0}", ["E-VALUE outboundProxies[0].port"]),
        ("{host: p, port: 1, tls: {mode: ISTIO_MUTUAL}}", ["E-VALUE outboundProxies[0].tls.mode"]),
        (
            "{host: p, port: 1, tls: {mode: SIMPLE, insecureSkipVerify: true}}",
            ["W-TLS-INSECURE outboundProxies[0].tls.insecureSkipVerify"],
        ),
        ("{host: p, port: 1, credentialName: ../x}", ["E-VALUE outboundProxies[0].credentialName"]),
        ("{host: p, port: 1, credentialName: 'a:b'}", ["E-VALUE outboundProxies[0].credentialName"]),
        ("{host: p, port: 1, credentialName: 'a%b'}", ["E-VALUE outboundProxies[0].credentialName"]),
        ("{host: p, port: 1, noProxy: ['http://a']}", ["E-VALUE outboundProxies[0].noProxy[0]"]),
        ("{host: p, port: 1, noProxy: ['a:0']}", ["E-VALUE outboundProxies[0].noProxy[0]"]),
        ("{host: p, port: 1, noProxy: ['a:70000']}", ["E-VALUE outboundProxies[0].noProxy[0]"]),
        ("{host: p, port: 1, noProxy: ['a*.b']}", ["E-VALUE outboundProxies[0].noProxy[0]"]),
        ("{host: p, port: 1, noProxy: ['10.0.0.0/255.0.0.0']}", ["E-VALUE outboundProxies[0].noProxy[0]"]),
        ("{host: p, port: 1, noProxy: ['*']}", ["W-VALUE outboundProxies[0].noProxy"]),
        ("{direct: true, host: p}", ["E-VALUE outboundProxies[0].host"]),
        ("{direct: true, noProxy: [a]}", ["E-VALUE outboundProxies[0].noProxy"]),
        ("{host: p, port: 1}, {host: q, port: 1}", ["W-VALUE outboundProxies[1]"]),
    ],
)
def test_what_is_wrong_with_proxies(proxies: str, problems: list[str]):
    assert verdict("MeshConfig", f"{{outboundProxies: [{proxies}]}}") == problems


def test_credentials_cannot_be_below_a_path_that_envoy_cannot_be_told():
    spec = "{secretRoot: '/a b', outboundProxies: [{host: p, port: 1, credentialName: c}]}"

    assert verdict("MeshConfig", spec) == ["E-VALUE secretRoot"]
