"""What `noProxy` names, by name, by address, and in the Host of a request."""

from __future__ import annotations

import pytest
import re2

from meshd.compiler.upstream.no_proxy import hosts_pattern, no_proxy


@pytest.mark.parametrize(
    ("entry", "covered", "others"),
    [
        ("a.example", ["a.example:443", "a.example:80"], ["b.a.example:443", "xa.example:443"]),
        (".a.example", ["a.example:1", "b.a.example:1", "c.b.a.example:1", "*.a.example:1"], ["xa.example:1"]),
        ("*.a.example", ["b.a.example:1", "*.b.a.example:1"], ["a.example:1"]),
        ("A.Example", ["a.example:1"], []),
        ("a.example:8443", ["a.example:8443"], ["a.example:443"]),
        ("*", ["a.example:1", "203.0.113.1:1"], []),
        ("10.0.0.0/8", ["10.1.2.3:1"], ["11.0.0.1:1", "a.example:1"]),
        ("10.0.0.1", ["10.0.0.1:1"], ["10.0.0.2:1"]),
        ("10.0.0.0/8:5432", ["10.1.2.3:5432"], ["10.1.2.3:80"]),
        ("fd00::/8", ["fd00::1|443"], ["fe00::1|443", "10.0.0.1:443"]),
        ("[fd00::1]:443", ["fd00::1|443"], ["fd00::1|80"]),
        ("a.example", ["localhost:1", "x.localhost:1", "127.0.0.1:80", "127.9.9.9:1", "::1|80"], ["128.0.0.1:1"]),
    ],
)
def test_entries(entry: str, covered: list[str], others: list[str]):
    found = no_proxy((entry,))

    assert [each for each in covered if not found.covers(*_split(each))] == []
    assert [each for each in others if found.covers(*_split(each))] == []


@pytest.mark.parametrize(
    ("entry", "covered", "others"),
    [
        ("a.example", ["a.example", "A.EXAMPLE", "a.example:80"], ["b.a.example", "axexample"]),
        (".a.example", ["a.example", "b.a.example", "c.b.a.example:81"], ["xa.example"]),
        ("a.example:8443", ["a.example:8443"], ["a.example", "a.example:443"]),
        ("a.example:80", ["a.example:80", "a.example"], ["a.example:81"]),
        ("*", ["a.example", "a.example:1", "10.0.0.1"], []),
        ("10.0.0.0/8", ["10.1.2.3", "10.1.2.3:80"], ["11.1.2.3", "10.1.2.3.example"]),
        ("172.16.0.0/12", ["172.16.0.1", "172.31.255.255:1"], ["172.15.0.1", "172.32.0.1"]),
        ("192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127", "192.0.2.1280"]),
        ("10.0.0.1", ["10.0.0.1"], ["10.0.0.12", "10.0.0.2"]),
        ("fd00::1", ["[fd00::1]", "[fd00::1]:80"], ["[fd00::2]"]),
        ("fd00::/8", ["localhost", "127.0.0.1:8080", "[::1]"], ["[fd00::1]"]),
    ],
)
def test_hosts_of_requests(entry: str, covered: list[str], others: list[str]):
    pattern = re2.compile(hosts_pattern(no_proxy((entry,))))

    assert [each for each in covered if not pattern.fullmatch(each)] == []
    assert [each for each in others if pattern.fullmatch(each)] == []


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition("|" if "|" in text else ":")
    return host, int(port)
