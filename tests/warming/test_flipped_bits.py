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

import pytest

from tests.compiled import flip
from tests.conftest import ROOT
from tests.fakes.hub import FakeHub, running_hub
from tests.test_docker_emulation import TORCH, Image, make_weights, serve_weights

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not TORCH, reason="the torch extra is not installed")]

PHOTO = ROOT / "examples/images/receipt.jpg"
RECOMPILED = ("vision.onnx",)
"""Of the files of compiled models, those whose remedy is carried out: it is the same for all, and takes long."""


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

    def answer(self, task: str, backend: str) -> Any:
        """What the engine says, or ``None`` if it does not answer."""
        words = ["analyze", str(PHOTO), "-t", task, "--backend", backend, "--strict", "--no-cache", "-f", "jsonl", "-q"]
        done = self.run(*words)
        assert "Traceback" not in done.stderr and "internal error" not in done.stderr
        return json.loads(done.stdout)["tasks"][task]["value"] if done.returncode == 0 else None

    def restore(self) -> None:
        shutil.rmtree(self.image.cache)
        shutil.copytree(self.whole, self.image.cache, symlinks=True)

    def files(self) -> Iterator[tuple[Path, str, str]]:
        """Every stored file, with the task and the backend that reads it."""
        for path in sorted(self.whole.rglob("*")):
            name = path.relative_to(self.whole)
            aside = any(part.startswith(".") or part in ("refs", "cleaned", "CACHEDIR.TAG") for part in name.parts)
            if path.is_symlink() or not path.is_file() or aside:
                continue
            task = "caption" if "blip" in str(name).lower() else "text"
            yield name, task, "onnx" if name.parts[0] == "compiled" else "torch"


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
        shutil.copytree(image.cache, place / "whole", symlinks=True)
        yield Baked(image, hub, place / "whole")


def test_nothing_answers_from_a_flipped_bit(baked: Baked) -> None:
    ways = [(task, backend) for task in ("caption", "text") for backend in ("torch", "onnx")]
    right = {way: baked.answer(*way) for way in ways}
    assert None not in right.values()
    looked_at = 0
    for name, task, backend in baked.files():
        baked.restore()
        path = baked.image.cache / name
        flip(path, path.stat().st_size // 2)
        full, check = baked.run("warm-cache", "--full-check"), baked.run("warm-cache", "--check")
        given = baked.answer(task, backend)
        told = (str(name), full.stdout + full.stderr)
        if path.name != "manifest.json":
            assert full.returncode == check.returncode == 5, told
            assert given is None, told
        assert given in (None, right[task, backend]), told
        if full.returncode:
            commands = re.findall(r"`(imgtool warm-cache[^`]*)`", full.stderr)
            assert commands, told
            if backend == "torch" or path.name in RECOMPILED:
                for command in dict.fromkeys(commands):
                    mended = baked.run(*shlex.split(command)[1:])
                    assert mended.returncode == 0, (command, mended.stdout, mended.stderr)
                again = baked.run("warm-cache", "--full-check")
                assert again.returncode == 0, (told, again.stdout, again.stderr)
                assert baked.answer(task, backend) == right[task, backend]
        looked_at += 1
    assert looked_at > 20


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
