"""What the result store costs: hit rate of a repeated run, latency of a hit, look-ups a second, by its size.

The store is the real one (:class:`imgtool.engine.cache.store.ResultStore`), filled through its own ``merge`` in a
scratch folder; each figure is taken by a fresh process that opens it as a run does.
"""

from __future__ import annotations

import hashlib
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from imgtool.bench.data.record import PageCache
from imgtool.bench.experiments.repeated import Repeated
from imgtool.bench.measure.child import ChildFailed, ask
from imgtool.bench.measure.pagecache import model_files, prepare
from imgtool.errors import OutputNotWritable

if TYPE_CHECKING:
    from imgtool.engine.cache.records import Update
    from imgtool.engine.cache.store import ResultStore

SCHEMA_VERSION = 1

_BYTES_A_RECORD = 3000  # more than one takes on the disk, for the question whether there is room
_BATCH = 5000
_COLD_LOOKUPS = 2000
_UNLIMITED = 2**60


class Percentiles(Struct, frozen=True, kw_only=True):
    """Latencies in seconds."""

    count: int
    median: float
    p99: float
    maximum: float


class LookUps(Struct, frozen=True, kw_only=True):
    """What one fresh process measured. ``first`` is its first look-up, which no percentile holds; ``per_second`` counts
    hits one after the other. ``cpu`` is the processor time of the hits: where it is far below their wall time, the disk
    or other programs were waited for. Seconds."""

    opened: float
    first: float
    hits: Percentiles
    cpu: Percentiles
    misses: Percentiles
    per_second: float


class AtSize(Struct, frozen=True, kw_only=True):
    """A store with so many ``records``: what fresh processes found, one after the other, its file in the page cache;
    ``cold`` is one more, the file thrown out of there before (``resident_share`` of it stayed)."""

    records: int
    bytes: int
    filled_per_second: float
    runs: tuple[LookUps, ...]
    cold: LookUps
    resident_share: float | None

    def spread(self, value: Callable[[LookUps], float]) -> tuple[float, float, float]:
        """Least, median and greatest of a figure over the runs."""
        found = [value(run) for run in self.runs]
        return min(found), median(found), max(found)


class CacheBench(Struct, frozen=True, kw_only=True):
    """All of it. Seconds and bytes."""

    schema_version: int = SCHEMA_VERSION
    tool: str = "imgtool bench cache"
    repeated: Repeated | None
    sizes: tuple[AtSize, ...]


class Filling(Struct, frozen=True):
    """Records ``begin`` to ``end`` (excluded) are to be added to the store in ``root``."""

    root: str
    begin: int
    end: int


class Filled(Struct, frozen=True):
    """Seconds it took and what the store holds now."""

    seconds: float
    entries: int
    bytes: int


class Looking(Struct, frozen=True):
    """``lookups`` of the ``records`` in ``root``, in an order decided by ``seed``."""

    root: str
    records: int
    lookups: int
    seed: int


def sizes_up_to(records: int) -> tuple[int, ...]:
    """1,000, 10,000, ... and ``records`` itself."""
    tens = (10**power for power in range(3, math.ceil(math.log10(records))))
    return (*(size for size in tens if size < records), records)


def measure(
    records: int, *, lookups: int, runs: int, folder: Path | None, say: Callable[[str], None]
) -> Iterator[AtSize]:
    """Grow a scratch store to ``records``, and measure it in ``runs`` fresh processes at every power of ten on the way.

    ``folder`` is where the scratch folder is made; ``say`` is told what happens.

    Raises:
        OutputNotWritable: there is no room for it.
        ChildFailed: a process failed.
    """
    with tempfile.TemporaryDirectory(prefix="imgtool-bench-", dir=folder) as root:
        _check_room(Path(root), records)
        before = 0
        for size in sizes_up_to(records):
            say(f"filling a store: {size:,} records")
            filled = ask("imgtool.bench.experiments.cache:fill", Filling(root, before, size), Filled)
            say(f"looking up in {size:,} records")
            looked = tuple(_look(root, size, lookups, seed) for seed in range(runs))
            resident = prepare(model_files([Path(root)]), PageCache.COLD)
            yield AtSize(
                records=size,
                bytes=filled.bytes,
                filled_per_second=(size - before) / filled.seconds,
                runs=looked,
                cold=_look(root, size, min(lookups, _COLD_LOOKUPS), runs),
                resident_share=resident,
            )
            before = size


def _look(root: str, records: int, lookups: int, seed: int) -> LookUps:
    return ask("imgtool.bench.experiments.cache:look_up", Looking(root, records, lookups, seed), LookUps)


def _check_room(folder: Path, records: int) -> None:
    free, needed = shutil.disk_usage(folder).free, records * _BYTES_A_RECORD
    if free < needed:
        raise OutputNotWritable(
            f"{records:,} records need about {needed / 1e9:.1f} GB; {folder.parent} has {free / 1e9:.1f} GB free",
            "fewer --records, or another place with --scratch",
        )


# -- in the child


def fill(request: Filling) -> Filled:
    """Add records through the store's own ``merge``, as a run does, but many in a transaction."""
    began = time.perf_counter()
    store = _open(request.root)
    for first in range(request.begin, request.end, _BATCH):
        store.merge(made_up(number) for number in range(first, min(first + _BATCH, request.end)))
    seconds = time.perf_counter() - began
    filled = Filled(seconds, store.entries(), store.bytes())
    store.close()
    if filled.entries != request.end:
        raise ChildFailed(f"the store holds {filled.entries:,} records where {request.end:,} were merged")
    return filled


def look_up(request: Looking) -> LookUps:
    """Time look-ups of records that are there, in random order, and of as many that are not."""
    chance = random.Random(request.seed)
    present = [_key(chance.randrange(request.records)) for _ in range(request.lookups + 1)]
    absent = [_key(request.records + number) for number in range(request.lookups)]
    began = time.perf_counter()
    store = _open(request.root)
    opened = time.perf_counter() - began
    (first,), _ = _timed(store, present[:1], expected=True)
    hits, cpu = _timed(store, present[1:], expected=True)
    misses, _ = _timed(store, absent, expected=False)
    store.close()
    return LookUps(
        opened=opened,
        first=first,
        hits=percentiles(hits),
        cpu=percentiles(cpu),
        misses=percentiles(misses),
        per_second=len(hits) / sum(hits),
    )


def _timed(store: ResultStore, keys: Sequence[str], *, expected: bool) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of each look-up."""
    clock, cpu_clock = time.perf_counter, time.thread_time
    seconds, cpu = [], []
    for key in keys:
        cpu_began, began = cpu_clock(), clock()
        record = store.get(key)
        ended = clock()
        cpu.append(cpu_clock() - cpu_began)
        seconds.append(ended - began)
        if (record is not None) is not expected:
            raise ChildFailed(f"the store {'lost' if expected else 'invented'} the record {key}")
    return seconds, cpu


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Nearest-rank percentiles: each is one of the values."""
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Percentiles(count=len(ordered), median=rank(0.5), p99=rank(0.99), maximum=ordered[-1])


def _open(root: str) -> ResultStore:
    from imgtool.engine.cache.store import ResultStore

    troubles: list[str] = []
    store = ResultStore(Path(root), size_limit=_UNLIMITED, ttl=None, warn=troubles.append)
    if troubles or not store.enabled:
        raise ChildFailed(troubles[0] if troubles else "the scratch store cannot be opened")
    return store


def _key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def made_up(number: int) -> Update:
    """An image with a caption, up to a dozen lines of text and five labels: 0.6 to 2.5 kB as JSON."""
    from imgtool.engine.cache.records import ImageFacts, StoredAnswer, Update
    from imgtool.types import Backend

    lines = [
        {
            "text": f"line {line} of image {number}",
            "confidence": 0.93,
            "box": [[40, 60], [400, 60], [400, 90], [40, 90]],
        }
        for line in range(number % 13)
    ]
    labels = [{"label": f"class {number % 7} {rank}", "score": 0.5 / (rank + 1), "index": rank} for rank in range(5)]
    values = {"caption": f"a photograph of number {number} on a table", "text": lines, "labels": labels}
    facts = ImageFacts("JPEG", 1000, 600, 1, 100_000 + number % 50_000)
    answers = {
        f"{task}-{'0' * 24}": StoredAnswer(
            msgspec.Raw(msgspec.json.encode(value)), task, f"{task} model", "1", Backend.ONNX, 0.25, 1.7e9
        )
        for task, value in values.items()
    }
    return Update(_key(number), facts, answers, {})
