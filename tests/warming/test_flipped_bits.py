"""One bit flipped in each file that warm-cache stores, one after the other: nothing answers from damage that
``--full-check`` sees, what is printed mends it, and a plain ``warm-cache`` leaves nothing damaged behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imgtool.artefacts.find import folders
from imgtool.artefacts.manifest import FAST, GATE, NAME, OPTIMISED, FastMode, Parity, read_manifest
from imgtool.compiling.child import describe
from imgtool.ground.sealed import encode_sealed
from tests.compiled import flip
from tests.conftest import ROOT
from tests.fakes.hub import FakeHub, running_hub
from tests.test_docker_emulation import TORCH, Image, make_weights, serve_weights

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")]

PHOTO = ROOT / "examples/images/receipt.jpg"
RECOMPILED = "vision.onnx"
"""Of the files of compiled models, the one whose remedy is carried out: it is the same for all, and takes long."""


@dataclass(frozen=True)
class Baked:
    """A cache with both models, fetched and compiled, and a copy of it that stays as it is."""

    image: Image
    hub: FakeHub
    whole: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        sent = self.hub.environment(self.image.home)
        reach = {name: sent[name] for name in ("HF_ENDPOINT", "IMGTOOL_EASYOCR_ENDPOINT", "NO_PROXY", "no_proxy")}
        return subprocess.run(
            [sys.executable, "-m", "imgtool", *words],
            env={**self.image.environment, **reach},
            capture_output=True,
            text=True,
            check=False,
        )

    def answer(self, task: str, backend: str, precision: str = "exact") -> Any:
        """What the engine says, or ``None`` if it does not answer."""
        words = ["analyze", str(PHOTO), "-t", task, "--backend", backend, "--precision", precision, "--strict"]
        done = self.run(*words, "--no-cache", "-f", "jsonl", "-q")
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr
        return json.loads(done.stdout)["tasks"][task]["value"] if done.returncode == 0 else None

    def restore(self) -> None:
        shutil.rmtree(self.image.cache)
        shutil.copytree(self.whole, self.image.cache, symlinks=True)

    def files(self) -> Iterator[tuple[Path, tuple[str, str, str]]]:
        """Every stored file, with the task, the backend and the precision that read it."""
        for path in sorted(self.whole.rglob("*")):
            name = path.relative_to(self.whole)
            aside = any(part.startswith(".") or part in ("refs", "cleaned", "CACHEDIR.TAG") for part in name.parts)
            if path.is_symlink() or not path.is_file() or aside:
                continue
            task = "caption" if "blip" in str(name).lower() else "text"
            backend = "onnx" if name.parts[0] == "compiled" else "torch"
            yield name, (task, backend, "fast" if FAST in name.parts else "exact")


def add_twins(cache: Path) -> None:
    """Give each compiled model a lossy twin that computes as the model itself: to make real ones takes minutes."""
    for folder in folders(cache / "compiled"):
        manifest = read_manifest(folder)
        (folder / FAST).mkdir()
        for graph in manifest.graphs:
            for end in (OPTIMISED, f"{OPTIMISED}.data", ".onnx.data"):
                if (path := folder / f"{graph}{end}").exists():
                    shutil.copy(path, folder / FAST)
        passed = Parity(passed=True, figures={})
        fast = FastMode(executor="onnxruntime", method="a copy", speed_up=2.0, parity=passed, gate=GATE)
        (folder / NAME).write_bytes(encode_sealed(msgspec.structs.replace(manifest, fast=fast, files=describe(folder))))


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baked]:
    place = tmp_path_factory.mktemp("flips")
    for name in ("cache", "builder", "packages"):
        (place / name).mkdir()
    image = Image(place / "cache", place / "builder", place / "packages")
    weights = make_weights(image, place / "weights")
    with running_hub() as hub:
        serve_weights(hub, image, weights)
        image.bake(hub)
        add_twins(image.cache)
        shutil.copytree(image.cache, place / "whole", symlinks=True)
        yield Baked(image, hub, place / "whole")


def test_nothing_answers_from_a_flipped_bit(baked: Baked) -> None:
    ways = [(task, *how) for task in ("caption", "text") for how in (("torch", "exact"), ("onnx", "exact"))]
    ways += [("caption", "onnx", "fast"), ("text", "onnx", "fast")]
    right = {way: baked.answer(*way) for way in ways}
    assert None not in right.values()
    files = list(baked.files())
    for precision in ("exact", "fast"):
        assert {way for _, way in files} >= {(task, "onnx", precision) for task in ("caption", "text")}
    for name, way in files:
        baked.restore()
        path = baked.image.cache / name
        flip(path, path.stat().st_size // 2)
        full, check = baked.run("warm-cache", "--full-check"), baked.run("warm-cache", "--check")
        told = (str(name), full.stdout + full.stderr)
        assert full.returncode == check.returncode == 5, told
        # EasyOCR compares its own files with its own table at each load, whatever our manifest says.
        by_easyocr = path.name == NAME and way == ("text", "torch", "exact")
        assert baked.answer(*way) in ((None, right[way]) if by_easyocr else (None,)), told
        commands = re.findall(r"`(imgtool warm-cache[^`]*)`", full.stderr)
        assert commands, told
        if way[1] == "torch" or path.name in (RECOMPILED, NAME):
            for command in dict.fromkeys(commands):
                mended = baked.run(*shlex.split(command)[1:])
                assert mended.returncode == 0, (command, mended.stdout, mended.stderr)
            again = baked.run("warm-cache", "--full-check")
            assert again.returncode == 0, (told, again.stdout, again.stderr)
            assert baked.answer(*way) == right[way], told


@pytest.mark.parametrize("pattern", ["huggingface/**/blobs/*", "easyocr/model/craft*.pth", "compiled/*/settings.json"])
def test_a_plain_warm_cache_mends_what_was_written_to(baked: Baked, pattern: str) -> None:
    baked.restore()
    path = max(baked.image.cache.glob(pattern), key=lambda each: each.stat().st_size)
    flip(path, path.stat().st_size // 2)
    done = baked.run("warm-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do" not in done.stderr
    assert baked.run("warm-cache", "--full-check").returncode == 0


def test_damage_is_not_compiled(baked: Baked) -> None:
    """Also where the damage left the file's time alone, as a failing disk does."""
    baked.restore()
    shutil.rmtree(baked.image.cache / "compiled")
    path = max((baked.image.cache / "huggingface").glob("**/blobs/*"), key=lambda each: each.stat().st_size)
    before = path.stat()
    flip(path, path.stat().st_size // 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert baked.run("warm-cache", "--full-check").returncode == 5
    done = baked.run("warm-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert baked.run("warm-cache", "--full-check").returncode == 0
