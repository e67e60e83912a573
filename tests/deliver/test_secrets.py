"""Certificates on the way to the real Envoy: delivered by name, read again when renewed, refused where they are bad."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.deliver.preflight import Judge, Preflight
from meshd.deliver.push import Patience
from meshd.deliver.target import Delivered, Refused
from meshd.envoy.resource import SECRET
from meshd.names import ListenerName, RevisionId, RouteTableName, SecretName
from meshd.plan import (
    WATCHED_SECRETS,
    CertificateSecret,
    DownstreamTls,
    HttpChain,
    Listener,
    SocketBind,
    UpstreamTls,
    ValidationSecret,
)
from meshd.problems import Origin
from tests.deliver.certificates import Pair, made, renewed, trusting
from tests.deliver.clock import on_a_loop
from tests.deliver.test_preflight import a_validator
from tests.deliver.worlds import (
    World,
    a_backend,
    a_cluster,
    a_delivery,
    a_store,
    a_virtual_host,
    an_envoy,
    eventually,
    is_on,
)
from tests.ports import free_port

pytestmark = pytest.mark.envoy

OWN, ROOT = SecretName("credential:web"), SecretName("credential:web-cacert")
AT = Origin("gateway.yaml", 12, 5, "spec.servers[0].tls.credentialName")


def shown(pair: Pair) -> CertificateSecret:
    return CertificateSecret(name=OWN, certificate_chain=str(pair.chain), private_key=str(pair.key), origin=AT)


def believed(*files: Path) -> ValidationSecret:
    return ValidationSecret(name=ROOT, ca_certificates=tuple(map(str, files)), origin=AT)


def a_tls_listener(port: int, *, asks: bool = False) -> Listener:
    tls = DownstreamTls(
        certificates=(OWN,), validation=ROOT if asks else None, requires_client_certificate=asks, alpn=("http/1.1",)
    )
    chain = HttpChain(route_table=RouteTableName("http"), stat_prefix="tls", side="gateway", tls=tls)
    name = ListenerName(f"0.0.0.0_{port}")
    return Listener(name=name, bind=SocketBind(ip="127.0.0.1", port=port), chains=(chain,), side="gateway", origin=AT)


def a_tls_world(v1: int, *secrets: CertificateSecret | ValidationSecret) -> tuple[World, int]:
    port = free_port()
    asks = any(isinstance(each, ValidationSecret) for each in secrets)
    listener = a_tls_listener(port, asks=asks)
    hosts = (a_virtual_host("shop", "v1"),)
    return World(clusters={"v1": (v1,)}, hosts=hosts, listeners=(listener,), secrets=secrets), port


@contextlib.asynccontextmanager
async def a_connection(port: int, context: ssl.SSLContext) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def certificate(self) -> bytes:
        return self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)

    async def ask(self) -> int:
        self._writer.write(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n")
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(2)
        return int(head.split()[1])


async def status(port: int, context: ssl.SSLContext) -> int:
    """0 where the connection is not to be had."""
    try:
        async with a_connection(port, context) as connection:
            return await connection.ask()
    except (OSError, asyncio.IncompleteReadError):
        return 0


async def until_status(port: int, context: ssl.SSLContext, expected: int) -> None:
    async with asyncio.timeout(20):
        while await status(port, context) != expected:
            pass


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.chain.read_text())


@pytest.mark.spec("G-4.3", "G-4.6")
@on_a_loop
async def test_a_renewed_certificate_is_shown_to_new_connections_and_the_old_ones_go_on(
    envoy_binary: Path, short_tmp: Path
) -> None:
    store = short_tmp / "web"
    pair = made(store, "shop")
    before = der(pair)
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world, port = a_tls_world(v1, shown(pair))
        assert isinstance(await delivery.deliver(world.target()), Delivered)
        await eventually(is_on(delivery, 1))
        await until_status(port, trusting(pair.chain), 200)
        async with a_connection(port, trusting(pair.chain)) as old:
            assert old.certificate == before
            new = made(store, "shop", stem="new")
            after = der(new)

            renewed(pair, new)

            await until_status(port, trusting(pair.chain), 200)
            async with a_connection(port, trusting(pair.chain)) as fresh:
                assert fresh.certificate == after
            assert await old.ask() == 200
            assert old.certificate == before
    assert before != after


@pytest.mark.spec("G-4.4")
@on_a_loop
async def test_a_renewed_ca_decides_who_is_let_in_and_whoever_is_in_stays(envoy_binary: Path, short_tmp: Path) -> None:
    server, alice, bob = (made(short_tmp / name, name) for name in ("server", "alice", "bob"))
    ca = short_tmp / "ca" / "ca.crt"
    ca.parent.mkdir()
    ca.write_bytes(alice.chain.read_bytes())
    by_alice, by_bob = trusting(server.chain, alice), trusting(server.chain, bob)
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world, port = a_tls_world(v1, shown(server), believed(ca))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        await until_status(port, by_alice, 200)
        assert await status(port, by_bob) == 0
        async with a_connection(port, by_alice) as inside:
            assert await inside.ask() == 200
            (ca.parent / "new").write_bytes(bob.chain.read_bytes())

            (ca.parent / "new").rename(ca)

            await until_status(port, by_bob, 200)
            assert await status(port, by_alice) == 0
            assert await inside.ask() == 200


@on_a_loop
async def test_a_certificate_and_its_key_in_different_directories_are_renewed_too(
    envoy_binary: Path, short_tmp: Path
) -> None:
    old = made(short_tmp / "certs", "shop")
    key = short_tmp / "private" / "tls.key"
    key.parent.mkdir()
    pair = Pair(chain=old.chain, key=old.key.rename(key))
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world, port = a_tls_world(v1, shown(pair))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        await until_status(port, trusting(pair.chain), 200)

        renewed(pair, made(short_tmp / "certs", "shop", stem="new"))

        await until_status(port, trusting(pair.chain), 200)


@on_a_loop
async def test_a_link_that_is_exchanged_renews_what_is_behind_it(envoy_binary: Path, short_tmp: Path) -> None:
    """As certificates are mounted by orchestrators: `tls.crt -> ..now/tls.crt`, and `..now` is flipped."""
    first, second = made(short_tmp / "web" / "1", "shop"), made(short_tmp / "web" / "2", "shop")
    store = short_tmp / "web"
    (store / "now").symlink_to("1")
    for name in ("tls.crt", "tls.key"):
        (store / name).symlink_to(f"now/{name}")
    pair = Pair(chain=store / "tls.crt", key=store / "tls.key")
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world, port = a_tls_world(v1, shown(pair))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        await until_status(port, trusting(first.chain), 200)
        (store / "next").symlink_to("2")

        (store / "next").rename(store / "now")

        await until_status(port, trusting(second.chain), 200)


@pytest.mark.spec("G-4.6")
@on_a_loop
async def test_a_ca_that_comes_to_lie_beside_the_credential_is_used_from_then_on(
    envoy_binary: Path, short_tmp: Path
) -> None:
    server, alice, bob = (made(short_tmp / name, name) for name in ("server", "alice", "bob"))
    nearer = short_tmp / "web" / "ca.crt"
    nearer.parent.mkdir()
    root = believed(nearer, alice.chain)
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world, port = a_tls_world(v1, shown(server), root)
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        await until_status(port, trusting(server.chain, alice), 200)
        on_disk = short_tmp / "state" / "active" / "sidecar" / "fallback.pb"
        assert await delivery.renew_secrets({"sidecar": world.secrets}) == 0

        nearer.write_text("not yet")
        assert await delivery.renew_secrets({"sidecar": world.secrets}) == 0
        nearer.write_bytes(bob.chain.read_bytes())
        assert await delivery.renew_secrets({"sidecar": world.secrets}) == 1

        await until_status(port, trusting(server.chain, bob), 200)
        assert await status(port, trusting(server.chain, alice)) == 0
        await eventually(lambda: str(nearer).encode() in on_disk.read_bytes())
        assert await delivery.renew_secrets({"sidecar": world.secrets}) == 0


@on_a_loop
async def test_nothing_waits_for_a_secret_that_envoy_has(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    patience = Patience(push=timedelta(seconds=10), warming=timedelta(seconds=9))
    tls = UpstreamTls(sni="shop", validation=ROOT, certificate=OWN)
    async with (
        a_backend("v1") as v1,
        a_delivery(short_tmp, patience=patience) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        world, _ = a_tls_world(v1, shown(pair), believed(pair.chain))
        for number in range(1, 4):
            world.clusters = {**world.clusters, f"tls-{number}": (v1,)}
            world.changed = {name: a_cluster(name, seconds=number, tls=tls) for name in world.clusters if name != "v1"}
            async with asyncio.timeout(8):
                assert isinstance(await delivery.deliver(world.target(f"r{number}")), Delivered)
            await eventually(is_on(delivery, number))


@on_a_loop
async def test_of_secrets_that_came_and_went_nothing_is_left(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp) as envoy:
        before = World(clusters={"v1": (v1,)})
        await delivery.deliver(before.target("r0"))
        await eventually(is_on(delivery, 1))
        for number in range(20):
            name = SecretName(f"credential:{number}")
            taker = a_cluster(name, tls=UpstreamTls(sni="", validation=ROOT, certificate=name))
            world = World(
                clusters={"v1": (v1,), name: (v1,)},
                changed={name: taker},
                secrets=(replace(shown(pair), name=name), believed(pair.chain)),
            )
            assert isinstance(await delivery.deliver(world.target(f"with-{number}")), Delivered)
            assert isinstance(await delivery.deliver(before.target(f"without-{number}")), Delivered)

        session = delivery._servers["sidecar"].last
        assert session is not None
        await eventually(lambda: not session._subscriptions[SECRET].names)
        assert not session._subscriptions[SECRET].known
        assert not session.pending
        assert watches(envoy.pid) == 0


@on_a_loop
async def test_envoy_watches_no_more_secrets_than_it_can(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    names = [SecretName(f"credential:{number:02}") for number in range(WATCHED_SECRETS + 3)]
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp) as envoy:
        world = World(
            clusters=dict.fromkeys(names, (v1,)),
            changed={
                name: a_cluster(name, tls=UpstreamTls(sni="", validation=None, certificate=name)) for name in names
            },
            secrets=tuple(replace(shown(pair), name=name) for name in names),
        )

        outcome = await delivery.deliver(world.target())

        assert isinstance(outcome, Delivered), outcome
        await eventually(is_on(delivery, 1))
        assert watches(envoy.pid) == WATCHED_SECRETS


def watches(pid: int) -> int:
    return sum("inotify" in str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.spec("G-4.3")
@on_a_loop
async def test_a_missing_file_is_said_at_the_line_that_names_it_and_tried_again_when_it_is_there(
    short_tmp: Path,
) -> None:
    missing = Pair(chain=short_tmp / "web" / "tls.crt", key=short_tmp / "web" / "tls.key")
    async with a_delivery(short_tmp) as delivery:
        world, _ = a_tls_world(9, shown(missing))

        outcome = await delivery.deliver(world.target())

        assert isinstance(outcome, Refused)
        assert outcome.stage == "secrets"
        assert [str(problem) for problem in outcome.problems] == [
            f"gateway.yaml:12:5: {AT.path}: {what} {file} does not exist; "
            "it must be on this host, where its Envoys may read it [E-SECRET-FILE]"
            for what, file in (("certificate", missing.chain), ("private key", missing.key))
        ]
        assert not delivery.is_refused(RevisionId("r1"))
        made(short_tmp / "web", "shop")

        assert isinstance(await delivery.deliver(world.target()), Delivered)


@on_a_loop
async def test_a_file_that_went_away_after_envoy_read_it_stands_in_nobodys_way(short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    async with a_delivery(short_tmp) as delivery:
        world, _ = a_tls_world(9, shown(pair))
        await delivery.deliver(world.target())
        pair.chain.unlink()
        world.clusters = {**world.clusters, "v2": (9,)}

        assert isinstance(await delivery.deliver(world.target("r2")), Delivered)


@on_a_loop
async def test_a_key_of_another_certificate_is_found_before_it_is_pushed(envoy_binary: Path, short_tmp: Path) -> None:
    one, other = made(short_tmp / "one", "shop"), made(short_tmp / "other", "shop")
    async with (
        a_validator(envoy_binary, short_tmp) as validator,
        a_delivery(short_tmp, preflight=Preflight(validator)) as delivery,
    ):
        world, _ = a_tls_world(9, shown(Pair(chain=one.chain, key=other.key)))

        outcome = await delivery.deliver(world.target())

    assert isinstance(outcome, Refused)
    assert outcome.stage == "preflight"
    (problem,) = outcome.problems
    assert (problem.code, problem.at) == ("E-ENVOY-REFUSED", AT)
    assert problem.message.startswith(f"Envoy refuses secret {OWN}: ")


@on_a_loop
async def test_what_takes_a_good_secret_passes_preflight(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    async with (
        a_validator(envoy_binary, short_tmp) as validator,
        a_delivery(short_tmp, preflight=Preflight(validator)) as delivery,
    ):
        world, _ = a_tls_world(9, shown(pair), believed(pair.chain))
        assert isinstance(await delivery.deliver(world.target()), Delivered)
        tls = UpstreamTls(sni="shop", validation=ROOT, certificate=OWN)
        world.changed = {"v1": a_cluster("v1", tls=tls)}

        assert isinstance(await delivery.deliver(world.target("r2")), Delivered)


@on_a_loop
async def test_a_key_that_meshd_may_not_read_is_for_the_proxy_to_judge(
    envoy_binary: Path, short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root, who may run the tests, may read all: so the operating system's answer is another one here."""
    pair = made(short_tmp / "web", "shop")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != pair.key)
    async with (
        a_validator(envoy_binary, short_tmp) as validator,
        a_backend("v1") as v1,
        a_delivery(short_tmp, preflight=Preflight(judge := Listening(validator))) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        world, port = a_tls_world(v1, shown(pair))
        assert isinstance(await delivery.deliver(world.target()), Delivered)
        await eventually(is_on(delivery, 1))

        await until_status(port, trusting(pair.chain), 200)

    assert judge.heard
    assert not any(str(pair.key).encode() in bootstrap for bootstrap in judge.heard)


class Listening:
    """A judge, and all that it was asked."""

    def __init__(self, judge: Judge) -> None:
        self.heard: list[bytes] = []
        self._judge = judge

    async def complaint(self, bootstrap: bytes) -> str | None:
        self.heard.append(bootstrap)
        return await self._judge.complaint(bootstrap)


@on_a_loop
async def test_a_new_taker_of_a_secret_whose_file_went_away_passes_preflight(
    envoy_binary: Path, short_tmp: Path
) -> None:
    pair = made(short_tmp / "web", "shop")
    async with (
        a_validator(envoy_binary, short_tmp) as validator,
        a_delivery(short_tmp, preflight=Preflight(validator)) as delivery,
    ):
        world, _ = a_tls_world(9, shown(pair), believed(pair.chain))
        assert isinstance(await delivery.deliver(world.target()), Delivered)
        pair.chain.unlink()
        tls = UpstreamTls(sni="shop", validation=ROOT, certificate=OWN)
        world.changed = {"v1": a_cluster("v1", tls=tls)}

        assert isinstance(await delivery.deliver(world.target("r2")), Delivered)


@pytest.mark.parametrize("judged", [True, False])
@on_a_loop
async def test_a_revision_refused_for_a_bad_key_is_tried_again_once_the_key_is_another(
    envoy_binary: Path, short_tmp: Path, judged: bool
) -> None:
    one, other = made(short_tmp / "one", "shop"), made(short_tmp / "other", "shop")
    async with (
        a_validator(envoy_binary, short_tmp) as validator,
        a_backend("v1") as v1,
        a_delivery(short_tmp, preflight=Preflight(validator) if judged else None) as delivery,
        an_envoy(envoy_binary, short_tmp),
    ):
        await delivery.deliver(World(clusters={"v1": (v1,)}).target("r0"))
        await eventually(is_on(delivery, 1))
        world, port = a_tls_world(v1, shown(Pair(chain=one.chain, key=other.key)))
        outcome = await delivery.deliver(world.target())
        assert isinstance(outcome, Refused)
        assert outcome.stage == ("preflight" if judged else "acknowledgement")
        assert delivery.is_refused(RevisionId("r1"))

        one.key.rename(other.key)

        assert not delivery.is_refused(RevisionId("r1"))
        again = await delivery.deliver(world.target())
        assert isinstance(again, Delivered), again
        await until_status(port, trusting(one.chain), 200)


@on_a_loop
async def test_a_secret_that_envoy_rejects_is_reported_at_its_line_and_the_last_generation_restored(
    envoy_binary: Path, short_tmp: Path
) -> None:
    good, other = made(short_tmp / "good", "shop"), made(short_tmp / "other", "shop")
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        world, port = a_tls_world(v1, shown(good))
        await delivery.deliver(world.target())
        await eventually(is_on(delivery, 1))
        bad = replace(world, secrets=(shown(Pair(chain=good.chain, key=other.key)),))

        outcome = await delivery.deliver(bad.target("r2"))

        assert isinstance(outcome, Refused), outcome
        (problem,) = outcome.problems
        assert (problem.code, problem.at) == ("E-ENVOY-REJECTED", AT)
        assert await status(port, trusting(good.chain)) == 200
        await eventually(is_on(delivery, 1))


@on_a_loop
async def test_nothing_is_held_against_a_proxy_that_no_longer_has_the_secret(
    envoy_binary: Path, short_tmp: Path
) -> None:
    good, other = made(short_tmp / "good", "shop"), made(short_tmp / "other", "shop")
    async with a_backend("v1") as v1, a_delivery(short_tmp) as delivery, an_envoy(envoy_binary, short_tmp):
        await delivery.deliver(World(clusters={"v1": (v1,)}).target())
        await eventually(is_on(delivery, 1))
        taker = a_cluster("tls", tls=UpstreamTls(sni="shop", validation=None, certificate=OWN))
        bad = World(
            clusters={"v1": (v1,), "tls": (v1,)},
            changed={"tls": taker},
            secrets=(shown(Pair(chain=good.chain, key=other.key)),),
        )

        assert isinstance(await delivery.deliver(bad.target("r2")), Refused)

        await eventually(lambda: delivery.states()[0].rejections == (), "the rejection to be forgotten")


@on_a_loop
async def test_a_restart_serves_secrets_from_disk(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    async with a_backend("v1") as v1:
        world, port = a_tls_world(v1, shown(pair))
        async with a_delivery(short_tmp) as delivery:
            await delivery.deliver(world.target())
        stored = a_store(short_tmp).open()
        assert stored is not None
        assert stored.snapshots["sidecar"].secrets == world.snapshot().secrets

        async with a_delivery(short_tmp) as restarted, an_envoy(envoy_binary, short_tmp):
            await eventually(is_on(restarted, 1))
            await until_status(port, trusting(pair.chain), 200)


@on_a_loop
async def test_the_fallback_needs_nobody_for_its_secrets(envoy_binary: Path, short_tmp: Path) -> None:
    pair = made(short_tmp / "web", "shop")
    async with a_backend("v1") as v1:
        world, port = a_tls_world(v1, shown(pair), believed(pair.chain))
        async with a_delivery(short_tmp) as delivery:
            await delivery.deliver(world.target())
        alone = short_tmp / "state" / "active" / "sidecar" / "fallback.pb"
        process = await asyncio.create_subprocess_exec(envoy_binary, "-c", alone, "--use-dynamic-base-id", "-l", "off")
        try:
            await until_status(port, trusting(pair.chain, pair), 200)
            assert await status(port, trusting(pair.chain)) == 0
        finally:
            process.kill()
            await process.wait()
