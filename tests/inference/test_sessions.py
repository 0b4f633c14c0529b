"""Opening compiled graphs: mapped where they were made for this machine, portable elsewhere, never when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from imgtool.errors import ModelLoadFailed
from imgtool.inference import sessions as _sessions
from imgtool.inference.session_memory import Arena, give_back_region
from imgtool.inference.sessions import open_graph
from imgtool.runtime.worker.memory import held
from tests.compiled import FOREIGN_FEATURE, Bench, change_manifest, flip, other_runtime
from tests.fakes.exporter import CLASSES, GRAPH, _scores, weights

ONNX = onnxruntime.GraphOptimizationLevel


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The name of each file that a session was made of, and with which options."""
    made: list[tuple[str, Any]] = []
    real = onnxruntime.InferenceSession

    def session(path: str, options: Any, **more: Any) -> Any:
        made.append((Path(path).name, options))
        return real(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return made


def image() -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal((2, 3, 8, 8)).astype(np.float32)


def answers(folder: Path) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = open_graph(folder, GRAPH, threads=1).run({"image": image()})["scores"]
    return scores


def maps() -> str:
    return Path("/proc/self/maps").read_text()


def test_one_for_this_machine_is_opened_without_work_from_mapped_files(
    folder: Path, opened: list[tuple[str, Any]]
) -> None:
    graph = open_graph(folder, GRAPH, threads=1)
    ((name, options),) = opened
    assert name == "small.optimised.onnx"
    assert options.graph_optimization_level == ONNX.ORT_DISABLE_ALL
    assert options.get_session_config_entry("session.disable_prepacking") == "1"
    assert (options.enable_cpu_mem_arena, options.enable_mem_reuse, options.intra_op_num_threads) == (False, False, 1)
    if Path("/proc/self/maps").exists():
        assert str(folder / "small.onnx.data") in maps(), "the weights are mapped, not read"
    del graph
    if Path("/proc/self/maps").exists():
        assert str(folder) not in maps()


def test_its_answers_are_those_of_the_network(folder: Path, baked: Bench) -> None:
    assert np.allclose(answers(folder), _scores(image(), *weights(baked.weights)), atol=1e-3)


@pytest.mark.parametrize("runtime", [other_runtime(onnxruntime="0.1"), other_runtime(more=[FOREIGN_FEATURE])])
def test_one_from_elsewhere_is_opened_by_its_portable_graph(
    folder: Path, opened: list[tuple[str, Any]], runtime: object
) -> None:
    expected = answers(folder)
    change_manifest(folder, runtime=runtime)
    assert np.allclose(answers(folder), expected, atol=1e-4)
    name, options = opened[-1]
    assert name == "small.onnx"
    assert options.graph_optimization_level == ONNX.ORT_ENABLE_ALL


def test_an_export_that_was_not_installed_is_opened_by_its_portable_graph(
    folder: Path, opened: list[tuple[str, Any]]
) -> None:
    (folder / "manifest.json").unlink()
    answers(folder)
    assert [name for name, _ in opened] == ["small.onnx"]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte of the graph": lambda folder: flip(folder / "small.optimised.onnx", 200),
    "a byte of the settings": lambda folder: flip(folder / "settings.json", 5),
    "the head of the weights": lambda folder: flip(folder / "small.onnx.data", 0),
    "the last of the weights": lambda folder: flip(folder / "small.onnx.data", -1),
    "truncated weights": lambda folder: (folder / "small.onnx.data").write_bytes(b"x"),
    "no weights": lambda folder: (folder / "small.onnx.data").unlink(),
    "half a manifest": lambda folder: (folder / "manifest.json").write_bytes(b"{"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_one_is_never_opened(folder: Path, opened: list[tuple[str, Any]], name: str) -> None:
    DAMAGE[name](folder)
    with pytest.raises(ModelLoadFailed, match=r"damaged|cannot be used") as caught:
        answers(folder)
    assert str(folder) in str(caught.value)
    assert opened == []


def test_of_a_large_file_samples_are_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, opened: list[tuple[str, Any]]
) -> None:
    monkeypatch.setattr("imgtool.artefacts.manifest._SMALL", 10_000)
    flip(folder / "small.onnx.data", 4100, by_disk=True)
    answers(folder)  # between two samples: found by --full-check alone
    flip(folder / "small.onnx.data", 100, by_disk=True)
    with pytest.raises(ModelLoadFailed, match="damaged"):
        answers(folder)


def test_only_what_the_graph_needs_is_looked_at(folder: Path) -> None:
    (folder / "small.onnx").unlink()
    answers(folder)


def test_sessions_do_not_wait_busily() -> None:
    options = _sessions.session_options(2)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.intra_op_num_threads == 2


@pytest.mark.parametrize("arena", list(Arena))
def test_answers_are_the_same_wherever_the_buffers_come_from(folder: Path, arena: Arena) -> None:
    expected = answers(folder)
    graph = open_graph(folder, GRAPH, threads=1, arena=arena)
    for _ in range(2):  # the second time in what the first one left
        assert np.array_equal(graph.run({"image": image()})["scores"], expected)
        assert np.array_equal(
            graph.run({"image": image()}, {"scores": np.empty(expected.shape, np.float32)})["scores"], expected
        )


def test_outputs_that_are_held_are_not_written_again(folder: Path) -> None:
    graph = open_graph(folder, GRAPH, threads=1, arena=Arena.EXACT)
    kept = graph.run({"image": image()}, {"scores": np.empty((2, CLASSES), np.float32)})["scores"]
    before = kept.copy()
    graph.run({"image": -image()}, {"scores": np.empty((2, CLASSES), np.float32)})
    assert np.array_equal(kept, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what a process holds")
@pytest.mark.parametrize("arena", list(Arena))
def test_the_memory_of_an_arena_goes_back(folder: Path, arena: Arena) -> None:
    """Sixty thousand small pictures at once need 250 MB, which nobody holds afterwards: outputs lie elsewhere."""
    graph = open_graph(folder, GRAPH, threads=1, arena=arena)
    graph.run({"image": image()}, {"scores": np.empty((2, CLASSES), np.float32)})
    before = held().rss
    graph.run(
        {"image": np.zeros((60_000, 3, 8, 8), dtype=np.float32)}, {"scores": np.empty((60_000, CLASSES), np.float32)}
    )
    if arena is Arena.REGION:
        give_back_region()
    assert held().rss - before < 100_000_000
