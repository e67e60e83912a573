"""An Envoy that starts alone on a host where some of its files are gone: the rest of what it does, it does."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from meshd.deliver.secret_files import present
from meshd.envoy import assignments, render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.envoy.secrets import secrets
from meshd.envoy.without_files import needed, parsed, without
from meshd.memo import Memo
from meshd.plan import ProxyPlan
from tests.deliver.certificates import made, trusting
from tests.envoy.process import ask, running
from tests.live.outbound import plans_of
from tests.ports import free_port

MESH = """
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  secretRoot: $root
  outboundProxies: [{host: 127.0.0.1, port: 9, credentialName: corporate}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: services}
spec:
  hosts: [plain.example, sealed.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: $backend}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [outside.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: sealed}
spec:
  host: sealed.example
  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: $root/authority.crt}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop}
spec: {address: 10.255.255.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: web}
  servers:
  - {port: {number: $edge, name: a, protocol: HTTPS}, hosts: [a.example], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: $edge, name: b, protocol: HTTPS}, hosts: [b.example], tls: {mode: SIMPLE, credentialName: b}}
"""


def alone(plan: ProxyPlan, directory: Path) -> tuple[bytes, BootstrapSettings]:
    own = directory / plan.proxy
    own.mkdir()
    settings = BootstrapSettings(
        proxy=plan.proxy, host=plan.host, xds_socket=str(own / "xds.sock"), admin_socket=str(own / "admin.sock")
    )
    rendered = replace(render(plan, Memo()), secrets=secrets(plan.secrets, present(plan.secrets), Memo()))
    return fallback(rendered, assignments(plan, {}, Memo()), settings), settings


def without_missing(given: bytes) -> tuple[bytes, set[str]]:
    bootstrap = parsed(given)
    missing = [each for each in needed(bootstrap) if not all(Path(file).is_file() for file in each.files)]
    return without(bootstrap, missing), {file for each in missing for file in each.files}


def shown(port: int, name: str, ca: Path) -> str:
    """Whose certificate is shown to who asks for this name; none where the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        try:
            with trusting(ca).wrap_socket(plain, server_hostname=name) as sealed:
                return str(dict(part[0] for part in sealed.getpeercert()["subject"])["commonName"])
        except (ssl.SSLError, ConnectionError):
            return ""


@pytest.mark.envoy
def test_what_needs_a_missing_file_serves_nobody_and_all_else_works(
    envoy_binary: Path, short_tmp: Path, backend: int
) -> None:
    root, own, edge = short_tmp / "secrets", free_port(), free_port()
    ca = made(root / "a", "a.example").chain
    mesh = MESH.replace("$root", str(root)).replace("$edge", str(edge)).replace("$backend", str(backend))
    plans = {plan.proxy: plan for plan in plans_of(mesh, own)}

    given, settings = alone(plans["sidecar"], short_tmp)
    usable, missing = without_missing(given)
    assert missing == {f"{root}/authority.crt", f"{root}/corporate/proxy-authorization"}
    with running(envoy_binary, usable, settings):
        assert ask(own, host="plain.example").status == 200
        assert ask(own, host="sealed.example").status == 503  # and never in plain text
        assert ask(own, host="outside.example").status == 503

    given, settings = alone(plans["gateway"], short_tmp)
    usable, missing = without_missing(given)
    assert missing == {f"{root}/b/tls.crt", f"{root}/b/tls.key", f"{root}/corporate/proxy-authorization"}
    with running(envoy_binary, usable, settings):
        assert (shown(edge, "a.example", ca), shown(edge, "b.example", ca)) == ("a.example", "")


def test_what_envoy_reads_together_is_told_once_however_many_need_it(short_tmp: Path) -> None:
    mesh = MESH.replace("$root", str(short_tmp)).replace("$edge", "9443").replace("$backend", "9")
    sidecar, gateway = plans_of(mesh, 9080)
    given, _ = alone(gateway, short_tmp)

    assert sorted((each.kind, len(each.files)) for each in needed(parsed(given))) == [
        ("certificate", 2),
        ("certificate", 2),
        ("credentials", 1),
    ]
    given, _ = alone(sidecar, short_tmp)
    assert sorted((each.kind, len(each.files)) for each in needed(parsed(given))) == [
        ("authority", 1),
        ("credentials", 1),
    ]
