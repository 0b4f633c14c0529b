"""The work of the networks on given images: what they compute is watched while they answer, in a process of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from imgtool.analyzers.interface import Analyzer
from imgtool.analyzers.registry import load_class
from imgtool.artefacts.manifest import FAST, OPTIMISED
from imgtool.bench.measure.child import ask
from imgtool.bench.roofline.bounds import Part, Work, count_work
from imgtool.engine.plan import Plan
from imgtool.inference.picture import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray


_MOST_PIXELS = 300_000_000
"""Of an image, as a run's default."""


class EngineOnImages(Struct, frozen=True):
    """An engine, named as in a plan, with its parameters, and files for it."""

    target: str
    parameters: dict[str, Any]
    images: tuple[str, ...]
    threads: int


def work_of(plan: Plan, images: tuple[str, ...], threads: int) -> tuple[Part, ...]:
    """What an image takes on the average, a part for every network. What runs without onnxruntime or OpenVINO, as the
    libraries on torch, is not seen.

    Raises:
        imgtool.bench.measure.child.ChildFailed: a model cannot be loaded, or its process crashed.
    """
    parts: list[Part] = []
    for choice in plan.chosen.values():
        asked = EngineOnImages(choice.target, dict(choice.parameters), images, threads)
        parts += ask(watch_engine, asked, tuple[Part, ...])
    return tuple(parts)


def watch_engine(asked: EngineOnImages) -> tuple[Part, ...]:
    """The child's side: answer about every image, then count what was run."""
    from imgtool.runtime.worker.decode import DecodeError, Decoder

    given = {**asked.parameters, "threads": asked.threads, "share": asked.threads}
    analyzer: Analyzer = load_class(asked.target)(given)
    # A graph that is opened for the first time may be made on the way: the second time it is a file.
    analyzer.load()
    analyzer.close()
    runs: Counter[_Run] = Counter()
    _watch(runs)
    analyzer.load()
    decoder, seen = Decoder(_MOST_PIXELS), 0
    for path in asked.images:
        with suppress(DecodeError):
            page = decoder.decode(path)
            analyzer.run([Picture(page.pixels, page.width, page.height, page.format)])
            seen += 1
    analyzer.close()
    found: dict[tuple[str, bool], Work] = {}
    # To know the shapes inside a graph it is run once more, which is watched, too.
    for run, times in dict(runs).items():
        work = run.work()
        total = Work(ops=times * work.ops, weight_bytes=times * work.weight_bytes)
        found[run.name, run.is_lossy] = found.get((run.name, run.is_lossy), Work(ops=0)) + total
    return tuple(
        Part(name=name, work=Work(ops=work.ops / seen, weight_bytes=work.weight_bytes / seen), is_int8=is_lossy)
        for (name, is_lossy), work in found.items()
    )


class _Run(Struct, frozen=True):
    """A run of the graph in a file, with inputs of these names, types and shapes."""

    path: str
    feeds: tuple[tuple[str, str, tuple[int, ...]], ...]

    @property
    def is_lossy(self) -> bool:
        return Path(self.path).parent.name == FAST

    @property
    def _portable(self) -> Path:
        """The graph as it was exported, in single precision: without optimisation and Winograd's method."""
        path = Path(self.path)
        folder = path.parent.parent if self.is_lossy else path.parent
        exported = folder / (path.name.removesuffix(OPTIMISED).removesuffix(".blob") + ".onnx")
        return exported if exported.is_file() else path

    @property
    def name(self) -> str:
        """The network's: a kept graph of another's file is named by its folder."""
        path = self._portable
        return path.parent.name.rpartition("-")[0] if path.stem == "graph" else path.stem

    def work(self) -> Work:
        import numpy as np

        return count_work(self._portable, {name: np.zeros(shape, kind) for name, kind, shape in self.feeds})


def _watch(runs: Counter[_Run]) -> None:
    """Have every session of this process count its runs. For a process that does nothing else."""
    import onnxruntime

    from imgtool.inference.sessions import OpenVinoGraph, OrtGraph

    def count(path: object, feeds: Mapping[str, NDArray[Any]]) -> None:
        if path:
            shapes = ((name, array.dtype.str, tuple(array.shape)) for name, array in feeds.items())
            runs[_Run(str(path), tuple(shapes))] += 1

    session: Any = onnxruntime.InferenceSession
    bound, run = OrtGraph.run, session.run
    blob, infer = OpenVinoGraph.__init__, OpenVinoGraph.run
    opened: dict[int, Path] = {}

    def run_graph(graph: Any, feeds: Any, shapes: Any = None) -> Any:
        if shapes is not None:  # else the session's own method counts
            count(graph._session._model_path, feeds)
        return bound(graph, feeds, shapes)

    def run_session(self: Any, outputs: Any, feeds: Any, options: Any = None) -> Any:
        count(self._model_path, feeds)
        return run(self, outputs, feeds, options)

    def open_blob(graph: Any, path: Path, threads: int | None) -> None:
        opened[id(graph)] = path
        blob(graph, path, threads)

    def run_blob(graph: Any, feeds: Any, shapes: Any = None) -> Any:
        count(opened[id(graph)], feeds)
        return infer(graph, feeds, shapes)

    for owner, name, watched in (
        (OrtGraph, "run", run_graph),
        (session, "run", run_session),
        (OpenVinoGraph, "__init__", open_blob),
        (OpenVinoGraph, "run", run_blob),
    ):
        setattr(owner, name, watched)
