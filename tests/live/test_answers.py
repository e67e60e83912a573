"""What the proxy answers itself or does on purpose: redirects, responses, faults, CORS (spec 5.5, 5.6 and 5.8)."""

from __future__ import annotations

import pytest

from tests.live.cases import Case, case
from tests.live.requests import Ask, Exchange, ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

# Two ports, so that there is one to keep in a Location.
TWO_PORTS = """
ports: [{number: 80, name: http, protocol: HTTP}, {number: 8080, name: alt, protocol: HTTP}]
resolution: STATIC
endpoints: [{address: 127.0.0.1, ports: {http: $v1, alt: $v1}, labels: {version: v1}}]
"""
ALT = get("/a").to("$host:8080")


def redirected(id: str, redirect: str, *exchanges: Exchange, match: str = "{uri: {prefix: /}}") -> Case:  # noqa: A002
    http = f"    - match: [{match}]\n      redirect: {redirect}\n"
    return case(id, *exchanges, http=http, entry=TWO_PORTS, subsets="")


def location(path: str, where: str, status: int = 301) -> Exchange:
    return get(path).gives(status, headers={"location": where})


def faulted(fault: str) -> str:
    return f"    - route: [{{destination: {{host: $host, subset: v1}}}}]\n      fault: {fault}\n"


def cors(policy: str) -> str:
    return f"    - route: [{{destination: {{host: $host, subset: v1}}}}]\n      corsPolicy: {policy}\n"


def preflight(origin: str, method: str = "GET") -> Ask:
    return ask("OPTIONS", "/", origin=origin, access_control_request_method=method)


GRPC = {"content_type": "application/grpc"}
ALLOWED = "access-control-allow-origin"

CASES = (
    # --- redirects ---
    redirected(
        "V-60-uri-replaces-the-path-and-keeps-the-query",
        "{uri: /new}",
        location("/old/a?x=1&y", "http://$host/new?x=1&y"),
    ),
    redirected(
        "V-61-authority-replaces-host-and-port",
        "{authority: other.example}",
        location("/a?b=c", "http://other.example/a?b=c"),
        ALT.gives(301, headers={"location": "http://other.example/a"}),
    ),
    redirected(
        "V-61-authority-with-its-own-port",
        "{authority: 'other.example:8443', scheme: https}",
        location("/a", "https://other.example:8443/a"),
    ),
    redirected(
        "V-62-port",
        "{port: 9090}",
        location("/a", "http://$host:9090/a"),
        ALT.gives(301, headers={"location": "http://$host:9090/a"}),
    ),
    redirected(
        "V-62-port-80-is-not-written-with-http",
        "{port: 80, authority: other.example}",
        location("/a", "http://other.example/a"),
        ALT.gives(301, headers={"location": "http://other.example/a"}),
    ),
    redirected(
        "V-62-port-443-is-not-written-with-https",
        "{port: 443, scheme: https}",
        location("/a", "https://$host/a"),
    ),
    redirected(
        "V-62-port-443-is-written-with-http",
        "{port: 443, authority: other.example}",
        location("/a", "http://other.example:443/a"),
    ),
    redirected(
        "V-62-port-80-is-written-with-https",
        "{port: 80, scheme: https}",
        location("/a", "https://$host:80/a"),
    ),
    redirected(
        "V-62-port-443-with-https-from-another-port",
        "{port: 443, scheme: https}",
        get("/a").to("$host:8080").gives(301, headers={"location": "https://$host:443/a"}),
    ),
    redirected(
        "V-63-derivePort-from-the-request",
        "{derivePort: FROM_REQUEST_PORT, authority: other.example}",
        location("/a", "http://other.example/a"),
        ALT.gives(301, headers={"location": "http://other.example:8080/a"}),
    ),
    redirected(
        "V-63-derivePort-from-the-protocol",
        "{derivePort: FROM_PROTOCOL_DEFAULT, authority: other.example}",
        location("/a", "http://other.example/a"),
        ALT.gives(301, headers={"location": "http://other.example/a"}),
    ),
    redirected(
        "V-64-scheme-drops-the-default-port-of-the-old-one",
        "{scheme: https}",
        location("/a", "https://$host/a"),
        get("/a").to("$host:80").gives(301, headers={"location": "https://$host/a"}),
    ),
    *(
        redirected(f"V-65-code-{code}", f"{{uri: /new, redirectCode: {code}}}", location("/", "http://$host/new", code))
        for code in (301, 302, 303, 307, 308)
    ),
    redirected(
        "V-66-prefixRewrite-replaces-only-the-prefix",
        "{prefixRewrite: /new}",
        location("/old/a?x=1", "http://$host/new/a?x=1"),
        location("/oldest", "http://$host/newest"),
        match="{uri: {prefix: /old}}",
    ),
    redirected(
        "V-66-everything-at-once",
        "{prefixRewrite: /new, authority: other.example, scheme: https, port: 8443, redirectCode: 308}",
        location("/old/a", "https://other.example:8443/new/a", 308),
        match="{uri: {prefix: /old}}",
    ),
    redirected(
        "V-60-uri-beside-an-exact-match",
        "{uri: /new}",
        location("/old", "http://$host/new"),
        get("/other").gives(404),
        match="{uri: {exact: /old}}",
    ),
    case(
        "V-25-headers-of-redirects-and-responses",
        get("/moved").gives(301, headers={"x-r": "1"}),
        get("/gone").gives(410, headers={"x-r": "2", "content-type": "text/odd"}, body=b"no"),
        http="""
        - match: [{uri: {exact: /moved}}]
          redirect: {uri: /new}
          headers: {response: {set: {x-r: '1'}}}
        - directResponse: {status: 410, body: {string: 'no'}}
          headers: {response: {set: {x-r: '2', content-type: text/odd}}}
        """,
    ),
    # --- direct responses ---
    case(
        "V-68-status-without-body",
        get().gives(204, body=b"", headers={"x-backend": None}),
        http="    - directResponse: {status: 204}",
    ),
    case(
        "V-69-body-as-text",
        ask("POST", "/x").gives(418, body="Grüße\n".encode(), headers={"content-type": "text/plain"}),
        http=r"""    - directResponse: {status: 418, body: {string: "Gr\u00fc\u00dfe\n"}}""",
    ),
    case(
        "V-69-body-as-bytes",
        get().gives(200, body=b"\x00\xff\x01"),
        http="    - directResponse: {status: 200, body: {bytes: AP8B}}",
    ),
    case(
        "V-69-a-percent-sign-in-a-body-is-one",
        get().gives(503, body=b"100% %REQ(x-live)% {} {{}}"),
        http="    - directResponse: {status: 503, body: {string: '100% %REQ(x-live)% {} {{}}'}}",
    ),
    # --- faults ---
    case(
        "V-74-abort-all",
        get().gives(555, headers={"x-backend": None}, reached=()),
        http=faulted("{abort: {httpStatus: 555, percentage: {value: 100}}}"),
    ),
    case(
        "V-77-abort-none-by-percentage-zero",
        *[get().gives(by="v1")] * 5,
        http=faulted("{abort: {httpStatus: 500, percentage: {value: 0}}}"),
    ),
    case(
        "V-77-abort-none-by-absent-percentage",
        *[get().gives(by="v1")] * 5,
        http=faulted("{abort: {httpStatus: 500}}"),
    ),
    case(
        "V-77-percentage-wins-over-percent",
        *[get().gives(by="v1")] * 5,
        http=faulted("{abort: {httpStatus: 500, percentage: {value: 0}, percent: 100}}"),
    ),
    case("V-77-percent", get().gives(500), http=faulted("{abort: {httpStatus: 500, percent: 100}}")),
    case(
        "V-75-grpcStatus-for-gRPC-only",
        ask("POST", "/", **GRPC).gives(200, headers={"grpc-status": "14", "x-backend": None}),
        ask("POST", "/", content_type="application/grpc+proto").gives(200, headers={"grpc-status": "14"}),
        ask("POST", "/").gives(by="v1", headers={"grpc-status": None}),
        ask("POST", "/", content_type="application/json").gives(by="v1"),
        http=faulted("{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}"),
    ),
    case(
        "V-74-httpStatus-for-gRPC-too",
        ask("POST", "/", **GRPC).gives(200, headers={"grpc-status": "14", "x-backend": None}),
        get().gives(503),
        http=faulted("{abort: {httpStatus: 503, percentage: {value: 100}}}"),
    ),
    case(
        "V-17-a-delay-is-not-part-of-the-timeout",
        get().gives(by="v1"),
        http=faulted("{delay: {fixedDelay: 0.3s, percentage: {value: 100}}}") + "      timeout: 0.15s\n",
    ),
    case(
        "V-72-a-delay-comes-before-its-abort",
        get().gives(500),
        http=faulted(
            "{delay: {fixedDelay: 10ms, percentage: {value: 100}}, abort: {httpStatus: 500, percentage: {value: 100}}}"
        ),
    ),
    case("V-78-an-abort-without-status-aborts-nothing", get().gives(by="v1"), http=faulted("{abort: {percent: 100}}")),
    case(
        "V-19-faults-are-not-retried",
        get().gives(503, reached=()),
        http=faulted("{abort: {httpStatus: 503, percentage: {value: 100}}}")
        + "      retries: {attempts: 3, retryOn: 5xx}\n",
    ),
    case(
        "V-19-headers-of-a-request-inject-nothing",
        get(x_envoy_fault_abort_request="500", x_envoy_fault_abort_request_percentage="100").gives(by="v1"),
    ),
    # --- CORS ---
    case(
        "V-90-preflight-of-an-allowed-origin",
        preflight("http://a.example", "PUT").gives(
            200,
            headers={
                ALLOWED: "http://a.example",
                "access-control-allow-methods": "GET,PUT",
                "access-control-allow-headers": "x-a,x-b",
                "access-control-max-age": "86400",
                "access-control-allow-credentials": "true",
                "x-backend": None,
            },
        ),
        get(origin="http://a.example").gives(
            by="v1",
            headers={
                ALLOWED: "http://a.example",
                "access-control-expose-headers": "x-c",
                "access-control-allow-credentials": "true",
            },
        ),
        get(origin="http://a.example.evil").gives(by="v1", headers={ALLOWED: None}),
        get().gives(by="v1", headers={ALLOWED: None}),
        http=cors(
            "{allowOrigins: [{exact: 'http://a.example'}], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], "
            "exposeHeaders: [x-c], maxAge: 24h, allowCredentials: true}"
        ),
    ),
    case(
        "V-90-origins-by-prefix-and-regex-of-the-whole-text",
        get(origin="https://b.example:8443").gives(headers={ALLOWED: "https://b.example:8443"}),
        get(origin="http://x.c.example").gives(headers={ALLOWED: "http://x.c.example"}),
        get(origin="http://x.c.example.evil").gives(headers={ALLOWED: None}),
        http=cors("{allowOrigins: [{prefix: 'https://b.example'}, {regex: 'http://[a-z]+[.]c[.]example'}]}"),
    ),
    case(
        "V-91-allowOrigin-star-is-any",
        get(origin="http://anybody.example").gives(headers={ALLOWED: "http://anybody.example"}),
        http=cors("{allowOrigin: ['*']}"),
    ),
    case(
        "V-91-allowOrigin-is-exact-and-not-used-beside-allowOrigins",
        get(origin="http://old.example").gives(headers={ALLOWED: None}),
        get(origin="http://new.example").gives(headers={ALLOWED: "http://new.example"}),
        http=cors("{allowOrigin: ['http://old.example'], allowOrigins: [{exact: 'http://new.example'}]}"),
    ),
    case(
        "V-96-unmatched-preflights-are-forwarded",
        preflight("http://evil.example").gives(by="v1", headers={ALLOWED: None}),
        http=cors("{allowOrigins: [{exact: 'http://a.example'}]}"),
    ),
    case(
        "V-96-unmatched-preflights-are-ignored-when-asked",
        preflight("http://evil.example").gives(200, headers={ALLOWED: None, "x-backend": None}, body=b""),
        preflight("http://a.example").gives(200, headers={ALLOWED: "http://a.example", "x-backend": None}),
        http=cors("{allowOrigins: [{exact: 'http://a.example'}], unmatchedPreflights: IGNORE}"),
    ),
    case(
        "V-95-credentials-false-are-not-mentioned",
        get(origin="http://a.example").gives(
            headers={ALLOWED: "http://a.example", "access-control-allow-credentials": None}
        ),
        http=cors("{allowOrigins: [{exact: 'http://a.example'}], allowCredentials: false}"),
    ),
    case(
        "V-92-methods-star-is-whichever-is-asked-for",
        preflight("http://a.example", "PUT").gives(200, headers={"access-control-allow-methods": "PUT"}),
        http=cors("{allowOrigins: [{exact: 'http://a.example'}], allowMethods: ['*']}"),
    ),
    case(
        "V-24-an-OPTIONS-without-the-preflight-headers-passes",
        ask("OPTIONS", "/", origin="http://a.example").gives(by="v1"),
        http=cors("{allowOrigins: [{exact: 'http://a.example'}]}"),
    ),
    case(
        "V-24-without-corsPolicy-everything-passes",
        preflight("http://a.example").gives(by="v1", headers={ALLOWED: None}),
    ),
    case(
        "V-24-envoy-adds-no-CORS-to-its-own-answers",
        get("/moved", origin="http://a.example").gives(301, headers={ALLOWED: None}),
        get("/x", origin="http://a.example").gives(410, headers={ALLOWED: None}),
        preflight("http://a.example").gives(410, headers={ALLOWED: None}),
        http="""
        - match: [{uri: {exact: /moved}}]
          redirect: {uri: /new}
          corsPolicy: {allowOrigins: [{exact: 'http://a.example'}]}
        - directResponse: {status: 410}
          corsPolicy: {allowOrigins: [{exact: 'http://a.example'}]}
        """,
    ),
)


def test_answers(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)
