"""Files of experiments: what is read back, and what each other file is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import Experiment, Metric, PageCache
from imgtool.bench.data.saved import BaselineUnusable, load_experiment, save_experiment
from imgtool.errors import ExitCode, OutputNotWritable
from imgtool.ground.versioned import encode
from tests.bench.judged import around, experiment, samples

WEIGHED = {"peak_rss": 8192, "peak_anon": -4096, "peak_file": 0, "tree_peak_rss": 8192, "method": "planted"}
ENDLESS = [{"name": "imports", "began": 0.0, "seconds": 1e300}]


@pytest.fixture
def saved() -> Experiment:
    return experiment({"eager": {Metric.STARTUP: around(5)}, "compiled": {Metric.STARTUP: around(1)}})


def test_what_is_saved_is_read_back(saved: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "new" / "base.json"
    save_experiment(path, saved)
    assert load_experiment(path) == saved
    assert json.loads(path.read_text())["units"] == {"time": "seconds", "memory": "bytes"}
    assert [entry.name for entry in path.parent.iterdir()] == ["base.json"]


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return apply


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: b"", "cut off"),
        (lambda data: b"\x89PNG\r\n", "not JSON"),
        (lambda data: b'{"tool": "\xff"}', "not JSON"),
        (lambda data: b"[" * 200_000, "nested too deeply"),
        (lambda data: b"[]", "not a file of imgtool bench"),
        (lambda data: b'{"results": [{"command": "sleep 1", "mean": 1.0}]}', "not a file of imgtool bench"),
        (edited(lambda document: document.update(tool="hyperfine")), "not a file of imgtool bench"),
        (edited(lambda document: document.update(schema_version=2)), "schema version 2"),
        (edited(lambda document: document.pop("schema_version")), "schema version None"),
        (edited(lambda document: document.pop("machine")), "machine"),
        (edited(lambda document: document["samples"][1].update(startup="soon")), "startup"),
        (edited(lambda document: document["samples"][1].update(arm="other")), "does not describe: other"),
        (edited(lambda document: document.update(samples=[])), "no run that succeeded"),
        (edited(lambda document: document.update(samples=document["samples"][:1])), "no run that succeeded"),
        (edited(lambda document: document["units"].update(time="ms")), "time in ms, not in seconds"),
        (edited(lambda document: document["units"].update(memory="kB")), "memory in kB, not in bytes"),
        (edited(lambda document: document.update(units={})), "time in nothing, not in seconds"),
        (edited(lambda document: document["arms"].append(document["arms"][0])), "describes the arm eager twice"),
        (edited(lambda document: document["samples"].append(document["samples"][1])), "has run 1 of eager twice"),
        (edited(lambda document: document.update(samples=document["samples"] * 2)), "has run 1 of eager twice"),
        (edited(lambda document: document["samples"][1].update(wall=0)), "run 1 of eager: wall is 0"),
        (edited(lambda document: document["samples"][1].update(wall=-1.5)), "run 1 of eager: wall is -1.5"),
        (edited(lambda document: document["samples"][2].update(startup=1e308)), "run 2 of eager: startup is 1e[+]308"),
        (edited(lambda document: document["samples"][1].update(memory=WEIGHED)), "run 1 of eager: peak_anon is -4096"),
        (edited(lambda document: document["samples"][1].update(phases=ENDLESS)), "run 1 of eager: imports is 1e[+]300"),
    ],
)
def test_each_other_file_is_refused_for_what_it_is(
    saved: Experiment, tmp_path: Path, spoil: Callable[[bytes], bytes], said: str
) -> None:
    path = tmp_path / "base.json"
    path.write_bytes(spoil(encode(saved)))
    with pytest.raises(BaselineUnusable, match=said) as caught:
        load_experiment(path)
    assert str(path) in str(caught.value)
    assert "imgtool bench --save" in caught.value.remedy
    assert caught.value.exit_code is ExitCode.USAGE


def test_what_is_not_there_and_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BaselineUnusable, match="does not exist"):
        load_experiment(tmp_path / "none.json")
    with pytest.raises(BaselineUnusable, match="cannot be read"):
        load_experiment(tmp_path)


def test_an_experiment_of_failures_alone_is_no_baseline(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_bytes(encode(experiment({"compiled": {}}, taken=samples("compiled", {}, failed=3))))
    with pytest.raises(BaselineUnusable, match="no run that succeeded"):
        load_experiment(path)


def test_where_nothing_can_be_written_is_said(saved: Experiment, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("")
    with pytest.raises(OutputNotWritable) as caught:
        save_experiment(folder / "file" / "base.json", saved)
    assert caught.value.exit_code is ExitCode.NOT_WRITABLE
    with pytest.raises(OutputNotWritable):
        save_experiment(folder, saved)
    assert [entry.name for entry in folder.iterdir()] == ["file"]
    assert not list(tmp_path.glob("folder.*"))


def test_what_cannot_be_a_time_of_a_failed_run_counts_nowhere(saved: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    changed = replace(saved, samples=(*saved.samples, *samples("eager", {}, failed=1)[1:]))
    changed = replace(changed, samples=tuple(replace(s, run=10) if s.error else s for s in changed.samples))
    path.write_bytes(encode(changed))
    assert load_experiment(path) == changed


def test_several_warm_up_runs_are_not_one_run_twice(saved: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_bytes(encode(replace(saved, samples=(saved.samples[0], *saved.samples))))
    assert len(load_experiment(path).samples) == len(saved.samples) + 1


def test_runs_of_either_state_of_the_page_cache_are_their_own(saved: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    cold = samples("eager", {Metric.STARTUP: around(9)}, page_cache=PageCache.COLD)
    path.write_bytes(encode(replace(saved, samples=(*saved.samples, *cold))))
    assert len(load_experiment(path).samples) == len(saved.samples) + len(cold)


def test_bytes_that_are_no_text_are_saved_all_the_same(saved: Experiment, tmp_path: Path) -> None:
    """As a command line, a path or a process's name brings them."""
    path = tmp_path / "base.json"
    word = os.fsdecode(b"echo \xff\x1b \xc3\xa4")
    arm = replace(saved.arms[0], command=("sh", word), summary=word)
    save_experiment(path, replace(saved, command=("imgtool", word), arms=(arm, *saved.arms[1:])))
    found = load_experiment(path)
    assert found.command == ("imgtool", "echo \ufffd\x1b ä")
    assert (found.arms[0].command, found.arms[0].summary) == (("sh", found.command[1]), found.command[1])
    assert found.samples == saved.samples


def test_what_the_reader_says_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(BaselineUnusable, match="cut off or not JSON: malformed"):
        load_experiment(path)
    path.write_bytes(b"")
    with pytest.raises(BaselineUnusable, match="cut off or not JSON: input data was truncated"):
        load_experiment(path)
