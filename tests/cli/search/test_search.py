"""``imgtool search`` as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from imgtool.cli.search.run import NothingAnalyzed, SearchRun
from imgtool.config import resolve
from imgtool.database.locate import database_at
from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, imgtool
from tests.database.kept import said

ENGINES = [
    "--caption-engine",
    "tests.planted:Hazard",
    "--text-engine",
    "tests.database.planted:Reader",
    "-t",
    "caption,text",
]


class Album:
    """Ten pictures that were analyzed: of each five, one says harbour, one way, and so on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = pictures.folder(folder / "photos", pictures.greys(10))
        self.cache = folder / "cache"
        self.database = self.cache / "database" / "imgtool.db"

    def analyze(self, *more: str | Path) -> Outcome:
        done = self.imgtool("analyze", self.photos, *ENGINES, "-f", "jsonl", *more)
        assert done.code is ExitCode.OK, done.err
        return done

    def search(self, *words: str | Path) -> Outcome:
        return self.imgtool("search", *words)

    def imgtool(self, *words: str | Path, **more: Any) -> Outcome:
        return imgtool(*words, cwd=self.folder, IMGTOOL_CACHE_DIR=str(self.cache), **more)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Album:
    """One for all tests that only look."""
    made = Album(tmp_path_factory.mktemp("album"))
    made.analyze()
    return made


@pytest.fixture
def album(shown: Album, tmp_path: Path) -> Album:
    """One to be changed."""
    shutil.copytree(shown.cache, tmp_path / "cache", ignore=shutil.ignore_patterns("database*"))
    made = Album(tmp_path)
    made.analyze()
    return made


def test_what_was_found_is_shown_with_the_match_marked(shown: Album) -> None:
    done = shown.search("harbour")
    assert done.code is ExitCode.OK
    assert done.out == "photos/005.png\n  text     [harbour] 25\n\nphotos/000.png\n  text     [harbour] 20\n"
    assert "2 hits" in done.err


def test_a_terminal_gets_styles(shown: Album) -> None:
    done = shown.imgtool("search", '"one way"', FORCE_COLOR="1")
    assert done.code is ExitCode.OK
    assert "[one way]" in done.out  # a pipe is no terminal, whatever the colour


@pytest.mark.parametrize(
    ("query", "count"), [("한국", 2), ("국어 송장", 2), ("東京", 2), ("タワー", 2), ("creme", 2), ("23", 1)]
)
def test_other_scripts(shown: Album, query: str, count: int) -> None:
    assert len(shown.search(query, "-f", "jsonl").results) == count


def test_nothing_found_has_an_exit_code_of_its_own(shown: Album) -> None:
    done = shown.search("zeppelin")
    assert (done.code, done.out) == (ExitCode.NONE_ANSWERED, "")
    assert "nothing found for zeppelin" in done.err


@pytest.mark.parametrize("name", ["hits.jsonl", "hits.csv", "hits.html", "hits.txt", "hits.parquet"])
def test_where_nothing_is_found_an_earlier_output_stays(shown: Album, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    assert shown.search("harbour", "-o", place).code is ExitCode.OK
    earlier = place.read_bytes()
    done = shown.search("zeppelin", "-o", place)
    assert done.code is ExitCode.NONE_ANSWERED
    assert place.read_bytes() == earlier
    assert f"{place} stays as it was" in done.err
    assert shown.search("23", "-o", place).code is ExitCode.OK
    assert place.read_bytes() != earlier
    assert not list(tmp_path.glob(".imgtool-*"))


def test_paths_alone_keep_an_earlier_output_too(shown: Album, tmp_path: Path) -> None:
    (tmp_path / "paths").write_bytes(b"earlier\0")
    assert shown.search("zeppelin", "-0", "-o", tmp_path / "paths").code is ExitCode.NONE_ANSWERED
    assert (tmp_path / "paths").read_bytes() == b"earlier\0"
    assert shown.search("harbour", "-0", "-o", tmp_path / "paths").code is ExitCode.OK
    assert b"earlier" not in (tmp_path / "paths").read_bytes()


def test_an_image_is_no_output(shown: Album) -> None:
    image = shown.photos / "000.png"
    earlier = image.read_bytes()
    done = shown.search("harbour", "-f", "json", "-o", image)
    assert done.code is ExitCode.USAGE and "would be overwritten" in done.err
    assert image.read_bytes() == earlier


def test_every_format(shown: Album, tmp_path: Path) -> None:
    wanted = {"photos/000.png", "photos/005.png"}
    for name in ("json", "jsonl", "csv", "parquet", "xlsx", "html", "txt"):
        done = shown.search("harbour", "-o", tmp_path / f"hits.{name}")
        assert done.code is ExitCode.OK, done.err
        assert f"2 hits, written to {tmp_path}/hits.{name}" in done.err
    for found in (
        json.loads((tmp_path / "hits.json").read_text()),
        [json.loads(line) for line in (tmp_path / "hits.jsonl").read_text().splitlines()],
        list(csv.DictReader((tmp_path / "hits.csv").read_text("utf-8-sig").splitlines())),
    ):
        assert {os.path.relpath(each["path"], shown.folder) for each in found} == wanted


def test_the_gallery_has_thumbnails_also_where_none_were_kept(shown: Album, tmp_path: Path) -> None:
    done = shown.search("harbour OR broken", "-o", tmp_path / "hits.html")
    assert done.code is ExitCode.OK
    assert f"open {(tmp_path / 'hits.html').as_uri()} in a browser" in done.err
    page = (tmp_path / "hits.html").read_text()
    blocks = re.findall(r'<script type="text/plain" data-original="([^"]+)">([^<]*)</script>', page)
    assert len(blocks) == 2
    for link, thumbnail in blocks:
        assert thumbnail
        assert (tmp_path / unquote(link)).is_file()


def test_what_analyze_gives_out_and_what_search_finds_are_the_same(album: Album) -> None:
    given = {each["path"]: each for each in album.analyze().results}
    found = {each["path"]: each for each in album.search("", "-f", "jsonl").results}
    assert found.keys() == given.keys()
    for path, each in found.items():
        for result in (each, given[path]):
            result.pop("processing_time_ms")
        assert each == given[path]


def test_paths_for_xargs(album: Album) -> None:
    """Whatever a name is made of, it reaches the next command as it is."""
    odd = album.photos / "with space\nand newline.png"
    latin = Path(os.fsdecode(os.fsencode(album.photos) + b"/caf\xe9.png"))
    for copy in (odd, latin):
        shutil.copy(album.photos / "000.png", copy)
    album.analyze()
    command = f"{sys.executable} -m imgtool search harbour -0 -q | xargs -0 ls -1 -d --zero"
    environ = {**os.environ, "IMGTOOL_CACHE_DIR": str(album.cache)}
    done = subprocess.run(command, shell=True, capture_output=True, check=True, env=environ)
    found = set(done.stdout.rstrip(b"\0").split(b"\0"))
    assert found == {os.fsencode(path) for path in (album.photos / "000.png", album.photos / "005.png", odd, latin)}


def test_limits(shown: Album) -> None:
    assert shown.search("", "-n", "3").out.count("photos/") == 3
    assert "3 of 10 hits; --limit 0 shows all" in shown.search("", "-n", "3").err
    assert shown.search("", "-n", "9" * 30).out.count("photos/") == 10
    assert len(shown.search("", "-n", "3", "-f", "jsonl").results) == 3
    assert len(shown.search("", "-f", "jsonl").results) == 10


def test_pages_are_in_their_order_and_their_document_is_one_path(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'results.db'}"
    database = database_at(url)
    database.connect(create=True)
    for page in range(3):
        one = said("/nowhere/scan.tif", "harbour", page=page, pages=3)
        database.write([replace(one, machine="another")])
    database.close()
    found = imgtool("search", "harbour", "--database", url, "-f", "jsonl", "-n", "2").results
    assert [each["page"] for each in found] == [0, 1]
    done = imgtool("search", "harbour", "--database", url, "-0", "-o", tmp_path / "paths.list")
    assert done.err == f"3 hits, 1 path, written to {tmp_path}/paths.list\n"
    assert (tmp_path / "paths.list").read_bytes() == b"/nowhere/scan.tif\0"


def test_only_below_what_is_named(album: Album) -> None:
    other = pictures.flat(album.folder / "other.png", (25, 25, 30), (50, 50))
    album.imgtool("analyze", other, *ENGINES)
    assert len(album.search("harbour", "-f", "jsonl").results) == 3
    assert [each["path"] for each in album.search("harbour", "other.png", "-f", "jsonl").results] == [str(other)]
    assert len(album.search("harbour", "photos", "-f", "jsonl").results) == 2


def test_a_second_word_that_is_no_path_is_told(shown: Album) -> None:
    done = shown.search("harbour", "sign")
    assert done.code is ExitCode.NONE_ANSWERED
    assert "sign does not exist: put the whole query in one pair of quotes" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lable:sign"], "did you mean label:?"),
        (["-harbour"], "imgtool search -- -harbour"),
        (["harbour OR"], "nothing follows OR"),
        (["harbour", "--null", "-f", "json"], "leave one of them out"),
        (["harbour", "--database", "off"], "name a URL"),
        (["harbour", "--database", "mysql://x"], "names no database"),
        (["harbour", "-f", "docx"], "--format"),
    ],
)
def test_mistakes_are_explained(shown: Album, words: list[str], said: str) -> None:
    done = shown.search(*words)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_before_anything_was_analyzed(tmp_path: Path) -> None:
    run = SearchRun(resolve({"cache_dir": str(tmp_path / "cache")}), "harbour", [], null=False, limit=None)
    with pytest.raises(NothingAnalyzed) as caught:
        run.run()
    assert caught.value.exit_code is ExitCode.NONE_ANSWERED
    assert "imgtool analyze ./photos" in str(caught.value.remedy)
    assert not (tmp_path / "cache").exists()


def test_a_reader_that_has_enough_ends_the_search(shown: Album) -> None:
    environ = {**os.environ, "IMGTOOL_CACHE_DIR": str(shown.cache)}
    command = [sys.executable, "-m", "imgtool", "search", "", "-f", "jsonl"]
    search = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
    assert search.stdout is not None
    search.stdout.close()
    assert search.stderr is not None
    assert search.stderr.read() == b""
    assert search.wait() == ExitCode.OK
    search.stderr.close()


def test_a_database_that_was_named_must_be_there(tmp_path: Path) -> None:
    done = imgtool("search", "harbour", "--database", f"sqlite:///{tmp_path}/none.db")
    assert done.code is ExitCode.NOT_WRITABLE
    assert f"imgtool database init --database sqlite:///{tmp_path}/none.db" in done.err
    assert not (tmp_path / "none.db").exists()


# --------------------------------------------------------------------------------------------------------------------
# Files that move and go


def test_a_renamed_file_is_followed_and_a_deleted_one_is_told(album: Album) -> None:
    (album.photos / "000.png").rename(album.folder / "renamed.png")
    (album.photos / "005.png").unlink()
    done = album.search("harbour")
    assert done.code is ExitCode.NONE_ANSWERED
    assert "are gone" in done.err
    album.imgtool("analyze", album.folder / "renamed.png", *ENGINES)
    done = album.search("harbour")
    assert done.out == "renamed.png\n  text     [harbour] 20\n"
    assert f"moved: {album.photos}/000.png -> {album.folder}/renamed.png" in done.err
    assert f"not shown: 1 hit, its file is gone: {album.photos}/005.png" in done.err
    gone = album.search("status:gone", "-f", "jsonl").results
    assert {Path(each["path"]).name for each in gone} == {"000.png", "005.png"}


def test_a_file_that_comes_back_is_found_again(album: Album) -> None:
    (album.photos / "000.png").rename(album.folder / "away.png")
    album.search("harbour")
    (album.folder / "away.png").rename(album.photos / "000.png")
    assert "photos/000.png" in album.search("harbour").out
    assert album.search("status:gone").code is ExitCode.NONE_ANSWERED


# --------------------------------------------------------------------------------------------------------------------
# An index that is missing or damaged


def test_an_index_that_is_missing_is_built_from_the_kept_answers(album: Album) -> None:
    shutil.rmtree(album.database.parent)
    # A moment later the stat index knows the files: those that changed a moment before a run are read again.
    done = album.search("harbour", "photos")
    assert "the index now has 10 cached results" in done.err
    done = album.search("harbour")
    assert done.code is ExitCode.OK or "imgtool analyze FOLDER adds the paths" in done.err
    album.analyze()
    assert album.search("harbour").out.count("[harbour]") == 2


def test_an_index_that_is_damaged_is_built_anew_in_the_same_search(album: Album) -> None:
    size = album.database.stat().st_size
    with album.database.open("r+b") as file:
        file.seek(size // 4)
        file.write(os.urandom(size // 2))
    done = album.search("harbour", "-f", "jsonl")
    assert "is damaged" in done.err
    assert "it was set aside as" in done.err
    album.analyze()
    assert len(album.search("harbour", "-f", "jsonl").results) == 2


def test_a_cache_that_may_only_be_read_is_searched(album: Album) -> None:
    for folder, _, names in os.walk(album.cache):
        for name in names:
            Path(folder, name).chmod(0o400)
        Path(folder).chmod(0o500)
    done = album.imgtool("search", "harbour", bound=True)
    assert (done.code, done.out.count("[harbour]")) == (ExitCode.OK, 2), done.err


# --------------------------------------------------------------------------------------------------------------------
# Kept in step by runs


def test_a_run_can_do_without(tmp_path: Path) -> None:
    album = Album(tmp_path)
    album.analyze("--database", "off")
    assert not album.database.exists()
    album.analyze("--no-cache")
    assert not album.database.exists()


def test_a_run_can_name_another(tmp_path: Path) -> None:
    album = Album(tmp_path)
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    album.analyze("--database", url)
    assert not album.database.exists()
    assert len(album.search("harbour", "--database", url, "-f", "jsonl").results) == 2
    assert len(album.imgtool("search", "harbour", "-f", "jsonl", IMGTOOL_DATABASE=url).results) == 2


def test_a_named_database_that_cannot_be_used_ends_the_run_before_the_work(tmp_path: Path) -> None:
    album = Album(tmp_path)
    done = album.imgtool("analyze", album.photos, *ENGINES, "--database", f"sqlite:///{album.photos}/000.png/x.db")
    assert (done.code, done.out) == (ExitCode.NOT_WRITABLE, "")
    (tmp_path / "text.db").write_text("no database " * 1000)
    done = album.imgtool("analyze", album.photos, *ENGINES, "--database", f"sqlite:///{tmp_path}/text.db")
    assert (done.code, done.out) == (ExitCode.NOT_WRITABLE, "")
    assert "is damaged" in done.err


def test_an_embedded_one_that_cannot_be_used_costs_no_result(tmp_path: Path) -> None:
    album = Album(tmp_path)
    album.cache.mkdir(parents=True)
    (album.cache / "database").write_text("in the way")
    done = album.analyze()
    assert (done.code, len(done.results)) == (ExitCode.OK, 10)
    assert "results are not in the database" in done.err


@pytest.mark.slow
def test_a_locked_one_that_is_named_is_told_at_the_end(album: Album) -> None:
    url = f"sqlite:///{album.folder / 'mine.db'}"
    album.analyze("--database", url)
    for number in range(3):
        pictures.flat(album.photos / f"new{number}.png", (25, 25, 30), (60 + number, 60))
    holder = sqlite3.connect(album.folder / "mine.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        done = album.imgtool("analyze", album.photos, *ENGINES, "-f", "jsonl", "--database", url)
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert len(done.results) == 13
    assert done.code is ExitCode.NOT_WRITABLE
    assert "3 of 13 results are not in the database" in done.err
    assert "run the same command again" in done.err
    album.analyze("--database", url)
    assert len(album.search("harbour", "--database", url, "-f", "jsonl").results) == 5


def test_clearing_the_cache_clears_the_index_too(album: Album) -> None:
    (album.cache / "database.corrupt-20240101T000000").mkdir()
    assert album.imgtool("cache", "clear").code is ExitCode.OK
    assert not list(album.cache.glob("database*"))
    assert "nothing found" in album.search("harbour").err


def test_a_query_or_path_that_is_no_utf8_finds_nothing(shown: Album) -> None:
    odd = os.fsdecode(b"\xaa")
    for words in ((f"model:{odd}",), ("harbour", odd)):
        found = shown.search(*words)
        assert found.code is ExitCode.NONE_ANSWERED and "nothing found" in found.err, found.err
