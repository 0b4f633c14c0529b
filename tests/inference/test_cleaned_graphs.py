"""Graphs without denormals, kept: whole or not at all, found by content, and never in the way of a run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from imgtool.artefacts.manifest import NAME
from imgtool.inference import cleaned_graphs
from imgtool.inference.cleaned_graphs import Cleaned, cleaned_copy, is_of_use, open_cleaned
from imgtool.inference.denormals import count_denormals
from tests.compiled import flip, other_runtime
from tests.inference.test_denormals import PLANTED, in_raw_data, model, rapidocr_models, scores, written


def options() -> Any:
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = 1
    return made


def asked(session: Any, shape: tuple[int, ...] = (1, 3, 9, 11)) -> np.ndarray:
    image = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: image})[0]
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return written(tmp_path / "m.onnx", model(in_raw_data()))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "cleaned"


def only(store: Path) -> Path:
    (folder,) = store.iterdir()
    return folder


def leftovers(store: Path) -> list[Path]:
    return [path for path in store.iterdir() if not is_of_use(path)]


def sessions_made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What sessions are opened on from here on: paths, or bytes."""
    opened: list[object] = []
    original = onnxruntime.InferenceSession

    def open_session(given: object, *more: object, **named: object) -> Any:
        opened.append(given)
        return original(given, *more, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    return opened


def test_the_second_session_opens_what_the_first_kept(
    source: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, opened = scores(source), sessions_made(monkeypatch)
    for _ in range(2):
        assert np.array_equal(asked(open_cleaned(source, store, options)), expected)
    assert [type(each) for each in opened] == [bytes, str]
    assert opened[1] == str(only(store) / "graph.onnx")
    assert count_denormals(only(store) / "graph.onnx").denormal == 0
    found = onnx.load(only(store) / "graph.onnx")
    assert found.graph.node


@pytest.mark.parametrize("path", rapidocr_models(), ids=lambda path: path.stem)
def test_rapidocrs_models_answer_as_they_did(path: Path, store: Path) -> None:
    shape = {"PP-OCRv6_det_small": (1, 3, 160, 224), "PP-OCRv6_rec_small": (2, 3, 48, 320)}.get(
        path.stem, (2, 3, 48, 192)
    )
    plain = onnxruntime.InferenceSession(str(path), options(), providers=["CPUExecutionProvider"])
    first, second = open_cleaned(path, store, options), open_cleaned(path, store, options)
    assert np.array_equal(asked(plain, shape), asked(first, shape))
    assert np.array_equal(asked(plain, shape), asked(second, shape))
    assert second.get_modelmeta().custom_metadata_map == plain.get_modelmeta().custom_metadata_map


def test_without_a_place_it_is_cleaned_in_memory(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, opened = scores(source), sessions_made(monkeypatch)
    assert np.array_equal(asked(open_cleaned(source, None, options)), expected)
    assert PLANTED and isinstance(opened[0], bytes) and opened[0] != source.read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written(source: Path, store: Path) -> None:
    store.mkdir(parents=True)
    store.chmod(0o500)
    assert np.array_equal(asked(open_cleaned(source, store, options)), scores(source))


def test_a_place_that_cannot_be_made(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = tmp_path / "file" / "cleaned"
    assert np.array_equal(asked(open_cleaned(source, store, options)), scores(source))
    assert cleaned_copy(source, store, {source: "h"}, lambda *_: True) == source


def test_a_disk_that_fills_up(source: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cleaned_graphs, "sampled_sha256", full)
    assert np.array_equal(asked(open_cleaned(source, store, options)), scores(source))
    assert list(store.iterdir()) == []


def cut(folder: Path) -> None:
    graph = folder / "graph.onnx"
    graph.write_bytes(graph.read_bytes()[:-10])


def spoiled_manifest(folder: Path) -> None:
    (folder / NAME).write_bytes(b"{")


def without_manifest(folder: Path) -> None:
    (folder / NAME).unlink()


def changed(folder: Path) -> None:
    flip(folder / "graph.onnx", 40)


@pytest.mark.parametrize("damage", [cut, spoiled_manifest, without_manifest, changed])
def test_what_is_damaged_is_made_again(damage: Callable[[Path], None], source: Path, store: Path) -> None:
    expected = scores(source)
    open_cleaned(source, store, options)
    damage(only(store))
    for _ in range(3):
        assert np.array_equal(asked(open_cleaned(source, store, options)), expected)
    assert leftovers(store) == []
    assert (only(store) / NAME).is_file()


def test_another_file_of_the_same_name_is_another_graph(source: Path, store: Path) -> None:
    open_cleaned(source, store, options)
    before = scores(source)
    weights = np.ones((4, 3, 3, 3), np.float32)
    written(source, model(onnx.numpy_helper.from_array(weights, "w")))
    assert np.array_equal(asked(open_cleaned(source, store, options)), scores(source))
    assert not np.array_equal(scores(source), before)
    assert len(list(store.iterdir())) == 2


def test_another_processor_gets_its_own(source: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_cleaned(source, store, options)
    other = other_runtime(less=["avx2"])
    monkeypatch.setattr(cleaned_graphs, "this_runtime", lambda: other)
    open_cleaned(source, store, options)
    assert len(list(store.iterdir())) == 2 and leftovers(store) == []
    newer = other_runtime(onnxruntime="99.0")
    monkeypatch.setattr(cleaned_graphs, "this_runtime", lambda: newer)
    (store / "half.tmp-0123").mkdir()
    assert len(leftovers(store)) == 3


def test_a_file_that_is_no_model_is_refused_by_onnxruntime(tmp_path: Path, store: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(Exception, match="protobuf"):
        open_cleaned(tmp_path / "m.onnx", store, options)
    assert not store.exists() or list(store.iterdir()) == []


PROCESS = """
import sys
from pathlib import Path
import onnxruntime
from imgtool.inference.cleaned_graphs import open_cleaned
sys.stdin.readline()
for _ in range(3):
    open_cleaned(Path(sys.argv[1]), Path(sys.argv[2]), onnxruntime.SessionOptions)
"""


def test_processes_that_begin_at_once(source: Path, store: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(source), str(store)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0] * 4
    for process in processes:
        process.stdin.close()  # type: ignore[union-attr]
    assert len(list(store.iterdir())) == 1 and leftovers(store) == []


# -- copies, for models that are opened as their owner wrote them


def hashes(*paths: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_a_copy_without_them_is_opened(source: Path, store: Path) -> None:
    compared: list[tuple[Path, Path]] = []

    def alike(one: Path, other: Path) -> bool:
        compared.append((one, other))
        return bool(np.array_equal(scores(one), scores(other)))

    found = [cleaned_copy(source, store, hashes(source), alike) for _ in range(2)]
    assert found[0] == found[1] == only(store) / source.name
    assert len(compared) == 1
    assert np.array_equal(scores(found[0]), scores(source))
    assert count_denormals(found[0]).denormal == 0


def test_weights_beside_it_are_copied_too(tmp_path: Path, store: Path) -> None:
    source = tmp_path / "m.onnx"
    onnx.save(model(in_raw_data()), source, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    data = tmp_path / "m.onnx.data"
    found = cleaned_copy(source, store, hashes(source, data), lambda *_: True)
    assert np.array_equal(scores(found), scores(source))
    assert (count_denormals(source).denormal, count_denormals(found).denormal) == (PLANTED, 0)


def test_weights_in_a_file_that_was_not_hashed_are_left_alone(tmp_path: Path, store: Path) -> None:
    source = tmp_path / "m.onnx"
    onnx.save(model(in_raw_data()), source, save_as_external_data=True, location="other.bin", size_threshold=0)
    assert cleaned_copy(source, store, hashes(source), lambda *_: True) == source
    assert not store.exists()


def test_a_model_without_any_is_not_copied(tmp_path: Path, store: Path) -> None:
    source = written(tmp_path / "m.onnx", model(onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")))
    for _ in range(2):
        assert cleaned_copy(source, store, hashes(source), lambda *_: False) == source
    assert [path.name for path in only(store).iterdir()] == [NAME]


def test_a_model_that_needs_them_is_opened_as_it_is(source: Path, store: Path) -> None:
    asked_for = []
    for _ in range(2):
        assert cleaned_copy(source, store, hashes(source), lambda *both: bool(asked_for.append(both))) == source
    assert len(asked_for) == 1
    kept = cleaned_graphs.msgspec.json.decode((only(store) / NAME).read_bytes(), type=Cleaned)
    assert (kept.denormals, kept.files) == (PLANTED, ())


def test_a_copy_that_vanishes_is_made_again(source: Path, store: Path) -> None:
    found = cleaned_copy(source, store, hashes(source), lambda *_: True)
    shutil.rmtree(found.parent)
    assert cleaned_copy(source, store, hashes(source), lambda *_: True) == found
