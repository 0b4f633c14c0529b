"""What lies in the cache's folder, as it lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.engine.cache.listing import (
    count_index,
    explained,
    foreign_files,
    occupied,
    results_database,
    rows,
    set_aside_folders,
)
from imgtool.errors import OutputNotWritable
from tests.caches import Opened, plant, update


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert list(rows(tmp_path)) == []
    assert (count_index(tmp_path), occupied(tmp_path / "none")) == (0, 0)
    assert (foreign_files(tmp_path), set_aside_folders(tmp_path)) == ((), ())


def test_rows_come_with_their_records_and_those_that_imgtool_never_wrote_without(tmp_path: Path) -> None:
    with Opened(tmp_path) as it:
        it.store.merge([update("a", "f"), update("b", "g")])
    plant(tmp_path, "UPDATE Cache SET mode = 4 WHERE key = 'b'")
    first, second = rows(tmp_path)
    record = first.record()
    assert record is not None
    assert (first.name, set(record.answers), first.refused) == ("a", {"f"}, False)
    assert (second.name, second.record(), second.refused) == ("b", None, True)
    assert first.size > 100


def test_a_file_that_is_not_the_database_is_foreign(tmp_path: Path) -> None:
    with Opened(tmp_path) as it:
        it.store.merge([update("a", "f")])
    stranger = results_database(tmp_path).parent / "12" / "stranger.val"
    stranger.parent.mkdir()
    stranger.write_bytes(b"12345")
    assert foreign_files(tmp_path) == (stranger,)
    assert occupied(stranger.parent) == occupied(stranger) == 5


def test_trouble_becomes_an_error_for_the_user_with_a_remedy(tmp_path: Path) -> None:
    results_database(tmp_path).parent.mkdir(parents=True)
    results_database(tmp_path).write_text("this is no database at all" * 100)
    with pytest.raises(OutputNotWritable, match="the database is damaged") as caught, explained(tmp_path):
        list(rows(tmp_path))
    assert "imgtool cache clear" in caught.value.remedy
