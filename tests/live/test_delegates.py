"""Routes that a VirtualService leaves to others: what of the root holds, and what of the delegate (spec 5.9)."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from tests.live.cases import Case, case
from tests.live.requests import Exchange, ask, get
from tests.live.world import Live

pytestmark = pytest.mark.envoy

ROOT = "    - {delegate: {name: $name-part}}"
TO_V2 = "- route: [{destination: {host: $host, subset: v2}}]"


def part(routes: str, *, name: str = "$name-part", namespace: str = "default", more: str = "") -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    metadata = f"metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n"
    return head + metadata + (f"  {more}\n" if more else "") + "  http:\n" + indent(dedent(routes).strip(), "  ") + "\n"


def delegated(id: str, root: str, *parts: str, exchanges: tuple[Exchange, ...]) -> Case:  # noqa: A002
    return case(id, *exchanges, http=root, mesh="---\n".join(parts))


CASES = (
    delegated(
        "V-15-a-delegates-routes-in-the-place-of-the-roots",
        """
        - match: [{uri: {prefix: /a}}]
          delegate: {name: $name-part}
        - route: [{destination: {host: $host, subset: v1}}]
        """,
        part(TO_V2),
        exchanges=(get("/a/x").gives(by="v2"), get("/b").gives(by="v1")),
    ),
    delegated(
        "V-15-what-no-rule-of-the-delegate-takes-goes-on",
        """
        - match: [{uri: {prefix: /a}}]
          delegate: {name: $name-part}
        - match: [{uri: {prefix: /a/c}}]
          route: [{destination: {host: $host, subset: v1}}]
        """,
        part("- match: [{uri: {prefix: /a/b}}]\n  route: [{destination: {host: $host, subset: v2}}]"),
        exchanges=(get("/a/b").gives(by="v2"), get("/a/c").gives(by="v1"), get("/a/d").gives(404)),
    ),
    delegated(
        "V-15-conditions-of-both-must-hold",
        """
        - match:
          - {uri: {prefix: /a}, headers: {x-root: {exact: '1'}}}
          - {uri: {prefix: /b}, method: {exact: PUT}}
          delegate: {name: $name-part}
        """,
        part(
            """
            - match: [{uri: {prefix: /a/x}, queryParams: {q: {exact: '1'}}}, {uri: {exact: /b/y}}]
              route: [{destination: {host: $host, subset: v2}}]
            """
        ),
        exchanges=(
            get("/a/x?q=1", x_root="1").gives(by="v2"),
            get("/a/x?q=1").gives(404),
            get("/a/x", x_root="1").gives(404),
            get("/a?q=1", x_root="1").gives(404),
            ask("PUT", "/b/y").gives(by="v2"),
            get("/b/y").gives(404),
            ask("PUT", "/b/y/z").gives(404),
        ),
    ),
    delegated(
        "V-15-a-route-with-a-match-that-fits-no-roots-is-dropped",
        """
        - match: [{uri: {prefix: /a}}, {uri: {prefix: /c}}]
          delegate: {name: $name-part}
        - route: [{destination: {host: $host, subset: v1}}]
        """,
        part(
            """
            - match: [{uri: {prefix: /b}}, {uri: {prefix: /a/b}}]
              route: [{destination: {host: $host, subset: v2}}]
            - match: [{uri: {prefix: /c/d}}]
              route: [{destination: {host: $host, subset: v3}}]
            """
        ),
        exchanges=(get("/b").gives(by="v1"), get("/a/b").gives(by="v1"), get("/c/d").gives(by="v3")),
    ),
    delegated(
        "V-15-a-condition-on-one-header-is-the-delegates",
        "    - {match: [{headers: {x-a: {prefix: t}, x-b: {exact: '1'}}}], delegate: {name: $name-part}}",
        part("- match: [{headers: {x-a: {exact: two}}}]\n  route: [{destination: {host: $host, subset: v2}}]"),
        exchanges=(
            get(x_a="two", x_b="1").gives(by="v2"),
            get(x_a="three", x_b="1").gives(404),
            get(x_a="two").gives(404),
        ),
    ),
    delegated(
        "V-15-fields-of-a-route-come-from-the-delegate-or-the-root",
        """
        - match: [{uri: {prefix: /a}}]
          delegate: {name: $name-part}
          rewrite: {uri: /root}
          headers: {request: {set: {x-from: root, x-only: root}}}
          mirror: {host: $host, subset: v3}
          retries: {attempts: 1, retryOn: 5xx}
        """,
        part(
            """
            - match: [{uri: {prefix: /a/own}}]
              rewrite: {uri: /own}
              headers: {request: {set: {x-from: part}}}
              retries: {attempts: 2, retryOn: 5xx}
              route: [{destination: {host: $host, subset: v2}}]
            - route: [{destination: {host: $host, subset: v2}}]
            """
        ),
        exchanges=(
            get("/a/own/x").gives(by="v2", path="/own/x", sent={"x-from": "part", "x-only": None}),
            get("/a/z").gives(by="v2", path="/root/z", sent={"x-from": "root", "x-only": "root"}),
            get("/a/z").gives(reached=("v2", "v3")),
            get("/a/own", x_do="500@v2").gives(500, reached=("v2", "v2", "v2", "v3")),
            get("/a/z", x_do="500@v2").gives(500, reached=("v2", "v2", "v3")),
        ),
    ),
    delegated(
        "V-15-a-delegates-timeout-fault-and-corsPolicy",
        """
        - match: [{uri: {prefix: /held}}]
          delegate: {name: $name-part}
          timeout: 0.1s
        - match: [{uri: {prefix: /broken}}]
          delegate: {name: $name-part}
          fault: {abort: {httpStatus: 555, percentage: {value: 100}}}
        - match: [{uri: {prefix: /shared}}]
          delegate: {name: $name-part}
          corsPolicy: {allowOrigins: [{exact: 'http://a.example'}]}
        """,
        part(TO_V2),
        exchanges=(
            get("/held", x_do="hold").gives(504, reached=("v2",)),
            get("/broken").gives(555, reached=()),
            get("/shared", origin="http://a.example").gives(
                by="v2", headers={"access-control-allow-origin": "http://a.example"}
            ),
        ),
    ),
    delegated(
        "V-15-redirects-and-responses-of-a-delegate",
        """
        - match: [{uri: {prefix: /a}}]
          delegate: {name: $name-part}
          rewrite: {uri: /dropped}
          timeout: 1s
        """,
        part(
            """
            - match: [{uri: {prefix: /a/moved}}]
              redirect: {uri: /new}
            - match: [{uri: {prefix: /a/gone}}]
              directResponse: {status: 410}
            """
        ),
        exchanges=(
            get("/a/moved").gives(301, headers={"location": "http://$host/new"}),
            get("/a/gone").gives(410),
        ),
    ),
    delegated(
        "V-15-a-delegate-of-another-namespace",
        "    - {match: [{uri: {prefix: /a}}], delegate: {name: $name-part, namespace: shop}}",
        part("- route: [{destination: {host: $name-theirs}}]", namespace="shop", more="exportTo: [default]"),
        """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: $name-theirs, namespace: shop}
spec:
  hosts: [$name-theirs.shop.svc.cluster.local]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]
""",
        exchanges=(get("/a").gives(by="v3", sent_host="$host"),),
    ),
    delegated(
        "V-15-two-delegates-in-the-order-of-the-root",
        """
        - match: [{uri: {prefix: /a/first}}]
          delegate: {name: $name-one}
        - match: [{uri: {prefix: /a}}]
          delegate: {name: $name-two}
        """,
        part(TO_V2, name="$name-two"),
        part("- route: [{destination: {host: $host, subset: v3}}]", name="$name-one"),
        exchanges=(get("/a/first").gives(by="v3"), get("/a/second").gives(by="v2")),
    ),
    delegated(
        "V-15-a-root-without-match-leaves-all-to-the-delegate",
        ROOT,
        part("- match: [{method: {exact: PUT}}]\n  route: [{destination: {host: $host, subset: v2}}]"),
        exchanges=(ask("PUT", "/").gives(by="v2"), get().gives(404)),
    ),
    delegated(
        "V-15-sources-of-the-root-and-of-the-delegate",
        """
        - match: [{sourceLabels: {app: web}}]
          delegate: {name: $name-part}
        """,
        part(
            """
            - match: [{uri: {exact: /back}, sourceLabels: {tier: back}}]
              route: [{destination: {host: $host, subset: v3}}]
            - match: [{uri: {prefix: /}, sourceLabels: {tier: front}}]
              route: [{destination: {host: $host, subset: v2}}]
            """
        ),
        exchanges=(get("/back").gives(by="v2"), get("/").gives(by="v2")),
    ),
)


def test_delegates(live: Live, case: Case):
    for exchange in case.exchanges:
        live.holds(case, exchange)
