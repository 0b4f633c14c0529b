"""What fuzzing begins with and what it has found once, given to its targets again: none of it makes them fail."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzzing.fuzz import KEPT
from tests.fuzzing.seeds import seeds
from tests.fuzzing.targets import TARGETS

SEEDS = seeds()


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_a_surprise(name: str) -> None:
    kept = [path.read_bytes() for path in sorted((KEPT / name).glob("*"))]
    for content in (b"", b"\0" * 40, b"[" * 100_000, b'{"a":' * 50_000, *SEEDS[name], *kept):
        TARGETS[name](content)
    rng = random.Random(name)
    for content in SEEDS[name]:
        for _ in range(3):
            at = rng.randrange(max(1, len(content)))
            TARGETS[name](content[:at] + rng.randbytes(1) + content[at + 1 :])
            TARGETS[name](content[:at])


def test_every_corpus_is_one_of_a_target_and_small() -> None:
    folders = [path for path in KEPT.iterdir() if path.is_dir()]
    assert {folder.name for folder in folders} <= TARGETS.keys() == SEEDS.keys()
    assert sum(path.stat().st_size for path in Path(KEPT).rglob("*") if path.is_file()) < 200_000
