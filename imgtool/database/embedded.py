"""The database in the cache folder: made where there is none, and built anew where it is damaged.

Everything in it can be had again. What pictures say comes from the result store, and from what can still be read of a
damaged file; paths are in no other place, so those that are in neither come back with the next ``imgtool analyze``, or
when a search names their folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from imgtool.database.entry import Absolute, Entry, stamps
from imgtool.database.interface import Database, DatabaseUnavailable, embedded_path
from imgtool.database.search.words import as_kept
from imgtool.database.sqlite import SqliteDatabase
from imgtool.database.tables import chunks
from imgtool.types import RESULT_TYPES, VALUE_TYPES, ImageResult, Status, Task, TaskResults

if TYPE_CHECKING:
    from imgtool.engine.cache.listing import Row
    from imgtool.engine.cache.records import Record, StoredAnswer

_CONTENTS = "contents"
_COMPLETE = "complete"
_SALVAGE = "salvage"
_STEP = 100


class Rebuilt(Struct, frozen=True):
    """What a database was built anew from: pages that the damaged one still told, contents of the result store, and
    files that were found below the folders that were named."""

    salvaged: int
    contents: int
    files: int


def set_aside(database: Database, damage: DatabaseUnavailable) -> Path | None:
    """Rename the folder of a damaged database, begin a new one, and say in it what it stands in for.

    Returns the folder's new name, or ``None`` where another process was faster.

    Raises:
        DatabaseUnavailable: that cannot be done.
    """
    from imgtool.engine.cache.sqlite import file_number
    from imgtool.engine.cache.sqlite import set_aside as rename

    assert isinstance(database, SqliteDatabase)
    number = file_number(database.path)
    database.close()
    try:
        # Damaged still, or has somebody been here meanwhile?
        database.connect()
        if not database.status(thorough=True).trouble:
            return None
    except DatabaseUnavailable:
        pass
    database.close()
    try:
        aside = rename(database.path, number)
    except OSError as error:
        raise DatabaseUnavailable(str(damage), f"remove {database.path} yourself: {error}") from error
    database.connect(create=True)
    if aside is not None:
        database.note(_SALVAGE, aside.name)
    return aside


def begin_complete(database: Database) -> None:
    """Note of a new database that there is nothing in the result store that it lacks."""
    if database.setting(_CONTENTS) is None and not database.fileless():
        database.note(_CONTENTS, _COMPLETE)


def is_complete(database: SqliteDatabase) -> bool:
    """Whether everything in the result store is in it, but for what was answered where it was switched off."""
    return database.setting(_CONTENTS) == _COMPLETE


def complete(database: SqliteDatabase, root: Path) -> Rebuilt:
    """Add what a damaged predecessor still tells, and what the result store in ``root`` holds."""
    salvaged = _salvage(database, root)
    contents = _add(database, _contents(root))
    database.note(_CONTENTS, _COMPLETE)
    return Rebuilt(salvaged, contents, 0)


def add_files(database: SqliteDatabase, root: Path, paths: Iterable[str]) -> int:
    """Add the files below ``paths`` whose contents are in the result store; returns their number. Files that the stat
    index does not know are not read for it."""
    from imgtool.engine.cache.store import ResultStore
    from imgtool.engine.files.discover import ImageRef, discover
    from imgtool.engine.files.identity import Identity

    identity = Identity(root, rehash=False, warn=_ignore)
    store = ResultStore(root, size_limit=2**62, ttl=None, warn=_ignore)
    absolute = Absolute()

    def found() -> Iterator[Entry]:
        for ref in discover(paths, is_known_image=identity.is_known_image):
            if not isinstance(ref, ImageRef) or (sha256 := identity.lookup(ref)) is None:
                continue
            page, pages = 0, 1
            while page < pages:
                record = store.get(f"{sha256}#{page}" if page else sha256)
                result = None if record is None else _result(record, sha256, page)
                if result is None:
                    break
                path = absolute(as_kept(ref.path))
                result = msgspec.structs.replace(result, path=path, file_size=ref.size)
                yield Entry(path, result, stamps(result), ref.mtime_ns)
                page, pages = page + 1, result.pages

    try:
        return _add(database, found())
    finally:
        identity.close()
        store.close()


def _ignore(_: str) -> None:
    """Trouble with the caches is told by the runs that use them."""


def _add(database: SqliteDatabase, entries: Iterable[Entry]) -> int:
    count = 0
    for part in chunks(entries):
        database.write(part)
        count += len(part)
    return count


# --------------------------------------------------------------------------------------------------------------------
# What a damaged database still tells


def _salvage(database: SqliteDatabase, root: Path) -> int:
    name = database.setting(_SALVAGE)
    if not name:
        return 0
    damaged = SqliteDatabase(embedded_path(root).parent.with_name(name) / database.path.name)
    count = _add(database, _readable(damaged))
    database.note(_SALVAGE, "")
    return count


def _readable(damaged: SqliteDatabase) -> Iterator[Entry]:
    """The entries of a damaged database, a hundred contents at a time: what cannot be read is passed over."""
    try:
        damaged.connect(write=False)
        last = damaged.last_result()
    except DatabaseUnavailable:
        damaged.close()
        return
    for start in range(0, last + 1, _STEP):
        try:
            yield from list(damaged.entries(start, start + _STEP))
        except (DatabaseUnavailable, msgspec.DecodeError, TypeError, ValueError):
            continue
    damaged.close()


# --------------------------------------------------------------------------------------------------------------------
# What the result store holds


def _contents(root: Path) -> Iterator[Entry]:
    for row in _store_rows(root):
        sha256, _, page = row.name.partition("#")
        if len(sha256) != 64 or not (page.isdecimal() or not page) or (record := row.record()) is None:
            continue
        if (result := _result(record, sha256, int(page or 0))) is not None:
            yield Entry(None, result, stamps(result))


def _store_rows(root: Path) -> Iterator[Row]:
    from imgtool.engine.cache.listing import rows
    from imgtool.engine.cache.sqlite import TROUBLES

    found = rows(root)
    while True:
        try:
            row = next(found, None)
        except TROUBLES:
            return  # a store in bad shape is told, and set aside, by the run that uses it
        if row is None:
            return
        yield row


def _result(record: Record, sha256: str, page: int) -> ImageResult | None:
    """The newest answer to each task, as a run would give it out."""
    newest: dict[Task, StoredAnswer] = {}
    for answer in sorted(record.answers.values(), key=lambda each: each.stored_at):
        if (task := _task_of(answer)) is not None:
            newest[task] = answer
    tasks: dict[str, Any] = {}
    for task, answer in newest.items():
        try:
            tasks[task.value] = _task_result(task, answer)
        except msgspec.MsgspecError:
            continue  # an answer of another version of that engine
    error = record.failures.get("decode") if not tasks else None
    if not tasks and error is None:
        return None
    image = record.image
    return ImageResult(
        path="",
        page=page,
        pages=image.pages if image else 1,
        sha256=sha256,
        format=image.format if image else None,
        width=image.width if image else None,
        height=image.height if image else None,
        file_size=image.file_size if image else None,
        status=Status.OK if tasks else Status.FAILED,
        tasks=TaskResults(**tasks),
        error=error,
        processing_time_ms=0.0,
        cache_enabled=True,
        from_cache=True,
    )


def _task_of(answer: StoredAnswer) -> Task | None:
    """The task that an answer is to. Records do not say so: its engine does, or the form of the answer."""
    from imgtool.analyzers.registry import ORDER

    named = next((task for task, engines in ORDER.items() if answer.engine in engines), None)
    if named is not None:
        return Task(named) if named in RESULT_TYPES else None
    for task, kind in VALUE_TYPES.items():
        try:
            msgspec.json.decode(answer.value, type=kind)
        except msgspec.MsgspecError:
            continue
        return task
    return None


def _task_result(task: Task, answer: StoredAnswer) -> Any:
    return RESULT_TYPES[task](
        engine=answer.engine,
        model=answer.model,
        model_version=answer.model_version,
        backend=answer.backend,
        seconds=answer.seconds,
        from_cache=True,
        value=msgspec.json.decode(answer.value, type=VALUE_TYPES[task]),
    )
