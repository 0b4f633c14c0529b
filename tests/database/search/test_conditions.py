"""Queries as SQL conditions, evaluated by SQLite itself on a few rows."""

from __future__ import annotations

import sqlite3

import pytest

from imgtool.database.search.conditions import SET_RESULT, Condition, below, condition
from imgtool.database.search.query import Words, parse

ROWS = [("/a/x.png", 640, "PNG"), ("/a b/x.png", None, None), ("/a0", 4000, "JPEG"), ("/a/b/y.png", 1, "TIFF")]


def met(found: Condition) -> set[str]:
    """Paths of the rows that meet ``found``, and of those that do not: no row may be neither."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE files (path TEXT, page INT, result_id INT, gone_at REAL)")
        connection.execute("CREATE TABLE results (id INT, width INT, format TEXT)")
        for number, (path, width, format) in enumerate(ROWS):
            connection.execute("INSERT INTO files VALUES (?, 0, ?, NULL)", (path, number))
            connection.execute("INSERT INTO results VALUES (?, ?, ?)", (number, width, format))
        sql = "SELECT f.path FROM files f JOIN results r ON r.id = f.result_id WHERE "
        yes = {path for (path,) in connection.execute(sql + found.sql, found.values)}
        no = {path for (path,) in connection.execute(f"{sql} NOT ({found.sql})", found.values)}
    connection.close()
    assert yes | no == {path for path, *_ in ROWS}
    assert not yes & no
    return yes


def no_words(node: Words) -> Condition:
    raise AssertionError(node)


@pytest.mark.parametrize(
    "query, paths",
    [
        ("width:>=640", {"/a/x.png", "/a0"}),
        ("-width:>=640", {"/a b/x.png", "/a/b/y.png"}),
        ("width:1..640", {"/a/x.png", "/a/b/y.png"}),
        ("format:png OR format:tiff", {"/a/x.png", "/a/b/y.png"}),
        ("-format:p*", {"/a b/x.png", "/a0", "/a/b/y.png"}),
        ("-status:gone page:1", {path for path, *_ in ROWS}),
    ],
)
def test_facts(query: str, paths: set[str]) -> None:
    assert met(condition(parse(query), no_words)) == paths


@pytest.mark.parametrize(
    "named, paths",
    [
        ((), {path for path, *_ in ROWS}),
        (("/a",), {"/a/x.png", "/a/b/y.png"}),
        (("/a/",), {"/a/x.png", "/a/b/y.png"}),
        (("/a0",), {"/a0"}),
        (("/a b", "/a/b"), {"/a b/x.png", "/a/b/y.png"}),
        (("/",), {path for path, *_ in ROWS}),
    ],
)
def test_files_below_folders(named: tuple[str, ...], paths: set[str]) -> None:
    assert met(below(named)) == paths


def test_words_are_left_to_the_database() -> None:
    found = condition(parse("-harbour"), lambda node: Condition(f"{SET_RESULT} IN (0, 3)"))
    assert met(found) == {"/a b/x.png", "/a0"}
