"""Where a session's buffers come from, and that they go back.

By default onnxruntime keeps all memory that it ever had, rounded up to powers of two, and plans the second image of a
size as one block of all its buffers. Shapes vary from image to image here, and a folder has large ones. Without any
arena, on the other hand, the system clears each buffer anew, which takes a fifth of the time of a network with large
ones.
"""

from __future__ import annotations

import threading
from enum import Enum, auto
from typing import Any


class Arena(Enum):
    """What suits a network."""

    NONE = auto()
    """Each buffer from the system: for one that takes little memory, or is run many times for one answer."""
    OWN = auto()
    """An arena of its own: for many buffers of middling size, and outputs that are held while others compute."""
    EXACT = auto()
    """The arena that grows by what is asked for and no more: for a few buffers that are huge. One such network at a
    time; whoever else took from it would leave holes between them."""


_lock = threading.Lock()
_is_registered = False


def set_memory(options: Any, arena: Arena) -> None:
    """Say in ``options``, onnxruntime's of a session, where its buffers come from."""
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = arena is not Arena.NONE
    # What lives as long as the session would keep the arena from shrinking.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    if arena is Arena.EXACT:
        _register()
        options.add_session_config_entry("session.use_env_allocators", "1")


def run_options(arena: Arena) -> Any:
    """Options of each run: the arena returns to the system what nobody uses. ``None`` where there is no arena."""
    if arena is Arena.NONE:
        return None
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _register() -> None:
    """Give this process the exact arena, once: onnxruntime has one environment a process, and so one such arena."""
    global _is_registered  # noqa: PLW0603 - as said
    import onnxruntime

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
            # Where a program that uses imgtool has registered one of its own, that one serves.
            if "already" not in str(error):
                raise
        _is_registered = True
