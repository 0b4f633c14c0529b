"""Opening a graph of a compiled model; with ``session_memory`` all that the compiled analyzers know of onnxruntime.

Where the graph was optimised by this onnxruntime on a processor like this one, opening it maps its file and does no
work: no optimisation, no weights copied into a layout of their own. Elsewhere such a graph could be wrong, and the
portable one beside it is optimised as it is opened.
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
from imgtool.artefacts.runtime_identity import PROVIDER, installed_release, this_runtime
from imgtool.errors import ImgtoolError, ModelLoadFailed
from imgtool.ground.privacy import import_openvino
from imgtool.inference.session_memory import Arena, run_options, set_memory

Feeds = Mapping[str, NDArray[Any]]
"""Inputs by name."""
Shapes = Mapping[str, tuple[int, ...]]
"""By name."""


class Damaged(ModelLoadFailed):
    """A compiled model that has to be compiled again; :func:`opening` says with which command."""


@contextmanager
def opening(what: str, folder: Path, remedy: str) -> Iterator[None]:
    """Whatever keeps the compiled ``what`` in ``folder`` from being opened, with the ``remedy`` that compiles it again.

    Raises:
        ModelLoadFailed: it is damaged, or a library refuses it.
        ImgtoolError: as it was raised inside, where compiling would not help.
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

    def run(self, feeds: Feeds, shapes: Shapes | None = None) -> dict[str, NDArray[Any]]:
        """Every output by name. ``shapes`` of the outputs, all float32, may be said where they are known: no part of an
        arena is then held by them."""


class OrtGraph:
    """A graph in an onnxruntime session on the CPU. ``run`` may be called from several threads."""

    def __init__(
        self, path: Path, threads: int | None, *, is_optimised: bool = False, arena: Arena = Arena.NONE
    ) -> None:
        import onnxruntime

        options = session_options(threads)
        set_memory(options, arena)
        if is_optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            # Packing copies every matrix into private memory. What it would gain is gained by the exporters, which
            # write matrices in the order in which they are read.
            options.add_session_config_entry("session.disable_prepacking", "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._run_options = run_options(arena)

    def run(self, feeds: Feeds, shapes: Shapes | None = None) -> dict[str, NDArray[Any]]:
        """Every output by name."""
        if shapes is None:
            return dict(zip(self._outputs, self._session.run(None, dict(feeds), self._run_options), strict=True))
        binding = self._session.io_binding()
        found: dict[str, NDArray[Any]] = {name: np.empty(shape, dtype=np.float32) for name, shape in shapes.items()}
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, array in found.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._session.run_with_iobinding(binding, self._run_options)
        return found


class OpenVinoGraph:
    """A graph that OpenVINO compiled for this processor. Calls from several threads are answered in turn."""

    def __init__(self, path: Path, threads: int | None) -> None:
        openvino = import_openvino()
        settings = {"INFERENCE_NUM_THREADS": threads} if threads else {}
        # Mapped, privately: OpenVINO wants memory that could be written, and does not write.
        self._blob = openvino.Tensor(np.memmap(path, dtype=np.uint8, mode="c"), shared_memory=True)
        self._request = openvino.Core().import_model(self._blob, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()

    def run(self, feeds: Feeds, shapes: Shapes | None = None) -> dict[str, NDArray[Any]]:
        """Every output by name."""
        with self._lock:
            found = self._request.infer(dict(feeds))
            # Copies: the next call writes into the same memory.
            return {port.any_name: array.copy() for port, array in found.items()}


def session_options(threads: int | None) -> Any:
    """How every session runs: see the comments."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Planning which buffers may share memory takes two thirds of the time that opening takes, and a buffer is freed
    # after its last reader anyway.
    options.enable_mem_reuse = False
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Captions and text are computed side by side: threads that wait busily take the processor from the other.
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
) -> Graph:
    """The graph ``name`` of the compiled model in ``folder``; ``arena`` says where its buffers come from.

    ``threads`` are those of each of the ``callers`` that run it at the same time.

    A folder without a manifest holds an export that was never installed: its portable graph is opened. ``fast`` opens
    the lossy twin where there is one that was measured on a machine like this; else it is the same as ``exact``.

    Raises:
        Damaged: a file of it is missing or was changed, or the manifest cannot be used.
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
    fast, blob, twin = manifest.fast, f"{FAST}/{name}.blob", f"{FAST}/{optimised}"
    if precision == "fast" and fast is not None:
        if fast.executor == "openvino" and fast.release == installed_release("openvino"):
            _check(folder, manifest, blob)
            # It answers its callers in turn, each with the threads of all.
            return OpenVinoGraph(folder / blob, threads and threads * callers)
        # A twin that is being measured is not in the manifest yet; graphs that would gain nothing have none.
        if fast.executor == "onnxruntime" and (manifest.file(twin) or (folder / twin).is_file()):
            _check(folder, manifest, twin, f"{twin}.data", f"{FAST}/{portable}.data")
            return OrtGraph(folder / twin, threads, is_optimised=True, arena=arena)
    # An optimised graph keeps in a file of its own only what differs from the portable one.
    _check(folder, manifest, optimised, f"{optimised}.data", f"{portable}.data")
    return OrtGraph(folder / optimised, threads, is_optimised=True, arena=arena)


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
