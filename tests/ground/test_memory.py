"""How much memory may still be taken: the machine's and the cgroup's word, whichever is less."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgtool.ground import memory


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemFree:  1 kB\nMemAvailable:  5 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


def test_the_machine_alone(system: Path) -> None:
    assert memory.available_memory() == 5 * 1024
    (system / "memory.max").write_text("max\n")
    (system / "memory.current").write_text("100\n")
    assert memory.available_memory() == 5 * 1024


def test_a_cgroup_with_less(system: Path) -> None:
    (system / "memory.max").write_text("1000\n")
    (system / "memory.current").write_text("400\n")
    assert memory.available_memory() == 600


def test_a_system_that_does_not_tell(system: Path) -> None:
    (system / "meminfo").write_text("nothing of use\n")
    assert memory.available_memory() is None
    (system / "meminfo").unlink()
    assert memory.available_memory() is None
