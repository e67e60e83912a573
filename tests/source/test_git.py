"""Following a branch of a repository on this machine, whatever its people do to it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from meshd.documents import Limits, TooLargeError
from meshd.names import BlobId, RevisionId
from meshd.source.reader import open_in_place
from meshd.source.revision import SourceError
from tests.source.repositories import a_repository, a_source, git


@pytest.fixture
def repository(tmp_path):
    return a_repository(tmp_path)


@pytest.fixture
def source(tmp_path, repository):
    return a_source(repository.bare, tmp_path)


def refused(call) -> SourceError:
    with pytest.raises(SourceError) as caught:
        call()
    return caught.value


def test_a_push_is_fetched_with_its_files(repository, source):
    revision = repository.push({"mesh/shop.yaml": "a", "mesh/deep/er.yml": "b", "x.json": "{}", "README.md": "c"})

    assert source.fetch() == revision
    fetched = source.revision(revision)
    assert list(fetched.files) == ["mesh/deep/er.yml", "mesh/shop.yaml", "x.json"]
    assert source.read(fetched.files["mesh/shop.yaml"]) == b"a"
    assert source.size(fetched.files["x.json"]) == 2


def test_each_later_push_is_fetched_too(repository, source):
    repository.push({"a.yaml": "1", "d/b.yaml": "1", "d/e/c.yaml": "1"})
    source.fetch()
    for number in range(3):
        revision = repository.push({"d/b.yaml": f"{number + 2}"})

        assert source.fetch() == revision
        files = source.revision(revision).files
        assert {path: source.read(blob) for path, blob in files.items()} == {
            "a.yaml": b"1",
            "d/b.yaml": f"{number + 2}".encode(),
            "d/e/c.yaml": b"1",
        }


def test_a_file_url_is_a_local_repository(repository, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    source = a_source(f"file://{repository.bare}", tmp_path)

    assert source.fetch() == revision
    assert source.is_local
    assert source.local_git_directory() == repository.bare


def test_a_work_tree_and_a_linked_one_are_local_repositories(repository, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    git(repository.work, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))

    for place in (repository.work, tmp_path / "linked"):
        source = a_source(place, tmp_path / place.name)
        assert source.local_git_directory() == repository.work / ".git"
        assert source.fetch() == revision


def test_a_branch_moved_by_force_is_followed(repository, source):
    first = repository.push({"a.yaml": "1"})
    second = repository.push({"a.yaml": "2"})
    source.fetch()
    git(repository.work, "reset", "--quiet", "--hard", first)
    third = repository.push({"b.yaml": "3"}, "--force")

    assert source.fetch() == third
    assert list(source.ancestors(third)) == [first]
    assert source.read(source.revision(second).files["a.yaml"]) == b"2"


def test_ancestors_are_first_parents_newest_first(repository, source):
    first = repository.push({"a.yaml": "1"})
    git(repository.work, "checkout", "--quiet", "-b", "side")
    repository.commit({"side.yaml": "1"})
    git(repository.work, "checkout", "--quiet", "main")
    second = repository.commit({"a.yaml": "2"})
    git(repository.work, "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    merged = repository.push()

    assert source.fetch() == merged
    assert list(source.ancestors(merged)) == [second, first]
    assert list(source.ancestors(first)) == []


def test_a_commit_is_told_to_people(repository, source):
    repository.commit({"a.yaml": "1"})
    git(
        repository.work,
        "commit",
        "--quiet",
        "--amend",
        "-m",
        "move 10 %\n\nbecause",
        GIT_COMMITTER_DATE="1700000000 +0200",
    )
    revision = repository.push()
    source.fetch()

    commit = source.commit(revision)

    assert (commit.id, commit.author, commit.subject) == (revision, "Ada <ada@example.com>", "move 10 %")
    assert commit.time == datetime.fromtimestamp(1700000000, UTC)
    assert commit.time.isoformat() == "2023-11-15T00:13:20+02:00"


def test_revisions_are_named_as_git_names_them(repository, source):
    first = repository.push({"a.yaml": "1"})
    second = repository.push({"a.yaml": "2"})
    source.fetch()

    assert source.resolve("main") == source.resolve("HEAD") == source.resolve(second[:9]) == second
    assert source.resolve("main~1") == first
    assert [source.resolve(rev) for rev in ("nope", "", "f" * 40, "HEAD:a.yaml", "main~9")] == [None] * 5


def test_only_the_files_below_the_path_are_the_mesh(repository, tmp_path):
    revision = repository.push({"mesh/prod/a.yaml": "1", "mesh/test/b.yaml": "1", "c.yaml": "1"})

    for path in ("mesh/prod", "/mesh/prod/", "./mesh/prod"):
        source = a_source(repository.bare, tmp_path / path.replace("/", "-"), path=path)
        source.fetch()
        assert list(source.revision(revision).files) == ["mesh/prod/a.yaml"]


@pytest.mark.parametrize(("path", "hint"), [("mehs", "did you mean 'mesh'?"), ("a.yaml", "directories there: mesh")])
def test_a_path_that_is_no_directory_is_said_of_the_revision_only(repository, tmp_path, path, hint):
    revision = repository.push({"mesh/a.yaml": "1", "a.yaml": "1"})
    source = a_source(repository.bare, tmp_path, path=path)

    assert source.fetch() == revision
    error = refused(lambda: source.revision(revision))

    assert error.reason == "PathNotFound"
    assert path in str(error)
    assert error.hint == hint


def test_hidden_names_links_and_submodules_are_not_of_the_mesh(repository, source, tmp_path):
    other = a_repository(tmp_path, "other.git")
    other.push({"b.yaml": "1"})
    repository.commit({".github/ci.yaml": "1", ".pre-commit.yaml": "1", "d/.hidden/x.yaml": "1", "a.yaml": "1"})
    (repository.work / "link.yaml").symlink_to("/etc/passwd")
    (repository.work / "d" / "links").symlink_to("..")
    git(repository.work, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.bare), "sub")
    revision = repository.push({"z.yaml": "1"})
    source.fetch()

    seen = source.revision(revision)

    assert list(seen.files) == ["a.yaml", "z.yaml"]
    assert sorted(seen.skipped) == ["d/links", "link.yaml", "sub"]


def test_an_executable_file_is_a_file(repository, source):
    repository.commit({"a.yaml": "1"})
    (repository.work / "a.yaml").chmod(0o755)
    revision = repository.push({"b.yaml": "1"})
    source.fetch()

    assert list(source.revision(revision).files) == ["a.yaml", "b.yaml"]


def test_names_that_are_no_text_are_shown_escaped(repository, source):
    for name in (b"caf\xe9.yaml", b"two\nlines.yaml", "größe.yaml".encode()):
        Path(os.fsdecode(os.fsencode(repository.work) + b"/" + name)).write_text("1")
    revision = repository.push({"a.yaml": "1"})
    source.fetch()

    assert sorted(source.revision(revision).files) == ["a.yaml", "caf\\xe9.yaml", "größe.yaml", "two\\nlines.yaml"]


def test_what_is_too_large_to_be_a_document_is_measured_and_not_read(repository, source):
    revision = repository.push({"big.yaml": b"#" * 20_000_000, "large.yaml": b"#" * Limits().file_bytes})
    source.fetch()

    files = source.revision(revision).files
    with pytest.raises(TooLargeError) as caught:
        source.read(files["big.yaml"])

    assert source.size(files["big.yaml"]) == caught.value.size == 20_000_000
    assert len(source.read(files["large.yaml"])) == Limits().file_bytes


def test_an_empty_repository_says_what_to_push(repository, source):
    error = refused(source.fetch)

    assert error.reason == "RepositoryEmpty"
    assert "main" in error.hint


def test_a_branch_that_is_not_there_names_those_that_are(repository, tmp_path):
    repository.push({"a.yaml": "1"})
    source = a_source(repository.bare, tmp_path, branch="prod")

    error = refused(source.fetch)

    assert error.reason == "BranchNotFound"
    assert error.hint == "its branches: main"


def test_a_deleted_branch_is_said_and_what_was_fetched_stays_readable(repository, source):
    revision = repository.push({"a.yaml": "1"})
    source.fetch()
    git(repository.bare, "branch", "other", "main")
    git(repository.bare, "update-ref", "-d", "refs/heads/main")

    assert refused(source.fetch).reason == "BranchNotFound"
    assert list(source.revision(revision).files) == ["a.yaml"]

    git(repository.bare, "branch", "main", "other")
    assert source.fetch() == revision


def test_a_repository_that_is_away_is_said_and_what_was_fetched_survives_a_restart(repository, source, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    source.fetch()
    repository.bare.rename(tmp_path / "elsewhere")

    again = a_source(repository.bare, tmp_path)

    assert refused(again.fetch).reason == "RepositoryUnreachable"
    assert again.local_git_directory() is None
    assert again.read(again.revision(revision).files["a.yaml"]) == b"1"


def test_nothing_can_be_read_before_the_first_fetch(source):
    error = refused(lambda: source.revision(RevisionId("1" * 40)))

    assert error.reason == "RepositoryUnreachable"
    assert "nothing has been fetched" in str(error)


def test_a_revision_that_is_not_there_is_no_damage(repository, source):
    repository.push({"a.yaml": "1"})
    source.fetch()

    assert refused(lambda: source.revision(RevisionId("1" * 40))).reason == "RevisionNotFound"
    assert refused(lambda: list(source.ancestors(RevisionId("1" * 40)))).reason == "RevisionNotFound"
    assert source.resolve("HEAD") is not None


def test_a_repository_of_another_owner_says_how_to_trust_it(repository, source):
    repository.push({"a.yaml": "1"})
    if os.getuid() != 0:
        pytest.skip("only root can give a directory away")
    for path in (repository.bare, *repository.bare.rglob("*")):
        os.chown(path, 65534, 65534)

    error = refused(source.fetch)

    assert error.reason == "RepositoryRefused"
    assert "safe.directory" in error.hint


@pytest.mark.parametrize("extension", [("objectformat", "sha256"), ("refstorage", "reftable")])
def test_a_format_that_libgit2_does_not_read_is_said(repository, source, extension):
    repository.push({"a.yaml": "1"})
    git(repository.bare, "config", "core.repositoryformatversion", "1")
    git(repository.bare, "config", f"extensions.{extension[0]}", extension[1])

    assert refused(source.fetch).reason == "RepositoryUnsupported"


def test_another_branch_takes_the_place_of_one_that_its_name_goes_through(repository, tmp_path):
    first = repository.push({"a.yaml": "1"})
    before = "main"
    for branch in ("main/next", "main"):
        a_source(repository.bare, tmp_path, branch=before).fetch()
        git(repository.bare, "branch", "-m", before, "aside")
        git(repository.bare, "branch", "-m", "aside", branch)
        source = a_source(repository.bare, tmp_path, branch=branch)

        assert source.fetch() == first
        assert source.resolve("HEAD") == first
        before = branch


def test_a_repository_in_place_is_read_without_a_mirror(repository, tmp_path):
    first = repository.push({"mesh/a.yaml": "1"})
    repository.push({"mesh/a.yaml": "2"})

    reader = open_in_place(repository.work, "mesh")

    revision = reader.resolve("HEAD~1")
    assert revision == first
    assert reader.read(reader.revision(revision).files["mesh/a.yaml"]) == b"1"
    assert refused(lambda: open_in_place(tmp_path)).reason == "RepositoryUnreachable"


def test_a_shallow_clone_is_followed_as_far_as_it_reaches(repository, tmp_path):
    for number in range(4):
        revision = repository.push({"a.yaml": f"{number}"})
    git(tmp_path, "clone", "--quiet", "--bare", "--depth=2", f"file://{repository.bare}", "shallow.git")
    source = a_source(tmp_path / "shallow.git", tmp_path)

    assert source.fetch() == revision
    assert len(list(source.ancestors(revision))) == 1


def test_a_repository_that_borrows_objects_is_copied_whole(repository, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    git(tmp_path, "clone", "--quiet", "--bare", "--shared", str(repository.bare), "borrows.git")
    source = a_source(tmp_path / "borrows.git", tmp_path)
    source.fetch()
    shutil.rmtree(repository.bare)

    assert source.read(source.revision(revision).files["a.yaml"]) == b"1"


def test_the_walk_reuses_what_did_not_change(repository, source):
    repository.push({f"d{n}/e/a.yaml": "1" for n in range(5)})
    source.revision(source.fetch())
    walk = source._opened()._walk
    before = dict(walk._last)
    repository.push({"d3/e/a.yaml": "2"})

    source.fetch()

    kept = [place for place, walked in walk._last.items() if before.get(place) is walked]
    assert sorted(prefix for prefix, _ in kept) == sorted(f"d{n}/{more}" for n in (0, 1, 2, 4) for more in ("", "e/"))


def test_a_blob_that_does_not_exist_is_an_error_not_a_crash(repository, source):
    repository.push({"a.yaml": "1"})
    source.fetch()

    assert refused(lambda: source.read(BlobId("1" * 40))).reason == "RepositoryCorrupt"
