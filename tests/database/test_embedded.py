"""The database in the cache folder: built from the result store, set aside where it is damaged, salvaged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgtool import Engine
from imgtool.database import embedded
from imgtool.database.interface import DatabaseDamaged, embedded_path
from imgtool.database.locate import recorder_for
from imgtool.database.search.query import parse
from imgtool.database.sqlite import SqliteDatabase
from imgtool.options import EngineOptions
from imgtool.types import ImageResult, Task
from tests import pictures
from tests.database.kept import everything, paths

COUNT = 12


class Album:
    """A folder of pictures, a cache, and runs over them."""

    def __init__(self, folder: Path) -> None:
        self.photos = pictures.folder(folder / "photos", pictures.greys(COUNT))
        (self.photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
        for file in self.photos.iterdir():
            os.utime(file, (1_600_000_000, 1_600_000_000))
        self.options = EngineOptions(
            tasks=(Task.CAPTION, Task.TEXT),
            caption_engine="tests.planted:Hazard",
            text_engine="tests.database.planted:Reader",
            cache_dir=folder / "cache",
            isolate=False,
        )
        self.root = folder / "cache"
        self.database = SqliteDatabase(embedded_path(self.root))

    def run(self, *, url: str | None = None) -> list[ImageResult]:
        """One run, recorded as the command line does."""
        recorder = recorder_for(url, self.options)
        with Engine(self.options) as engine:
            found = list(engine.analyze([self.photos]))
        if recorder is not None:
            for result in found:
                recorder.add(result)
            recorder.close()
        return found


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Album]:
    # The stat index trusts no file that changed a moment ago, and changing times is a change too.
    from imgtool.engine.files import identity

    monkeypatch.setattr(identity, "_MARGIN_NS", 0)
    made = Album(tmp_path)
    yield made
    made.database.close()


def test_a_run_keeps_it_in_step(album: Album) -> None:
    album.run()
    album.database.connect()
    assert embedded.is_complete(album.database)  # it was there from the beginning
    assert len(paths(album.database, "harbour")) == len([n for n in range(COUNT) if (20 + n) % 5 == 0])
    assert paths(album.database, "status:failed") == [str(album.photos / "broken.png")]


def test_what_was_answered_before_there_was_a_database_is_added(album: Album) -> None:
    given = album.run(url="off")
    assert not album.database.path.exists()
    album.run()
    album.database.connect()
    assert not embedded.is_complete(album.database)
    before = everything(album.database)
    rebuilt = embedded.complete(album.database, album.root)
    assert rebuilt.contents == len(given)
    assert everything(album.database) == before
    assert embedded.is_complete(album.database)


def test_it_is_built_from_the_result_store_alone(album: Album) -> None:
    album.run()
    album.database.connect()
    before = everything(album.database)
    album.database.close()
    album.database.path.unlink()
    album.database.connect(create=True)
    assert embedded.complete(album.database, album.root).contents == COUNT + 1
    assert paths(album.database, "harbour") == []
    assert album.database.fileless() == COUNT + 1
    # Files come back where their folder is named, without one being read ...
    assert embedded.add_files(album.database, album.root, [str(album.photos)]) >= COUNT
    assert len(paths(album.database, "harbour")) == 3
    # ... and with the next run.
    album.run()
    after = everything(album.database)
    assert [(path, page) for path, page, *_ in after] == [(path, page) for path, page, *_ in before]
    assert [_said(each) for each in after] == [_said(each) for each in before]
    assert album.database.status(thorough=True).trouble == ()


def _said(row: tuple[object, ...]) -> object:
    result = row[2]
    assert isinstance(result, dict)
    return {name: answer["value"] for name, answer in result["tasks"].items()}, result["status"], result["error"]


def damage(database: Path, *, whole: bool) -> None:
    """Spoil pages in the middle of a database, or its head too."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(0 if whole else size // 2 // 4096 * 4096)
        file.write(os.urandom(size if whole else size // 3))


@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_one_is_set_aside_and_built_anew(album: Album, whole: bool) -> None:
    album.run()
    damage(album.database.path, whole=whole)
    with pytest.raises(DatabaseDamaged) as caught:
        album.database.connect()
        album.database.find(parse("harbour"))
        everything(album.database)
        raise DatabaseDamaged(str(album.database.status(thorough=True).trouble))
    aside = embedded.set_aside(album.database, caught.value)
    assert aside is not None
    assert (aside / "imgtool.db").exists()
    embedded.complete(album.database, album.root)
    embedded.add_files(album.database, album.root, [str(album.photos)])
    assert len(paths(album.database, "harbour")) == 3
    assert album.database.status(thorough=True).trouble == ()


def test_what_can_still_be_read_of_a_damaged_one_is_taken_over(album: Album) -> None:
    album.run()
    album.database.connect()
    wanted = everything(album.database)
    # Damage to the index of words alone: everything else can be read.
    album.database._rows("UPDATE words_data SET block = x'00ff00ff' WHERE id > 10")
    album.database.close()
    assert embedded.set_aside(album.database, DatabaseDamaged("planted")) is not None
    assert embedded.complete(album.database, album.root).salvaged == COUNT + 1
    assert everything(album.database) == wanted
    assert len(paths(album.database, "harbour")) == 3


def test_one_that_another_process_has_mended_is_left_alone(album: Album) -> None:
    album.run()
    assert embedded.set_aside(album.database, DatabaseDamaged("somebody else's news")) is None
    album.database.connect()
    assert len(paths(album.database, "harbour")) == 3


def test_a_run_that_meets_damage_begins_a_new_one(album: Album) -> None:
    album.run()
    damage(album.database.path, whole=True)
    album.run()
    album.database.connect()
    assert len(paths(album.database, "harbour")) == 3
    assert not embedded.is_complete(album.database)
    assert len(list(album.root.glob("database.corrupt-*"))) == 1
