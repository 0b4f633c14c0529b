"""What ``imgtool cache`` is about: what is kept, what would go, and whether it is all in order.

Nothing here changes anything but :func:`execute`, which is given a plan that somebody has seen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.engine.cache.database import TROUBLES, diagnose
from imgtool.engine.cache.listing import (
    Row,
    count_index,
    explained,
    foreign_files,
    index_database,
    occupied,
    reading,
    results_database,
    rows,
    set_aside_folders,
)
from imgtool.engine.cache.removal import Cut, Plan, execute, without
from imgtool.engine.cache.store import Record, encode
from imgtool.engine.cache.verification import VerifyReport, plan_repair, verify

__all__ = [
    "STALE_SECONDS",
    "CacheStats",
    "EngineCount",
    "Plan",
    "VerifyReport",
    "execute",
    "plan_clear",
    "plan_prune",
    "plan_repair",
    "stats",
    "verify",
]

STALE_SECONDS = 90 * 86400
"""Files that were not seen for this long are stale entries of the file index."""

_EXAMPLES = 5


@dataclass(frozen=True)
class EngineCount:
    """How many answers of an engine's model are kept."""

    engine: str
    model: str
    model_version: str
    answers: int


@dataclass(frozen=True)
class CacheStats:
    """What is kept. Sizes are bytes on disk, times seconds since 1970; ``trouble`` says why something is unknown.

    ``bytes`` is the result store's size and ``limit_bytes`` its limit in the last run. ``oldest`` and ``newest`` are
    when a record was last written.
    """

    path: Path
    entries: int = 0
    bytes: int = 0
    limit_bytes: int | None = None
    oldest: float | None = None
    newest: float | None = None
    answers: tuple[EngineCount, ...] = ()
    failures: int = 0
    index_entries: int = 0
    index_bytes: int = 0
    set_aside: tuple[Path, ...] = ()
    trouble: str | None = None


# --------------------------------------------------------------------------------------------------------------------
# What is kept


def stats(root: Path) -> CacheStats:
    """Everything there is to know about the cache in ``root``; zeros where there is none. Every record is read."""
    figures: dict[str, Any] = {"set_aside": set_aside_folders(root)}
    try:
        figures |= _of_records(root)
        figures["index_entries"] = count_index(root)
    except TROUBLES as error:
        figures["trouble"] = f"{diagnose(error).what} ({error})"
    # Measured last: a database that is opened and closed is tidied by SQLite.
    figures |= {
        "bytes": occupied(results_database(root).parent),
        "index_bytes": occupied(index_database(root).parent),
    }
    return CacheStats(path=root, **figures)


def _of_records(root: Path) -> dict[str, Any]:
    database = results_database(root)
    if not database.exists():
        return {}
    with reading(database) as connection:
        ((count, oldest, newest),) = connection.execute("SELECT COUNT(*), MIN(store_time), MAX(store_time) FROM Cache")
        limit = connection.execute("SELECT value FROM Settings WHERE key = 'size_limit'").fetchone()
    answers, failures = _count_answers(rows(root))
    figures = {"entries": count, "oldest": oldest, "newest": newest, "answers": answers, "failures": failures}
    return {**figures, "limit_bytes": limit[0] if limit else None}


def _count_answers(kept: Iterable[Row]) -> tuple[tuple[EngineCount, ...], int]:
    counts: Counter[tuple[str, str, str]] = Counter()
    failures = 0
    for row in kept:
        if (record := row.record()) is not None:
            failures += len(record.failures)
            counts.update((a.engine, a.model, a.model_version) for a in record.answers.values())
    return tuple(EngineCount(*model, count) for model, count in sorted(counts.items())), failures


# --------------------------------------------------------------------------------------------------------------------
# What would go


def plan_clear(root: Path) -> Plan:
    """Everything: records, the file index, and damaged databases that were set aside."""
    paths = list(set_aside_folders(root))
    cuts, names = _all_records(root, paths)
    index_entries = _whole_index(root, paths)
    files = (results_database(root).parent, index_database(root).parent)
    going = [*files, *paths] if cuts or index_entries else paths
    return Plan(
        root,
        records=len(cuts),
        index_entries=index_entries,
        bytes=sum(map(occupied, dict.fromkeys(going))),
        examples=(*names, *map(str, paths))[:_EXAMPLES],
        paths=tuple(paths),
        cuts=tuple(cuts),
        seen_before=float("inf") if index_entries else None,
    )


def _all_records(root: Path, paths: list[Path]) -> tuple[list[Cut], list[str]]:
    """Cuts of all rows and some of their names; where they cannot be read, their folder joins ``paths``."""
    cuts: list[Cut] = []
    names: list[str] = []
    try:
        for row in rows(root):
            cuts.append(Cut(row.rowid, row.store_time))
            if len(names) < _EXAMPLES:
                names.append(row.name)
    except TROUBLES:
        paths.append(results_database(root).parent)
        return [], []
    paths.extend(foreign_files(root))
    return cuts, names


def _whole_index(root: Path, paths: list[Path]) -> int:
    try:
        return count_index(root)
    except TROUBLES:
        paths.append(index_database(root).parent)
        return 0


def plan_prune(
    root: Path,
    older_than: float | None = None,
    max_size: int | None = None,
    engine: str | None = None,
    failures: bool = False,
    stale_index: bool = False,
) -> Plan:
    """A part of the records and of the file index.

    ``older_than`` (seconds) and ``engine`` choose answers, together those that are both; ``failures`` chooses all
    failures. Of what then remains, the records that were not written for longest go until about ``max_size`` bytes
    are left. Records whose time to live is over go in any case. ``stale_index`` drops the files that were not seen
    for :data:`STALE_SECONDS`.

    Raises:
        imgtool.errors.OutputNotWritable: the cache cannot be read.
    """
    now = time.time()
    choice = _Choice(now, None if older_than is None else now - older_than, engine, failures)
    draft = _Draft()
    with explained(root):
        for row in rows(root):
            if not row.refused:
                draft.consider(row, choice.cut(row))
        if max_size is not None:
            draft.shrink(max_size, occupied(results_database(root)))
        stale = count_index(root, now - STALE_SECONDS) if stale_index else 0
    return draft.plan(root, stale, now - STALE_SECONDS if stale else None)


@dataclass(frozen=True)
class _Choice:
    """What ``plan_prune`` was asked for, as times since 1970."""

    now: float
    oldest: float | None
    engine: str | None
    failures: bool

    def cut(self, row: Row) -> Cut | None:
        """What goes of a row."""
        whole = Cut(row.rowid, row.store_time)
        aged = self.oldest is not None and self.engine is None and row.store_time < self.oldest
        expired = row.expire_time is not None and row.expire_time < self.now
        record = row.record()
        if expired or record is None:
            return whole if expired or aged else None
        answers = self._answers(record)
        failures = bool(record.failures) and (self.failures or aged)
        if not (answers or failures or aged):
            return None
        left = without(record, cut := whole._replace(answers=answers, failures=failures))
        if not (left.answers or left.failures):
            return whole
        return cut if answers or failures else None

    def _answers(self, record: Record) -> frozenset[str]:
        if self.oldest is None and self.engine is None:
            return frozenset()
        return frozenset(
            fingerprint
            for fingerprint, answer in record.answers.items()
            if (self.engine is None or answer.engine == self.engine)
            and (self.oldest is None or answer.stored_at < self.oldest)
        )


class _Draft:
    """A plan in the making."""

    def __init__(self) -> None:
        self._cuts: dict[int, Cut] = {}
        self._staying: list[tuple[float, int, int, str]] = []
        self._examples: list[str] = []
        self._freed = 0

    def consider(self, row: Row, cut: Cut | None) -> None:
        """Note what goes of ``row``, or that it stays."""
        size = row.size
        if cut is not None and cut.answers is None:
            self._remove(cut, size, row.name)
            return
        if cut is not None and (record := row.record()) is not None:
            gone = len(row.value) - len(encode(without(record, cut)))
            self._remove(cut, gone, f"a part of {row.name}")
            size -= gone
        self._staying.append((row.store_time, row.rowid, size, row.name))

    def shrink(self, max_size: int, file_size: int) -> None:
        """Take more rows until about ``max_size`` bytes stay of a file of now ``file_size``, oldest rows first."""
        # Pages are not filled to the brim: rows cost more than they are long.
        staying = sum(size for _, _, size, _ in self._staying)
        scale = max(1.0, file_size / max(1, self._freed + staying))
        left = staying * scale
        for store_time, rowid, size, name in sorted(self._staying):
            if left <= max_size:
                return
            left -= size * scale
            self._remove(Cut(rowid, store_time), size, name)

    def plan(self, root: Path, index_entries: int, seen_before: float | None) -> Plan:
        """The plan as it stands."""
        parts = [cut for cut in self._cuts.values() if cut.answers is not None]
        return Plan(
            root,
            records=len(self._cuts) - len(parts),
            answers=sum(len(cut.answers or ()) for cut in parts),
            failures=sum(cut.failures for cut in parts),
            index_entries=index_entries,
            bytes=self._freed,
            examples=tuple(self._examples),
            cuts=tuple(self._cuts.values()),
            seen_before=seen_before,
        )

    def _remove(self, cut: Cut, size: int, name: str) -> None:
        self._cuts[cut.rowid] = cut
        self._freed += size
        if len(self._examples) < _EXAMPLES:
            self._examples.append(name)
