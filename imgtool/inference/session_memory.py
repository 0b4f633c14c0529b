"""Where the buffers of a session come from, and how they are freed.

By default onnxruntime keeps all memory that it ever had, rounded up to powers of two, and plans the second image of a
size as one block of all its buffers. Here shapes vary from image to image, and some are large. Without any arena, the
system clears each buffer anew, which takes a fifth of the time of a network with large ones.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any


class Arena(Enum):
    """The kinds of arena, each for a kind of network."""

    NONE = auto()
    """Each buffer comes from the system: for a network with little memory, or one that runs often for one answer."""
    OWN = auto()
    """An arena of its own: for many buffers of medium size, and outputs that are held while others compute."""
    EXACT = auto()
    """An arena that grows by exactly what is requested: for a few huge buffers. Only one network may use it, because
    buffers of another one would leave holes."""
    REGION = auto()
    """An arena that is one region of addresses, of which memory is taken as it is first written: for buffers of many
    sizes. What is free lies together, so that it fits whatever comes next. Networks that run in turn share it. Runs
    keep it; call :func:`give_back_region` after large ones, and once the sessions are open."""


_REGION_BYTES = 1 << 30
_SPLIT_BYTES = 1 << 20
"""A free piece that is larger than what is requested by this much is split."""
_GROWTH: Mapping[Arena, Mapping[str, int]] = {
    Arena.EXACT: {"arena_extend_strategy": 1, "initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1},
    Arena.REGION: {
        "arena_extend_strategy": 0,
        # The first piece is never returned. It has room for what sessions hold as long as they live; what does not fit
        # doubles it, until the first time that memory is given back.
        "initial_chunk_size_bytes": 1 << 20,
        "initial_growth_chunk_size_bytes": _REGION_BYTES,
        "max_power_of_two_extend_bytes": _REGION_BYTES,
        "max_dead_bytes_per_chunk": _SPLIT_BYTES,
    },
}

_IDENTITY = bytes.fromhex(
    "08083a390a120a01781201791a0022084964656e74697479120167"  # IR version 8, graph g: x -> Identity -> y
    "5a0f0a0178120a0a08080112040a020801"  # x: one float
    "620f0a0179120a0a08080112040a020801"  # y: one float
    "42040a00100d"  # operators of version 13
)

_lock = threading.Lock()
_is_registered = False


def set_memory(options: Any, arena: Arena) -> None:
    """Set in ``options``, those of an onnxruntime session, where its buffers come from.

    onnxruntime has one environment a process, and so one arena that is exact or a region: the first one asked for.
    """
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = arena is not Arena.NONE
    # Weights live as long as the session and would keep the arena from shrinking.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    if arena in _GROWTH:
        options.add_session_config_entry("session.use_env_allocators", "1")
        _register(arena)
    if arena is Arena.REGION:
        # A buffer that is used twice is held from its first use to its last.
        options.enable_mem_reuse = False


def _register(arena: Arena) -> None:
    global _is_registered  # noqa: PLW0603 - as the environment
    import onnxruntime

    with _lock:
        if _is_registered:
            return
        place = onnxruntime.OrtMemoryInfo(
            "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
        )
        try:
            onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg({"max_mem": 0, **_GROWTH[arena]}))
        except RuntimeError as error:
            # A program that uses imgtool may have registered one of its own, which is then used.
            if "already" not in str(error):
                raise
        _is_registered = True


def run_options(arena: Arena) -> Any:
    """Options of each run, by which the arena returns unused memory to the system; ``None`` if it keeps it, or without
    an arena."""
    return None if arena in (Arena.NONE, Arena.REGION) else _shrinking()


def give_back_region() -> None:
    """Return the region to the system, unless something in it is still held: an output, or what a session packed that
    was opened after the first call."""
    _identity().run(None, {"x": [0.0]}, _shrinking())


def _shrinking() -> Any:
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


@functools.cache
def _identity() -> Any:
    """A session on the environment's arena: memory is returned after a run, and its run takes no time."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(_IDENTITY, options, providers=["CPUExecutionProvider"])
