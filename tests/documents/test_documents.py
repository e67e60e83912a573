"""Bytes to documents with places: what YAML means, and what is said when it is not YAML."""

from __future__ import annotations

import json

import pytest

from meshd.documents import Document, Mapping, Node, Scalar, Sequence, documents


def plain(node: Node) -> object:
    """The node without its places."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def read(text: str | bytes) -> list[object]:
    found, problems = documents("a.yaml", text.encode() if isinstance(text, str) else text)
    assert not problems, problems
    return [plain(document.root) for document in found]


def problems_of(text: str | bytes) -> list[str]:
    return [str(p) for p in documents("a.yaml", text.encode() if isinstance(text, str) else text)[1]]


# --- what YAML means ------------------------------------------------------------------------------------------


def test_every_node_knows_its_line_and_column():
    (document,), _ = documents("a.yaml", b"a:\n  - x\n  - {b: 'y'}\n")

    assert document == Document(
        "a.yaml",
        Mapping(
            (
                (
                    Scalar("a", True, 1, 1),
                    Sequence(
                        (
                            Scalar("x", True, 2, 5),
                            Mapping(((Scalar("b", True, 3, 6), Scalar("y", False, 3, 9)),), 3, 5),
                        ),
                        2,
                        3,
                    ),
                ),
            ),
            1,
            1,
        ),
    )
    assert document.line == 1


def test_columns_count_characters_not_bytes_and_not_the_byte_order_mark():
    (document,), _ = documents("a.yaml", "\ufeff{grün: ä, b: x}".encode())

    assert isinstance(document.root, Mapping)
    assert [(key.text, key.column) for key, _ in document.root.entries] == [("grün", 2), ("b", 11)]


def test_a_file_holds_several_documents_and_the_empty_ones_are_left_out():
    assert read("---\n---\na: 1\n---\n# nothing\n---\n~\n---\nb: 2\n...\n") == [{"a": "1"}, {"b": "2"}]


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "---\n"])
def test_a_file_may_hold_nothing(text: str):
    assert read(text) == []


def test_quoted_block_and_tagged_scalars_are_text():
    (document,), _ = documents("a.yaml", b"- yes\n- 'yes'\n- \"yes\"\n- !!str yes\n- ! yes\n- |-\n  yes\n")

    assert isinstance(document.root, Sequence)
    assert [item.plain for item in document.root.items if isinstance(item, Scalar)] == [True] + [False] * 5


def test_json_is_read_as_it_is_with_tabs_escapes_and_duplicate_keys_refused():
    value = {"hosts": ["a.example", "b/c"], "weight": 5, "ok": True, "no": None, "text": 'quote " slash \\ \u00e9'}

    assert read(json.dumps(value, indent="\t")) == [
        {"hosts": ["a.example", "b/c"], "weight": "5", "ok": "true", "no": "null", "text": 'quote " slash \\ \u00e9'}
    ]
    assert read(r'{"a":"\/x"}') == [{"a": "/x"}]
    assert problems_of('{"a": {"b": 1,\n "b": 2}}') == [
        "a.yaml:2:2: a.b: given twice, first in line 1; remove one of the two [E-DUP-KEY]"
    ]


def test_json_escapes_of_characters_beyond_16_bits_are_refused_with_a_way_out():
    (problem,) = problems_of(json.dumps({"a": "\U0001f600"}))

    assert problem.endswith("invalid Unicode character escape code; write the character itself [E-YAML]")


# --- anchors, aliases and merges ------------------------------------------------------------------------------


def test_an_alias_repeats_its_anchor():
    assert read("a: &x {k: [1, 2]}\nb: *x\nc: &y v\nd: *y") == [
        {"a": {"k": ["1", "2"]}, "b": {"k": ["1", "2"]}, "c": "v", "d": "v"}
    ]


def test_a_merge_gives_way_to_explicit_keys_and_to_earlier_merges():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 0\nd: {<<: *b}"

    assert read(text)[0]["c"] == {"x": "0", "y": "1", "z": "2"}  # type: ignore[index]
    assert read(text)[0]["d"] == {"y": "2", "z": "2"}  # type: ignore[index]


def test_a_merged_entry_keeps_the_place_where_it_was_written():
    (document,), _ = documents("a.yaml", b"a: &a\n  x: 1\nb:\n  <<: *a\n")

    merged = document.root.entries[1][1]  # type: ignore[union-attr, misc]
    assert merged.entries[0][1] == Scalar("1", True, 2, 6)  # type: ignore[union-attr]


def test_a_quoted_merge_key_is_a_key():
    assert read("'<<': x") == [{"<<": "x"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: *foo", "1:4: a: no anchor '&foo' for the alias '*foo'; quote values that start with `*` [E-YAML]"),
        (
            "a: &x 1\n---\nb: [*x]",
            "3:5: b[0]: no anchor '&x' for the alias '*x'; an alias reaches no further than its own document [E-YAML]",
        ),
        (
            "a: &x [*x]",
            "1:8: a[0]: no anchor '&x' for the alias '*x'; an alias cannot stand inside what it repeats [E-YAML]",
        ),
        ("a: {<<: 1}", "1:9: a: '<<' merges a mapping or a list of mappings; write `<<: *anchor` [E-TYPE]"),
        ("<<: &a {x: 1}\nb: 1\n<<: *a", "3:1: <<: given twice, first in line 1; remove one of the two [E-DUP-KEY]"),
    ],
)
def test_aliases_and_merges_that_mean_nothing(text: str, problem: str):
    assert problems_of(text) == [f"a.yaml:{problem}"]


def test_a_document_with_an_unknown_alias_is_still_there_for_other_checks():
    (document,), _ = documents("a.yaml", b"hosts: [*foo, b]")

    assert plain(document.root) == {"hosts": ["*foo", "b"]}


# --- what is not YAML -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("host: *.foo.com", "1:7", "quote values that start with `*`"),
        ("a:\n\tb: 1", "2:1", "indent with spaces, not tabs"),
        ("a: b\n \tc: d", "2:4", "indent with spaces, not tabs"),
        ("a: @b", "1:4", "quote values that start with `@`"),
        ("a: `b`", "1:4", "quote values that start with ```"),
        ("a: %b", "1:4", "quote values that start with `%`"),
        ("a: b: c", "1:5", "quote values that contain `: `, or mend the indentation"),
        ("a: &", "1:5", "quote values that start with `&`"),
        ("a: >b", "1:5", "quote values that start with `>` or `|`"),
        ("a: 'b\nc: d\n", "1:4", "close the quote"),
        ('a: "\\d"', "1:5", "use single quotes, or write the backslash twice"),
        ("a: [b\n", "1:6", "close the `[`, and put commas between entries"),
        ("a: {b: c\n\n", "1:9", "close the `{`, and put commas between entries"),
        ("a: [b\n---\nc: 1", "2:1", "close the `[`, and put commas between entries"),
        ("a:\n  - b\n c: d", "3:2", "mend the indentation"),
        ("- a\nb: c", "2:1", "mend the indentation"),
        ("a: 'b' c", "1:8", "mend the indentation"),
        ("'a' 'b'", "1:5", "start a new document with `---`"),
        ("%FOO\n", "1:5", "remove the line that starts with `%`"),
    ],
)
def test_a_syntax_error_says_where_and_how_to_mend_it(text: str, place: str, hint: str):
    (problem,) = documents("a.yaml", text.encode())[1]

    assert problem.code == "E-YAML"
    assert f"{problem.at.line}:{problem.at.column}" == place
    assert problem.hint == hint


def test_a_syntax_error_in_one_document_loses_nothing_of_the_others():
    text = b"a: 1\na: 2\n---\nx: [\n---\nb: 1\nb: 2\n---\n}\n---\nc: 1\n"

    found, problems = documents("a.yaml", text)

    assert [plain(document.root) for document in found] == [{"a": "1"}, {"b": "1"}, {"c": "1"}]
    assert [document.line for document in found] == [1, 6, 11]
    assert [(p.code, p.at.line) for p in problems] == [("E-DUP-KEY", 2), ("E-YAML", 5), ("E-DUP-KEY", 7), ("E-YAML", 9)]


def test_lines_are_counted_through_crlf_also_after_a_broken_document():
    found, problems = documents("a.yaml", b"a: [\r\n---\r\nb: *x\r\n")

    assert [(p.at.line, p.at.column) for p in problems] == [(2, 1), (3, 4)]
    assert [document.line for document in found] == [3]


def test_what_is_not_utf8_is_told_with_its_place():
    assert problems_of(b"a: 1\nb: \xc3\xa4 \xff") == [
        "a.yaml:2:6: not UTF-8: byte 0xff; save the file as UTF-8 [E-YAML]"
    ]
    (problem,) = problems_of("a: 1".encode("utf-16"))
    assert "this looks like UTF-16" in problem


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x7f", "\x85", "\u2028", "\ufffe"])
def test_characters_that_yaml_versions_treat_differently_are_refused(character: str):
    (problem,) = documents("a.yaml", f"a: 1\nb: x{character}y".encode())[1]

    assert (problem.code, problem.at.line, problem.at.column) == ("E-YAML", 2, 5)
    assert "in double quotes, or remove it" in problem.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "3:1: a: given twice, first in line 1; remove one of the two [E-DUP-KEY]"),
        ("x:\n- b: 1\n  'b': 2", "3:3: x[0].b: given twice, first in line 2; remove one of the two [E-DUP-KEY]"),
        ("? [a]\n: b", "1:3: a key must be text [E-TYPE]"),
        (
            "host: {{ host }}",
            "1:8: host: a key must be text; quote values that start with `{`; templates are not expanded [E-TYPE]",
        ),
        ("a: !foo b", "1:4: a: the tag '!foo' is not supported; remove it [E-TYPE]"),
        ("a: !!binary b", "1:4: a: the tag '!!binary' is not supported; remove it [E-TYPE]"),
        (
            "a: !!python/object:os.system {}",
            "1:4: a: the tag '!!python/object:os.system' is not supported; remove it [E-TYPE]",
        ),
        ("a: !!set [b]", "1:4: a: the tag '!!set' is not supported; remove it [E-TYPE]"),
    ],
)
def test_yaml_that_no_mesh_needs_is_refused(text: str, problem: str):
    assert problems_of(text) == [f"a.yaml:{problem}"]


def test_a_redundant_tag_is_allowed():
    assert read("!!map {a: !!seq [!!str b]}") == [{"a": ["b"]}]
