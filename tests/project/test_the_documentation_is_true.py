"""What stands around the code says what the code does: links, keys, verbs, kinds, examples, manual pages.

What a page shows as YAML or JSON is read as meshd reads it: `pages.py` says which blocks make a mesh together.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest

from meshd.cli import VERBS
from meshd.compiler import Reach, compile_plan
from meshd.config import AgentConfig, load_config
from meshd.decode.messages import camel_case
from meshd.fields import Message, NotYet, Old
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId
from meshd.problems import errors
from meshd.resources import KINDS, NOT_YET
from tests.apart import complaint
from tests.project.pages import PAGES, TOP, blocks, sections, shown

SECTIONS = [section for page in PAGES for section in sections(page)]
CONFIGURATION = re.compile(r"(host|repository):")
MANUALS = sorted(TOP.glob("docs/man/*.[15]"))


def nested_message(annotation):
    """The Message in `X`, `X | None` or `Annotated[...]`, if there is one."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Message) else None
    arguments = typing.get_args(annotation) if not isinstance(annotation, types.GenericAlias) else ()
    return next((found for argument in arguments if (found := nested_message(argument))), None)


def keys_of(message):
    hints = typing.get_type_hints(message)
    for field in dataclasses.fields(message):
        if field.name == "origin":
            continue
        inner = nested_message(hints[field.name])
        name = camel_case(field.name)
        yield from (f"{name}.{key}" for key in keys_of(inner)) if inner else (name,)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_link_leads_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())

    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_anchor_is_a_heading(page):
    found = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())

    missing = [f"{target}#{anchor}" for target, anchor in found if anchor not in anchors(page.parent / target, page)]

    assert missing == []


def anchors(target, page):
    """As GitHub makes them of headings."""
    text = (page if target == page.parent else target).read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_what_a_page_shows_is_a_valid_mesh_that_renders(section):
    """Warnings are those that the page itself speaks of."""
    made = shown(section)

    assert errors(made.problems) == ()
    assert [str(problem) for problem in made.problems if problem.code not in section.codes] == []


@pytest.mark.envoy
def test_a_real_envoy_accepts_what_the_pages_show(envoy_binary, short_tmp):
    plans = [plan for section in SECTIONS for plan in shown(section).plans]

    assert complaint(plans, envoy_binary, short_tmp) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_what_a_page_shows_as_configuration_or_json_is_read(page, tmp_path):
    file = tmp_path / "meshd.yaml"
    for text in blocks(page.read_text(), "yaml"):
        if CONFIGURATION.match(text):
            file.write_text(text)
            assert load_config(file, "anything")[1] == ()
    for text in blocks(page.read_text(), "json"):
        json.loads(text)


@pytest.mark.parametrize("page", ["docs/configuration.md", "docs/man/meshd.yaml.5"])
def test_every_key_of_the_configuration_is_documented(page):
    text = (TOP / page).read_text()

    missing = [key for key in keys_of(AgentConfig) if key not in text]

    assert missing == []


@pytest.mark.parametrize("page", ["docs/cli.md", "docs/man/meshd.1"])
def test_every_verb_is_documented(page):
    text = (TOP / page).read_text().replace("\\-", "-")

    missing = [verb for verb in VERBS if not re.search(rf"\b{verb}\b", text)]

    assert missing == []


@pytest.mark.parametrize("page", ["docs/cli.md", "docs/man/meshd.1"])
@pytest.mark.parametrize("verb", ["endpoints", "install-units", "render", "run", "validate", "wait"])
def test_every_option_is_documented(page, verb):
    text = (TOP / page).read_text().replace("\\-", "-")
    shown = subprocess.run([sys.executable, "-m", "meshd", verb, "--help"], capture_output=True, text=True, check=True)

    options = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", shown.stdout, re.MULTILINE)) - {"--help", "--socket"}

    assert [option for option in sorted(options) if option not in text] == []


def test_every_kind_is_documented_as_what_it_is():
    text = (TOP / "docs/resources.md").read_text()
    readme = (TOP / "README.md").read_text()

    assert [kind.KIND for kind in KINDS if f"\n## {kind.KIND}\n" not in text] == []
    assert [kind for kinds in NOT_YET.values() for kind in kinds if f"`{kind}`" not in readme] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
def test_every_field_of_a_kind_is_documented(kind):
    text = (TOP / "docs/resources.md").read_text()
    section = text.split(f"\n## {kind.KIND}\n")[1].split("\n## ")[0]
    spec = nested_message(typing.get_type_hints(kind)[kind.SPEC]) if kind.SPEC else kind

    names = [camel_case(field.name) for field in dataclasses.fields(spec) if field.name not in {"metadata", "origin"}]

    assert [name for name in names if name not in section] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
def test_every_field_within_is_documented_too(kind):
    """Old spellings are in a list of their own, and what is not acted on is told of once."""
    text = (TOP / "docs/resources.md").read_text()

    assert [name for name in sorted(set(fields_within(kind))) if not re.search(rf"\b{name}\b", text)] == []


def fields_within(message):
    hints = typing.get_type_hints(message, include_extras=True)
    for field in dataclasses.fields(message):
        if field.name not in {"metadata", "origin"} and not leaves(hints[field.name], Old, NotYet):
            yield camel_case(field.name)
            for inner in leaves(hints[field.name], Message):
                yield from fields_within(inner)


def leaves(annotation, *kinds):
    """What of these kinds stands anywhere in an annotation: a class of that kind, or a mark."""
    if isinstance(annotation, kinds) or (isinstance(annotation, type) and issubclass(annotation, kinds)):
        return [annotation]
    inner = (*typing.get_args(annotation), *getattr(annotation, "__metadata__", ()))
    return [found for each in inner for found in leaves(each, *kinds)]


def test_every_problem_code_is_documented_and_no_other():
    sources = "".join(path.read_text() for path in TOP.glob("meshd/**/*.py"))
    documented = re.findall(r"^\| `([EWNL]-[A-Z0-9-]+)` \|", (TOP / "docs/problems.md").read_text(), re.MULTILINE)

    assert set(documented) == set(re.findall(r'"([EWNL]-[A-Z0-9-]+)"', sources))
    assert len(documented) == len(set(documented))


@pytest.mark.parametrize("page", MANUALS, ids=lambda page: page.name)
def test_a_manual_page_renders_without_a_warning(page):
    done = subprocess.run(["man", "--warnings", "-l", str(page)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_example_mesh_has_neither_errors_nor_warnings():
    command = [sys.executable, "-m", "meshd", "validate", str(TOP / "examples" / "mesh")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "[W-" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("host", "shows"),
    [
        ("web-1", "outbound|80||gateway.egress.example"),
        ("web-2", "outbound|80|v2|api.shop.example"),
        ("api-3", "outbound|80||api.payments.example"),
        ("cart-1", "inbound|9080||"),
        ("cart-2", "inbound|http|9080"),
        ("edge-1", "credential:www"),
        ("egress-1", "outbound|80||tax.example"),
    ],
)
def test_each_host_of_the_example_mesh_renders(host, shows):
    command = [sys.executable, "-m", "meshd", "render", "--repo", str(TOP / "examples" / "mesh"), "--host", host]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert shows in done.stdout


@pytest.mark.envoy
def test_a_real_envoy_accepts_the_example_mesh(envoy_binary, short_tmp):
    files = {str(path): BlobId(str(path)) for path in sorted((TOP / "examples" / "mesh").glob("**/*.yaml"))}
    mesh = load(files, lambda blob: Path(blob).read_bytes(), Memo()).mesh

    plans = [plan for host in mesh.workloads for plan in compile_plan(mesh, host, Reach(), Memo()).plans]

    assert len(plans) == 9
    assert complaint(plans, envoy_binary, short_tmp) == ""


def test_the_example_configuration_is_one():
    config, problems = load_config(TOP / "examples" / "meshd.yaml", "anything")

    assert problems == ()
    assert config is not None
    assert config.host == "web-1"
