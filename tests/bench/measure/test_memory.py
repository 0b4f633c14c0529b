"""Memory of a sample, held to programs that take a known amount in a known way."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from imgtool.bench.data.record import Arm, ArmKind, PeakMemory
from imgtool.bench.measure.launcher_client import Launcher, ProcessEnd, TreeMemory
from imgtool.bench.measure.memory import memory_of
from imgtool.bench.measure.phases import Course
from imgtool.bench.measure.sample_process import start

MB = 1_000_000
AMOUNT = 200 * MB


def weighed(*command: str) -> PeakMemory | None:
    """What a sample of ``command`` reports."""
    arm = Arm(name="program", kind=ArmKind.COMMAND, command=command)
    with tempfile.TemporaryDirectory() as scratch, Launcher() as launcher:
        sample, _ = start(arm, 0, launcher, Path(scratch), 60, {})
    assert sample.error is None, sample.stderr_tail
    return sample.memory


def memory_of_program(code: str, *arguments: str) -> PeakMemory:
    """What a sample of ``python -S -c code`` reports."""
    found = weighed(sys.executable, "-S", "-c", code, *arguments)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def nothing() -> PeakMemory:
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


def own(found: PeakMemory) -> int:
    assert found.peak_anon is not None
    return found.peak_anon


def files(found: PeakMemory) -> int:
    assert found.peak_file is not None
    return found.peak_file


def about(amount: int) -> object:
    return pytest.approx(amount, rel=0.1)


def test_what_a_program_allocates_is_anonymous(nothing: PeakMemory) -> None:
    found = memory_of_program(ALLOCATE)
    assert own(found) - own(nothing) == about(AMOUNT)
    assert found.peak_rss - nothing.peak_rss == about(AMOUNT)
    assert files(found) - files(nothing) < 0.1 * AMOUNT


def test_a_file_that_a_program_maps_and_touches_is_not_anonymous(nothing: PeakMemory, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(range(250)) * (AMOUNT // 250))
    found = memory_of_program(MAP, str(path))
    assert files(found) - files(nothing) == about(AMOUNT)
    assert found.peak_rss - nothing.peak_rss == about(AMOUNT)
    assert own(found) - own(nothing) < 0.1 * AMOUNT


def test_a_grandchild_counts_into_the_tree_and_not_into_the_largest_process(nothing: PeakMemory) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {ALLOCATE + '; time.sleep(0.2)'!r}])"
    found = memory_of_program(f"data = bytearray(b'x') * {AMOUNT}; {code}")
    assert own(found) - 2 * own(nothing) == about(2 * AMOUNT)
    assert found.tree_peak_rss - 2 * nothing.peak_rss == about(2 * AMOUNT)
    assert found.peak_rss - nothing.peak_rss == about(AMOUNT)


def test_nothing_is_inherited_from_a_large_parent(nothing: PeakMemory) -> None:
    """The process that asks for the sample holds a gigabyte; the kernel would hand its peak on to its children."""
    held = bytearray(b"x") * (1000 * MB)
    found = memory_of_program("import time, mmap; time.sleep(0.2)")
    assert len(held) == 1000 * MB
    assert found.peak_rss == pytest.approx(nothing.peak_rss, rel=0.1)
    assert found.tree_peak_rss == pytest.approx(nothing.tree_peak_rss, rel=0.1)


def test_a_large_program_is_not_counted_twice_when_it_starts_a_small_one(nothing: PeakMemory) -> None:
    """Between fork and exec a child shows its parent's memory as its own."""
    code = (
        f"import subprocess; data = bytearray(b'x') * {AMOUNT}\n"
        "for _ in range(100): subprocess.run(['true'], close_fds=True)"
    )
    found = memory_of_program(code)
    assert own(found) - own(nothing) == about(AMOUNT)


def test_the_method_is_named(nothing: PeakMemory) -> None:
    assert "RssAnon" in nothing.method
    assert "VmHWM" in nothing.method


SHARE = f"""
import mmap, os, time
shared = mmap.mmap(-1, {AMOUNT})
shared[:] = b"x" * {AMOUNT}
"""


def test_shared_memory_cannot_be_reclaimed_either(nothing: PeakMemory) -> None:
    found = memory_of_program(SHARE + "time.sleep(0.2)")
    # The text that fills it is anonymous, and is there at the same time.
    assert own(found) - own(nothing) == about(2 * AMOUNT)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no tmpfs here")
def test_a_mapped_file_of_tmpfs_is_no_file_on_a_disk(nothing: PeakMemory) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(bytes(range(250)) * (AMOUNT // 250))
        file.flush()
        found = memory_of_program(MAP, file.name)
    assert own(found) - own(nothing) == about(AMOUNT)
    assert files(found) - files(nothing) < 0.1 * AMOUNT


@pytest.mark.slow
def test_memory_that_processes_share_counts_once() -> None:
    code = (
        SHARE
        + """
children = [pid for pid in (os.fork() for _ in range(2)) if pid]
sum(shared[::4096])
time.sleep(0.7)
for pid in children:
    os.waitpid(pid, 0) if len(children) == 2 else None
"""
    )
    found = memory_of_program(code)
    assert own(found) < 3 * AMOUNT, "twice while it is filled, and not four times in four processes"


@pytest.mark.parametrize("run", range(5))
def test_a_program_of_a_few_milliseconds_has_its_peak(run: int) -> None:
    """It ends before it could be looked at twice, and is smaller than the launcher."""
    found = weighed("sh", "-c", "exec 3</dev/null; read line <&3 || exit 0")
    small = weighed("sleep", "0.001")
    python = weighed(sys.executable, "-I", "-S", "-c", "pass")
    assert found is not None
    assert small is not None
    assert python is not None
    assert 1 * MB < small.peak_rss < 3 * MB
    assert 1 * MB < found.peak_rss < 4 * MB
    assert 5 * MB < python.peak_rss < 20 * MB


def test_a_burst_of_a_program_of_a_few_milliseconds_is_in_its_peak() -> None:
    plain = weighed(sys.executable, "-I", "-S", "-c", "pass")
    found = weighed(sys.executable, "-I", "-S", "-c", f"x = bytearray(b'x') * {AMOUNT // 10}; del x")
    assert plain is not None
    assert found is not None
    assert found.peak_rss - plain.peak_rss == about(AMOUNT // 10)


def test_what_is_smaller_than_a_shell_and_over_at_once_has_its_own_figure_or_none() -> None:
    peaks = [found.peak_rss for found in (weighed("true") for _ in range(5)) if found is not None]
    assert all(300_000 < peak < 3 * MB for peak in peaks), "and never that of the launcher"


def test_what_a_large_launcher_would_have_passed_on_is_not_in_it() -> None:
    """In an environment that a shell would not pass on whole, the program is started without one."""
    arm = Arm(name="program", kind=ArmKind.COMMAND, command=("sleep", "0.3"))
    with tempfile.TemporaryDirectory() as scratch, Launcher() as launcher:
        found = start(arm, 0, launcher, Path(scratch), 60, {"A.B": "kept"})[0].memory
    assert found is not None
    assert 500_000 < found.peak_rss < 5 * MB
    assert "that it was started from" in found.method


@pytest.mark.parametrize("run", range(3))
def test_a_burst_between_two_looks_is_anonymous_all_the_same(nothing: PeakMemory, run: int) -> None:
    # What the burst runs is mapped before it: files that still grow at the end leave a lower bound.
    burst = "data = bytearray(b'x') *"
    found = memory_of_program(f"import time; {burst} 9999; time.sleep(0.4); {burst} {AMOUNT // 4}")
    assert own(found) - own(nothing) == about(AMOUNT // 4)


def ended(
    *,
    waited: int,
    largest: int,
    anon: int,
    file: int,
    grew: float = 10,
    mapped_grew: float = 10,
    looked: float = 90,
    end: float = 100,
) -> ProcessEnd:
    """A process that was started from one of 10 MB; sizes in MB, times in milliseconds from its start."""
    seen = TreeMemory(
        tree_rss=(anon + file) * MB,
        anon=anon * MB,
        file=file * MB,
        largest=largest * MB,
        mapped=file * MB,
        grew_ns=int(grew * 1e6),
        mapped_grew_ns=int(mapped_grew * 1e6),
        looked_ns=int(looked * 1e6),
    )
    return ProcessEnd(ended_ns=int(end * 1e6), largest_waited=waited * MB, floor=10 * MB, memory=seen)


def known(one: ProcessEnd, **course: int) -> PeakMemory | None:
    return memory_of(one, Course(**course), 0.02)


def test_looks_alone_count_where_they_went_on_longer_than_what_they_missed() -> None:
    """Of a program of 4 MB, which the kernel's figure does not tell from what it was started from."""
    calm = ended(waited=10, largest=4, anon=1, file=3)
    grows = ended(waited=10, largest=4, anon=1, file=3, grew=90)
    missed = ended(waited=10, largest=4, anon=1, file=3, looked=40)
    assert [known(one) is not None for one in (calm, grows, missed)] == [True, False, False]
    assert known(missed, peak_rss=6 * MB) is not None, "it read its own peak"


def test_of_a_program_that_has_not_begun_nothing_is_known() -> None:
    assert known(ended(waited=10, largest=0, anon=0, file=0, grew=0)) is None


def test_what_the_peak_has_beyond_files_is_own_memory() -> None:
    found = known(ended(waited=30, largest=10, anon=3, file=7))
    assert found is not None
    assert (found.peak_rss, found.peak_anon, found.peak_file) == (30 * MB, 23 * MB, 7 * MB)


def test_where_files_still_grew_at_the_end_what_the_peak_has_beyond_them_is_not_known() -> None:
    found = known(ended(waited=30, largest=10, anon=3, file=7, mapped_grew=90))
    assert found is not None
    assert (found.peak_rss, found.peak_anon, found.peak_file) == (30 * MB, None, None)
    assert "not known" in found.method


def test_what_saw_the_peak_knows_its_parts_even_if_files_still_grew() -> None:
    found = known(ended(waited=30, largest=29, anon=3, file=7, mapped_grew=90))
    assert found is not None
    assert (found.peak_rss, found.peak_anon, found.peak_file) == (30 * MB, 22 * MB, 7 * MB)


def test_what_the_looks_saw_of_several_processes_is_not_lessened() -> None:
    found = known(ended(waited=30, largest=30, anon=50, file=12))
    assert found is not None
    assert found.peak_anon == 50 * MB
