"""Mappings to messages, by nothing but the annotations of a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NewType

import pytest

from meshd.decode import decode_message
from meshd.decode.decoders import decoder
from meshd.decode.report import Report
from meshd.documents import documents
from meshd.fields import Also, Count, EmptyIsAbsent, Later, Message, Port, dns_label
from meshd.problems import Problem, ResourceId

Colour = NewType("Colour", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Message):
    ONEOFS: ClassVar = (("exact", "prefix", "all_of"),)

    exact: str | None = None
    prefix: str | None = None
    all_of: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Message):
    EXACTLY_ONE: ClassVar = (("to_port", "to_ports", "redirect"),)

    to_port: Port | None = None
    to_ports: tuple[Port, ...] = ()
    redirect: Later = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Message):
    name: Annotated[str, dns_label]
    colour: Colour = Colour("red")
    consecutive_5xx_errors: int | None = None
    http2_keep_alive: bool = False
    header_name: Annotated[str, Also(("httpHeader",))] | None = None
    labels: Mapping[Annotated[str, Count(1)], str] = field(default_factory=dict)
    matches: Mapping[str, Match] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    from_: Annotated[str, EmptyIsAbsent(), dns_label] = "anywhere"

    def check(self) -> Iterator[Problem]:
        if self.name == "evil":
            yield Problem(code="E-VALUE", at=self.origin.at("name"), message="is evil")
        if self.name == "odd":
            yield Problem(code="W-ODD", at=self.origin.at("colour"), message="is odd")


def read(text: str) -> tuple[Service | None, list[str]]:
    (document,), problems = documents("a.yaml", text.encode())
    assert not problems
    report = Report("a.yaml")
    report.resource = ResourceId(kind="Service", namespace="default", name="x")
    service = decode_message(Service, document.root, "spec", report)
    return service, [str(problem).removeprefix("a.yaml:") for problem in report.problems]


def test_fields_are_read_by_their_camel_case_or_snake_case_names():
    camel, _ = read("{name: a, consecutive5xxErrors: 5, http2KeepAlive: true, headerName: x}")
    snake, _ = read("{name: a, consecutive_5xx_errors: 5, http2_keep_alive: true, header_name: x}")

    assert camel == snake == Service(name="a", consecutive_5xx_errors=5, http2_keep_alive=True, header_name="x")


def test_a_message_knows_where_it_stands_and_where_each_of_its_fields_does():
    service, _ = read("name: a\nroutes:\n- to_port: 80\n- toPorts:\n  - 81\n")

    assert service is not None
    assert str(service.origin) == "a.yaml:1:1"
    assert service.origin.path == "spec"
    assert service.origin.resource == ResourceId(kind="Service", namespace="default", name="x")
    port = service.routes[0].origin.at("toPort")
    assert (str(port), port.path) == ("a.yaml:3:12", "spec.routes[0].toPort")
    ports = service.routes[1].origin.at("toPorts")
    assert (str(ports), ports.path) == ("a.yaml:5:3", "spec.routes[1].toPorts")
    absent = service.routes[1].origin.at("redirect")
    assert (str(absent), absent.path) == ("a.yaml:4:3", "spec.routes[1].redirect")


def test_a_message_knows_where_the_values_of_its_lists_and_maps_stand():
    service, _ = read("name: a\nlabels: {app: x,\n  team: z}\nroutes:\n- toPorts:\n  - 81\n  - 82\n")

    assert service is not None
    second = service.routes[0].origin.at("toPorts").item(1)
    assert (str(second), second.path) == ("a.yaml:7:5", "spec.routes[0].toPorts[1]")
    team = service.origin.at("labels").item("team")
    assert (str(team), team.path) == ("a.yaml:3:3", "spec.labels.team")
    missing = service.origin.at("labels").item("none")
    assert (str(missing), missing.path) == ("a.yaml:2:9", "spec.labels.none")


def test_messages_that_say_the_same_are_equal_wherever_they_stand():
    assert read("name: a")[0] == read("\n\n  name: a")[0]


def test_null_is_absent():
    assert read("{name: a, colour: null, labels: ~, consecutive5xxErrors: , routes: null}") == (Service(name="a"), [])


def test_where_the_field_says_so_empty_text_is_absent_too():
    service, said = read("{name: a, from: '', headerName: ''}")

    assert not said
    assert service is not None
    assert (service.from_, service.header_name) == ("anywhere", "")


def test_a_word_that_python_keeps_for_itself_is_a_name_like_any_other():
    service, _ = read("{name: a, from: here}")

    assert service is not None
    assert service.from_ == "here"
    assert read("{name: a, from_: here}")[1] == [
        "1:11: spec.from_: there is no such field; did you mean 'from'? [E-FIELD]"
    ]


def test_a_message_may_hold_messages_of_its_own_kind():
    service, said = read("{name: a, matches: {x: {allOf: [{exact: b}, {allOf: [{prefix: c}]}]}}}")

    assert not said
    assert service is not None
    assert service.matches["x"].all_of[1].all_of[0] == Match(prefix="c")


FIELDS = "colour, consecutive5xxErrors, from, headerName, http2KeepAlive, labels, matches, name"


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("{}", "1:1: spec.name", "is required [E-REQUIRED]"),
        ("name: null", "1:1: spec.name", "is required [E-REQUIRED]"),
        ("- name", "1:1: spec", f"needs a mapping, not a list; its fields are {FIELDS} [E-TYPE]"),
        ("{name: a, color: x}", "1:11: spec.color", "there is no such field; did you mean 'colour'? [E-FIELD]"),
        ("{name: a, Colour: x}", "1:11: spec.Colour", "there is no such field; did you mean 'colour'? [E-FIELD]"),
        ("{name: a, qqq: x}", "1:11: spec.qqq", "there is no such field [E-FIELD]"),
        ("{name: a, origin: x}", "1:11: spec.origin", "there is no such field [E-FIELD]"),
        (
            "{name: a, http2KeepAlive: true, http2_keep_alive: true}",
            "1:33: spec.http2KeepAlive",
            "given twice, the second time as 'http2_keep_alive'; remove one of the two [E-DUP-KEY]",
        ),
        ("{name: a_b}", "1:8: spec.name", "'a_b' is not a DNS label (letters, digits and '-', at most 63) [E-VALUE]"),
        (
            "{name: a, labels: {b: null}}",
            "1:23: spec.labels.b",
            'null is not a value here; give a value, or "" for empty text [E-TYPE]',
        ),
        ("{name: a, labels: {b: 1}}", "1:23: spec.labels.b", 'needs text, not a number; quote it: "1" [E-TYPE]'),
        ("{name: a, labels: {1: b}}", "1:20: spec.labels.1", 'needs text, not a number; quote it: "1" [E-TYPE]'),
        ("{name: a, labels: {'': b}}", "1:20: spec.labels.", "must not be empty [E-VALUE]"),
        ("{name: a, labels: [b]}", "1:19: spec.labels", "needs a mapping, not a list [E-TYPE]"),
        (
            "{name: a, routes: {toPort: 1}}",
            "1:19: spec.routes",
            "needs a list, not a mapping; write `- ` before it [E-TYPE]",
        ),
        (
            "{name: a, routes: [{toPorts: 80}]}",
            "1:30: spec.routes[0].toPorts",
            "needs a list, not a number; write [80] [E-TYPE]",
        ),
        (
            "{name: a, routes: [null]}",
            "1:20: spec.routes[0]",
            'null is not a value here; give a value, or "" for empty text [E-TYPE]',
        ),
        ("{name: a, routes: [{toPort: 0}]}", "1:29: spec.routes[0].toPort", "0 is less than 1 [E-VALUE]"),
        ("{name: a, routes: [{}]}", "1:20: spec.routes[0]", "needs one of toPort, toPorts or redirect [E-ONEOF]"),
        (
            "{name: a, routes: [{toPorts: []}]}",
            "1:20: spec.routes[0]",
            "needs one of toPort, toPorts or redirect [E-ONEOF]",
        ),
        (
            "{name: a, routes: [{toPorts: [1], toPort: 1}]}",
            "1:43: spec.routes[0].toPort",
            "'toPorts' is given already: only one of toPort, toPorts or redirect is allowed [E-ONEOF]",
        ),
        (
            "{name: a, matches: {x: {prefix: a, exact: b}}}",
            "1:43: spec.matches.x.exact",
            "'prefix' is given already: only one of exact, prefix or allOf is allowed [E-ONEOF]",
        ),
        (
            "{name: a, matches: {x: y}}",
            "1:24: spec.matches.x",
            "needs a mapping, not a single value; its fields are allOf, exact, prefix [E-TYPE]",
        ),
        (
            "{name: a, routes: [{redirect: {to: here}}]}",
            "1:31: spec.routes[0].redirect",
            "this field is read, but this version of meshd does not act on it yet; remove it [E-UNSUPPORTED]",
        ),
        ("{name: evil}", "1:8: spec.name", "is evil [E-VALUE]"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_its_path_and_a_way_out(text: str, at: str, said: str):
    assert read(text)[1] == [f"{at}: {said}"]


def test_all_problems_are_found_in_one_go():
    _, said = read("colour: 1\nlabels: {a: 2}\nroutes: [{}, {toPort: x}]\nnmae: a\n")

    assert [line.rpartition("[")[2] for line in said] == [
        "E-TYPE]",
        "E-TYPE]",
        "E-ONEOF]",
        "E-TYPE]",
        "E-FIELD]",
        "E-REQUIRED]",
    ]


@pytest.mark.parametrize("name", ["httpHeader", "http_header"])
def test_an_old_name_is_read_and_told(name: str):
    service, said = read(f"{{name: a, {name}: x}}")

    assert service == Service(name="a", header_name="x")
    assert said == [f"1:11: spec.{name}: this is an old name; write 'headerName' [W-LEGACY]"]


def test_an_old_name_beside_the_new_one_is_a_duplicate():
    assert "given twice" in read("{name: a, headerName: x, httpHeader: y}")[1][0]


def test_what_a_message_warns_of_does_not_spoil_it():
    service, said = read("{name: odd, colour: blue}")

    assert service == Service(name="odd", colour=Colour("blue"))
    assert said == ["1:21: spec.colour: is odd [W-ODD]"]


def test_a_value_of_the_file_is_repeated_only_so_far():
    (said,) = read(f"{{name: {'x' * 100_000}}}")[1]

    assert len(said) < 500


def test_problems_without_end_come_to_an_end():
    _, said = read("{name: a, routes: [" + "{}, " * 2000 + "]}")

    assert len(said) == 1001
    assert said[-1] == "1:1: more than 1000 problems in this file; the rest is left out [E-LIMIT]"


def test_an_annotation_that_nobody_can_decode_is_a_fault_of_the_program():
    with pytest.raises(KeyError):
        decoder(complex)
