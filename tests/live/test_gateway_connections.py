"""Bytes that come in by a gateway, in plain text, in TLS that ends there or passes through (spec 4.2, 5.10, 5.11)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, only
from tests.live.gateways import WORKLOAD
from tests.live.requests import Ask, Exchange, Secure, get, opened
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("raw", "chosen", "picky", "nobody", "tls", "first", "beside", "every", "east", "raw_socket")

FILES = "serverCertificate: $gateway_chain, privateKey: $gateway_key"


def tcp(name: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: ${name}, name: tcp, protocol: TCP}}, hosts: ["*"]}}
---
"""


def rules(name: str, routes: str, gateways: str = "", hosts: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{hosts or f"{name}.example"}]
  gateways: [{gateways or name}]
{routes.strip(chr(10))}
---
"""


def to(backend: str, gateways: str, hosts: str) -> str:
    """By `tcp` rules that have no conditions."""
    return rules(f"to-{backend}", f"  tcp: [{{route: [{route(backend)}]}}]", gateways, hosts)


def service(name: str, backend: str = "", protocol: str = "TCP") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.backend]
  resolution: STATIC
  ports: [{{number: 9000, name: tcp, protocol: {protocol}}}]
  endpoints: [{{address: 127.0.0.1, ports: {{tcp: ${backend or name}}}}}]
---
"""


def route(backend: str) -> str:
    return f"{{destination: {{host: {backend}.backend}}}}"


DOCUMENTS = f"""
{WORKLOAD}
{"".join(map(service, ("v1", "v2", "v3", "secure", "secure2", "mutual")))}
{service("requests", "v3", "HTTP")}
{"".join(map(tcp, ("raw", "chosen", "picky", "nobody")))}
{rules("raw", f"  tcp: [{{route: [{route('v1')}]}}]", "raw, socket")}
{
    rules(
        "chosen",
        f'''
  tcp:
  - match: [{{sourceLabels: {{app: web}}}}, {{port: 1}}, {{gateways: [mesh]}}, {{sourceNamespace: partner}}]
    route: [{route("v1")}]
  - match: [{{destinationSubnets: [127.0.0.8], sourceSubnet: 127.0.0.2}}, {{sourceSubnet: 127.0.0.3/32}}]
    route: [{route("v3")}]
  - match: [{{destinationSubnets: [127.0.0.8/31], port: $chosen}}]
    route: [{route("v2")}]
  - match: [{{destinationSubnets: [127.0.0.9/32]}}]
    route: [{route("v3")}]
  - match: [{{sourceLabels: {{tier: edge}}, port: $chosen, gateways: [chosen], sourceNamespace: default}}]
    route: [{route("v1")}]
''',
        "mesh, chosen",
        "chosen.example",
    )
}
{rules("picky", f"  tcp: [{{match: [{{destinationSubnets: [127.0.0.8]}}], route: [{route('v2')}]}}]")}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: socket}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 0, name: tcp, protocol: MYSQL}}, hosts: ["*"], bind: "unix://$raw_socket"}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: tls}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: $tls, name: tls, protocol: TLS}}
    hosts: [term.tls.live]
    tls: {{mode: SIMPLE, {FILES}}}
  - port: {{number: $tls, name: tls-mutual, protocol: TLS}}
    hosts: [mutual.tls.live]
    tls: {{mode: MUTUAL, {FILES}, caCertificates: $ca}}
  - port: {{number: $tls, name: tls-below, protocol: TLS}}
    hosts: ["*.below.tls.live"]
    tls: {{mode: SIMPLE, {FILES}}}
  - port: {{number: $tls, name: https, protocol: HTTPS}}
    hosts: [web.tls.live]
    tls: {{mode: SIMPLE, {FILES}}}
  - port: {{number: $tls, name: pass, protocol: TLS}}
    hosts: [secure.live, also.live, "*.pass.live"]
    tls: {{mode: PASSTHROUGH}}
---
{to("v1", "tls", "term.tls.live")}
{to("v2", "tls", "mutual.tls.live, b.below.tls.live")}
{to("v3", "tls", "a.below.tls.live")}
{rules("web", f"  http: [{{route: [{route('requests')}]}}]", "tls, first, beside, every", '"*.tls.live"')}
{
    rules(
        "pass",
        f'''
  tls:
  - match: [{{sniHosts: [secure.live]}}]
    route: [{route("secure")}]
  - match: [{{sniHosts: [also.live], port: 1}}, {{sniHosts: [also.live], sourceLabels: {{app: web}}}}]
    route: [{route("secure")}]
  - match: [{{sniHosts: [also.live], destinationSubnets: [127.0.0.8]}}]
    route: [{route("secure2")}]
  - match: [{{sniHosts: [also.live]}}, {{sniHosts: [mutual.pass.live]}}]
    route: [{route("mutual")}]
  - match: [{{sniHosts: ["*.pass.live"], gateways: [tls], port: $tls}}]
    route: [{route("secure2")}]
''',
        "tls",
        'secure.live, also.live, "*.pass.live"',
    )
}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: first}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: $first, name: https, protocol: HTTPS}}, hosts: ["*"], tls: {{mode: SIMPLE, {FILES}}}}}
  - {{port: {{number: $first, name: pass, protocol: TLS}}, hosts: [secure.live], tls: {{mode: PASSTHROUGH}}}}
---
{
    rules(
        "in-order",
        f'''
  tls:
  - match: [{{sniHosts: [secure.live], destinationSubnets: [127.0.0.0/8]}}]
    route: [{route("secure")}]
  - match: [{{sniHosts: [secure.live], destinationSubnets: [127.0.0.8]}}]
    route: [{route("secure2")}]
''',
        "first",
        "secure.live",
    )
}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: beside}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: $beside, name: https, protocol: HTTPS}}, hosts: [web.tls.live], tls: {{mode: SIMPLE, {FILES}}}}}
  - {{port: {{number: $beside, name: pass, protocol: TLS}}, hosts: [secure.live], tls: {{mode: PASSTHROUGH}}}}
---
{
    rules(
        "of-an-address",
        f'''
  tls:
  - match: [{{sniHosts: [secure.live], destinationSubnets: [127.0.0.8]}}]
    route: [{route("secure")}]
''',
        "beside",
        "secure.live",
    )
}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: every}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: $every, name: pass, protocol: TLS}}, hosts: ["*"], tls: {{mode: PASSTHROUGH}}}}
  - {{port: {{number: $every, name: https, protocol: HTTPS}}, hosts: [web.tls.live], tls: {{mode: SIMPLE, {FILES}}}}}
---
{
    rules(
        "of-every-name",
        f'''
  tls:
  - match: [{{sniHosts: [also.live], destinationSubnets: [127.0.0.8]}}]
    route: [{route("mutual")}]
  - match: [{{sniHosts: ["*"]}}]
    route: [{{destination: {{host: secure.backend}}, weight: 1}}, {{destination: {{host: secure2.backend}}, weight: 0}}]
''',
        "every",
        '"*"',
    )
}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: east}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: $east, name: tls, protocol: TLS}}
    hosts: ["*.inside.live", "default/own.live"]
    tls: {{mode: AUTO_PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: inside}}
spec:
  hosts: [a.inside.live, a.outside.live]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{http: $secure}}, labels: {{version: one}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: foreign}}
spec:
  hosts: [foreign.inside.live]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: $secure}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: inside}}
spec:
  host: a.inside.live
  trafficPolicy: {{tls: {{mode: SIMPLE, caCertificates: $ca}}}}
  subsets: [{{name: one, labels: {{version: one}}}}]
"""


def asked(id: str, *exchanges: Exchange) -> Case:  # noqa: A002
    return only(id, *exchanges, mesh="")


def tls(sni: str, pair: str = "", target: str = "127.0.0.1", listener: str = "tls") -> Ask:
    return get().through(listener, target).over_tls(sni, pair)


CASES = (
    asked(
        "V-5-bytes-go-where-the-tcp-rules-say",
        get("/a").to("any.thing", "raw").gives(by="v1", path="/a", sent_host="any.thing"),
        get().through("raw").gives(sent={"x-forwarded-for": None}),
        get("/a").to("any.thing", "raw_socket").gives(by="v1"),
    ),
    asked("G-3.3-a-TCP-server-without-rules-is-not-there", get().through("nobody").is_refused()),
    asked(
        "V-113-every-rule-and-every-condition",
        get().through("chosen").gives(by="v1"),
        get().through("chosen").out_of("127.0.0.2").gives(by="v1"),
        get().through("chosen").out_of("127.0.0.3").gives(by="v3"),
        get().through("chosen", "127.0.0.8").gives(by="v2"),
        get().through("chosen", "127.0.0.8").out_of("127.0.0.2").gives(by="v3"),
        get().through("chosen", "127.0.0.8").out_of("127.0.0.3").gives(by="v3"),
        get().through("chosen", "127.0.0.9").gives(by="v2"),
    ),
    asked(
        "V-110-what-no-rule-takes-is-closed",
        get().through("picky", "127.0.0.8").gives(by="v2"),
        get().through("picky").is_refused(),
    ),
    # --- TLS that ends here ---
    asked(
        "G-4.2-TLS-ends-and-bytes-go-on",
        tls("term.tls.live").gives(by="v1", tls={}, sent={"x-forwarded-proto": None}),
        tls("mutual.tls.live", "client").gives(by="v2"),
        tls("mutual.tls.live").is_refused(),
        tls("mutual.tls.live", "stranger").is_refused(),
        tls("web.tls.live").gives(by="v3", sent={"x-forwarded-proto": "https"}),
        tls("web.tls.live").to("term.tls.live").gives(404),
    ),
    asked(
        "V-1-VirtualServices-behind-one-TLS-server",
        tls("a.below.tls.live").gives(by="v3"),
        tls("b.below.tls.live").gives(by="v2"),
        tls("c.below.tls.live").gives(by="v2"),
    ),
    # --- TLS that passes ---
    asked(
        "G-4.2-PASSTHROUGH-by-server-name",
        tls("secure.live").gives(by="secure", tls={"sni": "secure.live"}),
        tls("mutual.pass.live", "client").gives(by="mutual", tls={"client": "the client"}),
        tls("mutual.pass.live").is_refused(),
        tls("x.pass.live").in_http2().gives(by="secure2", tls={"alpn": "h2"}),
        tls("pass.live").is_refused(),
        tls("nobody.live").is_refused(),
        tls("").is_refused(),
        get().to("secure.live", "tls").is_refused(),
    ),
    asked(
        "V-102-by-server-name-and-address",
        tls("also.live", "client").gives(by="mutual"),
        tls("also.live", target="127.0.0.8").gives(by="secure2"),
        tls("secure.live", target="127.0.0.8").gives(by="secure"),
        tls("x.pass.live", target="127.0.0.8").gives(by="secure2"),
        tls("term.tls.live", target="127.0.0.8").gives(by="v1"),
        tls("web.tls.live", target="127.0.0.8").gives(by="v3"),
    ),
    asked(
        "V-102-rules-in-their-order-beside-HTTPS-for-everybody",
        tls("secure.live", listener="first").gives(by="secure"),
        tls("secure.live", target="127.0.0.8", listener="first").gives(by="secure"),
        tls("web.tls.live", listener="first").gives(by="v3"),
        tls("web.tls.live", target="127.0.0.8", listener="first").gives(by="v3"),
    ),
    asked(
        "V-102-a-rule-for-an-address-hides-no-HTTPS-server",
        tls("secure.live", target="127.0.0.8", listener="beside").gives(by="secure"),
        tls("secure.live", listener="beside").is_refused(),
        tls("web.tls.live", listener="beside").gives(by="v3"),
        tls("web.tls.live", target="127.0.0.8", listener="beside").gives(by="v3"),
    ),
    asked(
        "V-101-every-server-name-beside-one-whose-TLS-ends-here",
        tls("secure.live", listener="every").gives(by="secure"),
        tls("also.live", target="127.0.0.8", listener="every").is_refused(),
        tls("also.live", "client", target="127.0.0.8", listener="every").gives(by="mutual"),
        tls("x.pass.live", target="127.0.0.8", listener="every").gives(by="secure"),
        tls("", listener="every").gives(by="secure", tls={"sni": None}),
        tls("web.tls.live", listener="every").gives(by="v3"),
        tls("web.tls.live", target="127.0.0.8", listener="every").gives(by="v3"),
        get().to("secure.live", "every").is_refused(),
    ),
)


def test_connections(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)


# --- AUTO_PASSTHROUGH -------------------------------------------------------------------------------------------


def passed(live: Live, name: str, alpn: str = "istio") -> bytes:
    """What the backend answers to who asks for this name in TLS of the mesh."""
    secure = Secure(sni=name, alpn=(alpn,))
    context = live.keys.context(secure)
    context.check_hostname = False  # members of the mesh look at identities
    with opened(live.listeners["east"]) as plain, context.wrap_socket(plain, server_hostname=name) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: any\r\nx-live: 0\r\nconnection: close\r\n\r\n")
        return client.recv(10_000)


@pytest.mark.spec("G-4.2")
@pytest.mark.parametrize("name", ["outbound_.80_._.a.inside.live", "outbound_.80_.one_.a.inside.live"])
@pytest.mark.parametrize("alpn", ["istio", "istio-http/1.1"])
def test_tls_of_the_mesh_passes_to_the_cluster_that_it_names(live: Live, name: str, alpn: str):
    answer = passed(live, name, alpn)

    assert b'"by": "secure"' in answer
    assert f'"sni": "{name}"'.encode() in answer


@pytest.mark.spec("G-4.2")
@pytest.mark.parametrize(
    ("name", "alpn"),
    [
        pytest.param("outbound_.80_._.a.inside.live", "http/1.1", id="not-of-the-mesh"),
        pytest.param("outbound_.81_._.a.inside.live", "istio", id="no-such-port"),
        pytest.param("outbound_.80_.two_.a.inside.live", "istio", id="no-such-subset"),
        pytest.param("outbound_.80_._.a.outside.live", "istio", id="no-host-of-the-server"),
        pytest.param("outbound_.80_._.foreign.inside.live", "istio", id="outside-the-mesh"),
        pytest.param("a.inside.live", "istio", id="a-name"),
    ],
)
def test_what_names_no_cluster_of_the_mesh_is_closed(live: Live, name: str, alpn: str):
    with pytest.raises(OSError):
        passed(live, name, alpn)


@pytest.mark.spec("G-4.2")
def test_bytes_in_tls_are_not_called_http(live: Live):
    """4.2: no ALPN where the bytes behind TLS are not looked at."""
    secure = Secure(sni="term.tls.live", alpn=("h2", "http/1.1"))
    with opened(live.listeners["tls"], secure=secure, keys=live.keys) as client:
        assert client.selected_alpn_protocol() is None  # type: ignore[attr-defined]
