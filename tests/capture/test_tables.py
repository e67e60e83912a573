"""Settings -> table: each directory of `tables/` is a story, read like the golden cases; `--regen` writes it anew."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from meshd.capture.served import Served, read
from meshd.capture.table import table
from meshd.capture.wanted import proxy_user, wanted_table
from meshd.config import load_config
from tests.capture.machines import redirections

STORIES = sorted(path for path in (Path(__file__).parent / "tables").iterdir() if path.is_dir())
MINIMAL = "repository: {url: /mesh.git}\ncapture: nftables\n"


def configured(path, text):
    path.write_text(text)
    config, problems = load_config(path, "web-1")
    assert config is not None, problems
    return config


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)
def test_the_table_of_a_story(story, request):
    config, problems = load_config(story / "meshd.yaml", "web-1")
    served = read(story / "capture.json")
    assert config is not None
    assert served is not None
    assert problems == ()

    made, unknown = wanted_table(config, served)

    assert unknown == ()
    assert made is not None
    if request.config.getoption("--regen"):
        (story / "table.nft").write_text(made.text)
    assert made.text == (story / "table.nft").read_text()


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.name)
def test_nft_reads_the_table_of_a_story(story):
    done = subprocess.run(
        ("unshare", "--net", "nft", "-c", "-f", story / "table.nft"), capture_output=True, text=True, check=False
    )

    assert done.stderr == ""


def test_the_same_settings_give_the_same_table():
    assert table(redirections(proxies=frozenset({1, 2, 3}))) == table(redirections(proxies=frozenset({3, 2, 1})))


@pytest.mark.parametrize(
    "changes",
    [
        {"outbound_port": 1},
        {"inbound_port": 1},
        {"proxies": frozenset({1})},
        {"left_alone": frozenset({1})},
        {"groups_left_alone": frozenset({1})},
        {"interfaces_left_alone": ("x",)},
        {"networks": ()},
        {"networks_left_alone": ("10.0.0.0/8",)},
        {"networks": (), "ports": frozenset({1})},
        {"ports_left_alone": frozenset({1})},
        {"own_ports": frozenset()},
        {"own_ports_left_alone": frozenset({1})},
    ],
    ids=",".join,
)
def test_other_settings_give_a_table_that_can_be_told_from_it(changes):
    one, other = table(redirections()), table(redirections(**changes))

    assert one.digest != other.digest
    assert one.digest.hex() in one.text


def test_users_and_groups_that_this_host_does_not_know_are_told_at_their_places(tmp_path):
    config = configured(
        tmp_path / "meshd.yaml",
        MINIMAL + "nftables:\n  agentUser: nobody-meshd\n  proxyUser: nobody-envoy\n"
        "  excludeOutboundUsers: [root, prometeus]\n  excludeOutboundGroups: [docke]\n",
    )

    made, problems = wanted_table(config, Served())

    assert made is None
    assert {problem.code for problem in problems} == {"E-CONFIG-OWNER"}
    assert [f"{each.at.line}:{each.at.column} {each.at.path}: {each.message}" for each in problems] == [
        "5:14 nftables.proxyUser: this host has no user 'nobody-envoy'",
        "4:14 nftables.agentUser: this host has no user 'nobody-meshd'",
        "6:32 nftables.excludeOutboundUsers[1]: this host has no user 'prometeus'",
        "7:27 nftables.excludeOutboundGroups[0]: this host has no group 'docke'",
    ]


def test_the_users_of_the_units_are_taken_where_nothing_is_said(tmp_path):
    """On a host that has no such users that is told, with the setting that would say others."""
    config = configured(tmp_path / "meshd.yaml", MINIMAL)

    _, problems = wanted_table(config, Served())

    assert [(each.at.path, each.message, each.hint) for each in problems] == [
        ("nftables.proxyUser", "this host has no user 'meshd-envoy'", "say who the Envoys run as: nftables.proxyUser"),
        ("nftables.agentUser", "this host has no user 'meshd'", "say who meshd runs as: nftables.agentUser"),
    ]


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", ("meshd-envoy", "proxyUser")),
        ("envoy: {supervisor: child}", ("meshd", "agentUser")),
        ("envoy: {supervisor: child}\nnftables: {agentUser: ada}", ("ada", "agentUser")),
        ("envoy: {supervisor: child}\nnftables: {agentUser: ada, proxyUser: 7}", (7, "proxyUser")),
        ("nftables: {proxyUser: root}", ("root", "proxyUser")),
    ],
)
def test_who_runs_the_proxies(tmp_path, text, user):
    assert proxy_user(configured(tmp_path / "meshd.yaml", MINIMAL + text)) == user
