"""A host that is put behind a forward proxy, and taken out again, while its applications go on asking."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.deliver.credential_files import problems
from meshd.deliver.preflight import Preflight
from meshd.deliver.target import Delivered, ProxyTarget, Refused, Target
from meshd.envoy import assignments, render
from meshd.memo import Memo
from meshd.names import DnsName, RevisionId
from meshd.plan import Credentials, ProxyPlan
from tests.deliver.clock import on_a_loop
from tests.deliver.test_preflight import a_validator
from tests.deliver.worlds import a_backend, a_delivery, an_envoy, ask, eventually, is_on, load
from tests.live.forward_proxy import ForwardProxy, basic, forward_proxy
from tests.live.outbound import plans_of, settings
from tests.ports import free_port

SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: plain}
spec:
  hosts: [plain.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: $port}]
"""


def target(plan: ProxyPlan, revision: str) -> Target:
    """DNS has an answer here, so that the host can go out by itself too."""
    assigned = assignments(plan, {DnsName("plain.example"): ("127.0.0.1",)}, Memo())
    proxy = ProxyTarget(
        rendered=render(plan, Memo()), assignments=assigned, secrets=plan.secrets, credentials=plan.credentials
    )
    return Target(revision=RevisionId(revision), proxies={"sidecar": proxy})


@on_a_loop
@pytest.mark.envoy
async def test_no_request_fails_while_a_host_is_put_behind_a_proxy_and_taken_out_again(
    envoy_binary: Path, short_tmp: Path
) -> None:
    credentials = short_tmp / "corporate" / "proxy-authorization"
    credentials.parent.mkdir()
    credentials.write_text(basic("meshd", "s3cret"))
    proxy, own = ForwardProxy(expects=basic("meshd", "s3cret")), free_port()
    async with (
        a_backend("v1") as backend,
        a_validator(envoy_binary, short_tmp) as validator,
        a_delivery(short_tmp, Preflight(validator)) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        proxy.leads = {f"plain.example:{backend}": backend}
        service = SERVICE.replace("$port", str(backend))
        with forward_proxy(proxy) as port:
            said = f"[{{host: 127.0.0.1, port: {port}, credentialName: corporate}}]"
            (behind,) = plans_of(settings(said, f"secretRoot: {short_tmp}") + service, own)
            (alone,) = plans_of(service, own)
            await delivery.deliver(target(alone, "r1"))
            await eventually(is_on(delivery, 1))

            async with load(own, "plain.example") as seen:
                for turn in range(2, 14):
                    outcome = await delivery.deliver(target(alone if turn % 2 else behind, f"r{turn}"))
                    assert isinstance(outcome, Delivered), outcome

    assert {status for status, _ in seen} == {200}, seen
    assert seen.total() > 100
    assert proxy.asked


@on_a_loop
@pytest.mark.envoy
async def test_a_host_without_the_credentials_refuses_to_go_behind_the_proxy(
    envoy_binary: Path, short_tmp: Path
) -> None:
    own = free_port()
    async with (
        a_backend("v1") as backend,
        a_delivery(short_tmp) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        service = SERVICE.replace("$port", str(backend))
        said = "[{host: 127.0.0.1, port: 3128, credentialName: corporate}]"
        (alone,) = plans_of(service, own)
        (behind,) = plans_of(settings(said, f"secretRoot: {short_tmp}") + service, own)
        await delivery.deliver(target(alone, "r1"))
        await eventually(is_on(delivery, 1))

        outcome = await delivery.deliver(target(behind, "r2"))

        assert isinstance(outcome, Refused)
        assert [(each.code, each.at.path) for each in outcome.problems] == [
            ("E-SECRET-FILE", "spec.outboundProxies[0].credentialName")
        ]
        assert await ask(own, "plain.example") == (200, "v1")


@on_a_loop
@pytest.mark.envoy
async def test_an_envoy_that_starts_without_the_credentials_takes_the_tunnels_once_they_are_back(
    envoy_binary: Path, short_tmp: Path
) -> None:
    own, shown = free_port(), basic("meshd", "s3cret")
    credentials = short_tmp / "corporate" / "proxy-authorization"
    credentials.parent.mkdir()
    credentials.write_text(shown)
    async with a_backend("v1") as backend, a_delivery(short_tmp) as delivery:
        proxy = ForwardProxy(expects=shown, leads={f"plain.example:{backend}": backend})
        with forward_proxy(proxy) as port:
            said = f"[{{host: 127.0.0.1, port: {port}, credentialName: corporate}}]"
            mesh = settings(said, f"secretRoot: {short_tmp}") + SERVICE.replace("$port", str(backend))
            (behind,) = plans_of(mesh, own)
            await delivery.deliver(target(behind, "r1"))
            credentials.unlink()
            async with an_envoy(envoy_binary, short_tmp):
                await eventually(lambda: delivery.states()[0].rejections, "the listener inside is refused")
                assert (await ask(own, "plain.example"))[0] == 503

                credentials.write_text(shown)
                await delivery.offer_again()

                await eventually(is_on(delivery, 1))
                assert delivery.states()[0].rejections == ()
                assert await ask(own, "plain.example") == (200, "v1")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"Basic bWVzaGQ6czNjcmV0", ""),
        (b"Bearer abc", ""),
        (b"Basic bWVzaGQ6czNjcmV0\n", "end in a line break, which Envoy would send too"),
        (b"Basic a\nX-Other: b", "are not the value of a Proxy-Authorization header"),
        (b"", "are not the value of a Proxy-Authorization header"),
        (b"Basic \x00", "are not the value of a Proxy-Authorization header"),
        (None, "do not exist"),
    ],
)
def test_credentials_are_looked_at_before_envoy_reads_them(tmp_path: Path, content: bytes | None, complaint: str):
    file = tmp_path / "corporate" / "proxy-authorization"
    file.parent.mkdir()
    if content is not None:
        file.write_bytes(content)

    found = problems(Credentials(file=str(file), below=str(tmp_path)))

    assert [each.message for each in found] == ([f"credentials {file} {complaint}"] if complaint else [])
    assert not any(content and content.decode() in str(each) for each in found)


def test_a_link_that_leads_out_of_the_store_and_a_directory_are_no_credentials(tmp_path: Path):
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "elsewhere").write_text("Basic a")
    (store / "link").symlink_to(tmp_path / "elsewhere")
    (store / "directory").mkdir()

    said = [
        each.message
        for name in ("link", "directory")
        for each in problems(Credentials(file=str(store / name), below=str(store)))
    ]

    assert said == [
        f"credentials {store}/link are a link that leads out of {store}, or to nowhere",
        f"credentials {store}/directory are no file",
    ]
