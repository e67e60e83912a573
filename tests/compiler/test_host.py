"""Who lives on a host: the entries that name it, and whoever shares its address."""

from __future__ import annotations

from meshd.compiler.host import host_of
from meshd.memo import Memo
from meshd.names import HostName
from tests.builders import a_mesh, a_workload_entry

VM = HostName("vm-1")
ANNOTATION = {"meshd.io/host": "vm-1"}


def a_host(*entries, memo=None):
    memo = memo or Memo()
    host = host_of(a_mesh(*entries, memo=memo), VM, memo)
    assert host
    return host


def test_whoever_has_an_address_of_the_host_lives_on_it():
    host = a_host(
        a_workload_entry("vm-1", "10.0.0.1"),
        a_workload_entry("cart", "10.0.0.1", namespace="shop"),
        a_workload_entry("other", "10.0.0.2"),
    )

    assert host.workloads == {"default/vm-1", "shop/cart"}
    assert host.addresses == {"10.0.0.1"}


def test_an_address_is_the_same_however_it_is_written():
    host = a_host(a_workload_entry("vm-1", "fd00::1"), a_workload_entry("cart", "FD00:0:0:0::1"))

    assert host.workloads == {"default/vm-1", "default/cart"}


def test_a_host_may_have_several_addresses_and_its_own_entry_has_the_first():
    host = a_host(
        a_workload_entry("front", "10.0.0.1", annotations=ANNOTATION),
        a_workload_entry("vm-1", "10.0.0.2"),
        a_workload_entry("cart", "10.0.0.2"),
    )

    assert host.address == "10.0.0.1"
    assert host.addresses == {"10.0.0.1", "10.0.0.2"}
    assert host.workloads == {"default/front", "default/vm-1", "default/cart"}


def test_a_name_or_a_socket_that_others_have_too_says_nothing():
    host = a_host(
        a_workload_entry("vm-1", "unix:///run/app.sock"),
        a_workload_entry("vm-2", "unix:///run/app.sock"),
        a_workload_entry("vm-3", "app.example"),
    )

    assert host.workloads == {"default/vm-1"}
    assert host.addresses == frozenset()


def test_a_host_is_the_same_object_until_somebody_moves_in():
    memo = Memo()
    mine, other = a_workload_entry("vm-1", "10.0.0.1"), a_workload_entry("vm-2", "10.0.0.2")
    before = a_host(mine, other, memo=memo)
    memo.turn()

    assert a_host(mine, a_workload_entry("vm-2", "10.0.0.3"), memo=memo) is before
    memo.turn()

    assert a_host(mine, a_workload_entry("vm-2", "10.0.0.1"), memo=memo).workloads == {"default/vm-1", "default/vm-2"}
