"""Numbered steps of a layout: SQL files in ``migrations/<kind>/``, told apart by their checksums once applied.

A step that was published is never edited: a database that has it in another form is refused, not repaired by guessing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from imgtool.database.interface import DatabaseOutdated, Migration

TABLE = "migrations"
FOLDER = Path(__file__).with_name("migrations")
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class Step(Struct, frozen=True):
    """A migration and its SQL."""

    migration: Migration
    sql: str


def steps(kind: str) -> tuple[Step, ...]:
    """The steps of the layout of ``kind`` databases, in order."""
    found = []
    for file in (FOLDER / kind).iterdir():
        if (name := _NAME.fullmatch(file.name)) is not None:
            sql = file.read_bytes()
            found.append(Step(Migration(int(name[1]), name[2], hashlib.sha256(sql).hexdigest()), sql.decode()))
    return tuple(sorted(found, key=lambda step: step.migration.number))


def pending(known: Iterable[Step], applied: Iterable[Migration], place: str) -> tuple[Step, ...]:
    """The steps that are still to be applied to the database at ``place``.

    Raises:
        DatabaseOutdated: a step was applied that this version does not know, or knows in another form.
    """
    by_number = {step.migration.number: step for step in known}
    done = set()
    for one in applied:
        step = by_number.get(one.number)
        if step is None:
            raise DatabaseOutdated(
                f"{place} is at migration {one.number} ({one.name}), this imgtool at {max(by_number, default=0)}",
                "use the newer imgtool, or another database with --database",
            )
        if step.migration.checksum != one.checksum:
            raise DatabaseOutdated(
                f"{place}: migration {one.number} ({one.name}) was applied in another form than this imgtool has it",
                "export it with the imgtool that wrote it, and import that into a new database (docs/database.md)",
            )
        done.add(one.number)
    return tuple(step for number, step in sorted(by_number.items()) if number not in done)


def refuse_pending(left: tuple[Step, ...], place: str, url: str | None) -> None:
    """
    Raises:
        DatabaseOutdated: there are steps left to be applied.
    """
    if not left:
        return
    new = left[0].migration.number == 1
    what = "has no tables of imgtool yet" if new else f"needs {len(left)} migration{'s' if len(left) > 1 else ''}"
    raise DatabaseOutdated(f"{place} {what}", init_command("init" if new else "migrate", url))


def init_command(name: str, url: str | None) -> str:
    """A command of ``imgtool database`` for the database at ``url``, to be pasted; ``None`` is the embedded one, or one
    whose URL holds a password."""
    import shlex

    return f"imgtool database {name}" + (f" --database {shlex.quote(url)}" if url else "")
