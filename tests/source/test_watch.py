"""A push to a repository on this machine is noticed, however git writes its refs; what cannot be watched is said."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from meshd.source.watch import watch
from tests.source.repositories import a_repository, git
from tests.waiting import until


class Moves:
    """Counts the calls, from whatever thread."""

    def __init__(self) -> None:
        self.seen = threading.Event()
        self.names: set[str] = set()

    def __call__(self) -> None:
        self.names.add(threading.current_thread().name)
        self.seen.set()

    def expect(self) -> None:
        assert self.seen.wait(20), "the push was not noticed"
        self.seen.clear()


@pytest.fixture
def repository(tmp_path):
    repository = a_repository(tmp_path)
    repository.push({"a.yaml": "1"})
    return repository


@pytest.fixture
def moves():
    return Moves()


def test_each_push_is_noticed(repository, moves):
    with watch(repository.bare, moves) as watching:
        assert watching.alive
        for number in range(3):
            repository.push({"a.yaml": f"{number + 2}"})
            moves.expect()

    assert moves.names != {threading.main_thread().name}


def test_the_first_push_to_an_empty_repository_is_noticed(tmp_path, moves):
    empty = a_repository(tmp_path, "empty.git")
    with watch(empty.bare, moves):
        empty.push({"a.yaml": "1"})
        moves.expect()


def test_a_push_to_a_branch_in_a_new_directory_is_noticed(repository, moves):
    with watch(repository.bare, moves):
        git(repository.work, "push", "--quiet", "origin", "HEAD:refs/heads/team/shop/main")
        moves.expect()


def test_packing_refs_and_a_push_after_it_are_noticed(repository, moves):
    with watch(repository.bare, moves):
        git(repository.bare, "pack-refs", "--all")
        moves.expect()
        repository.push({"a.yaml": "2"})
        moves.expect()


def test_an_atomic_push_of_many_branches_is_noticed(repository, moves):
    with watch(repository.bare, moves):
        repository.commit({"a.yaml": "2"})
        git(repository.work, "push", "--quiet", "--atomic", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/x")
        moves.expect()


def test_a_deleted_branch_is_noticed_loose_or_packed(repository, moves):
    git(repository.bare, "branch", "loose", "main")
    with watch(repository.bare, moves):
        git(repository.bare, "branch", "-D", "loose")
        moves.expect()

    git(repository.bare, "pack-refs", "--all")
    moves.seen.clear()
    with watch(repository.bare, moves):
        git(repository.bare, "update-ref", "-d", "refs/heads/main")
        moves.expect()


def test_objects_and_other_files_are_not_refs(repository, moves):
    with watch(repository.bare, moves):
        (repository.bare / "description").write_text("ours")
        (repository.bare / "refs" / "heads" / "x.lock").write_text("")
        git(repository.bare, "config", "a.b", "c")
        repository.push({"a.yaml": "2"})
        moves.expect()

    assert not list(repository.bare.glob("*.lock"))


def test_a_watch_that_is_stopped_calls_no_more(repository, moves):
    watching = watch(repository.bare, moves)
    watching.stop()
    watching.stop()

    repository.push({"a.yaml": "2"})

    assert not watching.alive
    assert not moves.seen.is_set()


def test_a_repository_that_is_not_there_is_watched_from_when_it_is(tmp_path, moves):
    with watch(tmp_path / "later.git", moves) as watching:
        assert not watching.alive
        assert "later.git" in watching.ailment
        assert not watching.renew()

        later = a_repository(tmp_path, "later.git")
        assert watching.renew()
        assert watching.ailment == ""
        later.push({"a.yaml": "1"})
        moves.expect()


def test_a_repository_that_is_deleted_and_made_again_is_watched_again(repository, tmp_path, moves):
    with watch(repository.bare, moves) as watching:
        shutil.rmtree(repository.bare)
        until(lambda: not watching.alive)

        git(tmp_path, "init", "--quiet", "--bare", "-b", "main", "mesh.git")
        until(watching.renew)
        moves.seen.clear()
        repository.push({"a.yaml": "2"})
        moves.expect()
        assert watching.alive


def test_renewing_a_watch_that_is_well_changes_nothing(repository, moves):
    with watch(repository.bare, moves) as watching:
        observer = watching._observer

        assert watching.renew()
        assert watching._observer is observer


def test_a_file_is_no_repository(tmp_path: Path, moves):
    (tmp_path / "file").write_text("")

    with watch(tmp_path / "file", moves) as watching:
        assert not watching.alive
