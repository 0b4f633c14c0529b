"""What lies in the cache's folder, as it lies there: for looking at it, not for using it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from diskcache.core import MODE_RAW

from imgtool.engine.cache import records, store
from imgtool.engine.cache.records import UNREADABLE, Record
from imgtool.engine.cache.sqlite import TROUBLES, Trouble, connect_for_reading, diagnose
from imgtool.engine.files import identity
from imgtool.errors import OutputNotWritable

_ROW_OVERHEAD_BYTES = 250
_COMPANIONS = ("", "-wal", "-shm", "-journal")


class Row(NamedTuple):
    """A row of the result store with whatever is in its columns. Times are seconds since 1970."""

    rowid: int
    key: Any
    raw: Any
    store_time: Any
    expire_time: Any
    mode: Any
    filename: Any
    value: Any

    @property
    def refused(self) -> bool:
        """Whether imgtool never wrote it: it is pickled, its value is in a file, or a column holds a wrong type."""
        plain = self.raw == 1 and self.mode == MODE_RAW and self.filename is None
        timed = isinstance(self.store_time, float) and isinstance(self.expire_time, (float, type(None)))
        return not (plain and timed and isinstance(self.key, str))

    @property
    def name(self) -> str:
        """The key, or the row's number where the key is no text."""
        return self.key if isinstance(self.key, str) else f"row {self.rowid}"

    @property
    def size(self) -> int:
        """About how many bytes it takes in the database."""
        return _ROW_OVERHEAD_BYTES + (len(self.value) if isinstance(self.value, (bytes, str)) else 0)

    def record(self) -> Record | None:
        """Its record; ``None`` where it is of another version, unreadable, or not to be read."""
        try:
            return None if self.refused else records.decode(self.value)
        except UNREADABLE:
            return None


def results_database(root: Path) -> Path:
    """The database of the result store in ``root``."""
    return root / store.FOLDER / store.DATABASE


def index_database(root: Path) -> Path:
    """The database of the file index in ``root``."""
    return root / identity.FOLDER / identity.DATABASE


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection for looking only.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    with closing(connect_for_reading(database)) as connection:
        # Text that is no UTF-8 would make the whole query fail.
        connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
        yield connection


def is_laid_out(database: Path) -> bool:
    """Whether a database is there and has a table for what it keeps. A process that was killed as it made one leaves it
    without, which the next run mends.

    Raises:
        OSError, sqlite3.Error: it cannot be read.
    """
    try:
        database.stat()
    except FileNotFoundError:
        return False
    with reading(database) as connection:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name IN ('Cache', 'files')"
        return connection.execute(query).fetchone() is not None


def rows(root: Path) -> Iterator[Row]:
    """Every row of the result store, in the order of ``rowid``; none where there is no store.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if not is_laid_out(database := results_database(root)):
        return
    with reading(database) as connection:
        for row in connection.execute(f"SELECT {', '.join(Row._fields)} FROM Cache ORDER BY rowid"):
            yield Row._make(row)


def count_index(root: Path, seen_before: float = float("inf")) -> int:
    """Number of files in the index that were last seen before a time (seconds since 1970).

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if not is_laid_out(database := index_database(root)):
        return 0
    with reading(database) as connection:
        ((count,),) = connection.execute("SELECT COUNT(*) FROM files WHERE seen_at < ?", (seen_before,)).fetchall()
    return int(count)


def set_aside_folders(root: Path) -> tuple[Path, ...]:
    """Damaged databases that a run has put out of the way."""
    found = (path for name in (store.FOLDER, identity.FOLDER) for path in root.glob(f"{name}.corrupt-*"))
    return tuple(sorted(found))


def foreign_files(root: Path) -> tuple[Path, ...]:
    """Files in the result store's folder that are not the database: imgtool writes no others."""
    database = results_database(root)
    own = {database.with_name(database.name + suffix) for suffix in _COMPANIONS}
    found = (Path(folder, name) for folder, _, names in os.walk(database.parent) for name in names)
    return tuple(sorted(path for path in found if path not in own))


def occupied(path: Path) -> int:
    """Bytes that the files in and below ``path`` hold."""
    total, files = 0, [path]
    if os.path.isdir(path) and not path.is_symlink():  # noqa: PTH112 - what nobody may enter is none
        files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return total


def require_damage(error: BaseException, root: Path) -> None:
    """Go on only if ``error`` says that the database is damaged, not that it is locked or that nobody may read it.

    Raises:
        OutputNotWritable: it does not.
    """
    if diagnose(error) not in (Trouble.CORRUPT, Trouble.REFUSED, Trouble.GARBAGE, Trouble.OTHER):
        with explained(root):
            raise error


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn what goes wrong inside into an error for the user.

    Raises:
        OutputNotWritable: something did.
    """
    try:
        yield
    except TROUBLES as error:
        trouble = diagnose(error)
        detail = "" if trouble is Trouble.LOCKED else f" ({error})"
        raise OutputNotWritable(f"the cache in {root}: {trouble.what}{detail}", trouble.mended_in(root)) from error
