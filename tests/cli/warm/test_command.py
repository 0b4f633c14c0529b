"""``imgtool warm-cache`` as a user runs it, against a hub on this machine. Engines on torch are hidden from it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from imgtool.distribution import install_command
from imgtool.errors import ExitCode
from tests import pictures
from tests.command import Outcome, analyze, heed_signals, imgtool
from tests.conftest import ROOT
from tests.fakes.easyocr_table import CRAFT_URL, KOREAN_URL, write_easyocr
from tests.fakes.hub import FakeHub, noise, running_hub
from tests.model_files import BLIP, blip_files

TORCH = ("torch", "torchvision", "transformers")
CRAFT, KOREAN = noise(30_000, 1), noise(20_000, 2)


@dataclass
class Desk:
    """A machine with a hub in reach: EasyOCR's table is there, torch is not, whatever this environment has."""

    hub: FakeHub
    home: Path
    packages: Path
    hidden: list[str] = field(default_factory=lambda: list(TORCH))

    @property
    def environment(self) -> dict[str, str]:
        return self._environment(self.hidden, self.packages)

    @property
    def with_torch(self) -> dict[str, str]:
        """As if torch were here: enough for a look, which imports none of it."""
        stubs = self.packages.with_name("stubs")
        for name in TORCH:
            (stubs / name).mkdir(parents=True, exist_ok=True)
            (stubs / name / "__init__.py").touch()
        return self._environment([name for name in self.hidden if name not in TORCH], stubs, self.packages)

    def _environment(self, hidden: list[str], *packages: Path) -> dict[str, str]:
        code = "".join(f"import sys; sys.modules[{name!r}] = None\n" for name in hidden)
        (packages[0] / "sitecustomize.py").write_text(code)
        return {**self.hub.environment(self.home), "PYTHONPATH": ":".join(map(str, (ROOT, *packages)))}

    def warm(self, *arguments: str | Path, **environ: str) -> Outcome:
        return imgtool("warm-cache", *arguments, **{**self.environment, **environ})

    def report(self, *arguments: str | Path, code: ExitCode = ExitCode.OK, **environ: str) -> Any:
        """What ``--json`` says; the command has to end with ``code``."""
        done = self.warm(*arguments, "--json", **environ)
        assert done.code is code, done.err
        report = json.loads(done.out)
        assert (report["schema_version"], report["exit_code"], report["ok"]) == (1, code, code is ExitCode.OK)
        return report

    def states(self, *arguments: str | Path, code: ExitCode = ExitCode.OK) -> dict[str, str]:
        report = self.report(*arguments, code=code, **self.with_torch)
        return {model["name"]: model["state"] for model in report["models"]}

    def weights(self) -> Path:
        (path,) = (self.home / "hf").glob("hub/models--*/snapshots/*/model.safetensors")
        return path

    def paste(self, remedy: str) -> Outcome:
        """Run the command between the backticks of ``remedy``, as a shell would."""
        environ, words = {}, shlex.split(remedy.split("`")[1])
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        assert words[:2] == ["imgtool", "warm-cache"]
        return self.warm(*words[2:], "--no-load", **environ)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    packages = write_easyocr(tmp_path / "packages", CRAFT, KOREAN)
    with running_hub() as hub:
        hub.add(BLIP, blip_files(size=50_000))
        hub.add_archive(urlsplit(CRAFT_URL).path, {"craft_mlt_25k.pth": CRAFT})
        hub.add_archive(urlsplit(KOREAN_URL).path, {"korean_g2.pth": KOREAN})
        yield Desk(hub, tmp_path / "machine", packages)


def flip_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def results(report: Any) -> dict[tuple[str, str], str]:
    return {(step["model"], step["step"]): step["result"] for step in report["steps"]}


# -- fetching


def test_what_is_configured_is_fetched_and_what_cannot_be_loaded_says_why(desk: Desk) -> None:
    done = desk.warm(COLUMNS="200")
    assert done.code is ExitCode.OK, done.err
    for word in ("blip-base", "craft", "korean_g2", "fetch", "verify", "load", "50.", "kB"):
        assert word in done.out
    assert "torch and torchvision and transformers not installed" in done.err
    assert install_command("torch") in done.err
    assert desk.states("--full-check") == dict.fromkeys(("blip-base", "craft", "korean_g2"), "complete")


def test_the_steps_are_told_to_machines(desk: Desk) -> None:
    report = desk.report()
    assert results(report) == {
        ("blip-base", "fetch"): "done",
        ("blip-base", "verify"): "done",
        ("blip-base", "compile"): "skipped",
        ("blip-base", "load"): "skipped",
        ("craft", "fetch"): "done",
        ("craft", "verify"): "done",
        ("korean_g2", "fetch"): "done",
        ("korean_g2", "verify"): "done",
        ("easyocr (ko, en)", "compile"): "skipped",
        ("easyocr (ko, en)", "load"): "skipped",
    }
    sizes = {step["model"]: step["size_bytes"] for step in report["steps"] if step["step"] == "fetch"}
    assert (sizes["craft"], sizes["korean_g2"]) == (len(CRAFT), len(KOREAN))
    assert all(step["seconds"] > 0 for step in report["steps"] if step["step"] == "fetch")


def test_a_second_run_opens_no_connection_and_says_that_there_is_nothing_to_do(desk: Desk) -> None:
    desk.report("--no-load")
    seen = len(desk.hub.seen)
    done = desk.warm("--no-load")
    assert done.code is ExitCode.OK
    assert "nothing to do: blip-base, craft, korean_g2 ready" in done.err
    assert done.out == ""
    assert len(desk.hub.seen) == seen


def test_the_branch_is_named_in_the_hubs_cache_so_that_upstream_finds_the_model(desk: Desk) -> None:
    desk.report("blip-base", "--no-load")
    (ref,) = (desk.home / "hf").glob("hub/models--*/refs/main")
    assert ref.read_text() == desk.hub.branches[BLIP, "main"]


@pytest.mark.parametrize(
    ("names", "models"),
    [
        (["blip-base"], {"blip-base"}),
        (["caption"], {"blip-base"}),
        (["text"], {"craft", "korean_g2"}),
        (["easyocr"], {"craft", "korean_g2"}),
        (["craft"], {"craft"}),
        (["caption", "blip", "Salesforce/blip-image-captioning-base"], {"blip-base"}),
        (["labels"], set()),
    ],
)
def test_models_and_tasks_are_named(desk: Desk, names: list[str], models: set[str]) -> None:
    found = desk.report(*names, "--dry-run")
    assert {row["model"] for row in found["models"]} == models


def test_the_languages_choose_the_reader(desk: Desk) -> None:
    assert set(desk.states("text", "--check", "-l", "ja,en", code=ExitCode.MODEL_MISSING)) == {"craft", "japanese_g2"}
    refused = desk.warm("text", "--check", "--languages", "ko,ja")
    assert refused.code is ExitCode.USAGE
    assert "together" in refused.err


@pytest.mark.parametrize(
    ("variables", "models", "code"),
    [
        ({"IMGTOOL_TASKS": "caption"}, {"blip-base"}, ExitCode.MODEL_MISSING),
        ({"IMGTOOL_CAPTION_ENGINE": "describe"}, {"craft", "korean_g2"}, ExitCode.MODEL_MISSING),
        ({"IMGTOOL_TEXT_ENGINE": "rapidocr", "IMGTOOL_CAPTION_ENGINE": "describe"}, set(), ExitCode.OK),
        ({"IMGTOOL_TASKS": "caption", "IMGTOOL_CAPTION_MODEL": str(ROOT)}, set(), ExitCode.MODEL_MISSING),
        ({"IMGTOOL_TASKS": "text", "IMGTOOL_EASYOCR_DIR": str(ROOT)}, set(), ExitCode.MODEL_MISSING),
    ],
)
def test_without_names_the_configuration_counts(
    desk: Desk, variables: dict[str, str], models: set[str], code: ExitCode
) -> None:
    found = desk.report("--check", code=code, **variables)
    assert {model["name"] for model in found["models"]} == models


def test_a_folder_stands_in_for_the_network(desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "stick"
    source.mkdir()
    for name, content in blip_files().items():
        (source / name).write_bytes(content)
    (source / "craft_mlt_25k.pth").write_bytes(CRAFT)
    (source / "korean_g2.pth").write_bytes(KOREAN)
    report = desk.report("--from", source, "--no-load")
    assert {results(report)[name, "fetch"] for name in ("blip-base", "craft", "korean_g2")} == {"done"}
    assert desk.hub.seen == []
    assert set(desk.states("--full-check").values()) == {"complete"}


# -- looking


def test_nothing_here_is_told_with_what_to_do(desk: Desk) -> None:
    done = desk.warm("--check")
    assert done.code is ExitCode.MODEL_MISSING
    assert "blip-base has not been fetched" in done.out
    assert "imgtool warm-cache blip-base" in done.err
    assert desk.hub.seen == []


def test_weights_that_nothing_here_can_load_are_not_enough(desk: Desk) -> None:
    desk.report("blip-base", "--no-load")
    done = desk.warm("blip-base", "--check")
    assert done.code is ExitCode.MODEL_MISSING
    assert "complete" in done.out and "needs no network" not in done.out
    assert "torch and torchvision and transformers not installed" in done.err
    assert install_command("torch") in done.err
    assert desk.report("blip-base", "--check", code=ExitCode.MODEL_MISSING)["unfound"]


@pytest.mark.parametrize("has_torch", [False, True])
def test_whoever_asks_for_a_compiled_model_is_told_how_to_compile_it(desk: Desk, has_torch: bool) -> None:
    desk.report("blip-base", "--no-load")
    environ = desk.with_torch if has_torch else desk.environment
    done = desk.warm("blip-base", "--check", **{**environ, "IMGTOOL_BACKEND": "onnx"})
    assert done.code is ExitCode.MODEL_MISSING
    assert "has not been compiled" in done.err
    assert "imgtool warm-cache blip-base" in done.err
    assert "--caption-model" not in done.err


@pytest.mark.parametrize(
    ("damage", "quick", "full"),
    [
        ("none", "complete", "complete"),
        ("missing", "missing file", "missing file"),
        ("shorter", "changed file", "changed file"),
        ("flipped", "changed file", "changed file"),
        ("flipped by the disk", "complete", "changed file"),
        ("other revision", "other revision", "other revision"),
    ],
)
def test_the_check_tells_right_from_wrong(desk: Desk, damage: str, quick: str, full: str) -> None:
    desk.report("blip-base", "--no-load")
    seen = len(desk.hub.seen)
    path = desk.weights().resolve()
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "shorter":
        path.write_bytes(content[:-1])
    elif damage.startswith("flipped"):
        times = path.stat()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        if damage == "flipped by the disk":
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    name = "blip-base@v2" if damage == "other revision" else "blip-base"
    for flag, state in (("--check", quick), ("--full-check", full)):
        code = ExitCode.OK if state == "complete" else ExitCode.MODEL_MISSING
        assert desk.states(name, flag, code=code) == {"blip-base": state}
    assert len(desk.hub.seen) == seen


def test_the_check_is_quick_and_needs_no_library_of_the_hub(desk: Desk) -> None:
    desk.report("--no-load")
    desk.hidden += ["huggingface_hub", "tenacity", "filelock", "numpy", "PIL", "onnxruntime"]
    assert set(desk.states("--check").values()) == {"complete"}


def test_what_was_damaged_is_mended_at_the_commit_that_it_had(desk: Desk) -> None:
    desk.report("blip-base", "--no-load")
    desk.hub.add(BLIP, blip_files(seed=7))
    desk.weights().resolve().unlink()
    seen = len(desk.hub.seen)
    report = desk.report("blip-base", "--no-load")
    assert results(report)["blip-base", "fetch"] == "done"
    assert desk.weights().read_bytes() == blip_files(size=50_000)["model.safetensors"]
    assert not [one for one in desk.hub.seen[seen:] if "tokenizer" in one.path]


@pytest.mark.parametrize("flag", [(), ("--cache-dir", "elsewhere")])
def test_the_remedy_for_damaged_weights_repairs_them(desk: Desk, tmp_path: Path, flag: tuple[str, ...]) -> None:
    """A damaged file of the right size is found by its hash, so a plain warm-cache would not fetch it again."""
    where = ("--cache-dir", str(tmp_path / flag[1])) if flag else ()
    desk.report("--no-load", *where)
    flip_last_byte(desk.weights().resolve())
    flip_last_byte(desk.home / "easyocr" / "model" / "korean_g2.pth")
    report = desk.report("--full-check", *where, code=ExitCode.MODEL_MISSING, **desk.with_torch)
    remedies = {model["name"]: model["remedy"] for model in report["models"] if not model["complete"]}
    assert set(remedies) == {"blip-base", "korean_g2"}
    for remedy in remedies.values():
        assert ("--cache-dir" in remedy) == bool(flag)
        done = desk.paste(remedy)
        assert done.code is ExitCode.OK, done.err
    assert desk.report("--full-check", *where, **desk.with_torch)["models"]


def test_a_repository_outside_the_catalogue_is_fetched_by_the_remedy_of_a_run(desk: Desk, tmp_path: Path) -> None:
    desk.hub.add("owner/captions", blip_files(seed=3), revision="main")
    desk.hub.add("owner/captions", blip_files(seed=4), revision="v2")
    for environ, seed in (({}, 3), ({"IMGTOOL_CAPTION_REVISION": "v2"}, 4)):
        asked = ("caption", "--caption-model", "owner/captions", "--check")
        report = desk.report(*asked, code=ExitCode.MODEL_MISSING, **{**desk.with_torch, **environ})
        (model,) = report["models"]
        done = desk.paste(model["remedy"])
        assert done.code is ExitCode.OK, done.err
        assert desk.report(*asked, **{**desk.with_torch, **environ})["ok"]
        weights = {
            path.read_bytes() for path in (desk.home / "hf").glob("hub/models--owner*/snapshots/*/*.safetensors")
        }
        assert blip_files(seed=seed)["model.safetensors"] in weights


def test_a_dry_run_asks_for_sizes_and_downloads_nothing(desk: Desk) -> None:
    rows = {row["model"]: row for row in desk.report("--dry-run")["models"]}
    wanted = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    assert rows["blip-base"]["size_bytes"] == sum(len(blip_files(size=50_000)[name]) for name in wanted)
    assert rows["blip-base"]["commit"] == desk.hub.branches[BLIP, "main"]
    assert (rows["blip-base"]["exact"], rows["craft"]["exact"]) == (True, False)
    assert [one.path for one in desk.hub.seen] == [f"/api/models/{BLIP}/revision/main"]
    assert not desk.home.exists()
    assert "to fetch: about" in desk.warm("--dry-run").out


def test_a_dry_run_of_what_is_here_asks_nobody(desk: Desk) -> None:
    desk.report("--no-load")
    seen = len(desk.hub.seen)
    assert [row["needed"] for row in desk.report("--dry-run")["models"]] == [False] * 3
    assert len(desk.hub.seen) == seen


# -- what goes wrong


def test_a_hub_that_keeps_failing_is_asked_again_and_does_not_stop_the_other_models(desk: Desk) -> None:
    desk.hub.fail(r"GET /api/models", status=503)
    done = desk.warm()
    assert done.code is ExitCode.MODEL_MISSING
    assert done.err.count("trying again") == 2
    assert "the server answered 503" in done.err
    assert len(desk.hub.requests(r"GET /api/models")) == 3
    assert desk.states("text", "--check") == {"craft": "complete", "korean_g2": "complete"}


def test_offline_makes_no_call(desk: Desk) -> None:
    done = desk.warm("--offline")
    assert done.code is ExitCode.MODEL_MISSING
    assert "the network must not be used" in done.err
    assert desk.hub.seen == []


def test_without_the_library_of_the_hub_the_extra_is_named(desk: Desk) -> None:
    desk.hidden.append("huggingface_hub")
    done = desk.warm("blip-base")
    assert done.code is ExitCode.MODEL_MISSING
    assert install_command("hub") in done.err
    assert "internal error" not in done.err


def test_a_place_that_cannot_be_written_has_its_own_code(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = desk.warm("text", "--no-load", EASYOCR_MODULE_PATH=str(tmp_path / "file"))
    assert done.code is ExitCode.NOT_WRITABLE
    assert "cannot be written" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["blipp"], "did you mean"),
        (["photos"], "--analyze"),
        (["--check", "--prune"], "--dry-run or --prune"),
        (["--check", "--analyze", "photos"], "run the command twice"),
        (["--max-size", "1GB"], "add --prune"),
        (["--prune", "--max-size", "much"], "--max-size"),
        (["--prune", "blip-base"], "leave their names out"),
        (["--refresh", "--offline"], "leave one out"),
        (["--calibrate", "."], "add --precision fast"),
        (["--calibrate", ".", "--precision", "fast", "--no-compile"], "leave one out"),
        (["--calibrate", ".", "--precision", "fast", "--check"], "leave one out"),
        (["--calibrate", "nowhere", "--precision", "fast"], "name a folder of pictures"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(desk: Desk, arguments: list[str], words: str) -> None:
    done = desk.warm(*arguments)
    assert done.code is ExitCode.USAGE
    assert words in done.err
    assert desk.hub.seen == []


def test_an_interruption_leaves_nothing_half_done_and_the_next_run_completes(desk: Desk) -> None:
    slow = desk.hub.fail(r"GET /cdn", bytes_per_second=5_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "imgtool", "warm-cache", "--no-load"],
        env={**os.environ, **desk.environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=heed_signals,
    )
    deadline = time.monotonic() + 30
    while not desk.hub.requests(r"GET /cdn") and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted" in err
    assert "Traceback" not in err
    assert desk.states("--check", code=ExitCode.MODEL_MISSING)["blip-base"] == "no manifest"
    desk.hub.faults.remove(slow)
    desk.report("--no-load")
    assert set(desk.states("--full-check").values()) == {"complete"}


# -- making room


def test_a_former_version_is_pruned_after_it_was_shown(desk: Desk) -> None:
    desk.report("blip-base", "--no-load")
    desk.hub.add(BLIP, blip_files(seed=7, size=60_000))
    desk.report("blip-base", "--no-load", "--refresh")
    planned = desk.report("--prune", "--dry-run")
    assert planned["freed_bytes"] > 50_000
    assert not planned["executed"]
    assert "would remove blip-base, a former version" in desk.warm("--prune", "--dry-run").out
    enough = desk.report("--prune", "--max-size", "1GB")
    assert enough["removals"] == []
    assert desk.report("--prune")["freed_bytes"] == planned["freed_bytes"]
    assert "nothing to remove" in desk.warm("--prune").out
    assert desk.states("blip-base", "--full-check") == {"blip-base": "complete"}


# -- answers


def test_images_that_are_named_are_answered_so_that_a_run_finds_all_in_the_cache(desk: Desk, tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(3))
    chosen = {"IMGTOOL_TASKS": "caption", "IMGTOOL_CAPTION_ENGINE": "describe"}
    report = desk.report("--analyze", photos, **chosen)
    assert (report["steps"], report["analyzed"]["images"], report["analyzed"]["hits"]) == ([], 3, 0)
    stats = tmp_path / "stats.json"
    run = analyze(photos, "--stats", stats, **desk.environment, **chosen)
    assert run.code is ExitCode.OK
    assert run.stats(stats)["hit_rate_percent"] == 100
    assert "3 images" in desk.warm("--analyze", photos, **chosen).err


def test_images_are_left_alone_while_a_model_is_missing(desk: Desk, tmp_path: Path) -> None:
    photos = pictures.folder(tmp_path / "photos", pictures.greys(1))
    done = desk.warm("--offline", "--analyze", photos)
    assert done.code is ExitCode.MODEL_MISSING
    assert "not every model is ready" in done.err


def test_no_image_under_what_is_named_is_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = desk.warm("labels", "--analyze", tmp_path / "empty", IMGTOOL_CAPTION_ENGINE="describe")
    assert done.code is ExitCode.NONE_ANSWERED


# -- the page


PAGE = (ROOT / "docs/warm-cache.md").read_text(encoding="utf-8")


def test_every_flag_and_every_example_of_the_page_exists(desk: Desk) -> None:
    helps = "".join(imgtool(command, "--help-all", COLUMNS="200").out for command in ("warm-cache", "analyze"))
    own = re.sub(r"docker (run|buildx) [^`\n]*", "", PAGE)
    assert {flag for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", own) if flag not in helps} == set()
    examples = re.findall(r"^\$ imgtool (.*?)(?:\s+#.*)?$", PAGE, flags=re.M)
    assert len(examples) >= 5
    for example in examples:
        words = shlex.split(example)
        if words[0] == "warm-cache" and "--analyze" not in words:
            flags = [] if "--check" in words else ["--dry-run"]
            assert desk.warm(*words[1:], *flags).code in (ExitCode.OK, ExitCode.MODEL_MISSING)


def test_the_arguments_of_the_image_that_the_page_names_exist() -> None:
    named = PAGE.partition("Build arguments:")[2].partition("\n\n")[0]
    arguments = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"`([A-Z_]+)`", named)) == arguments
