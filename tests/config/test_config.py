"""The agent's own file: every default, every bound, and what is said when it is wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from meshd.config import AgentConfig, load_config
from meshd.config.checks import branch_name, nameserver, repository_url

NOT_YAML = "not YAML: while parsing a flow node: did not find expected node content"
ONE_DOCUMENT = "the configuration is one document, and this is a second one"
MINIMAL = "repository: {url: /srv/mesh.git}\n"


@pytest.fixture
def load(tmp_path: Path):
    def written_and_loaded(text: str, hostname: str = "this-machine") -> tuple[AgentConfig | None, list[str]]:
        file = tmp_path / "meshd.yaml"
        file.write_text(text)
        config, problems = load_config(file, hostname)
        return config, [str(problem).removeprefix(f"{tmp_path}/") for problem in problems]

    return written_and_loaded


def test_only_the_repository_must_be_told(load):
    config, said = load(MINIMAL)

    assert said == []
    assert config.host == "this-machine"
    assert config.repository.url == "/srv/mesh.git"
    assert (config.repository.branch, config.repository.path) == ("main", ".")
    assert (config.repository.poll, config.repository.timeout) == (timedelta(seconds=30), timedelta(seconds=60))
    assert (config.capture, config.http_proxy_port) == ("none", 15080)
    assert not config.exec_probes, "whoever can push must not run commands unasked"
    assert (config.envoy.binary, config.envoy.supervisor, config.envoy.preflight) == ("auto", "systemd", True)
    assert (config.resolver.min_ttl, config.resolver.max_ttl) == (timedelta(seconds=1), timedelta(minutes=5))
    assert (config.log.level, config.log.format) == ("info", "auto")
    assert (config.state_directory, config.runtime_directory) == ("/var/lib/meshd", "/run/meshd")


def test_everything_can_be_told(load):
    config, said = load("""\
host: web-1.example.com
repository:
  url: ssh://git@git.example.com:2222/mesh.git
  branch: release/2024
  path: mesh/production
  poll: 1m
  timeout: 2m
  sshKey: /etc/meshd/id_ed25519
  knownHosts: /etc/meshd/known_hosts
capture: none
httpProxyPort: 0
execProbes: true
envoy: {binary: /usr/bin/envoy, supervisor: child, preflight: false}
resolver: {nameservers: [10.0.0.2, "10.0.0.2:5353", "[fd00::2]:53", "fd00::2"], timeout: 500ms, minTtl: 10s, maxTtl: 1h}
log: {level: debug, format: json}
stateDirectory: /srv/meshd
runtimeDirectory: /run/mesh
""")

    assert said == []
    assert config.host == "web-1.example.com"
    assert config.repository.path == "mesh/production"
    assert config.repository.ssh_key == "/etc/meshd/id_ed25519"
    assert config.http_proxy_port == 0
    assert config.exec_probes
    assert config.resolver.nameservers == ("10.0.0.2", "10.0.0.2:5353", "[fd00::2]:53", "fd00::2")
    assert not config.envoy.preflight


def test_a_repository_over_https_takes_its_password_from_a_file(load):
    config, said = load("repository: {url: https://git.example.com/mesh, username: x, passwordFile: /etc/meshd/token}")

    assert said == []
    assert config.repository.password_file == "/etc/meshd/token"


def test_the_example_in_the_repository_is_accepted():
    config, problems = load_config(Path(__file__).parent.parent.parent / "examples" / "meshd.yaml", "x")

    assert config is not None
    assert problems == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: repository: is required [E-REQUIRED]"),
        ("repository: {}", "1:13: repository.url: is required [E-REQUIRED]"),
        (
            MINIMAL + "httpProxyprt: 1",
            "2:1: httpProxyprt: there is no such field; did you mean 'httpProxyPort'? [E-FIELD]",
        ),
        (MINIMAL + "httpProxyPort: 65536", "2:16: httpProxyPort: 65536 is more than 65535 [E-VALUE]"),
        (MINIMAL + "host: web_1", "2:7: host: 'web_1' is not a host name [E-VALUE]"),
        (
            MINIMAL + "capture: iptables",
            "2:10: capture: 'iptables' is not known here; did you mean 'nftables'? [E-VALUE]",
        ),
        (
            MINIMAL + "log: {level: warn}",
            "2:14: log.level: 'warn' is not known here; did you mean 'warning'? [E-VALUE]",
        ),
        (
            MINIMAL + "envoy: {binary: envoy}",
            "2:17: envoy.binary: 'envoy' is neither auto nor an absolute path [E-VALUE]",
        ),
        (MINIMAL + "stateDirectory: lib", "2:17: stateDirectory: 'lib' is not an absolute path [E-VALUE]"),
        (
            MINIMAL + f"runtimeDirectory: /{'x' * 80}",
            "2:19: runtimeDirectory: must be at most 80 bytes long, for the sockets in it [E-VALUE]",
        ),
        (MINIMAL + "resolver: {minTtl: 10m}", "2:20: resolver.minTtl: is more than maxTtl, 5m [E-VALUE]"),
        (
            MINIMAL + "resolver: {maxStaleness: 5m}",
            "2:26: resolver.maxStaleness: must be more than maxTtl, 5m [E-VALUE]",
        ),
        (
            MINIMAL + "resolver: {nameservers: [dns.example]}",
            "2:26: resolver.nameservers[0]: 'dns.example' is neither an IP address nor one with a port [E-VALUE]",
        ),
        ("repository: {url: /a, poll: 100ms}", "1:29: repository.poll: must be at least 1s [E-VALUE]"),
        ("repository: {url: /a, path: ../b}", "1:29: repository.path: '../b' leads out of the repository [E-VALUE]"),
        (
            "repository: {url: /a, path: /b}",
            "1:29: repository.path: '/b' must be relative to the top of the repository [E-VALUE]",
        ),
        (
            "repository: {url: /a, path: ./b/}",
            "1:29: repository.path: './b/' is the same as 'b': write that [E-VALUE]",
        ),
        (
            "repository: {url: /a, sshKey: /key}",
            "1:31: repository.sshKey: is only for ssh, and `url` is not; remove it [E-VALUE]",
        ),
        (
            "repository: {url: 'http://git.example/a', caFile: /ca}",
            "1:51: repository.caFile: is only for https, and `url` is not; remove it [E-VALUE]",
        ),
        (
            "repository: {url: git@host:mesh, passwordFile: /token}",
            "1:48: repository.passwordFile: is only for http, and `url` is not; remove it [E-VALUE]",
        ),
        (
            "repository: {url: https://host/mesh, username: me}",
            "1:13: repository.passwordFile: is required beside `username` [E-REQUIRED]",
        ),
        (
            MINIMAL + "---\na: 1",
            f"3:1: {ONE_DOCUMENT}; remove the `---` or what follows it [E-CONFIG]",
        ),
        ("repository: [", f"1:14: {NOT_YAML}; close the `[` or `{{` that is still open [E-YAML]"),
    ],
)
def test_what_is_wrong_is_said_as_well_as_in_the_mesh(load, text: str, said: str):
    assert load(text) == (None, [f"meshd.yaml:{said}"])


def test_all_mistakes_are_told_at_once(load):
    _, said = load("repository: {url: a, branch: refs/heads/x}\ncapture: yes\nhost: 1\n")

    assert [line.rpartition(" ")[2] for line in said] == ["[E-VALUE]", "[E-VALUE]", "[E-SCALAR]", "[E-TYPE]"]


def test_a_file_that_cannot_be_read_is_a_problem_and_no_exception(tmp_path: Path):
    _, (missing,) = load_config(tmp_path / "none.yaml", "x")
    _, (directory,) = load_config(tmp_path, "x")

    assert str(missing) == (
        f"{tmp_path}/none.yaml:1:1: the configuration cannot be read: No such file or directory; "
        "create it: `repository.url` is all that it must say [E-CONFIG]"
    )
    assert str(directory) == f"{tmp_path}:1:1: the configuration cannot be read: Is a directory [E-CONFIG]"


@pytest.mark.parametrize(
    "url",
    [
        "https://me:s3cret@git.example.com/mesh",
        "https://s3cret@git.example.com/mesh",
        "http://s3cret@git.example.com/mesh",
        "ssh://git:s3cret@git.example.com/mesh",
        "git:s3cret@git.example.com:mesh",
        "https://me:s3cret@git.example.com:port/mesh",
        "ftp://me:s3cret@git.example.com/mesh",
        "s3cret",
    ],
)
def test_a_secret_in_a_url_is_refused_and_never_repeated(load, url: str):
    config, said = load(f"repository: {{url: '{url}'}}")

    assert config is None
    assert said
    assert "s3cret" not in "".join(said)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/mesh.git",
        "http://127.0.0.1:8080/mesh",
        "ssh://git@git.example.com:2222/~me/mesh",
        "git://git.example.com/mesh",
        "git@git.example.com:team/mesh.git",
        "git.example.com:mesh.git",
        "file:///srv/mesh.git",
        "/srv/mesh.git",
    ],
)
def test_every_way_to_name_a_repository_is_accepted(url: str):
    assert repository_url(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "mesh.git",
        "../mesh",
        "https://",
        "https:///mesh",
        "https://host",
        "file://host/mesh",
        "ext::sh -c",
        "",
        "http://[x/",
    ],
)
def test_what_names_no_repository_is_refused(url: str):
    assert repository_url(url) != ""


@pytest.mark.parametrize("name", ["main", "release/1.2", "a-b_c", "ünïcode", "x@y"])
def test_names_of_branches(name: str):
    assert branch_name(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "a.lock",
        ".a",
        "a/",
        "/a",
        "a//b",
        "a@{1}",
        "a.",
    ],
)
def test_names_that_git_refuses_for_a_branch(name: str):
    assert branch_name(name) == f"{name!r} is not the name of a branch"


@pytest.mark.parametrize("text", ["10.0.0.2:0", "10.0.0.2:65536", "[10.0.0.2", "fd00::2]:53", "10.0.0.2:", "x:53"])
def test_what_is_no_nameserver(text: str):
    assert nameserver(text) != ""


def test_what_is_captured_can_be_told_in_the_words_of_istio(load):
    config, said = load(
        MINIMAL
        + """\
capture: nftables
nftables:
  includeOutboundIPRanges: [10.0.0.0/8, "fd00::/8", 192.168.1.7]
  excludeOutboundIPRanges: [169.254.169.254]
  includeOutboundPorts: [443]
  excludeOutboundPorts: []
  includeInboundPorts: [8080]
  excludeInboundPorts: [22, 9100]
  excludeInterfaces: [docker0, "veth*"]
  excludeOutboundUsers: [root, 4711, "CORP\\\\ada"]
  excludeOutboundGroups: [Domain Users]
  agentUser: mesh
  proxyUser: 997
"""
    )

    assert said == []
    assert config.nftables.include_outbound_IP_ranges == ("10.0.0.0/8", "fd00::/8", "192.168.1.7")
    assert config.nftables.exclude_outbound_users == ("root", 4711, "CORP\\ada")
    assert config.nftables.proxy_user == 997


def test_without_a_word_all_is_captured_but_ssh(load):
    config, said = load(MINIMAL + 'nftables: {includeOutboundIPRanges: "*", includeInboundPorts: "*"}\n')

    assert said == []
    assert config.nftables == load(MINIMAL)[0].nftables
    assert (config.nftables.include_outbound_IP_ranges, config.nftables.include_inbound_ports) == ("*", "*")
    assert (config.nftables.exclude_outbound_ports, config.nftables.exclude_inbound_ports) == ((22,), (22,))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            'includeOutboundIPRanges: ["*"]',
            '29: nftables.includeOutboundIPRanges[0]: "*" is written in place of the list, not in it',
        ),
        ("includeOutboundIPRanges: all", "28: nftables.includeOutboundIPRanges: 'all' is not known here; use *"),
        (
            "excludeOutboundIPRanges: [10.0.0.0/33]",
            "29: nftables.excludeOutboundIPRanges[0]: '10.0.0.0/33' is neither an IP address nor a CIDR",
        ),
        (
            "excludeOutboundIPRanges: 10.0.0.0/8",
            "28: nftables.excludeOutboundIPRanges: needs a list, not text; write [10.0.0.0/8]",
        ),
        ("includeInboundPorts: [http]", "25: nftables.includeInboundPorts[0]: needs a whole number, not text"),
        ("includeOutboundPorts: [0]", "26: nftables.includeOutboundPorts[0]: 0 is less than 1"),
        (
            "excludeInterfaces: [a b]",
            "23: nftables.excludeInterfaces[0]: 'a b' is neither the name of an interface nor its beginning and *",
        ),
        (
            'excludeInterfaces: ["*"]',
            "23: nftables.excludeInterfaces[0]: '*' is neither the name of an interface nor its beginning and *",
        ),
        (
            "excludeInterfaces: ['x\"; drop']",
            "23: nftables.excludeInterfaces[0]: 'x\"; drop' is neither the name of an interface",
        ),
        (
            'excludeOutboundUsers: ["1000"]',
            "26: nftables.excludeOutboundUsers[0]: '1000' is a name here; a number stands without quotes",
        ),
        ("excludeOutboundUsers: [-1]", "26: nftables.excludeOutboundUsers[0]: -1 is not the number of a user or group"),
        (
            "excludeOutboundGroups: [4294967295]",
            "27: nftables.excludeOutboundGroups[0]: 4294967295 is not the number of a user or group",
        ),
        ('proxyUser: " "', "14: nftables.proxyUser: ' ' is not the name of a user or group"),
        (
            "excludeOutboundUser: [x]",
            "3: nftables.excludeOutboundUser: there is no such field; did you mean 'excludeOutboundUsers'?",
        ),
    ],
)
def test_what_is_wrong_with_the_capture_is_said_at_its_place(load, setting, said):
    (line,) = load(f"{MINIMAL}nftables:\n  {setting}\n")[1]

    assert line.startswith(f"meshd.yaml:3:{said}")
