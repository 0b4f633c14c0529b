"""Whether memory grows with every call: the same image again and again, in one process.

Engine, worker and models are in one fresh process here (``--no-isolate``), so that its anonymous memory, its C heap and
its Python objects are those of all of them. Calls come in rounds, each twice as long as the one before: memory that
grows until caches and arenas are full has stopped growing by the last round, a leak has not. The last round decides.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from imgtool.bench.measure.child import ChildFailed, ask
from imgtool.bench.stats.slope import Slope, slope
from imgtool.errors import ExitCode, UsageProblem

FEWEST_CALLS = 35
TOLERANCE_BYTES = 10_000
"""Growth a call that is no leak: each answer is kept in the scratch store, which takes some memory."""

_READINGS = 60  # a round; more would only add points that depend on each other
_OBJECT_BYTES = 100


class LeakVerdict(StrEnum):
    """The verdict of a leak check."""

    LEAK = "leak"
    NO_LEAK = "no leak"
    INCONCLUSIVE = "inconclusive"


class Reading(Struct, frozen=True, kw_only=True):
    """The process after so many ``call``: ``anon`` is RssAnon, ``heap`` what malloc has given out (``None`` where the
    C library does not tell), both bytes; ``objects`` are Python's, as its garbage collector sees them."""

    call: int
    anon: int
    heap: int | None
    objects: int


class Round(Struct, frozen=True, kw_only=True):
    """Growth a call over one round: bytes, bytes, objects."""

    calls: int
    anon: Slope
    heap: Slope | None
    objects: Slope


class Leak(Struct, frozen=True, kw_only=True):
    """The verdict and its figures. ``tolerance`` is bytes a call; ``engines`` are those that answered."""

    verdict: LeakVerdict
    reason: str
    calls: int
    warm_up_calls: int
    tolerance: int
    engines: tuple[str, ...]
    rounds: tuple[Round, ...]
    readings: tuple[Reading, ...]


class LeakRequest(Struct, frozen=True):
    """What the child is to do: ``calls`` of the engine, with ``flags`` of analyze, on the image at ``path``."""

    flags: dict[str, str | bool]
    path: str
    calls: int


class LeakReadings(Struct, frozen=True):
    """Readings of each round, the engines that answered, and how many calls came before."""

    rounds: tuple[tuple[Reading, ...], ...]
    engines: tuple[str, ...]
    warm_up_calls: int


def measure_leak(
    flags: Mapping[str, str | bool], image: Path, *, calls: int, scratch: Path, tolerance: int = TOLERANCE_BYTES
) -> Leak:
    """Call the engine ``calls`` times in a fresh process and judge the growth. ``scratch`` is a folder for a copy.

    Raises:
        UsageProblem: too few calls, or there is no engine for these options.
        ChildFailed: the process died.
    """
    if calls < FEWEST_CALLS:
        raise UsageProblem(
            f"--calls must be at least {FEWEST_CALLS}, not {calls}",
            f"give {FEWEST_CALLS} or more: a slope needs points",
        )
    copy = scratch / f"again{image.suffix}"
    copy.write_bytes(image.read_bytes())
    found = ask(repeat, LeakRequest(dict(flags), str(copy), calls), LeakReadings)
    rounds = tuple(_round(readings) for readings in found.rounds)
    verdict, reason = judge(rounds[-1], tolerance)
    return Leak(
        verdict=verdict,
        reason=reason,
        calls=calls,
        warm_up_calls=found.warm_up_calls,
        tolerance=tolerance,
        engines=found.engines,
        rounds=rounds,
        readings=tuple(reading for readings in found.rounds for reading in readings),
    )


def _round(readings: Sequence[Reading]) -> Round:
    calls = [float(reading.call) for reading in readings]
    heaps = [float(reading.heap) for reading in readings if reading.heap is not None]
    anon = slope(calls, [float(reading.anon) for reading in readings])
    objects = slope(calls, [float(reading.objects) for reading in readings])
    assert anon is not None and objects is not None
    return Round(
        calls=readings[-1].call - readings[0].call,
        anon=anon,
        heap=slope(calls, heaps) if len(heaps) == len(calls) else None,
        objects=objects,
    )


def judge(last: Round, tolerance: int) -> tuple[LeakVerdict, str]:
    """The verdict on the longest round, and why: a leak if either memory certainly grows by more than ``tolerance``
    bytes a call, none if neither can."""
    slopes = {"anonymous memory": last.anon, **({} if last.heap is None else {"the C heap": last.heap})}
    texts = {
        name: f"{name} grows by {found.estimate / 1e3:.1f} kB a call ({found.low / 1e3:.1f}..{found.high / 1e3:.1f})"
        for name, found in slopes.items()
    }
    if grown := [texts[name] for name, found in slopes.items() if found.low > tolerance]:
        whose = "Python's own objects do not account for it: look at buffers (bytes, arrays) and native memory"
        if last.objects.low * _OBJECT_BYTES > last.anon.estimate / 10:
            whose = f"Python's own objects grow too, {last.objects.estimate:.0f} a call: look for lists that are kept"
        return LeakVerdict.LEAK, f"{'; '.join(grown)}. {whose}"
    if unclear := [texts[name] for name, found in slopes.items() if found.high > tolerance]:
        return LeakVerdict.INCONCLUSIVE, f"{'; '.join(unclear)}. More --calls would tell"
    return LeakVerdict.NO_LEAK, "; ".join(texts.values())


# -- in the child


def repeat(request: LeakRequest) -> LeakReadings:
    """Call the engine again and again, and read the memory of the process.

    A number after the image's end changes the file and not the picture, so that nothing is looked up and everything
    computed has the same shape.

    Raises:
        ChildFailed: an image was not answered.
    """
    from imgtool.config import convert_options, resolve
    from imgtool.engine.engine import Engine

    options = convert_options(resolve(request.flags).engine, {"cache": False, "isolate": False, "workers": 1})
    path = Path(request.path)
    picture = path.read_bytes()
    engines: set[str] = set()
    warm_ups, unit = max(5, request.calls // 10), request.calls // 7
    with Engine(options) as engine:

        def call(number: int) -> None:
            path.write_bytes(picture + number.to_bytes(8, "big"))
            for result in engine.analyze([str(path)]):
                for task, answer in result.tasks.items():
                    if answer.error is not None:
                        raise ChildFailed(f"{task.value}: {answer.error.message}", answer.error.remedy or "")
                    engines.add(answer.engine)
                if result.error is not None:
                    raise ChildFailed(result.error.message, result.error.remedy or "", ExitCode.NONE_ANSWERED)

        for number in range(warm_ups):
            call(number)
        made, rounds = warm_ups, []
        for count in (unit, 2 * unit, request.calls - 3 * unit):
            every, readings = max(1, count // _READINGS), []
            for number in range(1, count + 1):
                call(made)
                made += 1
                if number % every == 0 or number == count:
                    readings.append(_read(made))
            rounds.append(tuple(readings))
    return LeakReadings(tuple(rounds), tuple(sorted(engines)), warm_ups)


def _read(call: int) -> Reading:
    import psutil

    from imgtool.trace import memory

    gc.collect()
    heap = psutil.heap_info() if hasattr(psutil, "heap_info") else None
    return Reading(
        call=call,
        anon=memory().get("anon", psutil.Process().memory_info().rss),
        heap=None if heap is None else int(heap.heap_used + heap.mmap_used),
        objects=len(gc.get_objects()),
    )
