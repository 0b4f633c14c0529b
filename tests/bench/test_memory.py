"""Memory of a sample, held to programs that take a known amount in a known way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imgtool.bench.record import Arm, ArmKind, Memory, PageCache
from imgtool.bench.sample import Case, Sampler

MB = 1_000_000
AMOUNT = 200 * MB


def memory_of_program(code: str, *arguments: str) -> Memory:
    """What a sample of ``python -S -c code`` reports."""
    arm = Arm(name="program", kind=ArmKind.COMMAND, command=(sys.executable, "-S", "-c", code, *arguments))
    with Sampler(timeout=60) as sampler:
        sample = sampler.take(Case(arm, PageCache.WARM, 0))
    assert sample.error is None, sample.stderr_tail
    assert sample.memory is not None
    return sample.memory


@pytest.fixture(scope="module")
def nothing() -> Memory:
    """A Python that does nothing for a moment: what all others have too."""
    return memory_of_program("import time, mmap; time.sleep(0.2)")


ALLOCATE = f"import time; data = bytearray(b'x') * {AMOUNT}; time.sleep(0.2)"
MAP = """
import mmap, sys, time
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
total = sum(mapped[offset] for offset in range(0, len(mapped), 4096))
time.sleep(0.2)
"""


def about(amount: int) -> object:
    return pytest.approx(amount, rel=0.1)


def test_what_a_program_allocates_is_anonymous(nothing: Memory) -> None:
    found = memory_of_program(ALLOCATE)
    assert found.peak_anon - nothing.peak_anon == about(AMOUNT)
    assert found.peak_rss - nothing.peak_rss == about(AMOUNT)
    assert found.peak_file - nothing.peak_file < 0.1 * AMOUNT


def test_a_file_that_a_program_maps_and_touches_is_not_anonymous(nothing: Memory, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(range(250)) * (AMOUNT // 250))
    found = memory_of_program(MAP, str(path))
    assert found.peak_file - nothing.peak_file == about(AMOUNT)
    assert found.peak_rss - nothing.peak_rss == about(AMOUNT)
    assert found.peak_anon - nothing.peak_anon < 0.1 * AMOUNT


def test_a_grandchild_counts_into_the_tree_and_not_into_the_largest_process(nothing: Memory) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {ALLOCATE + '; time.sleep(0.2)'!r}])"
    found = memory_of_program(f"data = bytearray(b'x') * {AMOUNT}; {code}")
    assert found.peak_anon - 2 * nothing.peak_anon == about(2 * AMOUNT)
    assert found.tree_peak_rss - 2 * nothing.peak_rss == about(2 * AMOUNT)
    assert found.peak_rss - nothing.peak_rss == about(AMOUNT)


def test_nothing_is_inherited_from_a_large_parent(nothing: Memory) -> None:
    """The process that asks for the sample holds a gigabyte; the kernel would hand its peak on to its children."""
    held = bytearray(b"x") * (1000 * MB)
    found = memory_of_program("import time, mmap; time.sleep(0.2)")
    assert len(held) == 1000 * MB
    assert found.peak_rss == pytest.approx(nothing.peak_rss, rel=0.1)
    assert found.tree_peak_rss == pytest.approx(nothing.tree_peak_rss, rel=0.1)


def test_a_large_program_is_not_counted_twice_when_it_starts_a_small_one(nothing: Memory) -> None:
    """Between fork and exec a child shows its parent's memory as its own."""
    code = (
        f"import subprocess; data = bytearray(b'x') * {AMOUNT}\n"
        "for _ in range(100): subprocess.run(['true'], close_fds=True)"
    )
    found = memory_of_program(code)
    assert found.peak_anon - nothing.peak_anon == about(AMOUNT)


def test_the_method_is_named(nothing: Memory) -> None:
    assert "RssAnon" in nothing.method
    assert "VmHWM" in nothing.method
