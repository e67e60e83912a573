"""`noProxy` that is not heard, because a wildcard goes one way as a whole."""

from __future__ import annotations

import pytest

from meshd.memo import Memo
from meshd.mesh.assemble import assemble
from meshd.mesh.checks.outbound_proxies import idle_exemptions
from meshd.mesh.survey import survey
from meshd.resources.outbound_proxy import OutboundProxy
from meshd.resources.resource import Resource
from tests.builders import a_mesh_config, a_port, a_service_entry, an_origin


def said(*resources: Resource) -> list[tuple[str, str, str]]:
    memo = Memo()
    problems = idle_exemptions(survey(assemble(resources, memo).mesh, memo))
    return [(each.code, each.at.path, each.message) for each in problems]


def a_wildcard(**more: object) -> Resource:
    given = {"hosts": ("*.api.example",), "resolution": "DYNAMIC_DNS", "location": "MESH_EXTERNAL"}
    return a_service_entry("wild", ports=(a_port(),), **{**given, **more})


def settings(*no_proxy: str) -> Resource:
    origin = an_origin("MeshConfig", "mesh")
    return a_mesh_config(outbound_proxies=(OutboundProxy(host="p", port=1, no_proxy=no_proxy, origin=origin),))


@pytest.mark.parametrize("entry", ["a.api.example", ".b.api.example", "*.b.api.example", "a.api.example:443"])
def test_a_part_of_a_wildcard_is_told(entry: str):
    ((code, path, message),) = said(settings("10.0.0.0/8", entry), a_wildcard())

    assert (code, path) == ("W-NO-PROXY-WILDCARD", "spec.noProxy[1]")
    assert message.startswith(f"{entry} is below *.api.example")


@pytest.mark.parametrize("entry", [".api.example", "*.api.example", "*.example", "api.example", "other.example"])
def test_a_whole_wildcard_or_none_of_it_is_right(entry: str):
    assert said(settings(entry), a_wildcard()) == []


def test_a_part_that_has_a_service_of_its_own_is_right():
    own = a_service_entry("own", hosts=("a.api.example",), location="MESH_EXTERNAL")

    assert said(settings("a.api.example"), a_wildcard(), own) == []


def test_wildcards_inside_the_mesh_do_not_go_through_anyway():
    assert said(settings("a.api.example"), a_wildcard(location="MESH_INTERNAL")) == []
