"""The memory of a sample: what its processes read of themselves, what the kernel says, and the sum over all of them.

``ru_maxrss`` alone does not tell a process from its parent: the kernel hands a parent's peak on through ``exec``. The
launcher (:mod:`imgtool.bench.measure.launcher`) is small, so the kernel's figure is the sample's own where it is larger
than the launcher itself. For a smaller program only the launcher's own readings are left. They count if they can have
seen the peak: if memory did not grow for at least as long as it was not read at the end. Otherwise there is no figure:
a single reading just after ``exec`` shows almost nothing.

The sum over the tree is sampled; pages that forked processes share are counted for each of them. A burst of anonymous
memory can fit between two readings, but not past the kernel's peak: what that has beyond the files and the shared
memory that were read is anonymous too. If files still grew at the end it may be either; then the readings stand as they
are, as a lower bound.
"""

from __future__ import annotations

from imgtool.bench.data.record import PeakMemory
from imgtool.bench.measure.launcher_client import ProcessEnd
from imgtool.bench.measure.phases import Course

_MARGIN = 1.05
"""The launcher's peak grows a little as it works; a figure so near to it may be its own."""

_BEGUN = 300_000
"""Bytes. A program that has less is still being loaded."""
_CALM_NS = 10_000_000
"""Least nanoseconds without growth."""


def memory_of(ended: ProcessEnd, course: Course, launcher_rss: int, look_seconds: float) -> PeakMemory | None:
    """The peaks of a sample, in bytes, or ``None`` where they are not known: the system does not show them, or the
    program was smaller than the launcher (``launcher_rss``) and ended before it could be sampled."""
    seen = ended.memory
    waited = ended.largest_waited if ended.largest_waited > launcher_rss * _MARGIN else 0

    def calm(grew_ns: int) -> bool:
        """Whether it did not grow for as long as the end was not sampled."""
        return seen.looked_ns - grew_ns >= max(_CALM_NS, ended.ended_ns - seen.looked_ns)

    if not (course.peak_rss or waited or (seen.largest >= _BEGUN and calm(seen.grew_ns))):
        return None
    if course.peak_rss:
        method = "VmHWM read by each process at its end"
    elif waited:
        method = "VmHWM as last sampled, the kernel's peak at the end"
    else:
        method = "VmHWM as sampled: the program is smaller than the launcher"
    split = calm(seen.shared_grew_ns)
    rest = "VmHWM beyond them counts as anonymous" if split else "what VmHWM has beyond them is not known"
    largest = max(course.peak_rss, seen.largest, waited)
    return PeakMemory(
        peak_rss=largest,
        peak_anon=max(seen.anon, largest - seen.shared) if split else seen.anon,
        peak_file=seen.file,
        tree_peak_rss=max(seen.tree_rss, largest),
        method=f"{method}; sums of RssAnon and RssFile over all processes every {look_seconds * 1000:g} ms; {rest}",
        steps=course.steps,
    )
