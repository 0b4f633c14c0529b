"""One run of ``imgtool search``: query, database, the hits whose files still exist, output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import chain, groupby, islice
from typing import TypeVar

from imgtool.cli.console import Messages, terminal_width, wants_color
from imgtool.config import Resolved
from imgtool.database.entry import this_machine
from imgtool.database.interface import Database, DatabaseDamaged, DatabaseOutdated, DatabaseUnavailable, Found, Hit
from imgtool.database.locate import choose
from imgtool.database.search.query import AllOf, AnyOf, Equals, Exact, Node, Not, parse, phrases
from imgtool.database.search.words import as_kept
from imgtool.database.sqlite import SqliteDatabase
from imgtool.engine.files.problems import shown
from imgtool.engine.files.words import address_of, real_path
from imgtool.errors import ExitCode, ImgtoolError, UsageProblem
from imgtool.formats.interface import Writer, needs_thumbnails, open_writer
from imgtool.formats.target import Target, guess_format, unlike_its_name
from imgtool.options import OutputFormat, cache_root
from imgtool.types import ImageResult

_SHOWN = 20
_NAMED = 3
_MOST = 10**9
"""More hits than this, no database has: the database is asked for a multiple of it, in a 64-bit number."""
_GALLERY_STEP = 200

_Item = TypeVar("_Item")


class NothingAnalyzed(ImgtoolError):
    """Nothing was analyzed yet, so there is nothing to search."""

    exit_code = ExitCode.NONE_ANSWERED


class SearchRun:
    """A resolved command, ready to run."""

    def __init__(self, resolved: Resolved, query: str, paths: Sequence[str], *, null: bool, limit: int | None) -> None:
        """
        Raises:
            imgtool.database.search.query.QueryProblem: the query cannot be read.
        """
        self._resolved = resolved
        self._output = resolved.output
        self._place = self._output.output[-1] if self._output.output else None
        self._null = null
        self._query = parse(query)
        self._words = query
        self._named = [path for path in paths if _exists(path)]
        self._paths = [as_kept(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - links stay
        self._missing = [path for path in paths if not _exists(path)]
        self._format = self._choose_format()
        default = _SHOWN if self._format is OutputFormat.TABLE and not null else 0
        self._limit = (default if limit is None else min(limit, _MOST)) or None
        self._messages = Messages(quiet=self._output.quiet)
        self._embedded = False
        self._distinct = 0
        self._root = cache_root(resolved.engine)
        self._files = _FileCheck(shows_gone=_asks_for_gone(self._query))

    def run(self) -> ExitCode:
        """Search and write the hits; returns 0 where there were some.

        Raises:
            imgtool.errors.ImgtoolError: the search as a whole cannot be done.
        """
        with Target(self._place, OutputFormat.JSONL if self._null else self._format, careful=True) as target:
            code = self._run(target)
            if target.untouched:
                self._messages.notice(f"{self._place} stays as it was")
            return code

    def _run(self, target: Target) -> ExitCode:
        database = self._open()
        try:
            found = self._mending(database, lambda: self._find(database))
            if not found.places and self._embedded and self._named and database.fileless():
                found = self._look_below(database)
            places = found.places if self._limit is None else found.places[: 2 * self._limit + 50]
            hits: Iterator[Hit] = islice(
                _pages_in_order(self._files.present(database.hits(places), database)), self._limit
            )
            if (first := next(hits, None)) is not None:
                target.release()
                hits = chain((first,), hits)
            count = self._write(hits, target)
            self._report(database, found, count)
        except DatabaseDamaged as damage:
            # Some hits are written already, so it is not searched again.
            if self._embedded:
                self._put_aside(database, damage)
                damage.remedy = "search again: the index is rebuilt"
            raise
        finally:
            database.close()
        return ExitCode.OK if count else ExitCode.NONE_ANSWERED

    # -- the database

    def _open(self) -> Database:
        """The database, whole and connected."""
        database, self._embedded = choose(self._output.database, self._resolved.engine)
        if not self._embedded:
            database.connect(write=False)
            return database
        assert isinstance(database, SqliteDatabase)
        if not database.path.exists() and not (self._root / "results").exists():
            raise NothingAnalyzed(
                f"there are no results in {self._root} yet",
                "imgtool analyze ./photos, or name another cache with --cache-dir",
            )
        try:
            self._mending(database, lambda: self._complete(database))
        except BaseException:
            database.close()
            raise
        return database

    def _complete(self, database: Database) -> None:
        """Connect, and have the embedded database built where it is missing or was begun anew."""
        from imgtool.database import embedded

        assert isinstance(database, SqliteDatabase)
        usable = False
        if database.path.exists():
            try:
                database.connect(write=False)
                if embedded.is_complete(database):
                    return
                usable = True
            except DatabaseOutdated:
                pass  # brought up to date below, or found to be of a newer version
        try:
            database.connect(create=True)
            self._messages.notice("building the search index from the cached results; this is done once")
            rebuilt = embedded.complete(database, self._root)
            files = embedded.add_files(database, self._root, self._named) if self._named else 0
        except DatabaseDamaged:
            raise
        except DatabaseUnavailable as trouble:
            if not usable:
                raise
            self._messages.notice(f"the search index may lack older results: {trouble}")
            database.connect(write=False)
            return
        told = [f"{rebuilt.contents:,} cached results"]
        told += [f"{rebuilt.salvaged:,} entries of the damaged index"] * bool(rebuilt.salvaged)
        told += [f"{files:,} pages in the named folders"] * bool(files)
        self._messages.notice(f"the index now has {', '.join(told)}")

    def _look_below(self, database: Database) -> Found:
        """Search again, once the files below what was named are known."""
        from imgtool.database.embedded import add_files

        assert isinstance(database, SqliteDatabase)
        with suppress(DatabaseUnavailable):
            add_files(database, self._root, self._named)
        return self._find(database)

    def _mending(self, database: Database, action: Callable[[], _Item]) -> _Item:
        """``action``, and once more after the embedded database turned out to be damaged."""
        try:
            return action()
        except DatabaseDamaged as damage:
            if not self._embedded:
                raise
            self._put_aside(database, damage)
            self._complete(database)
            return action()

    def _put_aside(self, database: Database, damage: DatabaseDamaged) -> None:
        from imgtool.database.embedded import set_aside

        assert isinstance(database, SqliteDatabase)
        aside = set_aside(database, damage)
        self._messages.notice(str(damage) + (f"; it was set aside as {aside}" if aside else ""))

    def _find(self, database: Database) -> Found:
        return database.find(self._query, self._paths, None if self._limit is None else 2 * self._limit + 50)

    # -- output

    def _choose_format(self) -> OutputFormat:
        if self._output.format is not None:
            if self._null:
                raise UsageProblem("--null prints only paths and has no --format", "leave one of them out")
            return self._output.format
        guessed = guess_format(self._place) if self._place is not None and not self._null else None
        return guessed or OutputFormat.TABLE

    def _write(self, hits: Iterator[Hit], target: Target) -> int:
        if self._null:
            count, self._distinct = _write_paths(hits, target)
            return count
        writer = self._writer(target)
        count = 0
        for result in self._results(hits):
            writer.write(result)
            count += 1
        writer.close({"images": count})
        return count

    def _writer(self, target: Target) -> Writer:
        width, color = terminal_width(sys.stdout), target.is_terminal and wants_color(sys.stdout)
        if self._format is OutputFormat.TABLE:
            from imgtool.cli.search.table import HitTable

            return HitTable(target.stream, phrases(self._query), width=width, color=color)
        bom = target.is_file if self._output.csv_bom is None else self._output.csv_bom
        folder = None if self._place is None or target.is_stdout else self._place.expanduser().parent
        return open_writer(
            self._format, target.stream, title=self._words, folder=folder, width=width, color=color, bom=bom
        )

    def _results(self, hits: Iterator[Hit]) -> Iterator[ImageResult]:
        if not needs_thumbnails(self._format):
            for hit in hits:
                yield hit.result
            return
        from imgtool.cli.search.thumbnails import Thumbnails

        with Thumbnails(self._resolved.engine) as thumbnails:
            while part := [hit.result for hit in islice(hits, _GALLERY_STEP)]:
                yield from thumbnails.added_to(part)

    def _report(self, database: Database, found: Found, count: int) -> None:
        self._files.note(database)
        for line in self._files.lines():
            self._messages.notice(line)
        total = len(found.places) - self._files.left_out
        if not count:
            self._messages.plain(f"nothing found for {self._words}" + self._why_nothing(database))
        elif self._place is not None or self._format is OutputFormat.TABLE:
            known = f" of {total:,}" if found.complete and total > count else ""
            more = " of more" if not found.complete or (total > count and not known) else ""
            where = f", {self._distinct:,} {'path' if self._distinct == 1 else 'paths'}" if self._null else ""
            where += f", written to {shown(str(self._place))}" if self._place is not None else ""
            hint = "; --limit 0 shows all" if (known or more) and not self._null else ""
            noun = "hit" if count == 1 and not known else "hits"
            self._messages.plain(f"{count:,}{known or more} {noun}{where}{hint}")
        if not count or self._place is None or self._null:
            return
        if note := unlike_its_name(self._place, self._format):
            self._messages.notice(note)
        if self._format is OutputFormat.HTML:
            self._messages.plain(f"open {address_of(str(self._place.expanduser()))} in a browser (? shows its keys)")

    def _why_nothing(self, database: Database) -> str:
        if self._missing:
            return f"; {', '.join(self._missing[:_NAMED])} does not exist: put the whole query in one pair of quotes"
        fileless = database.fileless()
        if fileless:
            return f"; for {fileless:,} cached results no file is known: imgtool analyze FOLDER adds the paths"
        return ""


def _pages_in_order(hits: Iterable[Hit]) -> Iterator[Hit]:
    """``hits`` with equally good pages of a document in their order: the database gives the last page first."""
    for _, same in groupby(hits, key=lambda hit: (hit.score, hit.result.path)):
        yield from sorted(same, key=lambda hit: hit.result.page)


def _write_paths(hits: Iterable[Hit], target: Target) -> tuple[int, int]:
    """Write each path once, as the file system knows it, ended by NUL; returns the numbers of hits and of paths."""
    seen: set[str] = set()
    count = 0
    assert isinstance(target.stream, TextIOWrapper)
    raw = target.stream.buffer
    for hit in hits:
        count += 1
        if hit.result.path not in seen:
            seen.add(hit.result.path)
            raw.write(os.fsencode(real_path(hit.result.path)) + b"\0")
    return count, len(seen)


class _FileCheck:
    """What became of the files of hits: those whose file no longer exists are left out and reported."""

    def __init__(self, *, shows_gone: bool) -> None:
        self._shows_gone = shows_gone
        self._gone: list[tuple[int, str]] = []
        self._moved: list[tuple[int, str, str]] = []
        self._back: list[int] = []

    @property
    def left_out(self) -> int:
        """How many hits were not given out."""
        return 0 if self._shows_gone else len(self._gone) + len(self._moved)

    def present(self, hits: Iterable[Hit], database: Database) -> Iterator[Hit]:
        """Those whose file is there, or was seen from another machine."""
        for hit in hits:
            if hit.machine != this_machine() or _exists(hit.result.path):
                if hit.gone_at is not None:
                    self._back.append(hit.file_id)
                yield hit
                continue
            others = database.elsewhere(hit.result_id, hit.file_id)
            place = next((path for path in others if _exists(path)), None)
            if place is None:
                self._gone.append((hit.file_id, hit.result.path))
            else:
                self._moved.append((hit.file_id, hit.result.path, place))
            if self._shows_gone:
                yield hit

    def note(self, database: Database) -> None:
        """Note it in the database, if that can be written."""
        gone = [each[0] for each in self._gone] + [each[0] for each in self._moved]
        try:
            if gone:
                database.mark_gone(gone)
            if self._back:
                database.mark_gone(self._back, gone=False)
        except DatabaseUnavailable:
            return  # it will be found out again

    def lines(self) -> Iterator[str]:
        """Lines for the user."""
        if self._gone and not self._shows_gone:
            count = len(self._gone)
            names = ", ".join(shown(path) for _, path in self._gone[:_NAMED]) + (", ..." if count > _NAMED else "")
            what = "1 hit, its file is gone" if count == 1 else f"{count:,} hits, their files are gone"
            yield f"not shown: {what}: {names} (status:gone lists them)"
        if self._moved:
            pairs = [f"{shown(path)} -> {shown(place)}" for _, path, place in self._moved[:_NAMED]]
            yield f"moved: {', '.join(pairs)}{', ...' if len(self._moved) > _NAMED else ''}"


def _asks_for_gone(node: Node) -> bool:
    match node:
        case Equals(Exact.STATUS, "gone"):
            return True
        case Not(part):
            return _asks_for_gone(part)
        case AllOf(parts) | AnyOf(parts):
            return any(map(_asks_for_gone, parts))
    return False


def _exists(path: str) -> bool:
    return os.path.lexists(real_path(path))
