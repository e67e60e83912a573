"""What the agent and its proxies do with files, sockets, processes and DNS of the host, under their own units."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dns_server import serve
from tests.lab import everything
from tests.lab.everything import PORTS
from tests.lab.installation import Host
from tests.lab.lab import Lab, settle
from tests.lab.load import no_request_fails
from tests.lab.local_repository import LocalRepository, local_repository
from tests.lab.network import GATEWAY
from tests.lab.outside import answering, proxying
from tests.lab.packages import installed
from tests.live.certificates import Authority, Pair, authority, server_context
from tests.live.forward_proxy import ForwardProxy, basic
from tests.waiting import until

pytestmark = [pytest.mark.envoy, pytest.mark.slow, pytest.mark.lab]

LOG = "/var/log/meshd-envoy/access.log"
OTHER_NAMESERVER = "10.77.0.2"
URI = "URI:spiffe://cluster.local/ns/default/sa/web"
# Of docs/workloads.md, for whom the gateway's socket is.
EDGE_DIRECTORY = "d /run/edge 2750 meshd-envoy www-data -\n"
EDGE_UNIT = "[Service]\nReadWritePaths=/run/edge\n"


@dataclass(frozen=True, kw_only=True)
class Used:
    """`house` signs what the mesh shows and believes; `public` is known to nobody yet."""

    host: Host
    repository: LocalRepository
    house: Authority
    public: Authority
    proxy: ForwardProxy
    lab: Lab

    def get(self, name: str) -> tuple[int, str]:
        return self.host.get(f"http://{name}.example/")

    def push(self, log: str = LOG) -> None:
        files = everything.mesh(self.host.machine.address, log)
        self.host.await_revision(self.repository.push(files))

    def install(self, directory: str, **files: Path | str) -> None:
        """As docs/certificates.md has it. `tls_key` is `tls.key`."""
        machine = self.host.machine
        machine.run("install", "-d", "-m", "0750", "-g", "meshd-envoy", directory)
        for name, content in files.items():
            text = content.read_text() if isinstance(content, Path) else content
            path = f"{directory}/{name.replace('_', '.')}"
            machine.write(path, text, mode=0o640, owner="root:meshd-envoy")

    def install_pair(self, credential: str, pair: Pair) -> None:
        self.install(f"/etc/meshd/secrets/{credential}", tls_key=pair.key, tls_crt=pair.chain)


@pytest.fixture(scope="module")
def used(lab, tree, built, tmp_path_factory):
    """A host on which everything is configured, and the world around it."""
    directory = tmp_path_factory.mktemp("certificates")
    house, public = authority(directory, "house CA"), authority(directory, "public CA")
    proxy = ForwardProxy(leads={"world.example:80": PORTS["plain"]}, expects=basic("mesh", "first"))
    with ExitStack() as world:
        for name, tls in (
            ("plain", None),
            ("bank", server_context(house.signed("bank.example", "DNS:bank.example"), clients=house)),
            ("house", server_context(house.signed("house.example", "DNS:house.example"))),
            ("public", server_context(public.signed("public.example", "DNS:public.example"))),
        ):
            world.enter_context(answering(lab.network, name, PORTS[name], tls, address="0.0.0.0"))
            lab.dns.set(f"{name}.example", GATEWAY, ttl=1)
        world.enter_context(proxying(lab.network, proxy, PORTS["proxy"]))
        (machine,) = lab.boot({"web": installed(tree, built)})
        repository = local_repository(machine)
        used = Used(host=Host(machine), repository=repository, house=house, public=public, proxy=proxy, lab=lab)
        configure(used)
        yield used


def configure(used: Used) -> None:
    machine = used.host.machine
    everything.run_applications(machine)
    bank, edge = used.house.signed("first", "DNS:first"), used.house.signed("edge.example", "DNS:edge.example")
    used.install_pair("bank", bank)
    used.install("/etc/meshd/secrets/bank", ca_crt=used.house.file)
    used.install_pair("edge", edge)
    used.install("/etc/meshd/secrets/corporate", **{"proxy-authorization": basic("mesh", "first")})
    host = used.house.signed("web", URI)
    names = {"key.pem": host.key, "cert-chain.pem": host.chain, "root-cert.pem": used.house.file}
    used.install("/etc/meshd/identity", **names)
    machine.write("/etc/meshd/house.pem", used.house.file.read_text())
    machine.write("/etc/tmpfiles.d/edge.conf", EDGE_DIRECTORY)
    machine.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/edge.conf")
    machine.write("/etc/systemd/system/meshd-envoy@gateway.service.d/edge.conf", EDGE_UNIT)
    machine.run("git", "-C", "/", "config", "--system", "--add", "safe.directory", used.repository.path)
    machine.write("/etc/meshd/meshd.yaml", f"repository:\n  url: {used.repository.path}\nexecProbes: true\n")
    machine.systemctl("daemon-reload")
    files = everything.mesh(machine.address, LOG)
    revision = used.repository.push(files)
    machine.systemctl("enable", "--now", "meshd")
    used.host.await_revision(revision)
    used.host.until_ready()


# --- probes -------------------------------------------------------------------------------------------------------


def health(used: Used) -> dict[str, bool]:
    """By the kind of probe, once each has found something."""
    shown = used.host.status()["workloads"]
    return {each["workload"].removeprefix("default/web-"): each["healthy"] for each in shown if not each["reason"]}


def unwell(used: Used) -> set[str]:
    shown = used.host.status()["workloads"]
    return {each["workload"].removeprefix("default/web-") for each in shown if not each["healthy"]}


@pytest.mark.spec("W-13", "W-14", "W-15", "W-16")
def test_each_kind_of_probe_sees_that_a_workload_fails_and_that_it_is_well_again(used):
    machine = used.host.machine
    until(lambda: health(used) == dict.fromkeys(everything.PROBES, True), what="all to be well")

    machine.run("rm", everything.HEALTHY)
    machine.systemctl("stop", "application@8080", "of-grpc")
    until(lambda: unwell(used) == set(everything.PROBES), what="all to be unwell")

    machine.write(everything.HEALTHY, "")
    machine.systemctl("start", "application@8080", "of-grpc")
    until(lambda: not unwell(used), what="all to be well again")


def test_a_command_of_a_probe_may_do_what_the_page_says(used):
    machine = used.host.machine
    machine.copy_in(Path(__file__).with_name("command.py"), "/opt/command.py")
    for path in ("/home/deploy/open", "/tmp/open"):
        machine.write(path, "for everybody")
    files = everything.mesh(machine.address, LOG)
    asked = files["workloads.yaml"].replace(everything.PROBES["exec"], "exec: {command: [python3, /opt/command.py]}")
    used.repository.push({"workloads.yaml": asked})

    told = until(lambda: machine.attempt("cat", "/var/lib/meshd/told.json").stdout, what="the command to be run")
    attempts = json.loads(told)

    assert {name for name, how in attempts.items() if how == "done"} == {
        "a port",
        "a socket",
        "systemd",
        "processes",
        "a key of the mesh",
        "its own /tmp",
    }
    assert attempts["environment"] == "LANG PATH"
    used.push()


# --- sockets ------------------------------------------------------------------------------------------------------


def test_an_application_on_a_socket_is_called_also_when_it_was_started_again(used):
    assert used.get("socket") == (200, "socket")

    used.host.machine.systemctl("stop", "on-a-socket.service")
    used.host.machine.systemctl("restart", "on-a-socket.socket")

    until(lambda: used.get("socket") == (200, "socket"), what="an answer")


@pytest.mark.spec("G-3.6")
def test_the_socket_of_a_gateway_is_for_the_group_of_its_directory(used):
    asked = ("curl", "-s", "-m", "5", "--unix-socket", "/run/edge/edge.sock", "http://edge.example/")

    assert used.host.machine.as_user("www-data", *asked).stdout == "socket"
    assert used.host.machine.as_user("nobody", *asked).returncode == 7


# --- certificates -------------------------------------------------------------------------------------------------


def test_a_credential_opens_mutual_tls_and_its_renewal_fails_no_request(used):
    assert used.get("bank") == (200, "bank first")

    with no_request_fails(used.host, "bank.example"):
        used.install_pair("bank", used.house.signed("second", "DNS:second"))
        until(lambda: used.get("bank") == (200, "bank second"), what="the new certificate")


def test_a_path_of_the_repository_names_whom_to_believe(used):
    assert used.get("house") == (200, "house")


def test_who_is_added_to_the_trust_store_is_trusted_at_once(used):
    assert used.get("public")[0] == 503

    used.host.machine.copy_in(used.public.file, "/usr/local/share/ca-certificates/public.crt")
    used.host.machine.run("update-ca-certificates")

    until(lambda: used.get("public") == (200, "public"), what="trust")


@pytest.mark.spec("SC-7")
def test_members_of_the_mesh_know_each_other_by_the_identity_of_the_host(used):
    code, body = used.get("own")

    assert code == 200
    assert "URI=spiffe://cluster.local/ns/default/sa/web" in body


def test_a_gateway_ends_tls_with_a_credential_whose_end_status_tells(used):
    machine = used.host.machine
    resolved = ("--resolve", f"edge.example:443:{machine.address}", "--cacert", "/etc/meshd/house.pem")

    assert used.host.curl(*resolved, "https://edge.example/") == (200, "socket")

    shown = {each["path"]: each for each in used.host.status()["certificates"]}
    edge = shown["/etc/meshd/secrets/edge/tls.crt"]
    assert (edge["state"], edge["subject"]) == ("ok", "CN=edge.example")
    assert "47h left" in used.host.meshd("status").stdout


# --- ways out -----------------------------------------------------------------------------------------------------


def test_the_outbound_proxy_is_shown_credentials_that_neither_meshd_nor_the_repository_has(used):
    assert used.get("world") == (200, "plain")

    used.proxy.expects = basic("mesh", "second")
    used.install("/etc/meshd/secrets/corporate", **{"proxy-authorization": basic("mesh", "second")})

    until(lambda: used.get("world") == (200, "plain"), what="the new credentials")


def test_another_nameserver_in_resolv_conf_is_asked_by_the_agent_and_by_the_proxy(used):
    machine, before = used.host.machine, used.lab.dns
    before.set("one.wild.example", GATEWAY, ttl=1)
    assert used.get("one.wild") == (200, "plain")
    used.lab.network.run("ip", "address", "add", f"{OTHER_NAMESERVER}/24", "dev", "lab")

    with serve(53, OTHER_NAMESERVER, used.lab.network.within) as after:
        for name in ("two.wild.example", *before.records):
            after.set(name, GATEWAY, ttl=1)
        before.silent = True
        # As systemd-resolved and resolvconf do it: a link to a file of theirs.
        machine.write("/run/resolvconf/resolv.conf", f"nameserver {OTHER_NAMESERVER}\n")
        machine.run("ln", "--symbolic", "/run/resolvconf/resolv.conf", "/etc/resolv.new")
        machine.run("mv", "/etc/resolv.new", "/etc/resolv.conf")

        until(lambda: used.get("two.wild") == (200, "plain"), seconds=40, what="the proxy's answer")
        until(lambda: after.questions("bank.example"), what="the agent's question")
        used.host.await_condition("EndpointsFresh", "True")
        before.silent = False
        settle(machine)


# --- logs ---------------------------------------------------------------------------------------------------------


def test_logrotate_as_the_package_has_it_loses_no_line(used):
    machine = used.host.machine
    used.host.get("http://socket.example/before")
    until(lambda: "/before" in machine.read(LOG), what="the line")

    machine.run("logrotate", "--force", "/etc/logrotate.d/meshd-envoy")
    used.host.get("http://socket.example/after")

    until(lambda: "/after" in machine.read(LOG), what="the line in the new file")
    assert "/before" in machine.read(f"{LOG}.1")
    assert machine.run("stat", "-c", "%a %U %G", LOG).split() == ["640", "meshd-envoy", "meshd-envoy"]


def test_what_works_is_no_warning_of_envoy(used):
    """Past some lines a second the journal drops all others of the unit."""
    used.host.get("http://one.wild.example/")

    said = [entry["MESSAGE"] for entry in used.host.machine.journal("-t", "meshd-envoy-sidecar", "_COMM=envoy")]
    assert not [line for line in said if "[rbac]" in line]


def test_a_log_on_standard_output_is_in_the_journal_of_the_proxy(used):
    used.push(log="/dev/stdout")
    used.host.get("http://socket.example/told")

    def told():
        return [entry for entry in used.host.machine.journal("_COMM=cat") if "/told" in entry["MESSAGE"]]

    (line,) = until(told, what="the line")
    assert line["SYSLOG_IDENTIFIER"] == "meshd-envoy-sidecar"
    assert line["_SYSTEMD_UNIT"] == "meshd-envoy@sidecar.service"
