"""Writers that are killed at any moment: no image in part, none twice, and the next run completes."""

from __future__ import annotations

import random
import time

import pytest

from imgtool.database.locate import database_at
from imgtool.database.tables import chunks
from tests.database.kept import everything
from tests.database.processes import start
from tests.database.records import Records

_WRITE = """
database.connect()
count = int(sys.argv[2])
entries = list(Records(3, words=500).many(count))
print("begins", flush=True)
for place in range(0, count, 20):
    database.write(entries[place : place + 20])
    print(place, flush=True)
"""


def kill_while_writing(url: str, times: int, count: int, seed: int) -> None:
    rng = random.Random(seed)
    database = database_at(url)
    database.connect(create=True)
    records = Records(3, words=500)
    expected = {(entry.path, entry.result.page): len(_lines(entry)) for entry in records.many(count)}
    seen = 0
    for _ in range(times):
        writer = start(_WRITE, url, count)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begins\n"
        for _ in range(rng.randrange(4)):
            writer.stdout.readline()
        if rng.random() < 0.7:
            time.sleep(rng.random() * 0.05)
        writer.kill()
        writer.communicate()
        status = database.status(thorough=True)
        assert status.trouble == ()
        kept = {(entry.path, entry.result.page): len(_lines(entry)) for entry in database.entries()}
        assert len(kept) == status.counts["files"] == status.counts["results"]
        assert kept.items() <= expected.items()
        assert len(kept) % 20 == 0  # batches, whole
        assert len(kept) >= seen
        seen = len(kept)
        if seen == count:
            database.forget([number for number, _, _ in database.files()])
            seen = 0
    for part in chunks(records.many(count)):
        database.write(part)
    assert database.status(thorough=True).trouble == ()
    kept = {
        (path, page): len(result["tasks"].get("text", {}).get("value") or ())
        for path, page, result, *_ in everything(database)
    }
    assert kept == expected
    database.close()


def _lines(entry: object) -> tuple[object, ...]:
    text = entry.result.tasks.text  # type: ignore[attr-defined]
    return getattr(text, "value", None) or ()


def test_a_few_killed_writers(url: str) -> None:
    kill_while_writing(url, times=3, count=400, seed=1)


@pytest.mark.slow
def test_a_hundred_killed_writers(url: str) -> None:
    kill_while_writing(url, times=100, count=2000, seed=2)
