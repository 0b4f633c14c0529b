"""A hub on this machine with a small BLIP and small EasyOCR weights, and an empty store beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imgtool.ground.retry import RetryPolicy
from imgtool.weights.fetching.fetch_job import FetchOptions
from imgtool.weights.observer import FetchObserver
from imgtool.weights.store import ModelStore
from tests.fakes.easyocr_table import CRAFT_URL, KOREAN_URL, write_easyocr
from tests.fakes.hub import FakeHub, noise, running_hub, safetensors

BLIP = "Salesforce/blip-image-captioning-base"
CRAFT, KOREAN = noise(300_000, 1), noise(120_000, 2)
QUICK = FetchOptions(retry=RetryPolicy(first_wait=0.01, longest_wait=0.02, jitter=0.0))


def blip_files(seed: int = 0, size: int = 200_000) -> dict[str, bytes]:
    """The files of a repository as a hub has them, those that imgtool does not need among them."""
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "README.md": b"# A model\n",
        "config.json": json.dumps({"model_type": "blip", "seed": seed}).encode(),
        "preprocessor_config.json": b"{}",
        "tokenizer.json": b'{"version": "1.0"}',
        "tokenizer_config.json": b'{"do_lower_case": true}',
        "model.safetensors": safetensors(size, seed),
        "pytorch_model.bin": b"PK\x03\x04" + noise(1000),
        "tf_model.h5": noise(1000),
    }


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with running_hub() as running:
        running.add(BLIP, blip_files())
        running.add_archive(CRAFT_URL.removeprefix("https://models.invalid"), {"craft_mlt_25k.pth": CRAFT})
        running.add_archive(KOREAN_URL.removeprefix("https://models.invalid"), {"korean_g2.pth": KOREAN})
        for name, value in running.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def store(hub: FakeHub, tmp_path: Path) -> ModelStore:
    return ModelStore.at(tmp_path / "models")


@pytest.fixture
def easyocr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed EasyOCR, as far as imgtool's fetching is concerned."""
    folder = write_easyocr(tmp_path / "packages", CRAFT, KOREAN)
    monkeypatch.delitem(sys.modules, "easyocr", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@dataclass
class Recorder(FetchObserver):
    """Keeps what it is told."""

    retries: list[tuple[int, str]] = field(default_factory=list)
    aside: list[Path] = field(default_factory=list)
    steps: list[tuple[str, int, int]] = field(default_factory=list)
    waited: int = 0

    def progress(self, model: str, file: str, done: int, total: int) -> None:
        self.steps.append((file, done, total))

    def retrying(self, model: str, attempt: int, reason: str, wait_seconds: float) -> None:
        self.retries.append((attempt, reason))

    def set_aside(self, model: str, path: Path, reason: str) -> None:
        self.aside.append(path)

    def waiting(self, model: str) -> None:
        self.waited += 1
