"""Where the buffers of a session come from, and how they are freed.

By default onnxruntime keeps all memory that it ever had, rounded up to powers of two, and plans the second image of a
size as one block of all its buffers. Here shapes vary from image to image, and some are large. Without any arena, the
system clears each buffer anew, which takes a fifth of the time of a network with large ones.
"""

from __future__ import annotations

import threading
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


_lock = threading.Lock()
_is_registered = False


def set_memory(options: Any, arena: Arena) -> None:
    """Set in ``options``, those of an onnxruntime session, where its buffers come from."""
    global _is_registered  # noqa: PLW0603 - onnxruntime has one environment a process, and so one exact arena
    import onnxruntime

    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = arena is not Arena.NONE
    # Weights live as long as the session and would keep the arena from shrinking.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    if arena is not Arena.EXACT:
        return
    options.add_session_config_entry("session.use_env_allocators", "1")
    with _lock:
        if _is_registered:
            return
        place = onnxruntime.OrtMemoryInfo(
            "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
        )
        as_it_comes = {"max_mem": 0, "initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
        settings = onnxruntime.OrtArenaCfg({**as_it_comes, "arena_extend_strategy": 1})
        try:
            onnxruntime.create_and_register_allocator(place, settings)
        except RuntimeError as error:
            # A program that uses imgtool may have registered one of its own, which is then used.
            if "already" not in str(error):
                raise
        _is_registered = True


def run_options(arena: Arena) -> Any:
    """Options of each run, by which the arena returns unused memory to the system; ``None`` without an arena."""
    if arena is Arena.NONE:
        return None
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
