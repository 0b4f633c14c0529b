"""``imgtool bench throughput`` and ``soak`` as their users meet them: data, messages, exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imgtool.errors import ExitCode
from tests.command import Outcome, imgtool
from tests.pictures import folder, greys

DESCRIBE = "--tasks caption --caption-engine describe"
PYTHON = sys.executable


def bench(*words: str | Path) -> Outcome:
    return imgtool("bench", *words, COLUMNS="100")


@pytest.mark.slow
class TestThroughput:
    def test_measures_every_combination(self, tmp_path: Path) -> None:
        images = folder(tmp_path / "images", greys(3))
        done = bench(
            "throughput",
            images,
            "--arm",
            "a=",
            "--command",
            f"other={PYTHON} -c pass",
            "--batch-sizes",
            "1,2",
            "--threads",
            "1,2",
            "--runs",
            "1",
            "--options",
            DESCRIBE,
            "--json",
            "--quiet",
        )
        assert done.code is ExitCode.OK, done.err
        assert done.err == ""
        found = json.loads(done.out)
        cells = [(each["cell"]["arm"], each["cell"]["batch_size"], each["cell"]["threads"]) for each in found["cells"]]
        assert cells == [("a", 1, 1), ("a", 1, 2), ("a", 2, 1), ("a", 2, 2), ("other", None, None)]
        assert found["images"] == 3
        assert found["image_bytes"] == sum(path.stat().st_size for path in images.iterdir())
        for each in found["cells"]:
            (run,) = each["runs"]
            assert run["overall"] == pytest.approx(3 / run["wall"])
            assert (run["steady"] is None) is (each["cell"]["arm"] == "other")
        twice = found["cells"][1]
        rate, single = twice["steady"]["median"], found["cells"][0]["steady"]["median"]
        assert twice["efficiency"] == pytest.approx(rate / 2 / single)
        assert found["cells"][0]["efficiency"] is None

    def test_the_cached_arm_is_measured_on_a_cache_of_its_own(self, tmp_path: Path) -> None:
        images = folder(tmp_path / "images", greys(3))
        words = ("--arm", "cached", "--batch-sizes", "1,2", "--runs", "1", "--options", DESCRIBE, "--json")
        done = bench("throughput", images, *words)
        assert done.code is ExitCode.OK, done.err
        assert [each["error"] for each in json.loads(done.out)["cells"]] == [None, None], "hits alone"
        assert done.err.count("filling the cache") == 1, "one for all combinations"
        assert not (tmp_path / "home" / "cache").exists(), "the user's own is left alone"

    def test_draws_images_of_the_sizes_asked_for(self) -> None:
        words = ("--sizes", "64x48,32x80", "--images", "2", "--runs", "1", "--options", DESCRIBE)
        done = bench("throughput", *words)
        assert done.code is ExitCode.OK, done.err
        assert done.out.startswith("2 images of 64x48, 32x80")
        assert "run 1 of 1" in done.err

    def test_a_combination_that_fails_is_said_and_the_others_go_on(self, tmp_path: Path) -> None:
        images = folder(tmp_path / "images", greys(2))
        broken = f"""broken={PYTHON} -c 'import sys; sys.exit("planted")'"""
        done = bench("throughput", images, "--command", broken, "--command", f"fine={PYTHON} -c pass", "--runs", "2")
        assert done.code is ExitCode.SOME_FAILED
        assert "broken failed: exited with code 1" in done.out
        assert "planted" in done.out
        assert any(line.startswith("fine ") for line in done.out.splitlines())

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--sizes", "12"), "is not a size like 1000x600"),
            (("--sizes", "0x5"), "is not a size like 1000x600"),
            (("--threads", "0"), "not a list of numbers"),
            (("--batch-sizes", "a"), "not a list of numbers"),
            (("--timeout", "soon"), "not a duration"),
            (("--options", "--nope"), "No such option: --nope"),
            (("--options", "'open"), "close the quotes"),
            (("--arm", "nope"), "there is no arm 'nope'"),
            (("--arm", "a=", "--arm", "a="), "two arms have the name 'a'"),
            (("--command", "x=/no/such/program"), "there is no program"),
            (("/no/such/folder",), "does not exist"),
        ],
    )
    def test_bad_input_is_a_message(self, words: tuple[str, ...], said: str) -> None:
        done = bench("throughput", "--images", "2", *words)
        assert done.code is ExitCode.USAGE
        assert said in done.err
        assert "Traceback" not in done.err
        assert done.out == ""

    def test_a_folder_without_images_is_said(self, tmp_path: Path) -> None:
        assert bench("throughput", tmp_path).code is ExitCode.NONE_ANSWERED


@pytest.mark.slow
class TestSoak:
    def test_of_a_sound_arm_says_that_nothing_is_left(self) -> None:
        done = bench("soak", "--restarts", "3", "--options", DESCRIBE, "--quiet")
        assert "analyze: 3 of 3 starts succeeded" in done.out, done.err
        assert "left behind: nothing" in done.out
        assert done.err == ""

    def test_the_cached_arm_starts_on_a_cache_of_its_own(self, tmp_path: Path) -> None:
        done = bench("soak", "--restarts", "3", "--arm", "cached", "--options", DESCRIBE)
        assert "cached: 3 of 3 starts succeeded" in done.out, done.err
        assert "it has answers of describe (python)" in done.err
        assert not (tmp_path / "home" / "cache").exists(), "the user's own is left alone"

    def test_a_cache_that_cannot_be_filled_is_said_with_what_was_written(self) -> None:
        words = ("--restarts", "3", "--arm", "cached=--caption-engine tests.planted:DiesLoading")
        done = bench("soak", *words, "--options", "--tasks caption")
        assert done.code is ExitCode.REGRESSION
        assert "the cache of the arm cached lacks answers: the run that fills it exited with code " in done.err

    def test_of_an_arm_that_fails_is_a_regression(self) -> None:
        done = bench("soak", "--restarts", "3", "--command", f"bad={PYTHON} -c 'import sys; sys.exit(\"planted\")'")
        assert done.code is ExitCode.REGRESSION
        assert "bad: 0 of 3 starts succeeded" in done.out
        assert "planted" in done.out

    def test_leak_finds_the_leaking_arm_and_clears_the_other(self) -> None:
        leaky, sound = (f"{name.lower()}=--caption-engine tests.bench.leaky:{name}" for name in ("Leaky", "Sound"))
        done = bench(
            "soak",
            "--leak",
            "--calls",
            "35",
            "--arm",
            leaky,
            "--arm",
            sound,
            "--options",
            "--tasks caption",
            "--json",
            "-q",
        )
        assert done.code is ExitCode.REGRESSION, done.err
        found = json.loads(done.out)
        assert found["restarts"] == []
        assert {name: leak["verdict"] for name, leak in found["leaks"].items()} == {"leaky": "leak", "sound": "no leak"}

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("/no/such/image.png",), "is not a file"),
            (("--tolerance", "little"), "not a size"),
            (("--leak", "--command", f"x={PYTHON}"), "--leak needs imgtool's engine"),
            (("--leak", "--arm", "cached", "--options", DESCRIBE), "--leak computes every answer"),
            (("--options", "--nope"), "No such option: --nope"),
        ],
    )
    def test_bad_input_is_a_message(self, words: tuple[str, ...], said: str) -> None:
        done = bench("soak", *words)
        assert done.code is ExitCode.USAGE
        assert said in done.err
        assert "Traceback" not in done.err
        assert done.out == ""
