"""``imgtool cache``: what it shows is what is there, and what it removes was shown first."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import typer

from imgtool.cli.cache import prune
from imgtool.errors import ExitCode
from tests import pictures, planted
from tests.command import analyze, imgtool

HAZARD = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five images, answered, one of them failed."""
    folder = pictures.folder(tmp_path / "photos", [*pictures.greys(4), planted.YELLOW])
    assert analyze(folder, *HAZARD).code is ExitCode.SOME_FAILED
    return folder


def stats() -> dict[str, object]:
    found: dict[str, object] = json.loads(imgtool("cache", "stats", "--json").out)
    return found


def test_stats_count_records_answers_and_failures(photos: Path) -> None:
    found = stats()
    assert (found["entries"], found["failures"]) == (5, 1)
    assert found["answers"] == [{"engine": "hazard", "model": "planted", "model_version": "1", "answers": 4}]
    shown = imgtool("cache", "stats").out
    assert "hazard" in shown
    assert "1 remembered" in shown


def test_stats_of_a_cache_that_is_not_there(tmp_path: Path) -> None:
    outcome = imgtool("cache", "stats", "--cache-dir", tmp_path / "none", "--json")
    assert outcome.code is ExitCode.OK
    assert json.loads(outcome.out)["entries"] == 0
    assert not (tmp_path / "none").exists()


def test_a_dry_run_removes_nothing(photos: Path) -> None:
    for words in ("clear", "prune --engine hazard", "prune --failures", "prune --max-size 1"):
        assert "would remove" in imgtool("cache", *words.split(), "--dry-run").out
    assert stats()["entries"] == 5


def test_clear_removes_everything_and_the_next_run_computes_it(photos: Path) -> None:
    assert "removing 5 records" in imgtool("cache", "clear").out
    assert stats()["entries"] == 0
    assert not any(result["from_cache"] for result in analyze(photos, *HAZARD).results)


def test_prune_by_engine_and_by_failures(photos: Path) -> None:
    assert "1 failures" in imgtool("cache", "prune", "--failures").out or stats()["failures"] == 0
    assert stats()["failures"] == 0
    imgtool("cache", "prune", "--engine", "hazard")
    assert stats()["answers"] == []


def test_verify_finds_and_repairs_a_damaged_record(photos: Path, tmp_path: Path) -> None:
    assert imgtool("cache", "verify").code is ExitCode.OK
    (database,) = tmp_path.glob("home/cache/results/cache.db")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE Cache SET value = x'00ff' WHERE rowid = 1")
    connection.close()
    root = database.parents[1]
    found = imgtool("cache", "verify", "--cache-dir", root)
    assert found.code is ExitCode.NOT_WRITABLE
    assert "unreadable" in found.out
    assert f"imgtool cache verify --repair --cache-dir {root}" in found.err
    assert imgtool("cache", "verify", "--repair").code is ExitCode.OK
    assert imgtool("cache", "verify").code is ExitCode.OK
    assert stats()["entries"] == 4


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "nothing chosen to prune"),
        ({"older_than": "yesterday"}, "--older-than: 'yesterday'"),
        ({"max_size": "much"}, "--max-size: 'much'"),
    ],
)
def test_what_is_to_be_pruned_has_to_be_said(
    asked: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        prune(**asked)
    assert ended.value.exit_code == ExitCode.USAGE
    assert words in capsys.readouterr().err
