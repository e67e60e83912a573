"""Files and directories as somebody names them on a command line."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from meshd.source.files import DirectorySource, blob_id
from meshd.source.polling import next_poll
from meshd.source.revision import SourceError
from tests.source.repositories import git


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mesh/a.yaml", "mesh/deep/b.yml", "mesh/c.json", "mesh/README.md", "mesh/.hidden.yaml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    (Path("mesh") / ".git").mkdir()
    Path("mesh/.git/config.yaml").write_text("x")
    return tmp_path


def paths(*names: str) -> list[str]:
    return list(DirectorySource([Path(name) for name in names]).revision().files)


def test_files_are_named_as_they_were_typed(here):
    assert paths("mesh") == ["mesh/a.yaml", "mesh/c.json", "mesh/deep/b.yml"]
    assert paths("./mesh/deep") == ["mesh/deep/b.yml"]
    assert paths("mesh/../mesh/a.yaml") == ["mesh/../mesh/a.yaml"]
    assert paths(str(here / "mesh/deep")) == [f"{here}/mesh/deep/b.yml"]
    assert paths(".") == ["mesh/a.yaml", "mesh/c.json", "mesh/deep/b.yml"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(here):
    assert paths("mesh/README.md", "mesh/.hidden.yaml") == ["mesh/.hidden.yaml", "mesh/README.md"]


def test_a_file_named_twice_is_one_file(here):
    assert paths("mesh/a.yaml", "mesh/deep/../a.yaml", "mesh/a.yaml") == ["mesh/a.yaml"]
    assert paths("mesh/deep", "mesh") == ["mesh/a.yaml", "mesh/c.json", "mesh/deep/b.yml"]


def test_two_files_of_the_same_content_are_two_files(here):
    Path("mesh/z.yaml").write_text("mesh/a.yaml")

    assert paths("mesh/a.yaml", "mesh/z.yaml") == ["mesh/a.yaml", "mesh/z.yaml"]


def test_links_below_a_directory_are_told_and_not_followed(here):
    Path("mesh/link.yaml").symlink_to("/etc/passwd")
    Path("mesh/loop").symlink_to("..")
    revision = DirectorySource([Path("mesh")]).revision()

    assert list(revision.files) == ["mesh/a.yaml", "mesh/c.json", "mesh/deep/b.yml"]
    assert revision.skipped == ("mesh/link.yaml", "mesh/loop")


def test_what_was_read_stays_what_it_was(here):
    source = DirectorySource([Path("mesh/a.yaml")])
    revision = source.revision()
    Path("mesh/a.yaml").write_text("changed")

    assert source.read(revision.files["mesh/a.yaml"]) == b"mesh/a.yaml"
    assert source.revision().id != revision.id


def test_the_same_files_are_the_same_revision(here):
    assert DirectorySource([Path("mesh")]).revision() == DirectorySource([Path("./mesh")]).revision()


def test_content_has_the_name_that_git_gives_it(here):
    assert blob_id(b"mesh/a.yaml") == git(here, "hash-object", "mesh/a.yaml")


def test_what_is_not_there_is_told(here):
    for name in ("nowhere", "mesh/nowhere.yaml"):
        with pytest.raises(SourceError) as caught:
            paths("mesh", name)
        assert caught.value.reason == "PathNotFound"
        assert name in str(caught.value)


def test_what_cannot_be_read_is_told(here):
    source = DirectorySource([Path("/proc/self/mem")])

    with pytest.raises(SourceError) as caught:
        source.revision()

    assert "/proc/self/mem" in str(caught.value)


def test_names_that_are_no_text_are_shown_escaped(here):
    (here / "mesh" / "two\nlines.yaml").write_text("1")

    assert "mesh/two\\nlines.yaml" in paths("mesh")


def test_libgit2_is_not_loaded_for_plain_files():
    program = "import sys, meshd.source.files; sys.exit('pygit2' in sys.modules or 'watchdog' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_polls_are_spread_around_their_interval():
    random = Random(1)
    polls = [next_poll(timedelta(seconds=100), random) for _ in range(1000)]

    assert timedelta(seconds=85) <= min(polls) < timedelta(seconds=90)
    assert timedelta(seconds=110) < max(polls) <= timedelta(seconds=115)
