"""What the database costs, and how fast it is searched. Run by hand; prints medians with their spread.

    python scripts/measure_database.py search   # 100,000 generated records: queries in this process and as commands
    python scripts/measure_database.py cached   # runs over 10,000 images from the cache, with and without the database
    python scripts/measure_database.py writing  # 10,000 images computed, with and without the database

With and without alternate, so that what else the machine does falls on both. CPU seconds are shown beside wall seconds:
on a shared machine they are the steadier of the two.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgtool.database.locate import database_at
from imgtool.database.search.query import parse
from imgtool.database.tables import chunks
from tests.database.records import Records

Seconds = tuple[float, float]
"""Wall and CPU."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("search", "cached", "writing"))
    parser.add_argument("--count", type=int, help="records or images")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--database", help="URL of an empty database; the default is an SQLite file in --folder")
    parser.add_argument("--folder", type=Path, help="kept from one time to the next; the default is a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.what == "search":
            search(folder, arguments.count or 100_000, arguments.runs, arguments.database)
        else:
            runs(arguments.what, folder, arguments.count or 10_000, arguments.runs, arguments.database)


# --------------------------------------------------------------------------------------------------------------------
# Search


def search(folder: Path, count: int, runs: int, url: str | None) -> None:
    """Queries as people ask, on generated records: in this process, and as commands.

    A query is asked three times and its fastest time counts, so that pauses of the machine do not stand for the index.
    """
    url = url or f"sqlite:///{folder.absolute() / f'records-{count}.db'}"
    records = Records()
    with_records(url, records, count)
    database = database_at(url)
    database.connect(write=False)
    rng = random.Random(5)
    mixed = [str(records.query(rng)) for _ in range(1000)]
    words = records.korean.words + records.chinese.words + records.japanese.words
    pairs = [word[:2] for word in rng.sample(words, 300)]

    def ask(query: str) -> None:
        list(database.hits(database.find(parse(query), limit=20).places))

    for query in mixed[:50]:
        ask(query)
    print(
        f"{count:,} records, the best 20 of each query, milliseconds in a warm process; load {os.getloadavg()[0]:.0f}"
    )
    for what, queries in (("queries of all kinds", mixed), ("two characters of Korean, Chinese, Japanese", pairs)):
        found = sum(bool(database.find(parse(query), limit=20).places) for query in queries)
        print(f"{len(queries):,} {what}, of which {found:,} find something")
        taken = [[timed(lambda query=query: ask(query)) for _ in range(3)] for query in queries]  # type: ignore[misc]
        for place, name in enumerate(("wall", "CPU")):
            each = [1e3 * min(one[place] for one in times) for times in taken]
            cuts = quantiles(each, n=100)
            print(f"  {name:<5} median {cuts[49]:6.1f}   p95 {cuts[94]:6.1f}   most {max(each):6.1f}")
    database.close()
    # Each from the shell is another query, and finds its pages of the file in memory or not.
    for name, forget in (("file in memory", False), ("file not in memory", True)):
        cold = []
        for query in mixed[:runs]:
            if forget and url.startswith("sqlite"):
                out_of_memory(Path(database.place))
            cold.append(timed(lambda query=query: imgtool("search", query, "--database", url), children=True))  # type: ignore[misc]
        wall, cpu = zip(*cold, strict=True)
        print(f"from the shell, {runs} queries, {name}, seconds: {spread(wall)} (CPU {spread(cpu)})")


def out_of_memory(file: Path) -> None:
    """Have the system forget what it holds of ``file``."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def with_records(url: str, records: Records, count: int) -> None:
    """Fill an empty database."""
    database = database_at(url)
    database.connect(create=True)
    if not database.status().counts["files"]:
        began = time.perf_counter()
        for part in chunks(records.many(count)):
            database.write(part)
        print(f"{count:,} records written in {time.perf_counter() - began:.0f} s")
    database.close()


# --------------------------------------------------------------------------------------------------------------------
# Runs


def runs(what: str, folder: Path, count: int, times: int, url: str | None) -> None:
    """Runs of ``analyze`` with and without the database, in turn."""
    photos = folder / f"photos-{count}"
    if not photos.exists():
        make_photos(photos, count)
    common = [
        "analyze",
        str(photos),
        "-t",
        "caption",
        "--caption-engine",
        "describe",
        "-q",
        "-f",
        "jsonl",
        "-o",
        os.devnull,
    ]
    kept = ["--database", url] if url else []
    arms: dict[str, Callable[[], None]] = {}
    for name, more in (("without", ["--database", "off"]), ("with", kept)):
        cache = folder / f"cache-{count}-{name}"

        def run(cache: Path = cache, more: list[str] = more) -> None:
            imgtool(*common, *more, cache=cache)

        arms[name] = run
        if what == "cached":
            run()
    taken: dict[str, list[Seconds]] = {name: [] for name in arms}
    for number in range(times):
        for name in sorted(arms, reverse=bool(number % 2)):
            if what == "writing":
                shutil.rmtree(folder / f"cache-{count}-{name}", ignore_errors=True)
            taken[name].append(timed(arms[name], children=True))
    print(f"{count:,} images, {what}, {times} runs each, seconds (median, least to most)")
    for place, of in enumerate(("wall", "CPU")):
        values = {name: [each[place] for each in found] for name, found in taken.items()}
        ratios = [a / b for a, b in zip(values["with"], values["without"], strict=True)]
        print(f"  {of:<5} without {spread(values['without'])}   with {spread(values['with'])}   ratio {spread(ratios)}")


def make_photos(folder: Path, count: int) -> None:
    """Small PNG files, each with content of its own, a thousand in a folder."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rng = random.Random(3)
    for number in range(count):
        place = folder / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        row = b"\0" + bytes(rng.randrange(256) for _ in range(3)) * 64
        data = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(row * 48))
        note = chunk(b"tEXt", f"number\0{number}".encode())
        (place / f"{number:06}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data + note + chunk(b"IEND", b""))
    # Files changed within the last two seconds are not taken for unchanged.
    time.sleep(3)


# --------------------------------------------------------------------------------------------------------------------


def imgtool(*words: str, cache: Path | None = None) -> None:
    """Run a command; its exit code may also say that nothing was found."""
    environ = {**os.environ, **({"IMGTOOL_CACHE_DIR": str(cache)} if cache else {})}
    # As where it is installed: modules are compiled once, not at each start.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "imgtool", *words]
    done = subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode not in (0, 4):
        raise SystemExit(f"imgtool {' '.join(words)} ended with {done.returncode}: {done.stderr.decode()}")


def timed(action: Callable[[], object], *, children: bool = False) -> Seconds:
    """Wall and CPU seconds of ``action``, or of the processes that it starts."""
    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    before, began = resource.getrusage(who), time.perf_counter()
    action()
    wall, after = time.perf_counter() - began, resource.getrusage(who)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spread(values: Sequence[float]) -> str:
    """``1.23 (1.20 to 1.40)``."""
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
