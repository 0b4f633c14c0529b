"""Opens graphs of a compiled model. Only this module and ``session_memory`` use onnxruntime for compiled analyzers.

A graph that was optimised by this onnxruntime for a processor like this one is memory-mapped, without any optimisation
or copied weights. On another machine it could give wrong answers: there the portable graph is opened and optimised.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imgtool.artefacts.manifest import FAST, NAME, OPTIMISED, ArtefactManifest, read_manifest, wrong_sample
from imgtool.artefacts.runtime_identity import PROVIDER, this_runtime
from imgtool.distribution import installed_release
from imgtool.errors import ImgtoolError, ModelLoadFailed
from imgtool.ground.privacy import import_openvino
from imgtool.inference.session_memory import Arena, run_options, set_memory

Feeds = Mapping[str, NDArray[Any]]
"""Inputs or outputs by name."""


class Damaged(ModelLoadFailed):
    """A compiled model that must be compiled again; :func:`opening` adds the command."""


@contextmanager
def opening(what: str, folder: Path, remedy: str) -> Iterator[None]:
    """Turn errors of opening the compiled ``what`` in ``folder`` into one with the ``remedy`` that compiles it again.

    Raises:
        ModelLoadFailed: it is damaged, or a library refuses it.
        ImgtoolError: as it was raised inside, if compiling would not help.
    """
    try:
        yield
    except Damaged as error:
        raise ModelLoadFailed(str(error), remedy) from error
    except (ImgtoolError, MemoryError):
        raise
    except Exception as error:
        text = f"the compiled {what} in {folder} cannot be opened: {type(error).__name__}: {error}"
        raise ModelLoadFailed(text, remedy) from error


class Graph(Protocol):
    """A network that is ready to run."""

    def run(self, feeds: Feeds, into: Feeds | None = None) -> Feeds:
        """Every output by name; written ``into`` these arrays, all contiguous and float32, if they are given."""


class OrtGraph:
    """A graph in an onnxruntime session on the CPU. ``run`` may be called from several threads."""

    def __init__(
        self,
        path: Path,
        threads: int | None,
        *,
        is_optimised: bool = False,
        is_packed: bool = False,
        arena: Arena = Arena.NONE,
    ) -> None:
        """``is_packed`` has the weights of an optimised graph copied into the order in which they are multiplied."""
        import onnxruntime

        options = session_options(threads)
        set_memory(options, arena)
        if is_optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            # Packing copies every matrix into private memory. It would gain little, because the exporters write
            # matrices in the order in which they are read. Weights in eight bits are a quarter as large, and would
            # otherwise be packed at every run.
            options.add_session_config_entry("session.disable_prepacking", "0" if is_packed else "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._run_options = run_options(arena)

    def run(self, feeds: Feeds, into: Feeds | None = None) -> Feeds:
        """Every output by name. Without ``into`` they may hold memory of the arena."""
        if into is None:
            return dict(zip(self._outputs, self._session.run(None, dict(feeds), self._run_options), strict=True))
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, array in into.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._session.run_with_iobinding(binding, self._run_options)
        return into


class OpenVinoGraph:
    """A graph that OpenVINO compiled for this processor. Calls from several threads are answered in turn."""

    def __init__(self, path: Path, threads: int | None) -> None:
        openvino = import_openvino()
        settings = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        # Mapped privately: OpenVINO requires writable memory, but does not write.
        self._blob = openvino.Tensor(np.memmap(path, dtype=np.uint8, mode="c"), shared_memory=True)
        self._request = openvino.Core().import_model(self._blob, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()

    def run(self, feeds: Feeds, into: Feeds | None = None) -> Feeds:
        """Every output by name."""
        with self._lock:
            found = {port.any_name: array for port, array in self._request.infer(dict(feeds)).items()}
            # Copies: the next call writes into the same memory.
            if into is None:
                return {name: array.copy() for name, array in found.items()}
            for name, array in into.items():
                array[...] = found[name]
            return into


def session_options(threads: int | None) -> Any:
    """The options of every session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Planning which buffers may share memory takes two thirds of the opening time, and buffers are freed after their
    # last use anyway.
    options.enable_mem_reuse = False
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Captions and text are computed at the same time: busy waiting would take processor time from the other.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def open_graph(
    folder: Path,
    name: str,
    *,
    threads: int | None = None,
    callers: int = 1,
    precision: str = "exact",
    arena: Arena = Arena.NONE,
    is_packed: bool = False,
) -> Graph:
    """The graph ``name`` of the compiled model in ``folder``; ``arena`` says where its buffers come from, ``is_packed``
    that its weights are copied in the order in which they are multiplied: for small ones.

    Each of the ``callers`` that run it at the same time has ``threads`` of its own. A folder without a manifest holds
    an export that was not installed: its portable graph is opened. ``fast`` opens the lossy twin if there is one that
    was measured on a machine like this; else it means ``exact``.

    Raises:
        Damaged: one of its files is missing or was changed, or the manifest cannot be used.
    """
    portable, optimised = f"{name}.onnx", f"{name}{OPTIMISED}"
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        return OrtGraph(folder / portable, threads, arena=arena)
    except (OSError, ValueError) as error:
        raise Damaged(f"{folder / NAME} cannot be used: {error}") from error
    if not manifest.runtime.serves(this_runtime()):
        _check(folder, manifest, portable, f"{portable}.data")
        return OrtGraph(folder / portable, threads, arena=arena)
    fast, blob, twin = manifest.judged_fast, f"{FAST}/{name}.blob", f"{FAST}/{optimised}"
    if precision == "fast" and fast is not None:
        # A twin that is being measured is not in the manifest yet. Graphs that would not gain have none.
        has = {path: manifest.file(path) is not None or (folder / path).is_file() for path in (blob, twin)}
        if fast.executor == "openvino" and has[blob] and fast.release == installed_release("openvino"):
            _check(folder, manifest, blob)
            # It runs one call at a time, with the threads of all callers.
            return OpenVinoGraph(folder / blob, threads and threads * callers)
        if fast.executor == "onnxruntime" and has[twin]:
            _check(folder, manifest, twin, f"{twin}.data", f"{FAST}/{portable}.data")
            return OrtGraph(folder / twin, threads, is_optimised=True, is_packed=True, arena=arena)
    # An optimised graph has a file only for weights that differ from those of the portable one.
    _check(folder, manifest, optimised, f"{optimised}.data", f"{portable}.data")
    return OrtGraph(folder / optimised, threads, is_optimised=True, is_packed=is_packed, arena=arena)


def _check(folder: Path, manifest: ArtefactManifest, *graph: str) -> None:
    """
    Raises:
        Damaged: a file of the ``graph``, or one that belongs to all graphs, is missing or was changed.
    """
    for file in manifest.files:
        if file.path in graph or not file.path.endswith((".onnx", ".onnx.data", ".blob")):
            try:
                problem = wrong_sample(folder, file)
            except OSError as error:
                problem = f"{folder / file.path} cannot be read: {error.strerror}"
            if problem:
                raise Damaged(f"{manifest.label} is damaged: {problem}")
