"""Generations on disk, and what is left of them when meshd dies in the middle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from meshd.deliver.files import marks
from meshd.deliver.generations import Generations, Staged
from meshd.deliver.pack import DamagedError, unpacked
from meshd.deliver.snapshot import Snapshot
from meshd.names import RevisionId
from tests.deliver.worlds import World, a_cluster, a_store, a_virtual_host, an_assignment


def a_snapshot(clusters: int = 3, changed: int | None = None) -> Snapshot:
    altered = {f"c{changed}": a_cluster(f"c{changed}", seconds=9)} if changed is not None else {}
    names = {f"c{i}": (9,) for i in range(clusters)}
    return World(port=8080, clusters=names, changed=altered, hosts=(a_virtual_host("shop", "c0"),)).snapshot()


def stage(store: Generations, snapshot: Snapshot, revision: str = "r1") -> Staged:
    return store.stage(RevisionId(revision), {"sidecar": snapshot})


def activate(store: Generations, snapshot: Snapshot, revision: str = "r1") -> Staged:
    staged = stage(store, snapshot, revision)
    store.commit(staged)
    store.add_fallback(staged, "sidecar", b"fallback of " + revision.encode())
    store.activate(staged)
    return staged


def without_parts(snapshot: Snapshot) -> dict[str, tuple[str, bytes, object]]:
    return {r.name: (r.version, r.body, r.origin.at("").file) for r in snapshot.resources()}


def an_open_store(directory: Path) -> Generations:
    store = a_store(directory)
    store.open()
    return store


def test_the_active_generation_is_read_back_with_bodies_endpoints_and_origins(tmp_path: Path) -> None:
    snapshot = a_snapshot()
    activate(an_open_store(tmp_path), snapshot)

    stored = a_store(tmp_path).open()

    assert stored is not None
    assert (stored.label.number, stored.label.revision, stored.label.meshd) == (1, "r1", "1.0")
    read = stored.snapshots["sidecar"]
    assert without_parts(read) == without_parts(snapshot)
    assert read.endpoints == snapshot.endpoints
    origin = snapshot.clusters["c1"].origin
    assert read.clusters["c1"].origin == origin
    assert (tmp_path / "state" / "active" / "sidecar" / "fallback.pb").read_bytes() == b"fallback of r1"


def test_an_empty_directory_has_no_generation(tmp_path: Path) -> None:
    assert a_store(tmp_path).open() is None


def test_a_generation_writes_only_the_bodies_that_its_predecessor_lacks(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    first = activate(store, a_snapshot(clusters=100))

    second = activate(store, a_snapshot(clusters=100, changed=7))

    (new,) = second.packs.keys() - first.packs.keys()
    assert len(second.packs[new]) == 1
    shared = next(iter(first.packs))
    root = tmp_path / "state" / "generations"
    assert (root / "000001" / shared).samefile(root / "000002" / shared)


def test_packs_do_not_pile_up(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)

    counts = [len(activate(store, a_snapshot(30, changed=i), f"r{i}").packs) for i in range(25)]

    assert max(counts) <= 17
    stored = a_store(tmp_path).open()
    assert stored is not None
    assert without_parts(stored.snapshots["sidecar"]) == without_parts(a_snapshot(30, changed=24))


def test_a_pack_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    activate(store, a_snapshot())
    for pack in (tmp_path / "state" / "active").glob("*.pack"):
        pack.unlink()

    activate(store, a_snapshot(changed=1), "r2")

    assert a_store(tmp_path).open() is not None


def test_old_generations_are_removed_and_the_active_one_is_kept(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)

    for i in range(15):
        activate(store, a_snapshot(changed=i % 3), f"r{i}")

    kept = sorted(entry.name for entry in (tmp_path / "state" / "generations").iterdir())
    assert kept == [f"{number:06}" for number in range(6, 16)]


def test_a_crash_while_staging_leaves_the_old_generation(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    activate(store, a_snapshot())
    stage(store, a_snapshot(changed=1), "r2")

    stored = a_store(tmp_path).open()

    assert stored is not None
    assert stored.label.revision == "r1"
    assert [entry.name for entry in (tmp_path / "state" / "generations").iterdir()] == ["000001"]


def test_a_crash_between_commit_and_the_last_acknowledgement_leaves_the_old_generation(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    activate(store, a_snapshot())
    store.commit(stage(store, a_snapshot(changed=1), "r2"))

    again = a_store(tmp_path)
    stored = again.open()

    assert stored is not None
    assert stored.label.revision == "r1"
    assert activate(again, a_snapshot(changed=2), "r3").label.number == 3


def test_a_crash_in_the_middle_of_the_flip_leaves_the_old_generation(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    activate(store, a_snapshot())
    (tmp_path / "state" / ".active.new").symlink_to("generations/000009")

    assert a_store(tmp_path).open() is not None
    activate(an_open_store(tmp_path), a_snapshot(changed=1), "r2")
    assert (tmp_path / "state" / "active").readlink() == Path("generations/000002")


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_remove, _truncate, _flip_a_bit, _empty])
@pytest.mark.parametrize("file", ["manifest.json", "*.pack", "sidecar/endpoints.pack"])
def test_a_damaged_generation_counts_as_none_and_the_next_one_is_whole(
    tmp_path: Path, file: str, damage: Callable[[Path], None]
) -> None:
    activate(an_open_store(tmp_path), a_snapshot())
    damage(next((tmp_path / "state" / "active").glob(file)))

    store = a_store(tmp_path)

    assert store.open() is None
    assert activate(store, a_snapshot(), "r2").label.number == 2
    assert a_store(tmp_path).open() is not None


def test_an_active_link_that_leads_nowhere_counts_as_no_generation(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    (tmp_path / "state" / "active").symlink_to("generations/000041")

    assert store.open() is None


def test_the_state_of_another_version_is_built_anew(tmp_path: Path) -> None:
    activate(an_open_store(tmp_path), a_snapshot())
    manifest = tmp_path / "state" / "active" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 2}))

    assert a_store(tmp_path).open() is None


def test_newer_endpoints_are_what_a_restart_serves(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    activate(store, a_snapshot(clusters=1))
    newer = an_assignment("c0", 99)

    store.rewrite(1, "sidecar", [newer], b"newer fallback")

    stored = a_store(tmp_path).open()
    assert stored is not None
    assert stored.snapshots["sidecar"].endpoints == {"c0": newer}
    assert (tmp_path / "state" / "active" / "sidecar" / "fallback.pb").read_bytes() == b"newer fallback"


def test_a_failed_staging_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = an_open_store(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        stage(store, a_snapshot())

    assert list((tmp_path / "state" / "generations").iterdir()) == []


def test_the_proxies_may_read_what_they_start_with(tmp_path: Path) -> None:
    """The unit gives the directory of the generations their group, and the bit that hands it down."""
    store = an_open_store(tmp_path)
    (tmp_path / "state" / "generations").chmod(0o2750)

    activate(store, a_snapshot())

    generation = (tmp_path / "state" / "active").resolve()
    modes = [directory.stat().st_mode & 0o7777 for directory in (generation, generation / "sidecar")]
    assert [mode & 0o2050 for mode in modes] == [0o2050, 0o2050]


def test_a_refusal_holds_for_this_meshd_with_this_envoy_only(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    store.refusals.add(RevisionId("bad"))

    assert RevisionId("bad") in a_store(tmp_path).refusals
    assert RevisionId("good") not in store.refusals
    assert RevisionId("bad") not in a_store(tmp_path, meshd="2.0").refusals


def test_a_refusal_is_void_once_a_file_that_it_depended_on_is_another(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.open()
    key, gone = tmp_path / "key", tmp_path / "gone"
    key.write_text("bad")
    store.refusals.add(RevisionId("bad"), marks([str(key), str(gone)]))
    assert RevisionId("bad") in a_store(tmp_path).refusals

    key.chmod(0o640)

    assert RevisionId("bad") not in a_store(tmp_path).refusals
    store.refusals.add(RevisionId("bad"), marks([str(key), str(gone)]))
    assert RevisionId("bad") in a_store(tmp_path).refusals

    gone.write_text("there")

    assert RevisionId("bad") not in a_store(tmp_path).refusals


def test_refusals_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    store = an_open_store(tmp_path)
    (tmp_path / "state" / "refused.json").write_text('{"half": ')

    assert RevisionId("bad") not in store.refusals
    store.refusals.forget(RevisionId("bad"))
    store.refusals.add(RevisionId("bad"))
    assert RevisionId("bad") in store.refusals


def test_a_pack_that_is_not_there_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="No such file"):
        unpacked(tmp_path / "nothing.pack")
