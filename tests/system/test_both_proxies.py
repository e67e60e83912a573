"""A host that runs a sidecar and a gateway: each comes, goes and fails without harm to the other."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.deliver.certificates import Pair, made, renewed
from tests.ports import free_port
from tests.system import meshes
from tests.system.host import Host
from tests.system.wrk import Wrk
from tests.waiting import until

pytestmark = pytest.mark.envoy

EDGE = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge, annotations: {meshd.io/host: web-1}}
spec: {address: 127.0.0.1, labels: {istio: ingressgateway}}
---
"""
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
"""
ROUTES = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
  - route: [{destination: {host: shop.example, subset: %s}}]
"""


def https(port: int, credential: str, hosts: str = "*") -> str:
    return (
        f"  - port: {{number: {port}, name: https-{credential}, protocol: HTTPS}}\n"
        f"    bind: 127.0.0.1\n    hosts: ['{hosts}']\n"
        f"    tls: {{mode: SIMPLE, credentialName: {credential}}}\n"
    )


def plain(port: int) -> str:
    return f"  - port: {{number: {port}, name: http-{port}, protocol: HTTP}}\n    bind: 127.0.0.1\n    hosts: ['*']\n"


def edge(*servers: str, subset: str = "v1") -> str:
    return EDGE + GATEWAY + "".join(servers) + ROUTES % subset


@pytest.fixture
def shop(host: Host, backend):
    """A sidecar with two versions of a shop, all traffic to the first; credential `a` is there for a gateway."""
    ports = {version: backend(version).port for version in ("v1", "v2")}
    host.edge_port = free_port()
    host.secrets = host.directory / "secrets"
    host.pair = made(host.secrets / "a", "shop.example")
    host.first = host.push(
        {
            "web-1.yaml": meshes.workload(),
            "settings.yaml": (
                "apiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
                f"spec: {{secretRoot: {host.secrets}}}\n"
            ),
            "shop.yaml": meshes.service("shop", ports),
            "subsets.yaml": meshes.subsets("shop", "v1", "v2"),
            "routes.yaml": meshes.weights("shop", {"v1": 100}),
        }
    )
    host.start()
    host.until_live(host.first)
    return host


def proxies(host: Host) -> dict[str, Mapping]:
    return {proxy["name"]: proxy for proxy in host.status()["proxies"]}


def until_both(host: Host, revision: str) -> dict[str, Mapping]:
    host.until_live(revision)
    found = proxies(host)
    assert set(found) == {"sidecar", "gateway"}
    return found


def until_served(host: Host, body: str = "v1") -> None:
    until(lambda: asked(host) == (200, body), what=f"{body} by the gateway")


def asked(host: Host) -> tuple[int, str]:
    """By the gateway, over TLS. (0, why) where there is no answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", host.edge_port, timeout=5, context=context)
    try:
        connection.request("GET", "/", headers={"Host": "shop.example"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def shown(host: Host) -> bytes:
    """The certificate of new connections."""
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", host.edge_port)))


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.chain.read_text())


def remains(host: Host) -> list[Path]:
    own = host.runtime.with_name(f"{host.runtime.name}-envoy") / "gateway"
    left = [each for each in own.iterdir() if each.suffix != ".log"] if own.exists() else []
    socket_of_it = host.runtime / "xds" / "gateway.sock"
    return [*left, *([socket_of_it] if socket_of_it.exists() else [])]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_gateway_comes_and_goes_and_the_sidecar_does_not_notice(shop: Host):
    sidecar = proxies(shop)["sidecar"]["pid"]
    with Wrk(shop.proxy_port, "shop.example") as wrk:
        both = until_both(shop, shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))}))
        until_served(shop)

        last = shop.push({"edge.yaml": None})

        shop.until_live(last)
        until(lambda: not alive(both["gateway"]["pid"]), what="the gateway's end")
        count = wrk.stop()
    assert count.requests > 100
    assert count.failed == 0, count.text
    assert set(proxies(shop)) == {"sidecar"}
    assert proxies(shop)["sidecar"]["pid"] == sidecar
    assert remains(shop) == []
    assert not (shop.state / "active" / "gateway").exists()


def test_routes_servers_and_certificates_of_a_gateway_change_under_load(shop: Host):
    until_both(shop, shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))}))
    until_served(shop)
    many = [f"c{number:02}" for number in range(60)]
    for name in many:
        made(shop.secrets / name, "shop.example")
    servers = [https(shop.edge_port, "a"), *(https(shop.edge_port, name, f"{name}.example") for name in many)]
    with Wrk(shop.edge_port, "shop.example", tls=True) as wrk:
        shop.until_live(shop.push({"edge.yaml": edge(*servers)}))
        renewed(shop.pair, new := made(shop.secrets / "a", "shop.example", stem="new"))
        until(lambda: shown(shop) == der(shop.pair), what="the renewed certificate")
        shop.until_live(shop.push({"edge.yaml": edge(*servers[:30], subset="v2")}))
        until_served(shop, "v2")
        shop.until_live(shop.push({"edge.yaml": edge(*servers[:1], plain(free_port()), subset="v1")}))
        until_served(shop, "v1")
        count = wrk.stop()

    assert not new.chain.exists()
    assert count.requests > 100
    assert count.failed == 0, count.text


def test_what_the_gateway_refuses_is_taken_back_from_the_sidecar_too(shop: Host):
    first = shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))})
    until_both(shop, first)
    until_served(shop)
    with socket.create_server(("127.0.0.1", 0)) as other, Wrk(shop.proxy_port, "shop.example") as wrk:
        taken = other.getsockname()[1]

        refused = shop.push(
            {
                "routes.yaml": meshes.weights("shop", {"v2": 100}),
                "edge.yaml": edge(https(shop.edge_port, "a"), plain(taken), subset="v2"),
            }
        )

        until(lambda: (shop.status()["revision"]["rejected"] or {}).get("id") == refused, what="the refusal")
        count = wrk.stop()
    assert shop.status()["revision"]["active"]["id"] == first
    assert shop.get("http://shop.example/")[:2] == (200, "v1")
    assert asked(shop) == (200, "v1")
    assert count.failed == 0, count.text
    assert all(proxy["acknowledged"] and not proxy["rejections"] for proxy in proxies(shop).values())


def test_a_key_that_does_not_fit_keeps_the_host_where_it_is_until_it_does(shop: Host):
    good = made(shop.secrets / "b", "shop.example")
    right = good.key.read_bytes()
    good.key.write_bytes(shop.pair.key.read_bytes())

    wanted = shop.push({"edge.yaml": edge(https(shop.edge_port, "b"))})

    until(lambda: (shop.status()["revision"]["rejected"] or {}).get("id") == wanted, what="the refusal")
    assert shop.get("http://shop.example/")[:2] == (200, "v1")
    assert set(proxies(shop)) == {"sidecar"}

    (good.key.parent / "new").write_bytes(right)
    (good.key.parent / "new").rename(good.key)

    until(lambda: shop.status()["revision"]["active"]["id"] == wanted, what="another try")
    until_both(shop, wanted)
    until_served(shop)


def test_garbage_in_the_place_of_a_certificate_in_use_is_not_taken_up(shop: Host):
    until_both(shop, shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))}))
    until_served(shop)
    before = der(shop.pair)
    with Wrk(shop.edge_port, "shop.example", tls=True) as wrk:
        (shop.pair.chain.parent / "new").write_text("garbage")
        (shop.pair.chain.parent / "new").rename(shop.pair.chain)

        other = shop.push({"routes.yaml": meshes.weights("shop", {"v2": 100})})

        shop.until_live(other)
        assert shop.get("http://shop.example/")[:2] == (200, "v2")
        assert shown(shop) == before
        count = wrk.stop()
    assert count.failed == 0, count.text


def test_a_meshd_that_is_killed_while_a_gateway_comes_or_goes_finishes_it_when_it_is_back(shop: Host):
    with Wrk(shop.proxy_port, "shop.example") as wrk:
        added = shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))})
        until((shop.runtime / "xds" / "gateway.sock").exists, what="the delivery to begin")
        shop.kill()
        shop.start()
        gateway = until_both(shop, added)["gateway"]["pid"]
        until_served(shop)

        removed = shop.push({"edge.yaml": None})
        until(lambda: not (shop.runtime / "xds" / "gateway.sock").exists(), what="the delivery to end")
        shop.kill()
        shop.start()

        shop.until_live(removed)
        until(lambda: not alive(gateway), what="the gateway's end")
        until(lambda: remains(shop) == [], what="nothing to remain")
        count = wrk.stop()
    assert count.failed == 0, count.text


def test_a_gateway_that_is_killed_comes_back_and_the_sidecar_goes_on(shop: Host):
    both = until_both(shop, shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))}))
    until_served(shop)
    with Wrk(shop.proxy_port, "shop.example") as wrk:
        os.kill(both["gateway"]["pid"], signal.SIGKILL)

        until(lambda: proxies(shop)["gateway"]["pid"] not in {None, both["gateway"]["pid"]}, what="another gateway")
        until_served(shop)
        count = wrk.stop()
    assert count.failed == 0, count.text
    assert proxies(shop)["sidecar"]["pid"] == both["sidecar"]["pid"]


def test_a_sidecar_that_cannot_start_does_not_keep_the_gateway_from_it(shop: Host):
    own = shop.runtime.with_name(f"{shop.runtime.name}-envoy")
    shop.terminate()
    (own / "sidecar").rename(own / "away")
    (own / "sidecar").write_text("in the way")
    wanted = shop.push({"edge.yaml": edge(https(shop.edge_port, "a"))})

    shop.start()

    until_served(shop)
    assert shop.status()["revision"]["active"]["id"] == wanted
    assert not shop.status()["ready"]
    (own / "sidecar").unlink()
    until_both(shop, wanted)
