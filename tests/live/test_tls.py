"""TLS that the proxy opens: the name that is asked for, what is verified, and who the client says it is (spec 6.3)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case
from tests.live.requests import Exchange, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy


def to(backend: str, number: int = 80, protocol: str = "HTTP", more: str = "") -> str:
    return f"""
    ports: [{{number: {number}, name: web, protocol: {protocol}}}]
    resolution: STATIC
    endpoints: [{{address: 127.0.0.1, ports: {{web: ${backend}}}}}]
    {more}
    """


def secured(
    id: str,  # noqa: A002
    tls: str,
    *exchanges: Exchange,
    backend: str = "secure",
    authority: str = "",
    more: str = "",
) -> Case:
    """All requests go to one TLS backend; `authority`: the Host that the route makes of theirs."""
    rewrite = f"\n      rewrite: {{authority: {authority}}}" if authority else ""
    http = f"    - route: [{{destination: {{host: $host}}}}]\n      retries: {{}}{rewrite}"
    return case(id, *exchanges, http=http, policy=f"tls: {tls}", subsets="", entry=to(backend, more=more))


REFUSED = get().gives(503, headers={"x-backend": None})

CASES = (
    secured(
        "D-79-sni-and-name-come-from-the-Host",
        "{mode: SIMPLE, caCertificates: $ca}",
        get().to("$host").gives(503),
        get("/a").gives(503),
    ),
    secured(
        "D-79-a-rewritten-Host-is-the-name",
        "{mode: SIMPLE, caCertificates: $ca}",
        get("/a").gives(by="secure", path="/a", sent_host="secure.live", tls={"sni": "secure.live", "client": None}),
        authority="secure.live",
    ),
    secured(
        "D-79-the-port-of-a-Host-is-no-part-of-the-name",
        "{mode: SIMPLE, caCertificates: $ca}",
        get("/a").gives(by="secure", sent_host="secure.live:8443", tls={"sni": "secure.live"}),
        authority="'secure.live:8443'",
    ),
    secured(
        "D-80-the-name-must-be-in-the-certificate",
        "{mode: SIMPLE, caCertificates: $ca}",
        REFUSED,
        authority="elsewhere.live",
    ),
    secured(
        "D-76-the-chain-must-lead-to-the-given-authority",
        "{mode: SIMPLE, caCertificates: $ca}",
        REFUSED,
        backend="stranger",
        authority="secure.live",
    ),
    secured(
        "D-76-by-default-to-the-systems-authorities",
        "{mode: SIMPLE}",
        REFUSED,
        authority="secure.live",
    ),
    secured(
        "D-79-an-explicit-sni-is-sent-and-ends-the-automatic-check",
        "{mode: SIMPLE, caCertificates: $ca, sni: chosen.example}",
        get().gives(by="secure", sent_host="$host", tls={"sni": "chosen.example"}),
    ),
    secured(
        "D-79-an-empty-sni-is-an-absent-one",
        "{mode: SIMPLE, caCertificates: $ca, sni: ''}",
        get().gives(by="secure", tls={"sni": "secure.live"}),
        authority="secure.live",
    ),
    secured(
        "D-80-an-empty-sni-does-not-end-the-check",
        "{mode: SIMPLE, caCertificates: $ca, sni: ''}",
        REFUSED,
        authority="elsewhere.live",
    ),
    secured(
        "D-78-one-of-the-names-is-enough",
        "{mode: SIMPLE, caCertificates: $ca, subjectAltNames: [nobody.live, also.live]}",
        get().gives(by="secure", tls={"sni": "$host"}),
    ),
    secured(
        "D-78-a-URI-is-a-name",
        "{mode: SIMPLE, caCertificates: $ca, subjectAltNames: ['spiffe://live/secure']}",
        get().gives(by="secure"),
    ),
    secured(
        "D-78-names-are-exact",
        "{mode: SIMPLE, caCertificates: $ca, subjectAltNames: [live, ecure.live]}",
        REFUSED,
        authority="secure.live",
    ),
    secured(
        "S-12-names-of-the-ServiceEntry",
        "{mode: SIMPLE, caCertificates: $ca}",
        get().gives(by="secure"),
        more="subjectAltNames: [also.live]",
    ),
    secured(
        "S-12-a-wrong-name-of-the-ServiceEntry",
        "{mode: SIMPLE, caCertificates: $ca}",
        REFUSED,
        authority="secure.live",
        more="subjectAltNames: [nobody.live]",
    ),
    secured(
        "D-78-the-rules-names-replace-the-ServiceEntrys",
        "{mode: SIMPLE, caCertificates: $ca, subjectAltNames: [secure.live]}",
        get().gives(by="secure"),
        more="subjectAltNames: [nobody.live]",
    ),
    secured(
        "D-81-insecureSkipVerify-takes-anybody",
        "{mode: SIMPLE, insecureSkipVerify: true}",
        get().gives(by="stranger", tls={"sni": "$host"}),
        backend="stranger",
    ),
    secured(
        "D-81-insecureSkipVerify-beside-names-of-the-ServiceEntry",
        "{mode: SIMPLE, insecureSkipVerify: true}",
        get().gives(by="stranger"),
        backend="stranger",
        more="subjectAltNames: [nobody.live]",
    ),
    secured(
        "D-73-MUTUAL-shows-the-client-certificate",
        "{mode: MUTUAL, clientCertificate: $client_chain, privateKey: $client_key, caCertificates: $ca}",
        get().gives(by="mutual", tls={"client": "the client"}),
        backend="mutual",
        authority="secure.live",
    ),
    secured(
        "D-73-MUTUAL-verifies-the-server-too",
        "{mode: MUTUAL, clientCertificate: $client_chain, privateKey: $client_key, caCertificates: $ca}",
        REFUSED,
        backend="stranger",
        authority="secure.live",
    ),
    secured(
        "D-72-SIMPLE-shows-none-and-is-refused-by-who-asks",
        "{mode: SIMPLE, caCertificates: $ca, sni: secure.live}",
        REFUSED,
        backend="mutual",
    ),
    secured(
        "D-71-DISABLE-is-plain-text",
        "{mode: DISABLE}",
        get().gives(by="v1", tls={}),
        backend="v1",
    ),
    secured("D-70-tls-without-mode-is-DISABLE", "{}", get().gives(by="v1"), backend="v1"),
    # --- where the word stands ---
    case(
        "X-2-port-80-in-and-443-out",
        get("/in").gives(by="secure", path="/in", sent_host="secure.live", tls={"sni": "secure.live"}),
        http="    - {route: [{destination: {host: $host}}], rewrite: {authority: secure.live}}",
        subsets="",
        policy="portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE, caCertificates: $ca}}]",
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP, targetPort: $secure}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1}]
        """,
    ),
    case(
        "X-1-HTTP-to-a-TLS-port-of-the-same-service",
        get().gives(by="secure", tls={"sni": "secure.live"}),
        http="""
        - route: [{destination: {host: $host, port: {number: 443}}}]
          rewrite: {authority: secure.live}
        """,
        subsets="",
        policy="portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE, caCertificates: $ca, sni: secure.live}}]",
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http: $dead, https: $secure}}]
        """,
    ),
    case(
        "X-1-HTTP-to-a-TLS-port-without-sni",
        get().gives(by="secure", tls={"sni": "$host"}),
        http="    - route: [{destination: {host: $host, port: {number: 443}}}]",
        subsets="",
        policy="tls: {mode: SIMPLE, caCertificates: $ca, subjectAltNames: [secure.live]}",
        entry="""
        ports: [{number: 443, name: https, protocol: HTTPS}, {number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints: [{address: 127.0.0.1, ports: {http: $dead, https: $secure}}]
        """,
    ),
    case(
        "S-6-2-a-subset-with-its-own-tls",
        get("/secret").gives(by="secure"),
        get("/open").gives(by="v1"),
        http="""
        - match: [{uri: {exact: /secret}}]
          route: [{destination: {host: $host, subset: secret}}]
        - route: [{destination: {host: $host, subset: open}}]
        """,
        subsets="""
        - name: secret
          labels: {at: secure}
          trafficPolicy: {tls: {mode: SIMPLE, caCertificates: $ca, sni: secure.live}}
        - {name: open, labels: {at: open}}
        """,
        entry="""
        ports: [{number: 80, name: http, protocol: HTTP}]
        resolution: STATIC
        endpoints:
        - {address: 127.0.0.1, ports: {http: $secure}, labels: {at: secure}}
        - {address: 127.0.0.1, ports: {http: $v1}, labels: {at: open}}
        """,
    ),
)


def test_tls(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


def test_http_1_offers_no_protocol_and_http_2_does(live: Live):
    """D-83 for clusters that speak HTTP/1."""
    rewritten = next(case for case in CASES if case.id == "D-79-a-rewritten-Host-is-the-name")

    assert live.send(get(), rewritten).told["tls"]["alpn"] is None
