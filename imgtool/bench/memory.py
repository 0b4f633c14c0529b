"""The memory of a sample: what its processes read of themselves, and the sum over all of them.

``ru_maxrss`` is no use between processes: the kernel hands a parent's peak on through ``exec``. The launcher is small
(:mod:`imgtool.bench.launcher`), so what it measures of the kernel's figure is the sample's own where it is larger than
the launcher itself. The sum over the tree is sampled; pages that forked processes share are counted for each of them.
"""

from __future__ import annotations

from imgtool.bench.phases import Course
from imgtool.bench.process import Ended
from imgtool.bench.record import Memory

_MARGIN = 1.05
"""The launcher's peak grows a little as it works; a figure this near to it may be its own."""


def memory_of(ended: Ended, course: Course, launcher_rss: int, look_seconds: float) -> Memory | None:
    """The peaks of a sample, or ``None`` where this system does not show them."""
    seen = ended.memory
    waited = ended.largest_waited if ended.largest_waited > launcher_rss * _MARGIN else 0
    largest = max(course.peak_rss, seen.largest, waited)
    if not largest:
        return None
    own = (
        "VmHWM read by each process at its end" if course.peak_rss else "VmHWM seen last, the kernel's peak at the end"
    )
    return Memory(
        peak_rss=largest,
        peak_anon=seen.anon,
        peak_file=seen.file,
        tree_peak_rss=max(seen.tree_rss, largest),
        method=f"{own}; sums of RssAnon and RssFile over the process tree, every {look_seconds * 1000:g} ms",
        steps=course.steps,
    )
