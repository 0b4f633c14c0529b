"""Writing: idempotent, merged task by task, together or not at all; files that move, change and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from imgtool.database.entry import Entry, stamps
from imgtool.database.interface import Database, DatabaseUnavailable
from imgtool.database.locate import database_at
from imgtool.engine.files.words import real_path
from imgtool.types import ImageResult, Status
from tests import results
from tests.database.kept import entry, everything, paths, said, without
from tests.results import any_result


def test_writing_twice_changes_nothing(database: Database) -> None:
    batch = [said("/a.png", "harbour"), said("/b.png", "pier", sha=1), entry(results.failed("/c.jpg"))]
    database.write(batch)
    before = everything(database), database.status().counts
    database.write(batch)
    database.write(list(reversed(batch)))
    assert (everything(database), database.status().counts) == before
    assert database.status(thorough=True).trouble == ()


def test_tasks_of_several_runs_are_merged(database: Database) -> None:
    both = said("/a.png", "harbour", caption="A pier").result
    database.write([entry(without(both, "text"))])
    assert paths(database, "harbour") == []
    database.write([entry(without(both, "caption"))])
    assert paths(database, "text:harbour caption:pier label:sign") == ["/a.png"]


def test_a_newer_answer_replaces_the_older(database: Database) -> None:
    database.write([said("/a.png", "harbour")])
    database.write([said("/a.png", "harbor")])
    assert (paths(database, "harbour"), paths(database, "harbor")) == ([], ["/a.png"])
    assert database.status().counts["lines"] == 1


def test_a_failure_is_no_news_where_there_is_an_answer(database: Database) -> None:
    database.write([said("/slow.png", "harbour", sha=5)])
    database.write([entry(results.partial("/slow.png"), sha256=f"{5:064x}")])
    assert paths(database, "harbour") == ["/slow.png"]
    assert paths(database, "caption:small status:ok") == ["/slow.png"]


def test_an_image_stays_partial_until_its_text_is_read_in_all_languages(database: Database) -> None:
    both = said("/sign.png", "harbour", caption="A pier").result
    assert both.tasks.text is not None
    text = msgspec.structs.replace(both.tasks.text, notice="rapidocr cannot read ko")
    tasks = msgspec.structs.replace(both.tasks, text=text)
    in_part = msgspec.structs.replace(both, status=Status.PARTIAL, tasks=tasks)
    database.write([entry(in_part)])
    database.write([entry(without(both, "text"))])
    assert paths(database, "harbour status:partial") == ["/sign.png"]
    database.write([entry(both)])
    assert paths(database, "harbour status:ok") == ["/sign.png"]


def test_an_answer_replaces_a_failure(database: Database) -> None:
    database.write([entry(results.partial("/slow.png"), sha256=f"{5:064x}")])
    assert paths(database, "error:timeout") == ["/slow.png"]
    database.write([said("/slow.png", "harbour", sha=5)])
    assert paths(database, "harbour status:ok") == ["/slow.png"]
    assert paths(database, "has:error") == []


def test_a_file_that_moved_keeps_what_is_known_of_it(database: Database) -> None:
    database.write([said("/old/a.png", "harbour", sha=7)])
    database.write([said("/new/a.png", "harbour", sha=7)])
    assert sorted(paths(database, "harbour")) == ["/new/a.png", "/old/a.png"]
    assert database.status().counts["results"] == 1
    ((old, _, _),) = [each for each in database.files() if each[1] == "/old/a.png"]
    (hit,) = (hit for hit in database.hits([(old, 0.0)]))
    assert database.elsewhere(hit.result_id, old) == ["/new/a.png"]


def test_what_is_known_of_a_file_that_changed_goes_with_its_last_file(database: Database) -> None:
    database.write([said("/a.png", "harbour", sha=1), said("/copy.png", "harbour", sha=1)])
    database.write([said("/a.png", "pier", sha=2)])
    assert paths(database, "harbour") == ["/copy.png"]
    database.write([said("/copy.png", "pier", sha=2)])
    assert paths(database, "harbour") == []
    assert database.status().counts["results"] == 1
    assert database.status(thorough=True).trouble == ()


def test_a_file_that_could_not_be_read_and_now_can(database: Database) -> None:
    database.write([entry(results.failed("/a.png"))])
    database.write([said("/a.png", "harbour")])
    assert paths(database, "status:failed") == []
    assert database.status().counts == {"files": 1, "results": 1, "lines": 1, "labels": 2, "codes": 0, "gone": 0}


def test_gone_and_back(database: Database) -> None:
    database.write([said("/a.png", "harbour")])
    numbers = [each[0] for each in database.files()]
    database.mark_gone(numbers)
    assert paths(database, "status:gone") == ["/a.png"]
    notes, _ = database.recorded_from("/", 0, 10)
    assert notes == {"/a.png#0": ""}  # so that the next run writes it
    database.write([said("/a.png", "harbour")])
    assert paths(database, "status:gone") == []
    database.mark_gone(numbers)
    database.mark_gone(numbers, gone=False)
    assert paths(database, "status:gone") == []


def test_forgotten_files_leave_nothing(database: Database) -> None:
    database.write([said("/a.png", "harbour", sha=1), said("/b.png", "harbour", sha=1), said("/c.png", "pier", sha=2)])
    numbers = {path: number for number, path, _ in database.files()}
    database.forget([numbers["/a.png"], numbers["/c.png"]])
    assert paths(database, "") == ["/b.png"]
    assert database.status().counts == {"files": 1, "results": 1, "lines": 1, "labels": 2, "codes": 0, "gone": 0}
    assert database.status(thorough=True).trouble == ()


def test_pages_of_one_file(database: Database) -> None:
    pages = [said("/a.tif", f"page{number}", sha=1, page=number, pages=3) for number in range(3)]
    database.write(pages)
    database.write(pages)
    assert paths(database, "page1") == ["/a.tif"]
    assert database.status().counts["files"] == 3


def test_a_batch_is_written_whole_or_not_at_all(database: Database) -> None:
    good = said("/a.png", "harbour", sha=1)
    with pytest.raises(DatabaseUnavailable):
        database.write([good, said("/b.png", "pier", sha=2), _spoiled()])
    assert everything(database) == []
    database.write([good])
    assert paths(database, "harbour") == ["/a.png"]


def _spoiled() -> Entry:
    """An entry that no table takes: its path is missing from a row that needs one."""
    one = said("/c.png", "crane", sha=3)
    return Entry(one.path, msgspec.structs.replace(one.result, pages=None), one.stamps)


def test_text_that_neither_json_nor_utf8_can_hold(database: Database) -> None:
    database.write([said("/a.png", "before\0after", "lone \ud800 surrogate", r"a \u0000 that is text")])
    (hit,) = database.hits(database.find(_query("before after")).places)
    assert hit.result.tasks.text.value[0].text == "before\ufffdafter"  # type: ignore[union-attr, index]
    assert hit.result.tasks.text.value[2].text == r"a \u0000 that is text"  # type: ignore[union-attr, index]
    assert paths(database, "surrogate") == ["/a.png"]


def _query(text: str) -> Any:
    from imgtool.database.search.query import parse

    return parse(text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_result())
def test_whatever_a_result_holds_is_kept(database: Database, result: ImageResult) -> None:
    one = Entry("/any.png", msgspec.structs.replace(result, path="/any.png"), stamps(result))
    database.write([one])
    database.write([one])
    assert [hit.result.path for hit in database.hits(database.find(_query("path:any")).places)] == ["/any.png"]
    database.forget([number for number, _, _ in database.files()])


def test_stamps_tell_answers_apart_and_know_kept_ones_again() -> None:
    first = said("/a.png", "harbour", caption="A pier").result
    kept = msgspec.json.decode(msgspec.json.encode(first), type=ImageResult)
    assert stamps(kept) == stamps(first)
    other = said("/a.png", "harbor", caption="A pier").result
    assert stamps(other)["caption"] == stamps(first)["caption"]
    assert stamps(other)["text"] != stamps(first)["text"]


def test_a_file_of_sqlite_is_for_its_owner_alone(tmp_path: Path) -> None:
    database = database_at(f"sqlite:///{tmp_path / 'new' / 'results.db'}")
    database.connect(create=True)
    database.close()
    assert (tmp_path / "new" / "results.db").stat().st_mode & 0o777 == 0o600


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = tmp_path / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    name.touch()
    assert real_path(str(tmp_path / "caf\\xe9.png")) == str(name)
    assert real_path(str(tmp_path / "absent\\xe9.png")) == str(tmp_path / "absent\\xe9.png")
