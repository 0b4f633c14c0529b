"""``imgtool database`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgtool.cli.database.command import app
from imgtool.database.locate import database_at
from imgtool.errors import ExitCode
from tests.command import imgtool
from tests.conftest import ROOT
from tests.database.kept import everything, said
from tests.database.servers import Server, why_not


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An SQLite database with two pages in it."""
    made = f"sqlite:///{tmp_path / 'results.db'}"
    database = database_at(made)
    database.connect(create=True)
    database.write([said("/nowhere/a.png", "harbour"), said("/nowhere/b.png", "pier", sha=1)])
    database.close()
    return made


def test_every_command_is_documented() -> None:
    document = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"imgtool database {command.name or command.callback.__name__}" in document


def test_init_twice(tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path / 'new.db'}"
    first, second = imgtool("database", "init", "--database", new), imgtool("database", "migrate", "--database", new)
    assert (first.code, second.code) == (ExitCode.OK, ExitCode.OK)
    assert "migration 1 (initial) applied" in first.out
    assert "applied" not in second.out
    assert "is up to date" in second.out


def test_the_embedded_one_is_meant_where_none_is_named() -> None:
    done = imgtool("database", "init")
    assert done.code is ExitCode.OK
    assert "home/cache/database/imgtool.db is up to date" in done.out


def test_status(url: str) -> None:
    done = imgtool("database", "status", "--check", "--database", url)
    assert done.code is ExitCode.OK
    assert "results     2" in done.out
    assert "nothing is damaged" in done.out
    found = json.loads(imgtool("database", "status", "--json", "--database", url).out)
    assert found["counts"]["files"] == 2
    assert found["applied"][0]["name"] == "initial"


def test_status_of_what_is_not_there(tmp_path: Path) -> None:
    done = imgtool("database", "status", "--database", f"sqlite:///{tmp_path}/none.db")
    assert done.code is ExitCode.NOT_WRITABLE
    assert "imgtool database init" in done.err


def test_export_and_import(url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    exported = imgtool("database", "export", "--database", url, "-o", tmp_path / "all.jsonl")
    assert exported.code is ExitCode.OK
    assert "2 pages exported" in exported.err
    assert imgtool("database", "export", "--database", url).out == (tmp_path / "all.jsonl").read_text()
    imgtool("database", "init", "--database", other)
    imported = imgtool("database", "import", tmp_path / "all.jsonl", "--database", other)
    assert imported.code is ExitCode.OK
    assert "2 pages imported" in imported.err
    one, two = database_at(url), database_at(other)
    one.connect()
    two.connect()
    assert everything(one) == everything(two)
    one.close()
    two.close()


def test_a_reader_that_has_enough_ends_the_export(url: str) -> None:
    line = f"set -o pipefail; {sys.executable} -m imgtool database export --database {url} | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")


def test_an_empty_database_does_not_replace_an_export(tmp_path: Path) -> None:
    place, empty = tmp_path / "all.jsonl", f"sqlite:///{tmp_path}/empty.db"
    place.write_text("earlier\n")
    imgtool("database", "init", "--database", empty)
    done = imgtool("database", "export", "--database", empty, "-o", place)
    assert f"0 pages exported; {place} stays as it was" in done.err
    assert place.read_text() == "earlier\n"


@pytest.mark.parametrize(
    ("name", "text", "said"), [("absent.jsonl", None, "cannot be read"), ("x.jsonl", "{}", "line 1")]
)
def test_imports_that_cannot_be(url: str, tmp_path: Path, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = imgtool("database", "import", tmp_path / name, "--database", url)
    assert done.code is ExitCode.USAGE
    assert said in done.err
    assert "Traceback" not in done.err


def test_prune(url: str) -> None:
    shown = imgtool("database", "prune", "--dry-run", "--database", url)
    assert "/nowhere/a.png" in shown.out
    assert "would remove 2 pages of files that no longer exist" in shown.out
    assert "removed 2 pages of files that no longer exist" in imgtool("database", "prune", "--database", url).out
    assert "removed 0 pages" in imgtool("database", "prune", "--database", url).out
    assert json.loads(imgtool("database", "status", "--json", "--database", url).out)["counts"]["results"] == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this module's own."""
    if reason := why_not():
        pytest.skip(reason)
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def test_a_run_and_a_search_with_a_server(server: Server, tmp_path: Path) -> None:
    from tests.cli.search.test_search import ENGINES
    from tests.pictures import folder, greys

    photos = folder(tmp_path / "photos", greys(10))
    url = server.url()
    refused = imgtool("analyze", photos, *ENGINES, "--database", url)
    assert (refused.code, refused.out) == (ExitCode.NOT_WRITABLE, "")
    assert "imgtool database init --database" in refused.err
    assert imgtool("database", "init", "--database", url).code is ExitCode.OK
    for _ in range(2):
        assert imgtool("analyze", photos, *ENGINES, IMGTOOL_DATABASE=url).code is ExitCode.OK
    found = imgtool("search", "국어", photos, "-f", "jsonl", "--database", url)
    assert [Path(each["path"]).name for each in found.results] == ["007.png", "002.png"]
    assert json.loads(imgtool("database", "status", "--json", "--database", url).out)["counts"]["files"] == 10
    server.stop()
    try:
        away = imgtool("search", "국어", "--database", url)
        assert away.code is ExitCode.NOT_WRITABLE
        assert "cannot be reached" in away.err
    finally:
        server.start()
