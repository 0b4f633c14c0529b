"""What ``imgtool cache`` is about: what is kept, what would go, and whether it is all in order.

Nothing here changes anything but :func:`execute`, which is given a plan that somebody has seen.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgtool.engine.cache.listing import (
    Row,
    count_index,
    explained,
    foreign_files,
    index_database,
    is_laid_out,
    occupied,
    reading,
    require_damage,
    results_database,
    rows,
    set_aside_folders,
)
from imgtool.engine.cache.records import Record, encode
from imgtool.engine.cache.removal import Cut, RemovalPlan, execute, without
from imgtool.engine.cache.sqlite import TROUBLES, diagnose
from imgtool.engine.cache.verification import VerifyReport, plan_repair, verify

__all__ = [
    "STALE_SECONDS",
    "CacheStats",
    "EngineCount",
    "RemovalPlan",
    "VerifyReport",
    "execute",
    "plan_clear",
    "plan_prune",
    "plan_records",
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


def stats(root: Path) -> CacheStats:
    """Everything there is to know about the cache in ``root``; zeros where there is none. Every record is read."""
    figures: dict[str, Any] = {"set_aside": set_aside_folders(root)}
    counts: Counter[tuple[str, str, str]] = Counter()
    failures = 0
    try:
        if is_laid_out(database := results_database(root)):
            with reading(database) as connection:
                ((figures["entries"], figures["oldest"], figures["newest"]),) = connection.execute(
                    "SELECT COUNT(*), MIN(store_time), MAX(store_time) FROM Cache"
                )
                limit = connection.execute("SELECT value FROM Settings WHERE key = 'size_limit'").fetchone()
                figures["limit_bytes"] = limit[0] if limit else None
            for row in rows(root):
                if (record := row.record()) is not None:
                    failures += len(record.failures)
                    counts.update((a.engine, a.model, a.model_version) for a in record.answers.values())
        figures["index_entries"] = count_index(root)
    except TROUBLES as error:
        trouble = diagnose(error)
        figures["trouble"] = f"{trouble.what} ({error}): {trouble.mended_in(root)}"
    # Measured last: a database that is opened and closed is tidied by SQLite.
    return CacheStats(
        path=root,
        answers=tuple(EngineCount(*model, count) for model, count in sorted(counts.items())),
        failures=failures,
        bytes=occupied(results_database(root).parent),
        index_bytes=occupied(index_database(root).parent),
        **figures,
    )


def plan_clear(root: Path) -> RemovalPlan:
    """Everything: records, the file index, and damaged databases that were set aside."""
    paths = list(set_aside_folders(root))
    cuts: list[Cut] = []
    names: list[str] = []
    index_entries = 0
    try:
        for row in rows(root):
            cuts.append(Cut(row.rowid, row.store_time))
            if len(names) < _EXAMPLES:
                names.append(row.name)
        paths.extend(foreign_files(root))
    except TROUBLES as error:  # rows that cannot be read go with their folder
        require_damage(error, root)
        cuts, names = [], []
        paths.append(results_database(root).parent)
    try:
        index_entries = count_index(root)
    except TROUBLES as error:
        require_damage(error, root)
        paths.append(index_database(root).parent)
    files = (results_database(root).parent, index_database(root).parent)
    going = [*files, *paths] if cuts or index_entries else paths
    return RemovalPlan(
        root,
        records=len(cuts),
        index_entries=index_entries,
        bytes=sum(map(occupied, dict.fromkeys(going))),
        examples=(*names, *map(str, paths))[:_EXAMPLES],
        paths=tuple(paths),
        cuts=tuple(cuts),
        seen_before=float("inf") if index_entries else None,
    )


def plan_prune(
    root: Path,
    older_than: float | None = None,
    max_size: int | None = None,
    engine: str | None = None,
    failures: bool = False,
    stale_index: bool = False,
) -> RemovalPlan:
    """A part of the records and of the file index.

    ``older_than`` (seconds) and ``engine`` choose answers, together those that are both; ``failures`` chooses all
    failures. Of what then remains, the records that were not written for longest go until about ``max_size`` bytes
    are left. ``stale_index`` drops the files that were not seen for :data:`STALE_SECONDS`.

    Raises:
        imgtool.errors.OutputNotWritable: the cache cannot be read.
    """
    now = time.time()
    oldest = None if older_than is None else now - older_than
    cuts: dict[int, tuple[Cut, int, str]] = {}
    staying: list[tuple[float, int, int, str]] = []
    with explained(root):
        for row in rows(root):
            if row.refused:
                continue
            record, size, name = row.record(), row.size, row.name
            cut = _cut_for(row, record, oldest, engine, failures)
            if cut is not None and cut.answers is not None and record is not None:
                gone = len(row.value) - len(encode(without(record, cut)))
                cuts[row.rowid] = cut, gone, f"a part of {name}"
                size -= gone
            elif cut is not None:
                cuts[row.rowid] = cut, size, name
                continue
            staying.append((row.store_time, row.rowid, size, name))
        if max_size is not None:
            # Pages are not filled to the brim: rows cost more than they are long.
            left = sum(size for _, _, size, _ in staying)
            freed = sum(size for _, size, _ in cuts.values())
            scale = max(1.0, occupied(results_database(root)) / max(1, freed + left))
            for store_time, rowid, size, name in sorted(staying):
                if left * scale <= max_size:
                    break
                left -= size
                former = cuts.pop(rowid, (None, 0, ""))[1]
                cuts[rowid] = Cut(rowid, store_time), size + former, name
        stale = count_index(root, now - STALE_SECONDS) if stale_index else 0
    parts = [cut for cut, _, _ in cuts.values() if cut.answers is not None]
    return RemovalPlan(
        root,
        records=len(cuts) - len(parts),
        answers=sum(len(cut.answers or ()) for cut in parts),
        failures=sum(cut.failures for cut in parts),
        index_entries=stale,
        bytes=sum(size for _, size, _ in cuts.values()),
        examples=tuple(name for _, _, name in cuts.values())[:_EXAMPLES],
        cuts=tuple(cut for cut, _, _ in cuts.values()),
        seen_before=now - STALE_SECONDS if stale else None,
    )


def plan_records(root: Path, sha256: str) -> RemovalPlan:
    """What is kept about one image: its record, those of its pages, and their thumbnails.

    Raises:
        imgtool.errors.OutputNotWritable: the cache cannot be read.
    """
    database = results_database(root)
    if not database.exists():
        return RemovalPlan(root)
    with explained(root), reading(database) as connection:
        query = "SELECT rowid, store_time, key, LENGTH(value) FROM Cache WHERE raw = 1 AND key >= ? AND key < ?"
        found = connection.execute(query, (sha256, sha256 + "~")).fetchall()
    return RemovalPlan(
        root,
        keys=tuple(str(key) for _, _, key, _ in found),
        records=len(found),
        bytes=sum(size or 0 for *_, size in found),
        examples=tuple(str(key) for _, _, key, _ in found)[:_EXAMPLES],
        cuts=tuple(Cut(rowid, store_time) for rowid, store_time, _, _ in found),
    )


def _cut_for(row: Row, record: Record | None, oldest: float | None, engine: str | None, failures: bool) -> Cut | None:
    """What goes of a row; ``oldest`` is a time since 1970."""
    whole = Cut(row.rowid, row.store_time)
    aged = oldest is not None and engine is None and row.store_time < oldest
    if record is None:
        return whole if aged else None
    answers: frozenset[str] = frozenset()
    if oldest is not None or engine is not None:
        answers = frozenset(
            fingerprint
            for fingerprint, answer in record.answers.items()
            if engine in (None, answer.engine) and (oldest is None or answer.stored_at < oldest)
        )
    cut = whole._replace(answers=answers, failures=bool(record.failures) and (failures or aged))
    if not (answers or cut.failures or aged):
        return None
    left = without(record, cut)
    if not (left.answers or left.failures):
        return whole
    return cut if answers or cut.failures else None
