"""A worker that starts before the command line is imported: when, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from imgtool.cli.analyze.early_worker import runs_on_torch, surely_needs_worker
from tests import pictures
from tests.command import imgtool


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["analyze", "x.png", "--no-cache"], {}, True),
        (["analyze", "x.png"], {"IMGTOOL_CACHE": "off"}, True),
        (["analyze", "x.png", "--cache-dir", "/nowhere/at/all"], {}, True),
        (["analyze", "x.png", "--cache-dir=/nowhere/at/all"], {}, True),
        (["analyze", "x.png"], {"IMGTOOL_CACHE_DIR": "/nowhere/at/all"}, True),
        (["analyze", "x.png"], {}, False),
        (["analyze", "--no-cache"], {}, True),
        (["analyze", "--no-cache", "--help"], {}, False),
        (["analyze", "--no-cache", "--help-all"], {}, False),
        (["analyze", "x.png", "--no-cache", "--no-isolate"], {}, False),
        (["analyze"], {}, False),
        (["warm-cache", "--cache-dir", "/nowhere/at/all"], {}, False),
        ([], {}, False),
        (["analyze", "x.png", "--cache-dir"], {}, True),
        (["analyze", "x.png", "--cache-dir", "/nowhere/at/all", "--shared-cache", "redis://h"], {}, False),
        (["analyze", "x.png", "--cache-dir", "/nowhere/at/all", "--shared-cache=redis://h"], {}, False),
        (["analyze", "x.png", "--cache-dir", "/nowhere/at/all"], {"IMGTOOL_SHARED_CACHE": "redis://h"}, False),
        (["analyze", "x.png", "--no-cache"], {"IMGTOOL_SHARED_CACHE": "redis://h"}, True),
        (["serve"], {}, True),
        (["serve", "--port", "0", "--cache-dir", "."], {"IMGTOOL_SHARED_CACHE": "redis://h"}, True),
        (["serve", "--help"], {}, False),
        (["serve", "--no-isolate"], {}, False),
        (["serve", "keys", "list"], {}, False),
        (["serve", "--quiet", "keys", "list"], {}, False),
    ],
)
def test_what_is_told_from_the_words_alone(arguments: list[str], environ: dict[str, str], expected: bool) -> None:
    assert surely_needs_worker(arguments, environ) is expected


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["analyze", "x.png", "--backend", "torch"], {}, True),
        (["analyze", "x.png", "--backend=torch"], {}, True),
        (["analyze", "x.png"], {"IMGTOOL_BACKEND": "torch"}, True),
        (["analyze", "x.png", "--backend", "onnx"], {"IMGTOOL_BACKEND": "torch"}, False),
        (["analyze", "torch"], {}, False),
        (["analyze", "x.png", "--backend"], {}, False),
    ],
)
def test_whether_torch_is_asked_for(arguments: list[str], environ: dict[str, str], expected: bool) -> None:
    assert runs_on_torch(arguments, environ) is expected


def test_a_home_is_found_in_the_name_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kept" / "results").mkdir(parents=True)
    assert not surely_needs_worker(["analyze", "x.png"], {"IMGTOOL_CACHE_DIR": "~/kept"})


def test_where_answers_are_kept_nothing_is_sure(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert not surely_needs_worker(["analyze", "x.png", "--cache-dir", str(tmp_path)], {})


def processes_of(trace: Path) -> list[tuple[int, str]]:
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    return [(event["pid"], event["args"]["role"]) for event in events if event["name"] == "process"]


def test_the_worker_that_started_ahead_is_the_one_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    trace, stats = tmp_path / "trace.jsonl", tmp_path / "stats.json"
    monkeypatch.setenv("IMGTOOL_TRACE", str(trace))
    done = imgtool("analyze", photos, "-t", "caption", "--no-cache", "--stats", stats)
    assert done.code == 0, done.err
    assert [role for _, role in processes_of(trace)].count("worker") == 1
    assert json.loads(stats.read_text())["workers"]["started"] == 1
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    began = {event["name"]: event["ts"] for event in events if event["name"] in ("open store", "describe")}
    spawned = min(e["ts"] for e in events if e["name"] == "interpreter" and e["thread"] == "MainThread")
    assert spawned < began["open store"]


def test_a_mistake_leaves_no_process_behind(tmp_path: Path) -> None:
    before = set(psutil.pids())
    done = imgtool("analyze", tmp_path, "--no-cache", "--nonsense")
    assert done.code == 2
    assert "nonsense" in done.err
    deadline = time.monotonic() + 10
    while (left := workers(set(psutil.pids()) - before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def workers(pids: set[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.ppid() in (1, os.getpid()) and any(
                "start_ahead" in w or "ahead='" in w for w in process.cmdline()
            ):
                found.append(pid)
        except psutil.Error:
            continue
    return found
