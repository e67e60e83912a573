from __future__ import annotations

import pytest

from meshd.names import Namespace, ServiceHost
from meshd.registry.host_table import HostTable
from meshd.registry.hosts import complete, covering, matches, most_specific, subset_of

SHOP = Namespace("shop")


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("reviews", "reviews.shop.svc.cluster.local"),
        ("Reviews", "reviews.shop.svc.cluster.local"),
        ("reviews.shop", "reviews.shop"),
        ("Reviews.Shop.", "reviews.shop"),
        ("*", "*"),
        ("*.shop", "*.shop"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("fd00::/8", "fd00::/8"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.7.0.1/8", "10.0.0.0/8"),
        ("10.0.0.1/32", "10.0.0.1"),
        ("FD00:0::1", "fd00::1"),
        ("web.v1", "web.v1"),
    ],
)
def test_short_names_are_completed(name: str, full: str):
    assert complete(name, SHOP, "svc.cluster.local") == full


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a.foo.com", "a.foo.com", True),
        ("*.foo.com", "bar.foo.com", True),
        ("*.foo.com", "foo.com", False),
        ("*.foo.com", "*.com", True),
        ("*.foo.com", "*.bar.com", False),
        ("*", "anything", True),
        ("*-web.shop", "a-web.shop", True),
        ("a.foo.com", "b.foo.com", False),
    ],
)
def test_hosts_match_in_both_directions(one: str, other: str, expected: bool):
    assert matches(one, other) == matches(other, one) == expected


def test_a_wildcard_is_no_subset_of_a_name_in_it():
    assert subset_of("a.foo.com", "*.foo.com")
    assert not subset_of("*.foo.com", "a.foo.com")
    assert subset_of("*.foo.com", "*.com")


def table(*hosts: str) -> dict[ServiceHost, str]:
    return {ServiceHost(host): host for host in hosts}


HOSTS = table("a.foo.com", "*.foo.com", "*foo.com", "*.com", "*", "b.foo.com")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("a.foo.com", ["a.foo.com", "*.foo.com", "*foo.com", "*.com", "*"]),
        ("x.foo.com", ["*.foo.com", "*foo.com", "*.com", "*"]),
        ("foo.com", ["*foo.com", "*.com", "*"]),
        ("*.foo.com", ["*.foo.com", "*foo.com", "*.com", "*"]),
        ("com", ["*"]),
        ("*", ["*"]),
    ],
)
def test_the_covering_entries_come_the_most_specific_first(host: str, found: list[str]):
    assert [entry for _, entry in covering(ServiceHost(host), HOSTS)] == found
    assert [entry for _, entry in HostTable(HOSTS).covering(ServiceHost(host))] == found


def test_the_most_specific_is_the_name_itself_before_any_wildcard():
    assert most_specific(ServiceHost("a.foo.com"), HOSTS) == "a.foo.com"
    assert most_specific(ServiceHost("x.org"), table("*.com")) is None
