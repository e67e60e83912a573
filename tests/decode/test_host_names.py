"""Host names in Unicode become what clients send for them; what is no name keeps its own complaint."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from meshd.fields import HostText, service_host


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop.example", "shop.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example.", "xn--bcher-kva.Example."),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("日本語。jp", "xn--wgv71a119e.jp"),
        ("straße.example", "'straße.example': clients differ on what 'ß' becomes; write its labels as xn--..."),
        ("a..ü", "'a..ü': it has no form in ASCII; write its labels as xn--..."),
        ("*bücher.example", "'*bücher.example' is not a host name or wildcard"),
        ("ex ämple.com", "'ex ämple.com' is not a host name"),
    ],
)
def test_a_host_name_is_read_as_its_a_labels(value: Any, text: str, found: str):
    got = value(Annotated[HostText, service_host], f'"{text}"')

    assert got in (found, [f"1:3: it: {found} [E-VALUE]"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop/*.bücher.example", "shop/*.xn--bcher-kva.example"),
        ("bücherei/shop.example", "bücherei/shop.example"),
        ("unix:///run/bücher.sock", "unix:///run/bücher.sock"),
        ("ü" * 300, "ü" * 300),
    ],
)
def test_only_the_name_is_turned_and_only_if_it_is_one(value: Any, text: str, found: str):
    assert value(HostText, f'"{text}"') == found
