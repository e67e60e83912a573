"""WorkloadGroups and who of them is on this host -> what is probed here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from meshd.compiler import Reach
from meshd.memo import Memo
from meshd.plan import ExecProbe, GrpcProbe, HttpProbe, TcpProbe
from meshd.problems import Origin
from meshd.resources.resource import Metadata
from meshd.resources.workload_group import (
    ExecHealthCheckConfig,
    Group,
    GrpcHealthCheckConfig,
    HTTPHeader,
    HTTPHealthCheckConfig,
    ReadinessProbe,
    TCPHealthCheckConfig,
    WorkloadGroup,
    WorkloadTemplate,
)
from tests.builders import a_workload_entry
from tests.compiler.plans import codes, compiled

MEMBER = {"istio.io/autoRegistrationGroup": "shop"}


def a_group(name: str = "shop", **probe: Any) -> WorkloadGroup:
    asked = ReadinessProbe(origin=Origin("groups.yaml", 5, 1, "spec.probe"), **probe) if probe else None
    return WorkloadGroup(metadata=Metadata(name=name), group=Group(template=WorkloadTemplate(), probe=asked))


def the_action(annotations=MEMBER, **probe: Any):
    (found,) = compiled(a_group(**probe), annotations=annotations).probes
    return found.action


@pytest.mark.spec("W-12")
def test_a_zero_is_the_default_and_times_are_seconds():
    tcp = TCPHealthCheckConfig(port=1)
    (bare,) = compiled(a_group(tcp_socket=tcp), annotations=MEMBER).probes
    given = {"initial_delay_seconds": 4, "timeout_seconds": 2, "period_seconds": 7}
    (full,) = compiled(
        a_group(tcp_socket=tcp, success_threshold=3, failure_threshold=5, **given), annotations=MEMBER
    ).probes

    assert (bare.initial_delay, bare.timeout, bare.period) == (timedelta(), timedelta(seconds=1), timedelta(seconds=10))
    assert (bare.success_threshold, bare.failure_threshold) == (1, 3)
    assert (full.initial_delay, full.timeout, full.period) == tuple(timedelta(seconds=each) for each in (4, 2, 7))
    assert (full.success_threshold, full.failure_threshold) == (3, 5)
    assert full.workload == "default/vm-1"


@pytest.mark.spec("W-13")
def test_an_http_probe_asks_the_instance_unless_it_names_a_host():
    header = HTTPHeader(name="X-Probe", value="yes")
    asked = HTTPHealthCheckConfig(port=8080, path="/healthz", scheme="HTTPS", http_headers=(header,))

    assert the_action(http_get=asked) == HttpProbe(
        host="10.0.0.1", port=8080, path="/healthz", scheme="HTTPS", headers=(("X-Probe", "yes"),)
    )
    assert the_action(http_get=HTTPHealthCheckConfig(port=1, host="127.0.0.1")).host == "127.0.0.1"


@pytest.mark.spec("W-14")
def test_a_tcp_probe_connects_to_localhost_unless_it_names_a_host():
    assert the_action(tcp_socket=TCPHealthCheckConfig(port=3306)) == TcpProbe(host="localhost", port=3306)
    assert the_action(tcp_socket=TCPHealthCheckConfig(port=1, host="10.0.0.1")).host == "10.0.0.1"


@pytest.mark.spec("W-16")
def test_a_grpc_probe_asks_the_instance():
    asked = GrpcHealthCheckConfig(port=9000, service="shop.Cart")

    assert the_action(grpc=asked) == GrpcProbe(host="10.0.0.1", port=9000, service="shop.Cart")


def test_a_workload_behind_a_socket_is_asked_at_its_machine():
    result = compiled(
        a_group(http_get=HTTPHealthCheckConfig(port=1)), address="unix:///run/app.sock", annotations=MEMBER
    )

    assert [probe.action.host for probe in result.probes] == ["localhost"]


@pytest.mark.spec("W-15")
def test_commands_are_run_where_the_agent_allows_it():
    group = a_group(exec=ExecHealthCheckConfig(command=("/bin/true",)))

    allowed = compiled(group, annotations=MEMBER, reach=Reach(exec_probes=True))

    assert [probe.action for probe in allowed.probes] == [ExecProbe(command=("/bin/true",))]
    assert allowed.ailments == ()


@pytest.mark.spec("W-15", "E-WG-EXEC")
def test_where_it_does_not_nothing_is_run_and_the_host_says_so_without_refusing_the_revision():
    result = compiled(a_group(exec=ExecHealthCheckConfig(command=("/bin/true",))), annotations=MEMBER)

    assert result.probes == ()
    assert [problem.code for problem in result.ailments] == ["E-WG-EXEC"]
    assert codes(result) == []


@pytest.mark.spec("W-11")
def test_whoever_belongs_to_the_group_and_lives_here_is_probed():
    group = a_group(tcp_socket=TCPHealthCheckConfig(port=1))

    result = compiled(
        group,
        a_workload_entry("cart", "10.0.0.1", annotations=MEMBER),
        a_workload_entry("alone", "10.0.0.1"),
        a_workload_entry("other", "10.0.0.9", annotations=MEMBER),
        a_workload_entry("elsewhere", "10.0.0.1", namespace="other", annotations=MEMBER),
    )

    assert [probe.workload for probe in result.probes] == ["default/cart"]


def test_a_group_without_probe_probes_nobody():
    assert compiled(a_group(), annotations=MEMBER).probes == ()


def test_probes_are_the_same_while_nothing_of_theirs_changed():
    memo = Memo()
    group, entry = a_group(tcp_socket=TCPHealthCheckConfig(port=1)), a_workload_entry("cart", annotations=MEMBER)
    before = compiled(group, entry, memo=memo).probes
    memo.turn()

    assert compiled(group, entry, a_workload_entry("new", "10.0.0.9"), memo=memo).probes[0] is before[0]
