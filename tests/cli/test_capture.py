"""`meshd capture` as operators and the unit call it, each time on a host of its own: what it loads and refuses."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from meshd.capture.served import Served, written
from meshd.cli.capture import command
from tests.capture.machines import ENVOY, ruleset, socket_of
from tests.live.namespace import namespace

CONFIG = """\
repository: {{url: /srv/mesh.git}}
capture: {capture}
nftables: {{agentUser: 64002, proxyUser: {proxy}, excludeOutboundPorts: [{port}]}}
stateDirectory: {state}
"""


class Host:
    """`listens`: the sidecar, on its two ports."""

    def __init__(self, room, directory):
        self.room, self.directory = room, directory
        self.config, self.note = directory / "meshd.yaml", directory / "capture.json"
        self.sockets = []
        self.configure()
        self.note.write_bytes(written(Served()))

    def configure(self, capture="nftables", port=22, proxy=ENVOY):
        self.config.write_text(CONFIG.format(capture=capture, port=port, proxy=proxy, state=self.directory))

    def listens(self, *ports):
        def listen(port):
            made = socket_of(ENVOY, socket.AF_INET)
            made.bind(("0.0.0.0", port))
            made.listen()
            return made

        self.sockets += [self.room.within(listen, port) for port in ports]

    def capture(self, *words, given=(), environment=None):
        command = self.room.command(*given, sys.executable, "-m", "meshd", "capture", *words)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)

    def applies(self, *more):
        return self.capture("apply", "--config", str(self.config), *more)

    def shows(self, *more):
        return self.capture("show", "--config", str(self.config), *more)


@pytest.fixture
def host(tmp_path):
    with namespace() as room:
        made = Host(room, tmp_path)
        yield made
        for each in made.sockets:
            each.close()


@pytest.fixture
def serving(host):
    host.listens(15001, 15006)
    return host


def test_what_is_shown_is_what_is_loaded_once_twice_and_removed(serving):
    shown = serving.shows()
    assert (shown.returncode, shown.stderr) == (0, "loaded now: none\n")
    assert ruleset(serving.room) == "", "showing changes nothing"

    first, once = serving.applies(), ruleset(serving.room)
    second = serving.applies()

    said = "table inet meshd is loaded: to 15001 what is opened here, to 15006 what comes in\n"
    assert (first.returncode, first.stdout, first.stderr) == (0, said, "")
    assert (second.returncode, second.stdout) == (0, said)
    assert ruleset(serving.room) == once
    serving.room.run("nft", "-f", "-", given=shown.stdout)
    assert ruleset(serving.room) == once
    assert serving.shows("--exit-code").stderr == "loaded now: this table\n"

    for _ in range(2):
        removed = serving.capture("remove")
        assert (removed.returncode, removed.stdout) == (0, "no table inet meshd: nothing is redirected\n")
        assert ruleset(serving.room) == ""


def test_other_settings_are_seen_and_replace_the_table(serving):
    serving.applies()
    serving.configure(port=7777)

    shown = serving.shows("--exit-code")
    assert (shown.returncode, shown.stderr) == (
        1,
        "loaded now: another table of meshd's; `meshd capture apply` replaces it\n",
    )
    assert serving.applies().returncode == 0
    assert "dport 7777 return" in ruleset(serving.room)
    assert serving.shows("--exit-code").returncode == 0


def test_programs_are_told_in_json(serving):
    serving.applies()

    told = json.loads(serving.shows("-o", "json").stdout)

    assert told.pop("table") == serving.shows().stdout
    assert told == {"loaded": "same", "proxyListenPort": 15001, "proxyInboundPort": 15006, "remark": ""}


def test_show_needs_no_privileges(serving):
    serving.applies()
    for path in (serving.directory, serving.directory.parent, serving.directory.parent.parent):
        path.chmod(0o755)

    shown = serving.capture(
        "show", "--config", str(serving.config), given=("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    )

    assert (shown.returncode, shown.stderr) == (0, "loaded now: this table\n")


def test_before_the_first_revision_the_usual_ports_are_shown_and_nothing_is_loaded(serving):
    serving.note.unlink()

    shown, applied = serving.shows(), serving.applies()

    assert shown.returncode == 0
    assert "redirect to :15001" in shown.stdout
    assert "meshd has served no revision on this host yet: shown with the usual ports" in shown.stderr
    assert applied.returncode == 1
    assert "meshd has served no revision on this host yet" in applied.stderr
    assert ruleset(serving.room) == ""


def test_the_ports_are_those_of_the_mesh(host):
    host.note.write_bytes(written(Served(proxy_listen_port=16001, proxy_inbound_port=16006, bound=frozenset({80}))))
    host.listens(16001, 16006)

    assert host.applies().stdout == (
        "table inet meshd is loaded: to 16001 what is opened here, to 16006 what comes in\n"
    )
    assert "dport { 22, 80 } return" in ruleset(host.room)


def test_nothing_is_redirected_to_nobody(serving):
    serving.applies()
    before = ruleset(serving.room)
    serving.sockets.pop().close()

    refused = serving.applies()

    assert refused.returncode == 1
    assert refused.stderr.startswith("meshd: nobody listens on port 15006, so all redirected connections")
    assert ruleset(serving.room) == before, "who is captured stays so: the sidecar may only be restarting"


def test_the_sidecar_is_waited_for(host):
    host.listens(15001)
    words = host.room.command(
        sys.executable, "-m", "meshd", "capture", "apply", "--config", host.config, "--wait", "60"
    )
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as waiting:
        host.listens(15006)
        assert waiting.stdout is not None
        assert waiting.stdout.read().startswith("table inet meshd is loaded")
    assert waiting.returncode == 0


def test_a_stranger_on_the_port_is_not_waited_for(serving):
    serving.configure(proxy=64077)

    refused = serving.applies("--wait", "60")

    assert refused.returncode == 3
    assert "on port 15001 user 64003 listens, who does not run this host's proxies" in refused.stderr


@pytest.mark.parametrize("reason", ["the configuration says capture: none", "this host has no sidecar"])
def test_a_host_that_captures_nothing_has_no_table(serving, reason):
    serving.applies()
    if "sidecar" in reason:
        serving.note.write_bytes(written(None))
    else:
        serving.configure(capture="none")

    shown = serving.shows("--exit-code")
    applied = serving.applies()

    assert (shown.returncode, shown.stdout) == (1, "")
    assert reason in shown.stderr
    assert (applied.returncode, applied.stdout) == (0, f"no table inet meshd: {reason}\n")
    assert ruleset(serving.room) == ""
    assert serving.shows("--exit-code").returncode == 0


def test_a_user_who_is_not_known_is_a_fault_of_the_configuration(serving):
    serving.applies()
    before = ruleset(serving.room)
    serving.configure(proxy="envoi")

    refused = serving.applies("--wait", "60")

    assert refused.returncode == 2
    assert f"{serving.config}:3:41: nftables.proxyUser: this host has no user 'envoi'" in refused.stderr
    assert ruleset(serving.room) == before


def test_a_broken_configuration_is_replaced_by_the_one_that_was_kept(serving):
    kept = serving.directory / "kept.yaml"
    assert serving.applies("--kept", str(kept)).returncode == 0
    loaded = ruleset(serving.room)
    serving.config.write_text("captur: nftables\n")

    plain = serving.applies()
    with_copy = serving.applies("--kept", str(kept))

    assert plain.returncode == 2
    assert "did you mean 'capture'?" in with_copy.stderr
    assert f"going on with {kept}, which was accepted last" in with_copy.stderr
    assert with_copy.returncode == 0
    assert ruleset(serving.room) == loaded


def test_a_copy_that_cannot_be_kept_is_no_reason_to_capture_nothing(serving):
    applied = serving.applies("--kept", "/proc/meshd.yaml")

    assert applied.returncode == 0
    assert "no copy of the configuration in /proc/meshd.yaml" in applied.stderr
    assert "redirect to :15001" in ruleset(serving.room)


@pytest.mark.parametrize("verb", ["apply", "remove"])
def test_without_the_capability_it_says_who_has_it(serving, verb):
    more = ("--config", str(serving.config)) if verb == "apply" else ()

    refused = serving.capture(verb, *more, given=("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"))

    assert refused.returncode == 3
    assert "only be changed with CAP_NET_ADMIN; run as root, or by the unit" in refused.stderr


def test_what_the_daemon_wrote_is_not_believed_when_it_is_nonsense(serving):
    serving.note.write_text('{"format": 1, "sidecar": {"proxyListenPort": "15001 drop"}}')

    for refused in (serving.applies(), serving.shows()):
        assert refused.returncode == 3
        assert "capture.json is not what this version of meshd writes; restart meshd" in refused.stderr


@pytest.mark.parametrize("words", [["--help"], ["show", "--help"], ["apply", "--help"], ["remove", "--help"]])
def test_each_verb_explains_itself(words):
    told = CliRunner().invoke(command, words)

    assert told.exit_code == 0
    assert max(map(len, told.output.splitlines())) <= 100
