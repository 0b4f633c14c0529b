"""Checking the cache: is the database whole, can every record be read, does anything lie there that should not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imgtool.engine.cache.listing import (
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
from imgtool.engine.cache.records import UNREADABLE, decode
from imgtool.engine.cache.removal import Cut, RemovalPlan
from imgtool.engine.cache.sqlite import TROUBLES

_EXAMPLES = 5
_FILES_WITHOUT_DIGEST = "SELECT COUNT(*) FROM files WHERE typeof(sha256) != 'blob' OR length(sha256) != 32"


@dataclass(frozen=True)
class VerifyReport:
    """What a check of everything found. Rows are named by their keys.

    ``records`` can be read; ``outdated`` ones are of another version, which is no defect. ``refused`` rows are
    pickled or have their value in a file: imgtool writes no such rows, and does not read them.
    """

    root: Path
    records: int = 0
    outdated: int = 0
    database: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    missing_files: tuple[str, ...] = ()
    orphan_files: tuple[Path, ...] = ()
    set_aside: tuple[Path, ...] = ()
    cuts: tuple[Cut, ...] = field(default=(), repr=False)

    @property
    def sound(self) -> bool:
        """Whether nothing needs repair."""
        defects = (self.database, self.index, self.unreadable, self.refused, self.missing_files, self.orphan_files)
        return not any(defects)


def verify(root: Path) -> VerifyReport:
    """Check everything in ``root``; it is read in full. What is damaged is what is reported.

    Raises:
        imgtool.errors.OutputNotWritable: it cannot be read for another reason.
    """
    counts = {"records": 0, "outdated": 0}
    names: dict[str, list[str]] = {"unreadable": [], "refused": [], "missing_files": []}
    cuts: list[Cut] = []
    database = _defects(root, results_database(root))
    try:
        for row in rows(root):
            kind = "refused"
            if not row.refused:
                try:
                    kind = "outdated" if decode(row.value) is None else "records"
                except UNREADABLE:
                    kind = "unreadable"
            if kind in counts:
                counts[kind] += 1
                continue
            names[kind].append(row.name)
            cuts.append(Cut(row.rowid, row.store_time))
            if row.filename is not None and not (results_database(root).parent / str(row.filename)).is_file():
                names["missing_files"].append(row.name)
    except TROUBLES as error:
        require_damage(error, root)
        database = database or (str(error),)
    return VerifyReport(
        root,
        **counts,
        database=database,
        index=_defects(root, index_database(root), _FILES_WITHOUT_DIGEST),
        unreadable=tuple(names["unreadable"]),
        refused=tuple(names["refused"]),
        missing_files=tuple(names["missing_files"]),
        orphan_files=foreign_files(root),
        set_aside=set_aside_folders(root),
        cuts=tuple(cuts),
    )


def plan_repair(root: Path, report: VerifyReport | None = None) -> RemovalPlan:
    """What has to go for the next ``verify`` to find nothing; ``report`` spares checking again.

    Rows that cannot be read go one by one; a database that is not whole goes altogether.
    """
    report = report or verify(root)
    cuts = () if report.database else report.cuts
    paths = [*report.set_aside]
    paths += [results_database(root).parent] if report.database else report.orphan_files
    paths += [index_database(root).parent] if report.index else []
    names = (*report.unreadable, *report.refused) if cuts else ()
    return RemovalPlan(
        root,
        records=len(cuts),
        bytes=sum(map(occupied, paths)),
        examples=(*names, *map(str, paths))[:_EXAMPLES],
        paths=tuple(paths),
        cuts=cuts,
    )


def _defects(root: Path, database: Path, more: str = "") -> tuple[str, ...]:
    """SQLite's own complaints about a database; where it has none, how many rows the query ``more`` counts."""
    try:
        if not is_laid_out(database):
            return ()
        with reading(database) as connection:
            lines = tuple(str(line) for (line,) in connection.execute("PRAGMA integrity_check(20)"))
            if lines != ("ok",):
                return lines
            ((count,),) = connection.execute(more).fetchall() if more else ((0,),)
    except TROUBLES as error:
        require_damage(error, root)
        return (str(error),)
    return (f"files without a SHA-256: {count}",) if count else ()
