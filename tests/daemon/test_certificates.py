"""Certificates watched for months in a moment: the clock and the proxies are fakes, files and their content are not."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from meshd.daemon.certificate_watch import ASK_EVERY, DOUBT_EVERY, EVERY, MOST_LISTED, CertificateWatch
from meshd.daemon.certificates import Certificate
from meshd.daemon.sentences import certificates_condition
from meshd.deliver.x509 import certificates
from meshd.names import HostName, ProxyName, SecretName, ServiceHost, cluster_name
from meshd.plan import CertificateSecret, Cluster, Credentials, ProxyPlan, Secret, UpstreamTls, ValidationSecret
from meshd.problems import Origin, ResourceId
from meshd.proxies.admin import InUse
from tests.deliver.certificates import Pair, made, renewed
from tests.deliver.dated import Authority, authority

DAY = timedelta(days=1)
START = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
"""An hour from now: what is made by the test's start holds by then."""

AT = Origin("rule.yaml", 9, 7, "spec.trafficPolicy.tls", ResourceId(kind="DestinationRule", namespace="x", name="shop"))


def now() -> datetime:
    return START


@dataclass
class Host:
    """A sidecar whose Envoy has read `read`, or does not say, and a clock that is moved by hand."""

    taken: tuple[Secret, ...] = ()
    shown: tuple[Credentials, ...] = ()
    read: Pair | None = None
    understood: bool = True
    time: datetime = field(default_factory=now)
    asked: int = 0
    clusters: int = 1

    def secrets(self) -> dict[ProxyName, tuple[Secret, ...]] | None:
        return {"sidecar": self.taken, "gateway": ()} if self.understood else None

    def plans(self) -> tuple[ProxyPlan, ...]:
        tls = UpstreamTls(sni=None, validation=None, certificate=SecretName("credential:web"))
        host, port = ServiceHost("shop.example"), 80
        cluster = Cluster(name=cluster_name(host, port), service=host, port=port, tls=tls)
        sidecar = ProxyPlan(
            proxy="sidecar", host=HostName("web-1"), clusters=(cluster,) * self.clusters, credentials=self.shown
        )
        return (sidecar, ProxyPlan(proxy="gateway", host=HostName("web-1"), credentials=self.shown))

    async def in_use(self, _proxy: ProxyName) -> InUse | None:
        self.asked += 1
        if self.read is None:
            return None
        serials = frozenset({certificates(self.read.chain.read_bytes())[0].serial})
        return InUse(certificates=serials, authorities=serials)


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = Host()
        self.told: list[tuple[Certificate, ...]] = []
        self.watch = CertificateWatch(self.host, lambda: self.host.time, self.told.append)

    def takes(self, pair: Pair, *, below: Path | str = "") -> None:
        secret = CertificateSecret(
            name=SecretName("credential:web"),
            certificate_chain=str(pair.chain),
            private_key=str(pair.key),
            below=str(below),
            origin=AT,
        )
        self.host.taken = (secret,)

    def shows(self, content: bytes) -> Path:
        """Both proxies, to one that they ask for tunnels."""
        file = self.directory / "secrets" / "corporate" / "proxy-authorization"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        self.host.shown = (Credentials(file=str(file), below=str(self.directory / "secrets"), origin=AT),)
        return file

    def looks(self, later: timedelta = EVERY) -> Certificate:
        self.host.time += later
        asyncio.run(self.watch.look())
        (seen,) = self.told[-1]
        return seen

    def condition(self) -> tuple[str, str]:
        return certificates_condition(self.told[-1])[:2]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return authority(tmp_path)


@pytest.fixture
def events():
    """Through a configuration of its own: the log of other tests is not in it."""
    with structlog.testing.capture_logs() as captured:
        yield captured


def names(events) -> list[str]:
    return [each["event"] for each in events]


def test_its_end_is_told_once_a_month_and_once_a_week_ahead_and_when_it_comes(world: World, ca: Authority, events):
    world.takes(ca.signed("/CN=web", now() - DAY, now() + 40 * DAY))
    found = [(world.looks(days * DAY).state, *world.condition()) for days in (0, 9, 2, 1, 20, 1, 6, 1, 1)]

    assert found == [
        ("ok", "True", "Valid"),
        ("ok", "True", "Valid"),
        ("expires", "True", "ExpiresWithinAMonth"),
        ("expires", "True", "ExpiresWithinAMonth"),
        ("expires", "True", "ExpiresWithinAMonth"),
        ("expires", "True", "ExpiresWithinAMonth"),
        ("expires", "True", "ExpiresWithinAWeek"),
        ("expired", "False", "Expired"),
        ("expired", "False", "Expired"),
    ]
    assert names(events) == ["certificate.expires", "certificate.expires", "certificate.expired"]
    assert {each["log_level"] for each in events} == {"warning"}
    assert events[0]["path"].endswith("tls.crt")
    assert (events[0]["subject"], events[0]["at"]) == ("CN=web", "rule.yaml:9:7")


def test_a_renewal_ends_the_warning(world: World, ca: Authority, events):
    pair = ca.signed("/CN=web", now() - 90 * DAY, now() + 5 * DAY, stem="web")
    world.takes(pair)
    assert world.looks().state == "expires"

    renewed(pair, ca.signed("/CN=web", now() - DAY, now() + 400 * DAY, stem="new"))

    assert world.looks().state == "ok"
    assert world.condition() == ("True", "Valid")
    assert names(events) == ["certificate.expires", "certificate.ok"]


def test_a_renewal_in_time_is_an_event_and_no_condition(world: World, ca: Authority, events):
    pair = ca.signed("/CN=web", now() - DAY, now() + 100 * DAY, stem="web")
    world.takes(pair)
    world.looks()

    renewed(pair, ca.signed("/CN=web", now() - DAY, now() + 400 * DAY, stem="new"))

    assert world.looks().expires == now() + 400 * DAY
    assert names(events) == ["certificate.renewed"]


def test_what_does_not_hold_yet_is_said_with_its_day(world: World, ca: Authority):
    world.takes(ca.signed("/CN=web", now() + 10 * DAY, now() + 100 * DAY))

    assert world.looks().reason == f"it does not hold before {now() + 10 * DAY:%Y-%m-%d %H:%M} UTC"
    assert world.condition() == ("False", "Invalid")


def test_a_file_that_goes_away_and_comes_back(world: World, events):
    pair = made(world.directory, "web")
    world.takes(pair)
    world.looks()
    away = pair.chain.rename(world.directory / "away")

    assert world.looks().state == "missing"
    assert world.condition() == ("False", "Missing")
    assert "proxies keep what they have read" in certificates_condition(world.told[-1])[2]
    away.rename(pair.chain)
    assert world.looks().state == "ok"
    assert names(events) == ["certificate.missing", "certificate.ok"]


def test_whether_the_proxy_has_read_it_is_known_a_moment_later(world: World):
    pair = made(world.directory, "web")
    world.takes(pair)
    world.host.read = pair

    assert [world.looks().in_use for _ in range(3)] == [None, True, True]


def test_a_proxy_that_keeps_another_one_is_told_after_a_second_look(world: World, events):
    """Envoy keeps what it has when a key does not fit the certificate; both files look well."""
    pair = made(world.directory, "web")
    world.takes(pair)
    world.host.read = made(world.directory / "other", "web")

    assert [world.looks().in_use for _ in range(4)] == [None, None, False, False]
    assert world.condition() == ("False", "NotInUse")
    assert world.told[-1][0].state == "ok"
    world.host.read = pair
    assert world.looks(DOUBT_EVERY).in_use is True
    assert names(events) == ["certificate.unused", "certificate.ok"]


def test_what_a_proxy_does_not_say_is_not_known(world: World):
    world.takes(made(world.directory, "web"))

    assert [world.looks(ASK_EVERY).in_use for _ in range(4)] == [None] * 4


def test_envoy_is_asked_after_a_change_and_never_again_once_it_has_everything(world: World):
    pair = made(world.directory, "web")
    world.takes(pair)
    world.host.read = pair
    for _ in range(5):
        world.looks()
    assert world.host.asked == 1

    for _ in range(10):
        world.watch.soon()
        world.looks(ASK_EVERY)

    assert world.host.asked == 1


def test_a_proxy_that_does_not_answer_is_asked_again(world: World):
    pair = made(world.directory, "web")
    world.takes(pair)
    assert [world.looks().in_use for _ in range(3)] == [None] * 3

    world.host.read = pair

    assert world.looks(ASK_EVERY).in_use is True


def test_envoy_is_not_asked_when_it_would_have_to_list_too_many(world: World):
    """It lists them all anew for each cluster, and does nothing else meanwhile."""
    pair = made(world.directory, "web")
    world.takes(pair)
    world.host.read = pair
    world.host.clusters = MOST_LISTED + 1

    assert [world.looks(ASK_EVERY).in_use for _ in range(3)] == [None] * 3
    assert world.host.asked == 0


def test_a_key_that_comes_after_its_certificate_is_reason_to_ask_again(world: World):
    pair = made(world.directory, "web")
    world.takes(pair)
    world.host.read = pair
    for _ in range(3):
        world.looks()
    before = world.host.asked

    pair.key.write_bytes(made(world.directory / "other", "web").key.read_bytes())

    assert [world.looks().in_use for _ in range(2)] == [None, True]
    assert world.host.asked == before + 1


def test_who_names_it_and_under_which_name_is_told(world: World):
    store = world.directory / "secrets"
    world.takes(made(store / "team/web", "web"), below=store)

    told = world.looks().as_json()

    assert (told["credential"], told["kind"], told["proxies"]) == ("team/web", "certificate", ["sidecar"])
    assert told["from"] == {
        "file": "rule.yaml",
        "line": 9,
        "column": 7,
        "path": "spec.trafficPolicy.tls",
        "resource": {"kind": "DestinationRule", "namespace": "x", "name": "shop"},
    }


def test_a_list_of_revocations_is_dated_and_nobody_says_whether_it_is_in_use(world: World, ca: Authority):
    crl = ca.revocations(now() - 30 * DAY, now() - DAY)
    files = {"ca_certificates": (str(ca.own.chain),), "crl": str(crl)}
    world.host.taken = (ValidationSecret(name=SecretName("root"), **files),)
    for _ in range(3):
        world.host.time += EVERY
        asyncio.run(world.watch.look())

    told = {each.kind: (each.state, each.in_use) for each in world.told[-1]}

    assert told == {"ca": ("ok", None), "crl": ("expired", None)}


CREDENTIALS = b"Basic bWVzaGQ6czNjcmV0"


def test_credentials_that_are_renewed_badly_are_told_and_nothing_of_what_they_are(world: World, events):
    """Envoy takes any content: no tunnel opens from then on."""
    file = world.shows(CREDENTIALS)
    assert world.looks().state == "ok"

    file.write_bytes(CREDENTIALS + b"\n")

    assert world.looks().state == "invalid"
    status, reason, message = certificates_condition(world.told[-1])
    assert (status, reason) == ("False", "Invalid")
    assert message.startswith(f"{file}: they end in a line break, which Envoy would send too; ")
    assert "keep what they have read" not in message
    file.write_bytes(CREDENTIALS)
    assert world.looks().state == "ok"
    assert names(events) == ["credentials.invalid", "credentials.ok"]
    assert CREDENTIALS.decode() not in str([*events, *world.told])


def test_credentials_that_go_away_are_told_like_a_certificate(world: World, events):
    file = world.shows(CREDENTIALS)
    world.looks()

    file.unlink()

    told = world.looks().as_json()
    assert (told["kind"], told["state"], told["credential"]) == ("credentials", "missing", "corporate")
    assert told["proxies"] == ["sidecar", "gateway"]
    assert "proxies keep what they have read" in certificates_condition(world.told[-1])[2]
    assert names(events) == ["credentials.missing"]


def test_nothing_is_told_before_it_is_understood_what_is_served(world: World):
    world.host.understood = False

    asyncio.run(world.watch.look())

    assert world.told == []


def test_a_condition_names_the_worst_first_and_no_more_than_three(world: World, ca: Authority):
    secrets = []
    for number in range(5):
        files = {"certificate_chain": f"/nowhere/{number}.crt", "private_key": "/nowhere/key"}
        secrets.append(CertificateSecret(name=SecretName(f"file-cert:{number}"), **files))
    old = ca.signed("/CN=old", now() - 2 * DAY, now() - DAY)
    files = {"certificate_chain": str(old.chain), "private_key": str(old.key)}
    world.host.taken = (*secrets, CertificateSecret(name=SecretName("old"), **files))

    asyncio.run(world.watch.look())

    assert certificates_condition(world.told[-1])[:2] == ("False", "Expired")
    without = certificates_condition(world.told[-1][:-1])
    assert without[1] == "Missing"
    assert without[2].endswith("; and 2 more")


def test_no_certificates_are_no_problem():
    assert certificates_condition(()) == ("True", "NoCertificates", "")


def test_a_fault_of_the_watch_is_one_event_and_it_goes_on(events):
    class Faulty(Host):
        def secrets(self):
            self.asked += 1
            if self.asked < 3:
                watch.soon()
                raise RuntimeError("crash")
            told.set()
            return

    async def story():
        watching = asyncio.create_task(watch.run())
        async with asyncio.timeout(10):
            await told.wait()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    told = asyncio.Event()
    watch = CertificateWatch(Faulty(), now, lambda _: None)
    asyncio.run(story())

    assert names(events) == ["certificates.crashed"]
