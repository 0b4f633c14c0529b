"""Every mistake a user can make: its message, its remedy, its exit code, and nothing else lost."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, analyze, heed_signals, imgtool

CAPTION = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A folder with one good image."""
    return pictures.folder(tmp_path / "photos", [(10, 20, 30)])


def problem_of(outcome: Outcome, name: str) -> dict[str, str]:
    """The problem of the image called ``name``; every other image must have been answered."""
    by_name = {Path(result["path"]).name: result for result in outcome.results}
    for other, result in by_name.items():
        assert other == name or result["status"] == "ok", result
    problem: dict[str, str] = by_name[name]["error"]
    assert problem["message"]
    assert problem["remedy"]
    return problem


def no_traceback(outcome: Outcome) -> None:
    assert "Traceback" not in outcome.err


def png_header_only(path: Path, width: int, height: int) -> Path:
    """A PNG that claims a size and has no pixels to match."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))

    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 64)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def _text_as_jpg(path: Path) -> None:
    path.write_text("not a picture at all\n" * 5)


def _truncated_jpeg(path: Path) -> None:
    from PIL import Image

    Image.effect_noise((300, 300), 90).convert("RGB").save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:3000])


def _empty(path: Path) -> None:
    path.touch()


def _bomb(path: Path) -> None:
    png_header_only(path, 50_000, 50_000)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (_text_as_jpg, "not_an_image"),
        (_truncated_jpeg, "truncated"),
        (_empty, "empty_file"),
        (_bomb, "too_many_pixels"),
    ],
)
def test_a_bad_file_is_a_failed_result_and_the_others_are_answered(good: Path, make, code: str) -> None:  # type: ignore[no-untyped-def]
    make(good / "bad.jpg")
    outcome = analyze(good, *CAPTION)
    assert outcome.code is ExitCode.SOME_FAILED
    assert problem_of(outcome, "bad.jpg")["code"] == code
    no_traceback(outcome)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(good: Path) -> None:
    png_header_only(good / "bomb.png", 50_000, 50_000)
    began = time.monotonic()
    message = problem_of(analyze(good, *CAPTION), "bomb.png")["message"]
    assert "2500" in message.replace(",", "")
    assert time.monotonic() - began < 10


def test_a_broken_exif_block_costs_nothing(good: Path) -> None:
    from PIL import Image

    Image.new("RGB", (9, 7), (3, 4, 5)).save(good / "exif.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    outcome = analyze(good, *CAPTION)
    assert outcome.code is ExitCode.OK
    assert outcome.results[-1]["width"] == 9


def test_a_missing_path_beside_a_good_one(good: Path) -> None:
    outcome = analyze(good, good / "000.pgn", *CAPTION)
    assert outcome.code is ExitCode.SOME_FAILED
    problem = problem_of(outcome, "000.pgn")
    assert problem["code"] == "not_found"
    assert "000.png" in problem["remedy"]


def test_only_a_missing_path(tmp_path: Path) -> None:
    outcome = analyze(tmp_path / "nowhere", *CAPTION)
    assert outcome.code is ExitCode.NONE_ANSWERED


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = analyze(tmp_path / "empty", *CAPTION)
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert "no image was found" in outcome.err
    assert "JPEG" in outcome.err
    no_traceback(outcome)


@pytest.mark.parametrize(
    ("flags", "words"), [(("--include", "*.jpg"), "--include *.jpg"), (("--exclude", "*.png"), "--exclude *.png")]
)
def test_a_folder_of_which_nothing_was_chosen(tmp_path: Path, flags: tuple[str, str], words: str) -> None:
    pictures.folder(tmp_path / "photos", [(1, 2, 3)])
    outcome = analyze(tmp_path / "photos", *CAPTION, *flags)
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert words in outcome.err
    assert "JPEG" not in outcome.err


def test_nothing_named(tmp_path: Path) -> None:
    outcome = analyze()
    assert outcome.code is ExitCode.USAGE
    assert "no paths given" in outcome.err


def test_a_missing_list_file(tmp_path: Path) -> None:
    outcome = analyze("--from-file", tmp_path / "none.txt", *CAPTION)
    assert outcome.code is ExitCode.USAGE
    assert "none.txt" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--top-k", "five"], "--top-k"),
        (["--top-k", "0"], "at least 1"),
        (["--threads", "0"], "between 1 and"),
        (["--threads", "100000"], "between 1 and"),
        (["--workers", "5000"], "between 1 and"),
        (["--num-beams", "0"], "between 1 and"),
        (["--max-new-tokens", "0"], "at least 1"),
        (["--ocr", "beam_width=0"], "between 1 and"),
        (["--ocr", "text_threshold=nan"], "between 0 and 1"),
        (["--ocr", "mag_ratio=inf"], "--ocr: mag_ratio"),
        (["--ocr", "paragraf=yes"], "'paragraph'"),
        (["--ocr", "paragraph"], "NAME=VALUE"),
        (["--classifier", "resize=stretch"], "squash, crop, pad"),
        (["--classifier", "labels=a"], "no parameter 'labels'"),
        (["--timeout", "-3"], "--timeout"),
        (["--timeout", "soon"], "30s"),
        (["--max-failure-rate", "5"], "between 0 and 1"),
        (["--cache-size", "much"], "500MB"),
        (["--tasks", "caption,txet"], "--tasks"),
        (["--format", "xml"], "--format"),
        (["--caption-engine", "nonsense"], "no engine 'nonsense'"),
        (["--caption-engine", "rapidocr"], "answers text"),
    ],
)
def test_a_nonsense_option(good: Path, arguments: list[str], words: str) -> None:
    outcome = imgtool("analyze", good, *arguments)
    assert outcome.code is ExitCode.USAGE
    assert words in outcome.err
    no_traceback(outcome)


def test_an_unknown_configuration_key_names_the_nearest(good: Path) -> None:
    (good / "imgtool.toml").write_text('cach_dir = "x"\n')
    outcome = imgtool("analyze", ".", cwd=good)
    assert outcome.code is ExitCode.USAGE
    assert "cach_dir" in outcome.err
    assert "cache_dir" in outcome.err


def test_an_unknown_environment_variable_names_the_nearest(good: Path) -> None:
    outcome = imgtool("analyze", good, IMGTOOL_TIMEOUTS="3")
    assert outcome.code is ExitCode.USAGE
    assert "'IMGTOOL_TIMEOUT'" in outcome.err


def test_an_unwritable_output_is_known_before_the_work(good: Path) -> None:
    outcome = analyze(good, *CAPTION, "-o", good / "no" / "such" / "folder.jsonl")
    assert outcome.code is ExitCode.NOT_WRITABLE
    assert "folder.jsonl" in outcome.err
    no_traceback(outcome)


def test_a_task_without_an_engine_is_refused_with_the_way_to_get_one(good: Path) -> None:
    outcome = imgtool("analyze", good, "--tasks", "labels")
    assert outcome.code is ExitCode.MODEL_MISSING
    assert "--labels-model" in outcome.err


def test_a_labels_model_that_is_none_leaves_the_other_tasks_answered(good: Path) -> None:
    (good / "model.onnx").write_bytes(b"this is no model")
    (good / "model.txt").write_text("a\nb\n")
    outcome = analyze(good, "-t", "caption,labels", "--labels-model", good / "model.onnx")
    assert outcome.code is ExitCode.MODEL_MISSING
    (result,) = outcome.results
    assert result["status"] == "partial"
    assert result["tasks"]["caption"]["value"]
    assert result["tasks"]["labels"]["error"]["remedy"]
    assert "labels is left out" in outcome.err
    no_traceback(outcome)


def test_a_folder_that_may_not_be_read(good: Path) -> None:
    locked = pictures.folder(good / "locked", [(1, 1, 1)])
    locked.chmod(0)
    outcome = analyze(good, *CAPTION, bound=True)
    locked.chmod(0o755)
    assert problem_of(outcome, "locked")["code"] == "permission_denied"
    assert outcome.code is ExitCode.SOME_FAILED


def test_a_file_that_may_not_be_read(good: Path) -> None:
    pictures.flat(good / "secret.png").chmod(0)
    outcome = analyze(good, *CAPTION, bound=True)
    assert problem_of(outcome, "secret.png")["code"] == "permission_denied"


def test_a_cache_that_cannot_be_written_is_a_warning_and_nothing_else(good: Path) -> None:
    (good / "cache").mkdir(mode=0o555)
    outcome = analyze(good / "000.png", *CAPTION, "--cache-dir", good / "cache", bound=True)
    assert outcome.code is ExitCode.OK
    notes = [line for line in outcome.err.splitlines() if line.startswith("note:")]
    assert 1 <= len(notes) == len(set(notes)) <= 3  # for the answers, the stat index, the database
    assert all("IMGTOOL_CACHE_DIR=" in note for note in notes if "database" not in note)


def test_a_file_deleted_between_listing_and_reading(tmp_path: Path) -> None:
    """The list is a pipe, so that the file is gone before the engine gets there."""
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    command = [sys.executable, "-m", "imgtool", "analyze", "-", *CAPTION, "-f", "jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        (photos / "001.png").unlink()
        names = "".join(f"{photos}/{n:03}.png\n" for n in range(3))
        out, err = process.communicate(names.encode(), timeout=60)
    outcome = Outcome(ExitCode(process.returncode), out.decode(), err.decode())
    assert problem_of(outcome, "001.png")["code"] == "not_found"


def test_fail_fast_stops_and_keeps_what_was_answered(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", [(9, 9, 9), (255, 255, 0), *pictures.greys(60)])
    outcome = analyze(photos, *CAPTION, "--fail-fast")
    assert outcome.code is ExitCode.SOME_FAILED
    assert [result["status"] for result in outcome.results] == ["ok", "failed"]
    assert "001.png" in outcome.err


def test_a_failure_rate_that_is_too_high_stops_the_run(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", [(255, 255, 0)] * 40)
    outcome = analyze(photos, *CAPTION, "--max-failure-rate", "0.1")
    assert outcome.code is ExitCode.SOME_FAILED
    assert len(outcome.results) == 20
    assert "--max-failure-rate" in outcome.err


def test_interrupting_keeps_what_is_done_and_running_again_resumes(tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(40))
    slow = ("-t", "caption", "--caption-engine", "tests.planted:Slow", "-f", "jsonl")
    with subprocess.Popen(
        [sys.executable, "-m", "imgtool", "analyze", str(photos), *slow],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    ) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted" in err
    assert "Traceback" not in err
    again = analyze(photos, *slow)
    assert again.code is ExitCode.OK
    assert sum(result["from_cache"] for result in again.results) >= 5


@pytest.mark.parametrize("given", ["ocr", "text,tags"])
def test_a_task_that_does_not_exist_is_answered_with_those_that_do(good: Path, given: str) -> None:
    outcome = analyze(good, "--tasks", given)
    assert outcome.code == ExitCode.USAGE
    wrong = given.rpartition(",")[2]
    assert f"--tasks: there is no task {wrong!r}" in outcome.err
    assert f"--tasks {given.replace('ocr', 'text').replace('tags', 'labels')}" in outcome.err
    for task in ("caption", "text", "labels", "codes"):
        assert task in outcome.err
