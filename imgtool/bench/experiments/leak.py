"""Whether memory grows with every call: the same image again and again, in one process, and what that holds on to.

Engine, worker and models live in one fresh process here (``--no-isolate``), so that its anonymous memory, its C heap
and its Python objects are those of all of them. Calls come in rounds, each twice as long as the one before: what grows
until caches and arenas are full has stopped by the last round, and what leaks has not. The last round decides.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from imgtool.bench.measure.child import ChildFailed, ask
from imgtool.bench.stats.slope import Slope, slope
from imgtool.errors import ExitCode, UsageProblem

if TYPE_CHECKING:
    from imgtool.engine.engine import Engine

FEWEST_CALLS = 35
TOLERANCE_BYTES = 10_000
"""Growth a call below which nothing is called a leak: an answer that is kept in the scratch store is some of it."""

_READINGS = 60  # a round; more would only add points that depend on each other
_SHARES = (1, 2, 4)
_OBJECT_BYTES = 100


class LeakVerdict(StrEnum):
    """What may be said."""

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
    """What was found. ``tolerance`` is bytes a call; ``engines`` are those that answered."""

    verdict: LeakVerdict
    reason: str
    calls: int
    warm_up_calls: int
    tolerance: int
    engines: tuple[str, ...]
    rounds: tuple[Round, ...]
    readings: tuple[Reading, ...]


class Repeating(Struct, frozen=True):
    """What the child is to do: ``calls`` of the engine, with ``flags`` of analyze, on the image at ``path``."""

    flags: dict[str, str | bool]
    path: str
    calls: int


class Repeated(Struct, frozen=True):
    """Readings of each round, the engines that answered, and how many calls came before."""

    rounds: tuple[tuple[Reading, ...], ...]
    engines: tuple[str, ...]
    warm_up_calls: int


def measure_leak(
    flags: Mapping[str, str | bool],
    image: Path,
    *,
    calls: int,
    scratch: Path,
    tolerance: int = TOLERANCE_BYTES,
    timeout: float = 3600.0,
) -> Leak:
    """Call the engine ``calls`` times in a fresh process and judge the growth. ``scratch`` is a folder for a copy.

    Raises:
        UsageProblem: too few calls, or the engine cannot be had with these options.
        ChildFailed: the process died.
    """
    if calls < FEWEST_CALLS:
        raise UsageProblem(f"--calls must be at least {FEWEST_CALLS}, not {calls}: a slope needs points")
    copy = scratch / f"again{image.suffix}"
    copy.write_bytes(image.read_bytes())
    request = Repeating(dict(flags), str(copy), calls)
    found = ask(repeat, request, Repeated, timeout=timeout)
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
    """The verdict on the longest round, and why: a leak where either memory certainly grows by more than ``tolerance``
    bytes a call, none where neither can."""
    slopes = {"anonymous memory": last.anon, **({} if last.heap is None else {"the C heap": last.heap})}
    grown = [_words(name, found) for name, found in slopes.items() if found.low > tolerance]
    if grown:
        return LeakVerdict.LEAK, f"{'; '.join(grown)}. {_whose(last)}"
    unclear = [_words(name, found) for name, found in slopes.items() if found.high > tolerance]
    if unclear:
        return LeakVerdict.INCONCLUSIVE, f"{'; '.join(unclear)}. More --calls would tell"
    return LeakVerdict.NO_LEAK, "; ".join(_words(name, found) for name, found in slopes.items())


def _whose(last: Round) -> str:
    """Where to look: a tracked object takes a hundred bytes or so."""
    if last.objects.low * _OBJECT_BYTES > last.anon.estimate / 10:
        return f"Python's own objects grow too, {last.objects.estimate:.0f} a call: look at what is collected in lists"
    return "Python's own objects do not account for it: look at buffers (bytes, arrays) and native memory"


def _words(name: str, found: Slope) -> str:
    return f"{name} grows by {found.estimate / 1e3:.1f} kB a call ({found.low / 1e3:.1f}..{found.high / 1e3:.1f})"


# -- in the child


def repeat(request: Repeating) -> Repeated:
    """Call the engine, and read what the process holds.

    Raises:
        ChildFailed: an image was not answered.
    """
    from imgtool.config import convert_options, resolve
    from imgtool.engine.engine import Engine

    options = convert_options(resolve(request.flags).engine, {"cache": False, "isolate": False, "workers": 1})
    with Engine(options) as engine:
        calls = _Calls(engine, Path(request.path))
        warm_ups = max(5, request.calls // 10)
        for _ in range(warm_ups):
            calls.one()
        rounds = tuple(tuple(_readings(calls, count)) for count in _lengths(request.calls))
    return Repeated(rounds, tuple(sorted(calls.engines)), warm_ups)


def _lengths(calls: int) -> tuple[int, ...]:
    unit = calls // sum(_SHARES)
    return (unit, 2 * unit, calls - 3 * unit)


def _readings(calls: _Calls, count: int) -> Iterator[Reading]:
    every = max(1, count // _READINGS)
    for number in range(1, count + 1):
        calls.one()
        if number % every == 0 or number == count:
            yield _read(calls.made)


class _Calls:
    """Answers one image again and again: a number after its end makes the file another and leaves the picture alone,
    so that nothing is looked up and everything computed has the same shape."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.made = 0
        self.engines: set[str] = set()
        self._engine = engine
        self._path = path
        self._picture = path.read_bytes()

    def one(self) -> None:
        """One call."""
        self.made += 1
        self._path.write_bytes(self._picture + self.made.to_bytes(8, "big"))
        for result in self._engine.analyze([str(self._path)]):
            for task, answer in result.tasks.items():
                if answer.error is not None:
                    raise ChildFailed(f"{task.value}: {answer.error.message}", answer.error.remedy or "")
                self.engines.add(answer.engine)
            if result.error is not None:
                raise ChildFailed(result.error.message, result.error.remedy or "", ExitCode.NONE_ANSWERED)


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
