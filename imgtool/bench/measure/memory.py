"""The memory of a sample: what its processes read of themselves, what the kernel says, and the sum over all of them.

``ru_maxrss`` alone does not tell a process from its parent: the kernel hands a parent's peak on through ``exec``. The
launcher (:mod:`imgtool.bench.measure.launcher`) starts programs from a process of about a megabyte, so the kernel's
figure is the program's own where it is larger than that. For a smaller program only the launcher's own readings are
left. They count if they can have seen the peak: if memory did not grow for at least as long as it was not read at the
end. Otherwise there is no figure: a single reading just after ``exec`` shows almost nothing.

The sum over the tree is sampled; pages that forked processes share are counted for each of them. A burst of own memory
(anonymous or shared, which the system cannot reclaim) can fit between two readings, but not past the kernel's peak:
what that has beyond the files that were read is own memory too. If files still grew at the end, and the peak is beyond
what was read, it may be either: then own memory has no figure.
"""

from __future__ import annotations

from imgtool.bench.data.record import PeakMemory
from imgtool.bench.measure.launcher_client import ProcessEnd
from imgtool.bench.measure.phases import Course

_MARGIN, _SLACK = 1.05, 128 * 1024
"""The kernel's figure is the program's own if it is larger than its floor by this share and these bytes: the process
that becomes the program touches a few pages more, and each CPU counts some pages on its own."""

_BEGUN = 300_000
"""Bytes. A program that has less is still being loaded."""
_CALM_NS = 10_000_000
"""Least nanoseconds without growth."""
_NEARLY = 1.05
"""A reading saw the peak if the peak is at most this many times what it read."""


def memory_of(ended: ProcessEnd, course: Course, look_seconds: float) -> PeakMemory | None:
    """The peaks of a sample, in bytes, or ``None`` where they are not known: the system does not show them, or the
    program was smaller than the process that it was started from and ended before it could be sampled."""
    seen = ended.memory
    waited = ended.largest_waited if ended.largest_waited > ended.floor * _MARGIN + _SLACK else 0

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
        method = "VmHWM as sampled: the kernel's peak is that of the process that it was started from"
    largest = max(course.peak_rss, seen.largest, waited)
    own = None
    if calm(seen.mapped_grew_ns):
        own, rest = max(seen.anon, largest - seen.mapped), "what VmHWM has beyond mapped files counts as own"
    elif seen.largest * _NEARLY >= largest:
        own, rest = max(seen.anon, seen.largest - seen.mapped), "what VmHWM has beyond mapped files counts as own"
    else:
        rest = "own memory is not known: files were still being mapped when it was last sampled"
    sums = f"sums of RssAnon, RssShmem and RssFile over all processes, at least every {look_seconds * 1000:g} ms"
    return PeakMemory(
        peak_rss=largest,
        peak_anon=own,
        peak_file=None if own is None else seen.file,
        tree_peak_rss=max(seen.tree_rss, largest),
        method=f"{method}; {sums}; {rest}",
        steps=course.steps,
    )
