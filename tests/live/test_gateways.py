"""A gateway at work: hosts, redirects, TLS in its modes, names and bytes (spec section 4)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, only
from tests.live.requests import Ask, Exchange, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("web", "redirecting", "simple", "mutual", "optional", "open", "passed", "ended", "bytes", "ordered")


def _server(listener: str, protocol: str, hosts: str, tls: str = "") -> str:
    ending = f"\n    tls: {tls}" if tls else ""
    return f"""
  - port: {{number: ${listener}, name: {listener}, protocol: {protocol}}}
    bind: 127.0.0.1
    hosts: {hosts}{ending}"""


_PAIR = "serverCertificate: $gateway_chain, privateKey: $gateway_key"
_WITH_CA = f"{_PAIR}, caCertificates: $ca"

DOCUMENTS = f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: edge}}
spec: {{address: 10.255.255.1, labels: {{istio: ingressgateway, zone: edge}}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
{_server("web", "HTTP", '["*.live"]')}
{_server("redirecting", "HTTP", '["*.tls.live"]', "{httpsRedirect: true}")}
{_server("simple", "HTTPS", '["*.tls.live"]', f"{{mode: SIMPLE, {_PAIR}, minProtocolVersion: TLSV1_3}}")}
{_server("mutual", "HTTPS", '["*.tls.live"]', f"{{mode: MUTUAL, {_WITH_CA}}}")}
{_server("optional", "HTTPS", '["*.tls.live"]', f"{{mode: OPTIONAL_MUTUAL, {_WITH_CA}}}")}
{_server("open", "HTTPS", '["*.tls.live"]', f"{{mode: MUTUAL, {_WITH_CA}, insecureSkipVerify: true}}")}
{_server("passed", "TLS", '["*.live"]', "{mode: PASSTHROUGH}")}
{_server("ended", "TLS", '["*.tls.live"]', f"{{mode: SIMPLE, {_PAIR}}}")}
{_server("bytes", "TCP", '["*"]')}
{_server("ordered", "TCP", '["*"]')}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: backend}}
spec:
  hosts: [backend.internal]
  resolution: STATIC
  ports: [{{number: 80, name: http}}, {{number: 81, name: tcp}}, {{number: 443, name: tls}}]
  addresses: [10.255.255.3]
  endpoints:
  - {{address: 127.0.0.1, ports: {{http: $v1, tcp: $v1, tls: $secure}}, labels: {{version: v1}}}}
  - {{address: 127.0.0.1, ports: {{http: $v2, tcp: $v2, tls: $mutual_backend}}, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: backend}}
spec:
  host: backend.internal
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
""".replace("$mutual_backend", "$secure2")


def _to(version: str, port: int = 80) -> str:
    return f"route: [{{destination: {{host: backend.internal, subset: {version}, port: {{number: {port}}}}}}}]"


def bound(id: str, rules: str, *exchanges: Exchange, hosts: str = "[$host]", more: str = "") -> Case:  # noqa: A002
    """A VirtualService of the Gateway."""
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: $name}\nspec:\n"
    return only(id, *exchanges, mesh=f"{head}  hosts: {hosts}\n  gateways: [front]\n{rules}\n{more}")


WEB = get().through("web")
_ONE_NAME = "[secured.tls.live]"

CASES = (
    bound(
        "V-26-what-no-rule-takes-is-404",
        f"  http:\n  - match: [{{uri: {{prefix: /a}}}}]\n    {_to('v1')}",
        get("/a").through("web").gives(by="v1"),
        WEB.gives(404),
        WEB.to("nobody.live").gives(404),
        WEB.to("elsewhere.example").gives(404),
    ),
    bound(
        "V-38-the-gateway-is-the-source",
        f"  http:\n  - match: [{{sourceLabels: {{zone: edge}}}}]\n    {_to('v2')}\n  - {_to('v1')}",
        WEB.gives(by="v2"),
    ),
    bound(
        "V-37-the-port-is-the-servers",
        f"  http:\n  - match: [{{port: $web}}]\n    {_to('v2')}\n  - {_to('v1')}",
        WEB.gives(by="v2"),
    ),
    bound(
        "V-40-a-match-for-the-mesh-is-not-for-a-gateway",
        f"  http:\n  - match: [{{gateways: [mesh]}}]\n    {_to('v2')}\n"
        f"  - match: [{{gateways: [front]}}]\n    {_to('v1')}",
        WEB.gives(by="v1"),
    ),
    bound(
        "V-8-catch-alls-of-one-host-come-last",
        f"  http:\n  - {_to('v1')}",
        get("/b").through("web").gives(by="v2"),
        WEB.gives(by="v1"),
        more=f"""---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: z-$name}}
spec:
  hosts: [$host]
  gateways: [front]
  http:
  - match: [{{uri: {{prefix: /b}}}}]
    {_to("v2")}
""",
    ),
    bound(
        "V-31-a-wildcard-host-is-for-what-nobody-else-has",
        f"  http:\n  - {_to('v2')}",
        WEB.to("any.wild.live").gives(by="v2", sent_host="any.wild.live"),
        hosts='["*.wild.live"]',
    ),
    bound(
        "G-4-secured",
        "  http:\n  - match: [{uri: {prefix: /away}}]\n    redirect: {uri: /there, authority: $host, port: 443}\n"
        f"  - {_to('v1')}",
        get("/x").to("secured.tls.live", "redirecting").gives(301, headers={"location": "https://secured.tls.live/x"}),
        get("/x").to("never.tls.live", "redirecting").gives(301, headers={"location": "https://never.tls.live/x"}),
        get().through("simple").over_tls("secured.tls.live").gives(by="v1"),
        get().through("simple").over_tls("secured.tls.live").in_http2().gives(by="v1"),
        get().through("simple").over_tls("never.tls.live").gives(404),
        get("/away")
        .through("simple")
        .over_tls("secured.tls.live")
        .gives(301, headers={"location": "https://g-4-secured.live/there"}),
        get().through("mutual").over_tls("secured.tls.live", "client").gives(by="v1"),
        get().through("mutual").over_tls("secured.tls.live").is_refused(),
        get().through("mutual").over_tls("secured.tls.live", "stranger").is_refused(),
        get().through("optional").over_tls("secured.tls.live").gives(by="v1", sent={"x-forwarded-client-cert": None}),
        get().through("optional").over_tls("secured.tls.live", "client").gives(by="v1"),
        get().through("optional").over_tls("secured.tls.live", "stranger").is_refused(),
        get().through("open").over_tls("secured.tls.live").gives(by="v1"),
        get().through("open").over_tls("secured.tls.live", "stranger").gives(by="v1"),
        hosts=_ONE_NAME,
    ),
    bound(
        "X-8-passed-on-by-name",
        f"  tls:\n  - match: [{{sniHosts: [secure.live]}}]\n    {_to('v1', 443)}",
        get().through("passed").over_tls("secure.live").gives(by="secure", tls={"sni": "secure.live"}),
        get().through("passed").over_tls("other.live").is_refused(),
        hosts="[secure.live]",
    ),
    bound(
        "V-5-bytes-behind-tls",
        f"  tcp:\n  - match: [{{port: $ended}}]\n    {_to('v2', 81)}",
        get().through("ended").over_tls("bytes.tls.live").gives(by="v2"),
        hosts="[bytes.tls.live]",
    ),
    bound(
        "V-112-bytes-by-source-and-in-order",
        f"""  tcp:
  - match: [{{port: $bytes, sourceSubnet: 127.0.0.2}}]
    {_to("v2", 81)}
  - match: [{{port: $bytes}}]
    {_to("v1", 81)}
  - match: [{{port: $ordered, destinationSubnets: [127.0.0.0/8]}}]
    {_to("v1", 81)}
  - match: [{{port: $ordered, destinationSubnets: [127.0.0.1]}}]
    {_to("v2", 81)}""",
        WEB.through("bytes").gives(by="v1"),
        WEB.through("ordered").gives(by="v1"),
    ),
)


def test_requests_and_connections_go_where_the_gateway_sends_them(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


@pytest.mark.spec("V-112")
def test_connections_of_a_network_have_a_rule_of_their_own(live: Live):
    case = next(each for each in CASES if each.id.startswith("V-112"))
    from_there = Ask(listener="bytes", source="127.0.0.2")

    assert live.send(from_there, case).by == "v2"


@pytest.mark.spec("G-4.2", "G-4.16")
def test_who_the_client_is_goes_on_to_the_backend(live: Live):
    case = next(each for each in CASES if each.id == "G-4-secured")
    forged = get(x_forwarded_client_cert="forged").through("mutual").over_tls("secured.tls.live", "client")

    (sent,) = live.send(forged, case).sent("x-forwarded-client-cert")

    assert "CN=the client" in sent
    assert "DNS=vm-1.live" in sent
    assert "forged" not in sent
