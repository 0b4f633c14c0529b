"""Files of experiments: what is read back, and what each other file is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgtool.bench.record import Experiment, Metric
from imgtool.bench.saved import BaselineUnusable, load_experiment, save_experiment
from imgtool.errors import ExitCode, OutputNotWritable
from imgtool.versioned import encode
from tests.bench.judged import around, experiment, samples


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
        (lambda data: b"\x89PNG\r\n", "no JSON"),
        (lambda data: b'{"tool": "\xff"}', "no JSON"),
        (lambda data: b"[" * 200_000, "no JSON"),
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
