"""What both databases do alike: the same tables, and nearly the same SQL, written with ``?`` for values."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

import msgspec

from imgtool.database import entry as entries_of
from imgtool.database.entry import Entry, Rows, Words
from imgtool.database.interface import LAST, Database, Hit, Migration, in_64_bits
from imgtool.database.migrations import Step
from imgtool.types import ImageResult

CHUNK = 500
"""Rows that are asked for at once."""


_FIND_FILES = "SELECT path, page, id, result_id, recorded FROM files WHERE path "
_FIND_RECORDED = (
    "SELECT path || '#' || page AS name, recorded AS value FROM files"
    " WHERE (path, page) >= (?, ?) ORDER BY path, page LIMIT "
)
_FIND_FORMER = "SELECT r.key, r.id, r.stamps, a.body FROM results r JOIN answers a ON a.result_id = r.id WHERE r.key "
_RESULT_COLUMNS = (
    "key, page, pages, format, width, height, status, error_code, captioned, line_count, label_count, code_count,"
    " stamps, recorded_at, id"
)
_UPDATE_RESULT = (
    "UPDATE results SET key = ?, page = ?, pages = ?, format = ?, width = ?, height = ?, status = ?,"
    " error_code = ?, captioned = ?, line_count = ?, label_count = ?, code_count = ?, stamps = ?, recorded_at = ?"
    " WHERE id = ?"
)
_FILE_COLUMNS = "result_id, sha256, size, mtime_ns, seen_at, gone_at, machine, recorded, path, page, id"
_UPDATE_FILE = (
    "UPDATE files SET result_id = ?, sha256 = ?, size = ?, mtime_ns = ?, seen_at = ?, gone_at = ?, machine = ?,"
    " recorded = ? WHERE id = ?"
)
_CHILDREN = {
    "answers": "result_id, body",
    "tasks": "result_id, task, engine, model, model_version, seconds, error_code",
    "lines": "result_id, number, text, confidence, box",
    "labels": "result_id, number, label, score",
    "codes": "result_id, number, kind, value, normalised, lookup, confidence, checked, box",
}
COUNTED = ("files", "results", "lines", "labels", "codes")

_Item = TypeVar("_Item")


class _Content:
    """One content while a batch is written: what was known of it, what is known now."""

    def __init__(self, key: str, number: int | None, stamps: str, former: ImageResult | None) -> None:
        self.key = key
        self.number = number
        self.is_new = number is None
        self.stamps = entries_of.split(stamps)
        self.result = former
        self.changed = False

    def take(self, entry: Entry) -> None:
        """Take over what ``entry`` says, unless it is known."""
        if self.result is not None and all(self.stamps.get(task) == stamp for task, stamp in entry.stamps.items()):
            return
        self.result = entries_of.merged(self.result, entry.result)
        self.stamps.update(entry.stamps)
        self.changed = True


class SqlDatabase(Database):
    """The tables of :mod:`imgtool.database.migrations` behind a connection that subclasses provide."""

    # -- what subclasses provide

    @abstractmethod
    def _guarded(self) -> AbstractContextManager[None]:
        """Turn what the driver raises into the exceptions of the interface."""

    @abstractmethod
    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Execute one statement and fetch everything."""

    @abstractmethod
    def _pairs(self, sql: str, values: Sequence[Any] = ()) -> dict[str, str]:
        """Execute one query with the columns ``name`` and ``value``, both texts; in the order of its rows."""

    @abstractmethod
    def _stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """Execute one query whose result may not fit into memory."""

    @abstractmethod
    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each of ``rows``."""

    @abstractmethod
    def _insert(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert ``rows``."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]:
        """A transaction that no other writer shares."""

    @abstractmethod
    def _among(self, values: Sequence[Any]) -> tuple[str, Any]:
        """``IN ...`` with a single ``?``, and the value for it. Values are texts or whole numbers."""

    @abstractmethod
    def _write_words(self, numbered: Sequence[tuple[int, Words]], replaced: Sequence[int]) -> None:
        """Index the words of contents; those ``replaced`` are indexed already."""

    @abstractmethod
    def _write_paths(self, numbered: Sequence[tuple[int, str]]) -> None:
        """Index the paths of files, which are new."""

    @abstractmethod
    def _remove_index(self, table: str, ids: Sequence[int]) -> None:
        """Remove contents from ``words``, or files from ``paths``."""

    @abstractmethod
    def _has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""

    # -- reading

    def recorded_from(self, path: str, page: int, count: int) -> tuple[dict[str, str], tuple[str, int]]:
        with self._guarded():
            found = self._pairs(f"{_FIND_RECORDED}{count}", (path, page))
        if len(found) < count:
            return found, (LAST, 0)
        last, _, number = next(reversed(found)).rpartition("#")
        return found, (last, int(number) + 1)

    def hits(self, places: Sequence[tuple[int, float]]) -> Iterator[Hit]:
        scores = iter(places)
        while part := dict(islice(scores, CHUNK)):
            with self._guarded():
                among, value = self._among(list(part))
                found = {
                    row[0]: row
                    for row in self._rows(
                        "SELECT f.id, f.path, f.size, f.machine, f.gone_at, a.result_id, a.body FROM files f"
                        f" JOIN answers a ON a.result_id = f.result_id WHERE f.id {among}",
                        (value,),
                    )
                }
            for file_id, score in part.items():
                if (row := found.get(file_id)) is None:
                    continue
                _, path, size, machine, gone_at, result_id, body = row
                try:
                    result = entries_of.decode_body(body, path, size)
                except msgspec.DecodeError:
                    continue  # kept by a version whose results are unlike those of this one; the next run renews it
                yield Hit(file_id, result_id, result, machine, gone_at, score)

    def elsewhere(self, result_id: int, file_id: int) -> list[str]:
        with self._guarded():
            found = self._rows(
                "SELECT path FROM files WHERE result_id = ? AND id <> ? ORDER BY seen_at DESC, id DESC",
                (result_id, file_id),
            )
        return [path for (path,) in found]

    def fileless(self) -> int:
        with self._guarded():
            ((count,),) = self._rows(
                "SELECT count(*) FROM results r WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.result_id = r.id)"
            )
        return int(count)

    def files(self) -> Iterator[tuple[int, str, str]]:
        last = 0
        while True:
            with self._guarded():
                part = self._rows(
                    f"SELECT id, path, machine FROM files WHERE id > ? ORDER BY id LIMIT {CHUNK}", (last,)
                )
            if not part:
                return
            yield from ((int(file_id), path, machine) for file_id, path, machine in part)
            last = part[-1][0]

    def last_result(self) -> int:
        """The highest number of a content."""
        with self._guarded():
            return self._last_id("results")

    def entries(self, start: int = 0, stop: int = 2**62) -> Iterator[Entry]:
        """Everything that is kept of contents whose numbers are from ``start`` to before ``stop``."""
        with self._guarded():
            for row in self._stream(
                "SELECT f.path, f.size, f.mtime_ns, f.seen_at, f.gone_at, f.machine, r.stamps, a.body FROM results r"
                " JOIN answers a ON a.result_id = r.id LEFT JOIN files f ON f.result_id = r.id"
                " WHERE r.id >= ? AND r.id < ? ORDER BY r.id, f.id",
                (start, stop),
            ):
                path, size, mtime_ns, seen_at, gone_at, machine, stamps, body = row
                yield Entry(
                    path=path,
                    result=entries_of.decode_body(body, path or "", size),
                    stamps=entries_of.split(stamps),
                    mtime_ns=mtime_ns,
                    seen_at=seen_at or 0.0,
                    gone_at=gone_at,
                    machine=machine or "",
                )

    def setting(self, name: str) -> str | None:
        with self._guarded():
            found = self._rows("SELECT value FROM settings WHERE name = ?", (name,))
        return found[0][0] if found else None

    # -- writing

    def note(self, name: str, value: str) -> None:
        with self._guarded(), self._writing():
            self._many("DELETE FROM settings WHERE name = ?", [(name,)])
            self._insert("settings", "name, value", [(name, value)])

    def write(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        with self._guarded(), self._writing():
            contents = self._former({entry.key for entry in entries})
            for entry in entries:
                contents[entry.key].take(entry)
            self._write_contents([content for content in contents.values() if content.changed])
            # A file that comes twice in a batch: the later word counts.
            of_files = {(entry.path, entry.result.page): entry for entry in entries if entry.path is not None}
            lost = self._write_files([(entry, contents[entry.key]) for entry in of_files.values()])
            self._remove_contents(lost)

    def mark_gone(self, file_ids: Iterable[int], *, gone: bool = True) -> None:
        now = time.time() if gone else None
        with self._guarded(), self._writing():
            test = "gone_at IS NULL" if gone else "gone_at IS NOT NULL"
            self._many(
                f"UPDATE files SET gone_at = ?, recorded = '' WHERE id = ? AND {test}",
                [(now, each) for each in file_ids],
            )

    def forget(self, file_ids: Iterable[int]) -> None:
        with self._guarded(), self._writing():
            for part in chunks(file_ids):
                among, value = self._among(part)
                contents = {
                    number for (number,) in self._rows(f"SELECT result_id FROM files WHERE id {among}", (value,))
                }
                self._remove_index("paths", part)
                self._many("DELETE FROM files WHERE id = ?", [(each,) for each in part])
                self._remove_contents(contents)

    # -- a batch, inside its transaction

    def _former(self, keys: set[str]) -> dict[str, _Content]:
        found = {key: _Content(key, None, "", None) for key in sorted(keys)}
        among, value = self._among(list(found))
        for key, number, told, body in self._rows(_FIND_FORMER + among, (value,)):
            try:
                former = entries_of.decode_body(body, "", None)
            except msgspec.DecodeError:
                found[key] = _Content(key, int(number), "", None)
            else:
                found[key] = _Content(key, int(number), told, former)
        return found

    def _write_contents(self, changed: list[_Content]) -> None:
        number = self._last_id("results")
        taken: list[tuple[int, Rows]] = []
        new: list[tuple[Any, ...]] = []
        old: list[tuple[Any, ...]] = []
        for content in changed:
            assert content.result is not None
            rows = entries_of.rows(content.result)
            if content.number is None:
                content.number = number = number + 1
            values = (*_facts(content, rows), content.number)
            (new if content.is_new else old).append(values)
            taken.append((content.number, rows))
        replaced = [values[-1] for values in old]
        self._insert("results", _RESULT_COLUMNS, new)
        self._many(_UPDATE_RESULT, old)
        for table, columns in _CHILDREN.items():
            self._many(f"DELETE FROM {table} WHERE result_id = ?", [(each,) for each in replaced])
            self._insert(table, columns, [(each, *row) for each, rows in taken for row in _child_rows(table, rows)])
        self._write_words([(each, rows.words) for each, rows in taken], replaced)

    def _write_files(self, entries: list[tuple[Entry, _Content]]) -> set[int]:
        """Write the rows of files; returns the contents that lost one."""
        among, value = self._among(list({entry.path for entry, _ in entries}))
        known = {(path, page): row for path, page, *row in self._rows(_FIND_FILES + among, (value,))}
        number = self._last_id("files")
        new: list[tuple[Any, ...]] = []
        old: list[tuple[Any, ...]] = []
        lost: set[int] = set()
        for entry, content in entries:
            assert entry.path is not None
            result = entry.result
            note = entries_of.recorded(result, content.stamps) if entry.gone_at is None else ""
            mtime_ns = None if entry.mtime_ns is None else in_64_bits(entry.mtime_ns)
            of_file = (result.sha256, result.file_size, mtime_ns, entry.seen_at, entry.gone_at, entry.machine)
            values = (content.number, *of_file, note)
            former = known.get((entry.path, result.page))
            if former is None:
                number += 1
                new.append((*values, entry.path, result.page, number))
                continue
            file_id, result_id, former_note = former
            if result_id != content.number or former_note != note:
                old.append((*values, file_id))
            if result_id != content.number:
                lost.add(result_id)
        self._insert("files", _FILE_COLUMNS, new)
        self._many(_UPDATE_FILE, old)
        self._write_paths([(values[-1], values[-3]) for values in new])
        return lost

    def _remove_contents(self, ids: Iterable[int]) -> None:
        """Remove those of ``ids`` that no file has any more."""
        for part in chunks(ids):
            among, value = self._among(part)
            orphans = [
                number
                for (number,) in self._rows(
                    f"SELECT r.id FROM results r WHERE r.id {among}"
                    " AND NOT EXISTS (SELECT 1 FROM files f WHERE f.result_id = r.id)",
                    (value,),
                )
            ]
            self._remove_index("words", orphans)
            self._many("DELETE FROM results WHERE id = ?", [(each,) for each in orphans])

    def _last_id(self, table: str) -> int:
        # No other writer is inside its transaction now, so numbers can be given out here.
        ((last,),) = self._rows(f"SELECT coalesce(max(id), 0) FROM {table}")
        return int(last)

    # -- layout

    def _applied(self) -> tuple[Migration, ...]:
        if not self._has_table("migrations"):
            return ()
        found = self._rows("SELECT number, name, checksum, applied_at FROM migrations ORDER BY number")
        return tuple(Migration(*row) for row in found)

    def _note_step(self, step: Step) -> None:
        one = step.migration
        self._insert(
            "migrations", "number, name, checksum, applied_at", [(one.number, one.name, one.checksum, time.time())]
        )

    def _counts(self) -> dict[str, int]:
        counts = {table: int(self._rows(f"SELECT count(*) FROM {table}")[0][0]) for table in COUNTED}
        counts["gone"] = int(self._rows("SELECT count(*) FROM files WHERE gone_at IS NOT NULL")[0][0])
        return counts


def chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """``items`` in lists of at most :data:`CHUNK`."""
    source = iter(items)
    while part := list(islice(source, CHUNK)):
        yield part


def _facts(content: _Content, rows: Rows) -> tuple[Any, ...]:
    result = content.result
    assert result is not None
    return (
        content.key,
        result.page,
        result.pages,
        entries_of.clean(result.format),
        result.width,
        result.height,
        result.status.value,
        rows.error_code,
        rows.captioned,
        len(rows.lines),
        len(rows.labels),
        len(rows.codes),
        entries_of.joined(content.stamps),
        time.time(),
    )


def _child_rows(table: str, rows: Rows) -> Sequence[Sequence[Any]]:
    return [(rows.body,)] if table == "answers" else getattr(rows, table)
