"""The mirror is a cache: whatever happened to it, the next fetch makes it good."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zlib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from meshd.source import packs
from meshd.source.revision import SourceError
from tests.source.repositories import a_repository, a_source, git


@pytest.fixture
def repository(tmp_path):
    return a_repository(tmp_path)


@pytest.fixture
def mirror(tmp_path):
    return tmp_path / "state" / "mirror.git"


def objects(mirror: Path) -> list[Path]:
    return [path for path in (mirror / "objects").rglob("*") if path.is_file()]


def truncate_objects(mirror: Path) -> None:
    for path in objects(mirror):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:20])


def empty_objects(mirror: Path) -> None:
    for path in objects(mirror):
        path.unlink()


def garbage_head(mirror: Path) -> None:
    (mirror / "HEAD").write_bytes(b"\0\xff")


def garbage_ref(mirror: Path) -> None:
    (mirror / "refs" / "heads" / "main").write_text("nonsense\n")


def garbage_config(mirror: Path) -> None:
    (mirror / "config").write_text("[[[")


def only_a_file(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.write_text("what?")


def empty_directory(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.mkdir()


def left_by_a_kill(mirror: Path) -> None:
    (mirror / "refs" / "heads" / "main.lock").write_text("")
    (mirror / "packed-refs.lock").write_text("")
    (mirror / "config.lock").write_text("")
    (mirror / "objects" / "pack" / "pack_git2_xyz").write_bytes(b"PACK")
    mirror.with_name("mirror.git.new").mkdir()
    mirror.with_name("mirror.git.old").mkdir()


DAMAGES = [
    truncate_objects,
    empty_objects,
    garbage_head,
    garbage_ref,
    garbage_config,
    only_a_file,
    empty_directory,
    left_by_a_kill,
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_mirror_is_built_anew_by_the_next_start(repository, mirror, tmp_path, damage, packed):
    repository.push({"a.yaml": "1", "d/b.yaml": "2"})
    if packed:
        git(repository.bare, "gc", "--quiet")
    a_source(repository.bare, tmp_path).fetch()
    damage(mirror)
    source = a_source(repository.bare, tmp_path)

    revision = repository.push({"a.yaml": "3"})

    assert source.fetch() == revision
    files = source.revision(revision).files
    assert [source.read(blob) for blob in files.values()] == [b"3", b"2"]
    assert not list(mirror.rglob("*.lock"))
    assert not list(mirror.rglob("pack_*"))


@pytest.mark.parametrize("damage", [truncate_objects, empty_objects, empty_directory], ids=lambda d: d.__name__)
def test_a_mirror_that_is_damaged_while_it_is_used_is_built_anew(repository, mirror, tmp_path, damage):
    repository.push({"a.yaml": "1", "d/b.yaml": "2"})
    git(repository.bare, "gc", "--quiet")
    source = a_source(repository.bare, tmp_path)
    source.fetch()
    damage(mirror)

    revision = repository.push({"a.yaml": "3"})
    source.fetch()

    blobs = source.revision(revision).files.values()
    with suppress(SourceError):  # an open pack may still have been whole for the fetch, and is not for the reading
        [source.read(blob) for blob in blobs]
    source.fetch()
    assert [source.read(blob) for blob in blobs] == [b"3", b"2"]


def test_a_file_whose_bytes_are_damaged_is_told_and_fetched_anew(repository, mirror, tmp_path):
    revision = repository.push({"a.yaml": "precious"})
    first = a_source(repository.bare, tmp_path)
    first.fetch()
    blob = first.revision(revision).files["a.yaml"]
    loose = mirror / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(zlib.compress(b"blob 8\0nonsense"))
    source = a_source(repository.bare, tmp_path)
    source.fetch()

    with pytest.raises(SourceError) as caught:
        source.read(blob)

    assert caught.value.reason == "RepositoryCorrupt"
    assert source.fetch() == revision
    assert source.read(blob) == b"precious"


def test_a_mirror_of_another_repository_is_not_used(repository, tmp_path):
    repository.push({"a.yaml": "1"})
    a_source(repository.bare, tmp_path).fetch()
    other = a_repository(tmp_path, "other.git")
    revision = other.push({"b.yaml": "1"})
    source = a_source(other.bare, tmp_path)

    with pytest.raises(SourceError, match="nothing has been fetched"):
        source.resolve("HEAD")
    assert source.fetch() == revision
    assert list(source.ancestors(revision)) == []
    assert list(source.revision(revision).files) == ["b.yaml"]


def test_the_old_mirror_stays_when_the_new_repository_cannot_be_fetched(repository, mirror, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    a_source(repository.bare, tmp_path).fetch()

    with pytest.raises(SourceError):
        a_source(tmp_path / "nowhere.git", tmp_path).fetch()

    assert a_source(repository.bare, tmp_path).resolve("HEAD") == revision


def test_a_damaged_repository_is_told_as_such(repository, tmp_path):
    repository.push({"a.yaml": "1", "b.yaml": "2"})
    blob = git(repository.bare, "rev-parse", "main:a.yaml")
    (repository.bare / "objects" / blob[:2] / blob[2:]).unlink()

    with pytest.raises(SourceError) as caught:
        a_source(repository.bare, tmp_path).fetch()

    assert caught.value.reason == "RepositoryCorrupt"
    assert "git fsck" in caught.value.hint


def cut_short(repository, revision: str) -> Path:
    """What libgit2 reads for ever; returns the file."""
    name = git(repository.bare, "rev-parse", revision)
    path = repository.bare / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:12])
    return path


def test_an_object_cut_short_in_the_repository_ends_at_the_deadline(repository, tmp_path):
    repository.push({"a.yaml": "1"})
    source = a_source(repository.bare, tmp_path, timeout=timedelta(seconds=2))
    source.fetch()
    repository.push({"a.yaml": "2"})
    cut_short(repository, "main:a.yaml")

    with pytest.raises(SourceError) as caught:
        source.fetch()

    assert caught.value.reason == "RepositoryUnreachable"
    assert "longer than 2 s" in str(caught.value)


def test_an_object_cut_short_that_nobody_needs_does_not_matter(repository, tmp_path):
    repository.push({"a.yaml": "1"})
    git(repository.work, "push", "--quiet", "origin", "HEAD:refs/heads/other")
    repository.commit({"b.yaml": "a branch of its own"})
    git(repository.work, "push", "--quiet", "origin", "HEAD:refs/heads/other")
    cut_short(repository, "other:b.yaml")
    git(repository.work, "reset", "--quiet", "--hard", "HEAD~1")
    source = a_source(repository.bare, tmp_path)

    for number in range(2):
        revision = repository.push({"c.yaml": f"{number}"})
        assert source.fetch() == revision


def test_a_first_fetch_that_was_interrupted_leaves_no_mirror(repository, mirror, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    mirror.with_name("mirror.git.new").mkdir(parents=True)
    (mirror.with_name("mirror.git.new") / "HEAD").write_text("ref: refs/heads/main\n")

    assert a_source(repository.bare, tmp_path).fetch() == revision
    assert [path.name for path in mirror.parent.iterdir()] == ["mirror.git"]


def test_a_state_directory_that_cannot_be_written_is_said(repository, tmp_path):
    repository.push({"a.yaml": "1"})
    (tmp_path / "state").write_text("no directory")

    with pytest.raises(SourceError) as caught:
        a_source(repository.bare, tmp_path).fetch()

    assert caught.value.reason == "MirrorNotWritable"
    assert "stateDirectory" in caught.value.hint


def test_many_pushes_leave_few_packs(repository, mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "MANY", 4)
    source = a_source(repository.bare, tmp_path)
    revisions = []
    for number in range(7):
        revisions.append(repository.push({"a.yaml": f"{number}", f"d/{number}.yaml": "x"}))
        source.fetch()
    assert len(packs._packs(mirror)) > 4

    assert source.fetch() == revisions[-1]

    assert len(packs._packs(mirror)) == 1
    assert git(mirror, "fsck", "--full", "--strict") == ""
    assert list(source.ancestors(revisions[-1])) == revisions[-2::-1]
    assert [source.read(source.revision(r).files["a.yaml"]) for r in revisions] == [b"%d" % n for n in range(7)]


def test_an_agent_killed_at_any_moment_of_its_fetches_leaves_a_usable_mirror(repository, mirror, tmp_path):
    program = (
        "import sys, json; from pathlib import Path; from meshd.source.git import GitSource\n"
        "from meshd.source.settings import RepositorySettings as R\n"
        "print('ready', flush=True)\n"
        "while True: GitSource(R(url=sys.argv[1]), Path(sys.argv[2])).fetch()"
    )
    for number in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(repository.bare), str(mirror)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        revision = repository.push({f"{n}.yaml": f"{number}" for n in range(20)})
        process.stdout.readline()
        if number % 2:
            repository.push({"late.yaml": f"{number}"})
            revision = repository.push({"later.yaml": f"{number}"})
        process.kill()
        process.wait()
        process.stdout.close()

        assert a_source(repository.bare, tmp_path).fetch() == revision
    git(mirror, "fsck", "--strict")
