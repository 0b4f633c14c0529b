"""What tests of engines share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Counter[str]]:
    """How often each task of each image was computed by the planted analyzers, up to now."""
    path = tmp_path / "planted.log"
    path.touch()
    monkeypatch.setenv("PLANTED_LOG", str(path))
    return lambda: Counter(line for line in path.read_text().splitlines() if line[:4] in ("capt", "text", "labe"))
