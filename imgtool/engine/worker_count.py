"""How many workers a run has where nobody said: as many as pay for its engines and as the machine has room for."""

from __future__ import annotations

import msgspec

from imgtool.engine.plan import Plan
from imgtool.ground.cores import granted_cores
from imgtool.ground.memory import available_memory
from imgtool.options import EngineOptions

_WORKER_BYTES = 700_000_000
"""A worker's own memory at its largest: RapidOCR on a photograph of 12 megapixels, with the images that are decoded
ahead."""


def with_workers(options: EngineOptions, plan: Plan) -> EngineOptions:
    """``options`` with a number of workers: the one that was asked for, else one a core where that is faster.

    Networks of small layers, as RapidOCR's, lose a third of a second core's work; several images at once lose nothing.
    Half of the memory that is free is the most that they may take.
    """
    if options.workers:
        return options
    found = 1
    gains = {choice.spec.workers_pay for choice in plan.chosen.values()}
    if options.isolate and True in gains and False not in gains:
        free = available_memory()
        room = granted_cores() if free is None else int(free / 2 / _WORKER_BYTES)
        found = max(1, min(granted_cores(), room))
    return msgspec.structs.replace(options, workers=found)


def threads_of(options: EngineOptions, *, is_alone: bool) -> int:
    """Threads of a worker; ``is_alone`` is said of the first one, if others follow only when there is more work."""
    return options.threads or max(1, granted_cores() // (1 if is_alone else options.workers))
