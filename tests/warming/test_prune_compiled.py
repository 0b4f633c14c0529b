"""What pruning takes of compiled models, and what it leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from imgtool.artefacts.find import folder_name
from imgtool.artefacts.manifest import read_manifest
from imgtool.artefacts.runtime_identity import RuntimeIdentity, this_runtime
from imgtool.files import FORMER
from imgtool.warming.prune_compiled import plan_prune_compiled
from imgtool.weights.store import ModelStore
from tests.compiled import FOREIGN_FEATURE, Bench, change_manifest, other_runtime

NEW, OLD = "2026-02-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"


@pytest.fixture
def bench(baked: Bench, tmp_path: Path) -> Bench:
    shutil.copytree(baked.root, tmp_path / "compiled")
    bench = Bench(baked.weights, tmp_path / "compiled")
    change_manifest(bench.folder, created=NEW)
    return bench


def another(bench: Bench, *, version: str = "v1", runtime: RuntimeIdentity | None = None, created: str = OLD) -> Path:
    """A copy of the compiled model, as if it had been made from other weights, elsewhere or at another time."""
    (first, *_) = [folder for folder in bench.folders if read_manifest(folder).created == NEW]
    runtime = runtime or this_runtime()
    folder = bench.root / folder_name(bench.requested, version, runtime)
    if folder == first:
        folder = folder.with_name(f"{folder.name}0")
    shutil.copytree(first, folder)
    change_manifest(folder, model_version=version, runtime=runtime, created=created)
    return folder


def pruned(bench: Bench) -> set[Path]:
    before = set(bench.folders)
    plan = plan_prune_compiled(bench.root)
    assert plan.before_bytes - plan.after_bytes == plan.size_bytes
    plan.execute(ModelStore.at(bench.root))
    assert plan_prune_compiled(bench.root).removals == ()
    return before - set(bench.folders)


def test_the_only_one_stays_wherever_it_is_from(bench: Bench) -> None:
    assert pruned(bench) == set()
    change_manifest(bench.folder, runtime=other_runtime(onnxruntime="0.1"))
    assert pruned(bench) == set()


def test_one_from_former_weights_goes(bench: Bench) -> None:
    former = another(bench, version="v0")
    assert pruned(bench) == {former}


def test_one_for_a_former_onnxruntime_goes_and_one_for_another_processor_stays(bench: Bench) -> None:
    former = another(bench, runtime=other_runtime(onnxruntime="0.1"))
    another(bench, runtime=other_runtime(more=[FOREIGN_FEATURE]))
    assert pruned(bench) == {former}


def test_another_model_is_no_reason_to_remove_one(bench: Bench) -> None:
    other = another(bench, version="v0")
    manifest = msgspec.structs.replace(read_manifest(other), source="/home/somebody/weights")
    change_manifest(other, source=manifest.source)
    assert pruned(bench) == set()


def test_what_is_damaged_or_was_left_goes_but_not_what_may_be_at_work(bench: Bench) -> None:
    damaged = another(bench, version="v0")
    (damaged / "manifest.json").unlink()
    left, working = (bench.root / f"blip-small-0123456789ab.tmp-{name}" for name in ("aaa", "bbb"))
    for folder in (left, working):
        folder.mkdir()
        (folder / "graph").write_bytes(b"x")
    os.utime(left, (0, 0))
    assert pruned(bench) == {damaged, left}
    assert working.exists()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


@pytest.mark.parametrize("spoil", [Path.unlink, _truncate])
def test_one_that_lacks_a_file_goes_and_replaces_none(bench: Bench, spoil: Callable[[Path], None]) -> None:
    another(bench, version="v0")
    newest = next(folder for folder in bench.folders if read_manifest(folder).created == NEW)
    spoil(newest / "small.onnx.data")
    assert pruned(bench) == {newest}


def test_one_in_use_stays_though_there_is_a_newer_one(bench: Bench) -> None:
    pinned = another(bench, version="v0")
    assert plan_prune_compiled(bench.root, in_use=[pinned]).removals == ()
    assert pruned(bench) == {pinned}


def test_the_only_copy_of_one_stays_though_its_name_is_that_of_a_leftover(bench: Bench) -> None:
    folder = bench.folder
    aside = folder.rename(folder.with_name(f"{folder.name}{FORMER}aaa"))
    os.utime(aside, (0, 0))
    assert pruned(bench) == set()
    shutil.copytree(aside, folder)
    os.utime(aside, (0, 0))
    assert pruned(bench) == {aside}


def test_nothing_compiled_is_nothing_to_prune(tmp_path: Path) -> None:
    assert plan_prune_compiled(tmp_path / "none").removals == ()
