"""What goes wrong: tools that are missing or forbidden, programs that die, folders that are none, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgtool.distribution import install_command
from imgtool.errors import ExitCode, OutputNotWritable
from imgtool.profiling.output_folder import open_folder
from imgtool.profiling.record import MemoryTimeline, View
from imgtool.profiling.runner import ProfileRequest, Runner, TargetFailed
from imgtool.profiling.views.cpu import sample
from imgtool.profiling.views.memory import MemorySampler, missing_parts
from tests.command import heed_signals, imgtool
from tests.pictures import folder, greys
from tests.profiling.runs import PLANTED, profiled, read_profile

FAKES = Path(__file__).resolve().parent.parent / "fakes"


def _arguments(tmp_path: Path, engine: str = "SlowImport") -> tuple[str, ...]:
    photos = folder(tmp_path / "photos", greys(1))
    return (str(photos), "--tasks", "caption", "--caption-engine", f"{PLANTED}:{engine}", "--no-cache")


def test_without_py_spy_the_remedy_names_the_extra(tmp_path: Path) -> None:
    sampled = sample((), tmp_path, 100, None)
    assert sampled.cpu is None
    assert sampled.absence is not None
    assert install_command("profile") in sampled.absence.remedy


def test_without_py_spy_cprofile_looks_at_the_parent(tmp_path: Path) -> None:
    said: list[str] = []
    request = ProfileRequest(arguments=_arguments(tmp_path), folder=tmp_path, py_spy=None, views=frozenset({View.CPU}))
    profile = Runner(request, said.append).profile()
    assert profile.cpu is not None
    assert profile.cpu.tool == "cProfile"
    assert "not the worker" in profile.cpu.covers
    assert {function.process for function in profile.cpu.functions} == {"parent"}
    assert any("not installed" in absence.reason for absence in profile.absences)


def test_where_ptrace_is_forbidden_the_remedy_says_what_allows_it(tmp_path: Path) -> None:
    sampled = sample(_arguments(tmp_path), tmp_path, 100, str(FAKES / "py_spy_denied.sh"))
    assert sampled.cpu is None
    assert sampled.absence is not None
    assert "ptrace" in sampled.absence.reason
    assert "SYS_PTRACE" in sampled.absence.remedy or "sudo" in sampled.absence.remedy


def test_a_py_spy_that_does_not_start(tmp_path: Path) -> None:
    broken = tmp_path / "py-spy"
    broken.write_bytes(b"\x7fELF and nothing else")
    broken.chmod(0o755)
    sampled = sample(_arguments(tmp_path), tmp_path, 100, str(broken))
    assert sampled.absence is not None
    assert "cannot be started" in sampled.absence.reason


def test_without_memory_profiler_the_system_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.profiling.views.memory.find_spec", lambda name: None)
    assert MemorySampler().profiler is None
    (absence,) = missing_parts(MemoryTimeline(tool="/proc", interval_seconds=0.05, times=(0.1,), anon=(1,), file=(1,)))
    assert install_command("profile") in absence.remedy


def test_a_program_that_dies_at_once_gives_its_own_exit_code(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", greys(1))
    request = ProfileRequest(arguments=(str(photos), "--text-engine", "there-is-none"), folder=tmp_path)
    with pytest.raises(TargetFailed) as caught:
        Runner(request, lambda _: None).profile()
    assert caught.value.exit_code in (ExitCode.USAGE, ExitCode.MODEL_MISSING)
    assert "there-is-none" in str(caught.value)


def test_a_folder_without_images_is_told_in_analyzes_words(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = imgtool("profile", tmp_path / "empty", "-o", tmp_path / "out", "--view", "phases")
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert "no image was found" in outcome.err


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("mine")
    outcome = imgtool("profile", tmp_path, "-o", file)
    assert outcome.code is ExitCode.NOT_WRITABLE
    assert "is a file" in outcome.err
    assert file.read_text() == "mine"


def test_an_output_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    outcome = imgtool("profile", tmp_path, "-o", tmp_path / "file" / "out")
    assert outcome.code is ExitCode.NOT_WRITABLE


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o555)
    outcome = imgtool("profile", tmp_path, "-o", shut, bound=True)
    assert outcome.code is ExitCode.NOT_WRITABLE
    assert "-o" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--no-such-option"], "No such option"),
        (["--batch-size", "many"], "--batch-size"),
        (["--view", "gpu"], "there is no view gpu"),
        (["--format", "xml"], "there is no format xml"),
        (["--rate", "0"], "--rate"),
        (["--interval", "soon"], "--interval"),
        (["--line-by-line", "no function"], "module:function"),
        (["-"], "stdin"),
    ],
)
def test_what_was_typed_wrong_is_said_before_any_run(tmp_path: Path, words: list[str], said: str) -> None:
    outcome = imgtool("profile", tmp_path, "-o", tmp_path / "out", *words)
    assert outcome.code is ExitCode.USAGE
    assert said in outcome.err
    assert not (tmp_path / "out" / "index.html").exists()


def test_no_paths(tmp_path: Path) -> None:
    outcome = imgtool("profile", "--view", "phases", cwd=tmp_path)
    assert outcome.code is ExitCode.USAGE
    assert "no paths given" in outcome.err


def test_a_run_too_short_to_sample_says_so(tmp_path: Path) -> None:
    outcome, where = profiled(tmp_path, "SlowImport", "--view", "memory", "--interval", "2s")
    assert outcome.code is ExitCode.OK
    assert "only" in outcome.err
    assert "name more images" in outcome.err
    assert (where / "index.html").exists()


def test_ctrl_c_writes_what_is_there(tmp_path: Path) -> None:
    photos = folder(tmp_path / "photos", greys(40))
    words = ["profile", photos, "-o", tmp_path / "out", "-t", "caption", "--caption-engine", "tests.planted:Slow"]
    process = subprocess.Popen(
        [sys.executable, "-m", "imgtool", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
        preexec_fn=heed_signals,
    )
    _wait_for(lambda: b'"task"' in _read(tmp_path / "out" / "trace.jsonl"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, err.decode()
    profile = read_profile(tmp_path / "out")
    assert profile.interrupted
    assert profile.phases is not None
    assert any(row.name == "caption" for row in profile.phases.rows)
    assert {absence.view for absence in profile.absences} >= {"cpu", "imports"}
    assert "interrupted" in (tmp_path / "out" / "index.html").read_text()


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _wait_for(condition) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_answers_nothing_is_not_drawn(tmp_path: Path) -> None:
    """Its worker dies with every image: what the profile would show is how it fails."""
    outcome, where = profiled(tmp_path, "Dies", "--view", "phases,memory")
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert "make the same analyze command work first" in outcome.err
    assert not (where / "index.html").exists()


@pytest.mark.parametrize("name", ["index.html", "race.trace", "trace.jsonl"])
def test_a_folder_with_files_that_a_profile_would_replace_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / name).write_text("mine")
    with pytest.raises(OutputNotWritable, match=f"{name} is no file of an earlier profile"):
        open_folder(tmp_path / "site")
    assert (tmp_path / "site" / name).read_text() == "mine"
    (tmp_path / "site" / "profile.json").write_text("{}")
    open_folder(tmp_path / "site")
