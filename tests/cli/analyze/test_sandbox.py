"""``--sandbox``: workers that read strangers' files can do little else."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.cli.analyze.early_worker import restriction
from imgtool.engine.engine import Engine
from imgtool.errors import ExitCode, SandboxUnavailable, UsageProblem
from imgtool.ground.sandbox import Support, support
from imgtool.options import Sandbox
from imgtool.runtime.process import restriction_of
from imgtool.runtime.protocol import TaskPlan
from imgtool.runtime.start_process import Restriction
from tests import pictures
from tests.command import analyze, imgtool

INTRUDER = ("-t", "caption", "--caption-engine", "tests.sandboxed:Intruder")
here = pytest.mark.skipif(not support().complete, reason=f"not here: {support().lacking}")


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INTRUDER_FOLDER", str(tmp_path))
    return pictures.folder(tmp_path / "photos", pictures.greys(1))


def said(*options: str | Path, **environ: str) -> str:
    done = analyze(*options, **environ)
    assert done.code is ExitCode.OK, done.err
    (result,) = done.results
    return str(result["tasks"]["caption"]["value"])


@here
def test_a_restricted_worker_has_no_network_and_writes_nothing(photo: Path, tmp_path: Path) -> None:
    for more in (("--no-cache",), ("--cache-dir", tmp_path / "cache")):
        found = said(photo, *INTRUDER, "--sandbox", "on", *more)
        assert found == "socket PermissionError, file PermissionError, temporary done, 1"
    assert not (tmp_path / "left-behind").exists()
    found = said(photo, *INTRUDER, "--sandbox", "on", "--no-cache", IMGTOOL_SANDBOX_WRITABLE=str(tmp_path))
    assert found == "socket PermissionError, file done, temporary done, 1"


def test_analyzers_of_the_users_own_are_restricted_on_request_only(photo: Path) -> None:
    for options in ((), ("--sandbox", "off")):
        assert said(photo, *INTRUDER, "--no-cache", *options) == "socket done, file done, temporary done, 0"


def test_a_configuration_file_has_its_say_though_a_worker_started_before_it_was_read(
    photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "imgtool.toml").write_text('caption_engine = "tests.sandboxed:Intruder"\ntasks = "caption"\n')
    done = imgtool(
        "analyze", photo, "--no-cache", "-f", "jsonl", cwd=tmp_path, PYTHONPATH=str(Path(__file__).parents[3])
    )
    assert done.code is ExitCode.OK, done.err
    assert done.results[0]["tasks"]["caption"]["value"] == "socket done, file done, temporary done, 0"


@here
@pytest.mark.parametrize("engine", ["describe", pytest.param("rapidocr", marks=pytest.mark.slow), "tesseract"])
def test_restricted_engines_answer_as_others_do(photo: Path, tmp_path: Path, engine: str) -> None:
    task = "caption" if engine == "describe" else "text"
    words = ("-t", task, f"--{task}-engine", engine, "-l", "en", "--cache-dir", tmp_path / "cache")
    page = Path(__file__).parents[3] / "examples/images/logo.png"
    restricted = analyze(page, *words, "--sandbox", "on")
    free = analyze(page, *words, "--sandbox", "off", "--no-cache")
    assert restricted.code is free.code is ExitCode.OK, restricted.err + free.err
    (one,), (other,) = restricted.results, free.results
    assert one["tasks"][task]["value"] == other["tasks"][task]["value"]
    # What is kept for later runs is written as ever.
    assert (tmp_path / "cache" / "cleaned").is_dir() == (engine != "describe")


def test_what_cannot_be_restricted_is_said(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = imgtool("analyze", photo, *INTRUDER, "--sandbox", "on", "--no-isolate")
    assert done.code is ExitCode.USAGE and "--no-isolate" in done.err
    monkeypatch.setattr("imgtool.ground.sandbox.support", lambda: Support(0, True, "this kernel has no Landlock"))
    with pytest.raises(SandboxUnavailable, match="cannot be restricted here: this kernel has no Landlock") as caught:
        Engine(tasks=["caption"], caption_engine="describe", sandbox="on")
    assert caught.value.exit_code is ExitCode.USAGE and "--sandbox auto" in str(caught.value.remedy)
    Engine(tasks=["caption"], caption_engine="describe", sandbox="auto").close()
    with pytest.raises(UsageProblem):
        Engine(tasks=["caption"], caption_engine="describe", sandbox="maybe")


def plan(target: str, *stand_ins: TaskPlan, **paths: str) -> TaskPlan:
    return TaskPlan(task="text", analyzer="a", target=target, parameters={"paths": paths}, stand_ins=stand_ins)


def test_how_a_worker_is_restricted_follows_from_its_plan() -> None:
    ours, own = plan("imgtool.analyzers.text:A", cleaned="/c"), plan("mine:B")
    assert restriction_of((ours,), Sandbox.AUTO) == Restriction(False, ("/c",))
    assert restriction_of((plan("imgtool.x:A"),), Sandbox.ON) == Restriction(True, ())
    assert restriction_of((own,), Sandbox.AUTO) is restriction_of((plan("imgtool.x:A", own),), Sandbox.AUTO) is None
    assert restriction_of((own,), Sandbox.ON) == Restriction(True, ())
    assert restriction_of((ours,), Sandbox.OFF) is None


@pytest.mark.parametrize(
    ("words", "environ", "expected"),
    [
        (("--cache-dir", "/x"), {}, (False, ("/x/cleaned",))),
        (("--cache-dir=/x", "--sandbox=on"), {}, (True, ("/x/cleaned",))),
        (("--no-cache", "-t", "caption"), {"IMGTOOL_SANDBOX": "on"}, (True, ())),
        (("--no-cache",), {"XDG_CACHE_HOME": "/y"}, (False, ("/y/imgtool/cleaned",))),
        (("--no-cache",), {"IMGTOOL_SANDBOX": "off"}, None),
        (("--sandbox", "off"), {"IMGTOOL_SANDBOX": "on"}, None),
        (("--caption-engine", "mine:B"), {}, None),
        ((), {"IMGTOOL_TEXT_ENGINE": "mine:B"}, None),
        (("--caption-engine", "mine:B", "--sandbox", "on", "-t", "caption"), {}, (True, ())),
    ],
)
def test_what_is_told_before_anything_is_read(
    words: tuple[str, ...], environ: dict[str, str], expected: tuple[bool, tuple[str, ...]] | None
) -> None:
    assert restriction(["analyze", "a.png", *words], environ) == expected


def test_models_says_how_workers_are_restricted() -> None:
    shown = imgtool("models", "describe", "--verbose").out
    assert "sandbox: workers" in shown and ("Landlock" in shown or "not restricted" in shown)
    assert "switched off" in imgtool("models", "describe", "--verbose", IMGTOOL_SANDBOX="off").out
