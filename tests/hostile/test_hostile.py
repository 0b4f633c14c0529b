"""Thousands of hostile files and hundreds of rare ones in one run: each is answered or refused in words.

``HOSTILE_FILES``, ``HOSTILE_RARE`` and ``HOSTILE_SEED`` in the environment set how many files, and which.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from imgtool.errors import ExitCode
from tests.hostile.generate import RARE, write
from tests.hostile.malformed import malformed_files
from tests.hostile.rare import rare_files

FILES, RARE_FILES = int(os.environ.get("HOSTILE_FILES", "5000")), int(os.environ.get("HOSTILE_RARE", "500"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))

KNOWN = {
    *("damaged", "truncated", "unsupported", "not_an_image", "empty_file", "too_many_pixels", "encrypted"),
    *("metadata_too_large", "timeout", "out_of_memory", "too_many_pages"),
}
"""What a file can be refused for. That a worker ended is none of these."""

MAX_PIXELS, TIMEOUT, WORKER, MOST_BYTES = 20_000_000, 10, "2.4GB", 1_500_000_000
"""The limits of the run, the third for the memory of a worker (a page may take half of it), and what all its processes
together may hold."""


def test_the_files_are_the_same_at_every_call() -> None:
    def digest(seed: int) -> list[tuple[str, bytes]]:
        files = [*malformed_files(850, seed), *rare_files(20, seed)]
        return [(name, hashlib.sha256(content).digest()) for name, content in files]

    first = digest(1)
    assert digest(1) == first
    assert len({content for _, content in first}) == len({name for name, _ in first}) == len(first)
    assert digest(2)[-140:] != first[-140:]


class _Watch(threading.Thread):
    """Notes the most memory that a process and its descendants hold together, without what they share as files."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root, self.most, self.over = psutil.Process(pid), 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            try:
                all_of_it = [self._root, *self._root.children(recursive=True)]
                held = sum(each.memory_info().rss - each.memory_info().shared for each in all_of_it)
            except psutil.Error:
                continue
            self.most = max(self.most, held)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["as_it_is", "lenient"])
def test_a_strangers_folder_is_gone_through(tmp_path: Path, how: str) -> None:
    # The second time a part of the files, with the options that open more of each.
    part = 1 if how == "as_it_is" else 5
    write(tmp_path / "files", FILES // part, RARE_FILES // part, SEED if part == 1 else SEED + 1)
    named = tmp_path / "named"
    named.write_text("".join(f"{path}\n" for path in sorted((tmp_path / "files").glob("*/*"))))
    command = [sys.executable, "-m", "imgtool", "analyze", "--from-file", named, "-t", "caption"]
    command += ["--caption-engine", "describe", "--cache-dir", tmp_path / "cache", "--format", "jsonl"]
    command += ["--max-pixels", str(MAX_PIXELS), "--timeout", f"{TIMEOUT}s"]
    command += ["--max-worker-memory", WORKER]
    command += ["--truncated", "accept", "--pages", "all"] if how == "lenient" else []
    began = time.monotonic()
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=err)
        watch = _Watch(process.pid)
        watch.start()
        code = process.wait(timeout=1800)
        watch.over.set()
    seconds, said = time.monotonic() - began, (tmp_path / "err").read_text()
    assert code == ExitCode.SOME_FAILED, said[-2000:]
    assert "internal error" not in said and "Traceback" not in said, said[-2000:]
    results = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert {result["path"] for result in results} == set(named.read_text().splitlines())
    codes: Counter[str] = Counter()
    for result in results:
        error = result["error"] or (result["tasks"].get("caption") or {}).get("error")
        codes[error["code"] if error else "ok"] += 1
        if error:
            assert error["message"] and error["remedy"], result
            assert error["code"] in KNOWN, (result["path"], error)
        else:
            assert result["width"] * result["height"] <= MAX_PIXELS, result
            assert result["processing_time_ms"] < 2000 * TIMEOUT, result
    for result in results:
        if Path(result["path"]).parent.name == RARE:
            size = Path(result["path"]).name.rpartition("-")[2]
            assert (result["status"], f"{result['width']}x{result['height']}") == ("ok", size), result
    megabytes = watch.most // 1_000_000
    print(f"\n{len(results)} results in {seconds:.0f} s, most memory {megabytes} MB: {codes.most_common()}")
    assert watch.most < MOST_BYTES
