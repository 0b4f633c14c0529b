"""Odd surroundings: no home, no current folder, closed streams, signals; and files that must not be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imgtool import Engine, Status
from imgtool.errors import ExitCode
from tests import pictures
from tests.command import analyze, heed_signals, imgtool

HAZARD = ("-t", "caption", "--caption-engine", "tests.planted:Hazard")


def shell(line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in which ``$IMGTOOL`` is the command."""
    environment = {**os.environ, "IMGTOOL": f"{sys.executable} -m imgtool", **environ}
    return subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return pictures.flat(tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("analyzer", "load"),
    [
        ("DiesLoading", "lazy"),
        ("DiesLoading", "parallel"),
        ("DiesLoading", "eager"),
        ("HangsLoading", "parallel"),
        pytest.param("HangsLoading", "lazy", marks=pytest.mark.slow),
        pytest.param("HangsLoading", "eager", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_kills_its_worker_ends_however_it_is_loaded(photo: Path, analyzer: str, load: str) -> None:
    engine = Engine(
        tasks=["caption", "text"],
        caption_engine=f"tests.planted:{analyzer}",
        text_engine="tests.planted:Fine",
        load=load,
        load_timeout=6.0,
        cache=False,
    )
    with engine:
        (result,) = engine.analyze([photo])
        # It is killed by a signal that comes from outside as a rule: the model is to blame when that happens again.
        assert engine.statistics.workers.started <= 5
    assert result.status is Status.PARTIAL


def test_without_a_home_the_cache_is_among_temporary_files(tmp_path: Path) -> None:
    """As a container's user without a password entry has it; the calls that ask for a home fail as they do there."""
    code = (
        "import platformdirs\n"
        "def no_home(*_, **__): raise RuntimeError('Could not determine home directory.')\n"
        "platformdirs.user_config_path = platformdirs.user_cache_path = no_home\n"
        "from imgtool.cli.main import main; main()"
    )
    run = [sys.executable, "-c", code, "cache", "stats"]
    assert subprocess.run(run, capture_output=True, check=False).returncode == ExitCode.OK  # the cache is named
    environ = {name: value for name, value in os.environ.items() if name != "IMGTOOL_CACHE_DIR"}
    environ["TMPDIR"] = str(tmp_path)
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == ExitCode.OK
    assert str(tmp_path / f"imgtool-{os.geteuid()}") in done.stdout


def test_a_current_folder_that_is_gone_is_no_matter(photo: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && $IMGTOOL analyze {photo} {' '.join(HAZARD)} --format jsonl -q")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_messages_that_cannot_be_written_cost_no_result(photo: Path, redirect: str) -> None:
    done = shell(f"$IMGTOOL analyze {photo} {' '.join(HAZARD)} --format jsonl {redirect}")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("command", ["schema", "models", "cache stats"])
def test_a_full_disk_behind_stdout_is_not_a_bug(command: str) -> None:
    done = shell(f"$IMGTOOL {command} > /dev/full")
    assert done.returncode == ExitCode.NOT_WRITABLE
    assert "Traceback" not in done.stderr
    assert "internal" not in done.stderr


@pytest.mark.parametrize("arguments", [["--strict"], ["--from-file", "nowhere"], ["--tasks", ","]])
def test_a_run_that_never_begins_leaves_earlier_results_alone(
    photo: Path, tmp_path: Path, arguments: list[str]
) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text("earlier results\n")
    assert imgtool("analyze", photo, *arguments, "-o", kept).code in {ExitCode.MODEL_MISSING, ExitCode.USAGE}
    assert kept.read_text() == "earlier results\n"


def test_an_image_is_never_written_over(photo: Path) -> None:
    before = photo.read_bytes()
    outcome = imgtool("analyze", photo, *HAZARD, "-o", photo)
    assert outcome.code is ExitCode.USAGE
    assert "is an image" in outcome.err
    assert photo.read_bytes() == before


def test_a_failed_page_behind_a_good_first_one_is_retried(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (10, 10), colour) for colour in ((1, 2, 3), (255, 255, 0), (4, 5, 6))]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    first = analyze(tmp_path / "a.tif", "--pages", "all", *HAZARD)
    assert [result["status"] for result in first.results] == ["ok", "failed", "ok"]
    again = analyze(tmp_path / "a.tif", "--pages", "all", "--retry-failed", *HAZARD)
    assert [(result["page"], result["pages"]) for result in again.results] == [(1, 3)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_signal_ends_as_ctrl_c_does(tmp_path: Path, number: int) -> None:
    # Twenty seconds of work: on a busy machine seconds may pass between the first line and the signal.
    photos = pictures.folder(tmp_path / "photos", pictures.greys(200))
    slow = ("-t", "caption", "--caption-engine", "tests.planted:Slow", "--no-cache")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "imgtool", "analyze", str(photos), *slow, "-f", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=heed_signals,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("imgtool.toml", "cache_dir = 5"),
        ("pyproject.toml", "tool = 3"),
        ("pyproject.toml", "[tool]\nimgtool = 3"),
        ("pyproject.toml", "[[tool.imgtool]]\na = 3"),
        ("imgtool.toml", 'cache_size = "99999999999999999999TB"'),
        ("imgtool.toml", "tasks = []"),
    ],
)
def test_a_configuration_of_the_wrong_shape_is_a_usage_error(photo: Path, file: str, text: str) -> None:
    (photo.parent / file).write_text(text)
    outcome = imgtool("analyze", photo, cwd=photo.parent)
    assert outcome.code is ExitCode.USAGE
    assert "internal" not in outcome.err


def test_a_terminal_is_not_commanded_by_a_file_name(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "\x1b[31mred\n.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    outcome = imgtool("analyze", photos, *HAZARD, "--fail-fast", "-f", "jsonl")
    assert "\x1b" not in outcome.err


def test_nothing_found_is_still_a_whole_document(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = imgtool("analyze", tmp_path / "empty", *HAZARD, "-f", "json")
    assert outcome.code is ExitCode.NONE_ANSWERED
    assert outcome.out.split() == ["[]"] or outcome.out.replace("\n", "") == "[]"


def test_a_place_for_statistics_that_cannot_be_is_known_before_the_work(photo: Path, tmp_path: Path) -> None:
    outcome = imgtool("analyze", photo, *HAZARD, "-f", "jsonl", "--stats", tmp_path / "no" / "stats.json")
    assert outcome.code is ExitCode.NOT_WRITABLE
    assert outcome.out == ""
