"""Searching: right against a linear scan, in both databases, in every script."""

from __future__ import annotations

import random
from typing import Any

import pytest

from imgtool.database import entry as entry_module
from imgtool.database.entry import Entry
from imgtool.database.interface import Database
from imgtool.database.locate import database_at
from imgtool.database.search.query import parse
from imgtool.database.tables import SqlDatabase, chunks
from imgtool.types import ImageResult
from tests import results
from tests.database.kept import entry, everything, paths, said
from tests.database.records import Records, Scanned
from tests.database.servers import Server


def agree(database: Database, records: int, queries: int, seed: int) -> None:
    generated = Records(seed, words=max(200, records // 5))
    entries = list(generated.many(records))
    for part in chunks(entries):
        database.write(part)
    scanned = [Scanned(each) for each in entries]
    rng = random.Random(seed)
    sizes = []
    for _ in range(queries):
        query = generated.query(rng)
        wanted = sorted((each.path, each.result.page) for each in scanned if each.meets(query))
        found = database.hits(database.find(parse(str(query))).places)
        assert sorted((hit.result.path, hit.result.page) for hit in found) == wanted, str(query)
        sizes.append(len(wanted))
    # Queries that all find nothing, or everything, would prove nothing.
    assert sum(0 < size < records / 2 for size in sizes) > queries / 2


def test_what_is_found_is_what_a_scan_finds(database: Database) -> None:
    agree(database, records=300, queries=150, seed=11)


@pytest.mark.slow
def test_a_thousand_queries_find_what_a_scan_finds(database: Database) -> None:
    agree(database, records=3000, queries=1000, seed=12)


SCRIPTS = {
    "korean": ("대한민국 세금 송장 번호", ["민국", "송장", "세금 송장", "번"], ["한번", "금송", "번대"]),
    "japanese": (
        "東京都の観光案内、カタカナとひらがな",
        ["東京", "京都", "観光", "カナ", "がな", "の"],
        ["都案", "タナ"],
    ),
    "chinese": ("中华人民共和国海关。税号：8471", ["海关", "人民", "税号", "国海", "国"], ["关税", "民国"]),
    "mixed": ("iPhone사진 3장", ["사진", "iphone", "iPhone사진", "3장"], ["phone", "진장"]),
    "accents": ("Crème brûlée à la carte", ["creme", "BRÛLÉE", "brul*"], ["rulee"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_parts_of_words_in_scripts_without_spaces(database: Database, name: str) -> None:
    text, there, absent = SCRIPTS[name]
    database.write([said("/a.png", text), said("/b.png", "something else", sha=1)])
    for query in there:
        assert paths(database, query) == ["/a.png"], query
    for query in absent:
        assert paths(database, query) == [], query


@pytest.fixture
def shelf(database: Database) -> Database:
    """Some pictures that differ in everything that can be asked about."""
    of_text = said("/shelf/old/pier.jpg", "Welcome to the harbour", "ONE", "WAY", sha=1, caption="A bright picture")
    page = said(
        "/shelf/doc.tif", "harbour dues", sha=2, page=1, pages=3, format="TIFF", width=4000, file_size=9_000_000
    )
    empty = entry(results.answered("/shelf/blank.png", caption=results.caption("An empty harbour")), sha256="3" * 64)
    database.write(
        [of_text, page, empty, entry(results.failed("/shelf/broken.jpg")), entry(results.partial("/shelf/slow.png"))]
    )
    return database


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("harbour", {"pier.jpg", "doc.tif", "blank.png"}),
        ("text:harbour", {"pier.jpg", "doc.tif"}),
        ("caption:harbour", {"blank.png"}),
        ("label:sign", {"pier.jpg", "doc.tif"}),
        ("label:dog", set()),  # its score is 1 %
        ('"one way"', {"pier.jpg"}),
        ('"way one"', set()),
        ('"bright sign"', set()),  # not across fields
        ("harbour -path:old", {"doc.tif", "blank.png"}),
        ("-harbour", {"broken.jpg", "slow.png"}),
        ("harbour OR status:failed", {"pier.jpg", "doc.tif", "blank.png", "broken.jpg"}),
        ("path:pier", {"pier.jpg"}),
        ("path:shelf/old", {"pier.jpg"}),
        ("status:partial", {"slow.png"}),
        ("status:ok", {"pier.jpg", "doc.tif", "blank.png"}),
        ("has:text", {"pier.jpg", "doc.tif"}),
        ("has:caption", {"pier.jpg", "blank.png", "slow.png"}),
        ("has:error", {"broken.jpg", "slow.png"}),
        ("-has:labels", {"blank.png", "broken.jpg", "slow.png"}),
        ("error:truncated", {"broken.jpg"}),
        ("error:timeout", {"slow.png"}),
        ("engine:describe", {"pier.jpg", "blank.png", "slow.png"}),
        ("model:rapid*", {"pier.jpg", "doc.tif", "slow.png"}),
        ("format:tiff", {"doc.tif"}),
        ("sha256:" + "3" * 10, {"blank.png"}),
        ("pages:>1", {"doc.tif"}),
        ("page:2", {"doc.tif"}),
        ("width:>=4000", {"doc.tif"}),
        ("-width:>=4000", {"pier.jpg", "blank.png", "broken.jpg", "slow.png"}),
        ("height:<100", {"slow.png"}),
        ("size:>1MB", {"doc.tif"}),
        ("lines:3", {"pier.jpg"}),
        ("modified:2001-09", {"pier.jpg", "doc.tif", "blank.png", "broken.jpg", "slow.png"}),
        ("modified:<2001", set()),
        ("modified:>4048", set()),  # later than 64 bits of nanoseconds go
        ("modified:0001..4048", {"pier.jpg", "doc.tif", "blank.png", "broken.jpg", "slow.png"}),
        ("", {"pier.jpg", "doc.tif", "blank.png", "broken.jpg", "slow.png"}),
    ],
)
def test_fields(shelf: Database, query: str, names: set[str]) -> None:
    assert {path.rpartition("/")[2] for path in paths(shelf, query)} == names


def test_places(shelf: Database) -> None:
    assert paths(shelf, "harbour", "/shelf/old") == ["/shelf/old/pier.jpg"]
    assert paths(shelf, "harbour", "/shelf/old/", "/shelf/doc.tif") != []
    assert paths(shelf, "harbour", "/shel") == []
    assert paths(shelf, "has:text", "/shelf/doc.tif") == ["/shelf/doc.tif"]


def test_codes_are_found_however_they_are_written(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that the types of this version may not have: its values are taken as they come."""
    found = {
        "/tariff.png": [
            {
                "kind": "hs",
                "value": "8471.30-0000",
                "normalised": "847130",
                "national": "0000",
                "confidence": 0.97,
                "checked": True,
                "edition": "HS 2022",
                "chapter": {"number": "84", "english": "Machinery", "korean": "기계류"},
                "box": [[1, 2], [3, 2], [3, 4], [1, 4]],
                "evidence": ["label: HS CODE"],
            }
        ],
        "/bar.png": [{"kind": "ean13", "value": "4006381333931", "confidence": 0.99}],
        "/qr.png": [{"kind": "qr", "value": "https://example.org/item/42", "more": ["unknown"]}],
    }
    tree = entry_module._tree

    def with_codes(result: ImageResult) -> dict[str, Any]:
        made = tree(result)
        made["tasks"]["codes"] = {**made["tasks"]["text"], "value": found[result.path]}
        return made

    monkeypatch.setattr(entry_module, "_tree", with_codes)
    database.write([said(path, "nothing", sha=place) for place, path in enumerate(found)])
    monkeypatch.undo()
    for query, path in {
        "code:8471.30": "/tariff.png",
        "code:847130": "/tariff.png",
        "code:8471": "/tariff.png",
        "code:8471300000": "/tariff.png",
        "code:4006381333931": "/bar.png",
        "code:example": "/qr.png",
        "code:https": "/qr.png",
        "code:item/42": "/qr.png",
        "8471.30": "/tariff.png",
    }.items():
        assert [hit for hit, _ in _numbered(database, query)] == [path], query
    assert _numbered(database, "code:7130") == []
    sql = "SELECT kind, normalised, checked, box IS NOT NULL FROM codes ORDER BY kind"
    assert isinstance(database, SqlDatabase)
    assert [tuple(row) for row in database._rows(sql)] == [
        ("ean13", "4006381333931", False, False),
        ("hs", "8471300000", True, True),
        ("qr", "https://example.org/item/42", False, False),
    ]
    assert len(_numbered(database, "has:codes -code:84*")) == 2


def _numbered(database: Database, query: str) -> list[tuple[str, float]]:
    """Paths of hits by their numbers: results with such codes cannot be decoded by every version."""
    names = {number: path for number, path, _ in database.files()}
    return [(names[number], score) for number, score in database.find(parse(query)).places]


def test_the_best_come_first(database: Database) -> None:
    database.write(
        [
            said("/once.png", "harbour and a great many other words that are not about it at all", sha=1),
            said("/often.png", "harbour harbour", "harbour", sha=2),
            said("/none.png", "nothing of the kind", sha=3),
        ]
    )
    assert paths(database, "harbour") == ["/often.png", "/once.png"]
    found = database.find(parse("harbour"), limit=1)
    assert len(found.places) == 1
    assert found.complete


def test_of_very_many_hits_the_newest_are_ranked(database: Database) -> None:
    entries = [said(f"/{number:05}.png", "common", sha=number) for number in range(1100)]
    for part in chunks(entries):
        database.write(part)
    found = database.find(parse("common"), limit=20)
    assert len(found.places) == 20
    assert not found.complete
    assert len(database.find(parse("common")).places) == 1100
    assert database.find(parse("common path:00003"), limit=20).complete


def test_a_long_text_is_found_to_its_end(database: Database) -> None:
    """Positions in a tsvector end at 16,383, and a word has at most 255 of them."""
    words = " ".join(f"w{number}" for number in range(20_000)) + " the end" + " again" * 600 + " the very end"
    database.write([said("/long.png", words), said("/other.png", "the end of something very long", sha=1)])
    assert paths(database, '"the very end"') == ["/long.png"]
    assert paths(database, '"w19998 w19999 the"') == ["/long.png"]
    assert paths(database, '"w19999 w19998"') == []


def test_neither_locale_nor_search_configuration_has_a_say(server: Server) -> None:
    url = server.create("locale_c", "--locale=C", "--encoding=UTF8")
    database = database_at(url)
    database.connect(create=True)
    database.write([said("/a.png", "한국어 송장"), said("/b.png", "Les Études", sha=1)])
    assert paths(database, "국어") == ["/a.png"]
    assert paths(database, "etudes") == ["/b.png"]
    database.close()


def test_a_hit_is_the_result_as_it_was(database: Database) -> None:
    one: Entry = said("/a.png", "harbour", caption="A pier")
    database.write([one])
    (hit,) = database.hits(database.find(parse("harbour")).places)
    assert hit.result.tasks.text == _kept(one.result.tasks.text)
    assert hit.result.path == "/a.png"
    assert hit.result.file_size == one.result.file_size
    assert hit.result.from_cache


def _kept(answer: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(answer, from_cache=True)


@pytest.mark.parametrize("hostile", ["'; DROP TABLE files; --", "') OR ('1'='1", "%' OR '%'='", "$$; SELECT 1; $$"])
def test_whatever_is_searched_for_is_a_value_and_no_sql(database: Database, hostile: str) -> None:
    database.write([said(f"/a/{hostile}.png", hostile, sha=1), said("/a/plain.png", "plain", sha=2)])
    before = everything(database)
    for field in ("", "path:", "engine:", "model:", "error:", "label:", "caption:"):
        assert "/a/plain.png" not in paths(database, f'{field}"{hostile}"'), field
    assert paths(database, "plain", f"/a/{hostile}") == []
    assert everything(database) == before
    assert len(before) == 2
