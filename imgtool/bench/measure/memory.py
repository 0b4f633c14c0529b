"""The memory of a sample: what its processes read of themselves, what the kernel says, and the sum over all of them.

``ru_maxrss`` is no use between processes: the kernel hands a parent's peak on through ``exec``. The launcher
(:mod:`imgtool.bench.measure.launcher`) is small: the kernel's figure is the sample's own where it is larger than the
launcher itself. Of a smaller program the looks alone are left, which count where they can have seen the peak: it
did not grow for as long as nobody looked at the end. Else there is no figure: one look after ``exec`` shows a page.

The sum over the tree is sampled; pages that forked processes share are counted for each of them. A burst of anonymous
memory fits between two looks, but not past the kernel's peak: what that has beyond the files and the shared memory that
were seen is anonymous too. Where files still grew at the end it may be either, and the looks stand as they are: a lower
bound, which a short program's libraries make of it.
"""

from __future__ import annotations

from imgtool.bench.data.record import Memory
from imgtool.bench.measure.phases import Course
from imgtool.bench.measure.process import Ended, TreeMemory

_MARGIN = 1.05
"""The launcher's peak grows a little as it works; a figure this near to it may be its own."""

_BEGUN = 300_000
"""Bytes. A program that has less is still being loaded."""
_CALM_NS = 10_000_000
"""Nanoseconds without growth that are the least to believe in."""


def memory_of(ended: Ended, course: Course, launcher_rss: int, look_seconds: float) -> Memory | None:
    """The peaks of a sample, in bytes, or ``None`` where they are not known: this system does not show them, or the
    program was smaller than the launcher (``launcher_rss``) and over before the looks could tell."""
    seen, end = ended.memory, ended.ended_ns
    waited = ended.largest_waited if ended.largest_waited > launcher_rss * _MARGIN else 0
    if not (course.peak_rss or waited or _watched(seen, end)):
        return None
    split = _calm(seen.shared_grew_ns, seen.looked_ns, end)
    largest = max(course.peak_rss, seen.largest, waited)
    return Memory(
        peak_rss=largest,
        peak_anon=max(seen.anon, largest - seen.shared) if split else seen.anon,
        peak_file=seen.file,
        tree_peak_rss=max(seen.tree_rss, largest),
        method=f"{_own(course, waited)}; {_sums(split, look_seconds)}",
        steps=course.steps,
    )


def _watched(seen: TreeMemory, ended_ns: int) -> bool:
    """Whether the looks can be believed to have seen the peak of the largest process."""
    return seen.largest >= _BEGUN and _calm(seen.grew_ns, seen.looked_ns, ended_ns)


def _calm(grew_ns: int, looked_ns: int, ended_ns: int) -> bool:
    """Whether nothing grew for as long as nobody looked at the end."""
    return looked_ns - grew_ns >= max(_CALM_NS, ended_ns - looked_ns)


def _own(course: Course, waited: int) -> str:
    if course.peak_rss:
        return "VmHWM read by each process at its end"
    if waited:
        return "VmHWM seen last, the kernel's peak at the end"
    return "VmHWM by the looks alone: the program is smaller than what starts it"


def _sums(split: bool, look_seconds: float) -> str:
    rest = "as anonymous counts what VmHWM has beyond them" if split else "what VmHWM has beyond them is not known"
    return f"sums of RssAnon and RssFile over the process tree, every {look_seconds * 1000:g} ms; {rest}"
