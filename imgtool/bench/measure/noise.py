"""What else the machine does while it measures: looked at before and after, and said with what to do about it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from imgtool.bench.data.record import Noise

_CPU = Path("/sys/devices/system/cpu")
_THERMAL = Path("/sys/class/thermal")
_BUSY_SHARE = 0.1
_LOAD_SHARE = 0.25
_STEAL_SHARE = 0.02
_SWAPPED_BYTES = 10_000_000
_SHOWN = 5
_GLANCE_SECONDS = 0.3


@dataclass(frozen=True)
class Look:
    """Counters of the machine at one moment. ``busy`` holds seconds of CPU by process, with its name."""

    at: float
    load: float | None
    ticks: tuple[int, int] | None
    swapped: int | None
    throttled: int | None
    busy: dict[int, tuple[str, float]]


def look() -> Look:
    """The machine as it is now."""
    return Look(time.monotonic(), _load(), _ticks(), _swapped_bytes(), _throttled(), _cpu_seconds())


class Watch:
    """Watches from its making to ``finish``."""

    def __init__(self) -> None:
        self._first = look()

    def notices_before(self) -> list[str]:
        """What speaks against measuring now. Takes a third of a second: busy processes show only over time."""
        time.sleep(_GLANCE_SECONDS)
        now = look()
        return list(_notices(_noise(self._first, now, now.load)))

    def finish(self) -> Noise:
        """What happened since, with the notices it deserves."""
        # The load before is that of others; the load after contains the samples themselves.
        found = _noise(self._first, look(), self._first.load)
        return msgspec.structs.replace(found, notices=tuple(_notices(found)))


def _noise(before: Look, after: Look, load: float | None) -> Noise:
    return Noise(
        load_before=load,
        load_after=after.load,
        steal_share=_steal_share(before.ticks, after.ticks),
        swapped_bytes=_difference(before.swapped, after.swapped),
        governor=_text(_CPU / "cpu0/cpufreq/scaling_governor"),
        temperature_celsius=_temperature(),
        throttled=_difference(before.throttled, after.throttled),
        busy_processes=tuple(_busy(before, after)),
    )


def _notices(noise: Noise) -> Iterable[str]:
    cores = os.cpu_count() or 1
    if noise.load_before is not None and noise.load_before > _LOAD_SHARE * cores:
        yield (
            f"the load average was {noise.load_before:.1f} on {cores} cores before the first sample: "
            "wait until it falls, or raise --runs"
        )
    if noise.busy_processes:
        yield f"busy beside the samples: {', '.join(noise.busy_processes)}: end them, or raise --runs"
    if noise.steal_share is not None and noise.steal_share > _STEAL_SHARE:
        yield (
            f"the hypervisor gave {noise.steal_share:.0%} of this machine's time to others: "
            "raise --runs, or measure on a machine that is not shared"
        )
    if noise.swapped_bytes is not None and noise.swapped_bytes > _SWAPPED_BYTES:
        yield f"{noise.swapped_bytes / 1e6:.0f} MB were swapped: free memory, or measure fewer things at once"
    if noise.governor is not None and noise.governor not in ("performance", "schedutil"):
        yield (
            f"the CPU's frequency governor is {noise.governor!r}: clock rates change with the load; "
            "set it to performance (`cpupower frequency-set -g performance`)"
        )
    if noise.throttled:
        yield f"the CPU was throttled {noise.throttled} times for its heat: let it cool down, or raise --runs"


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _ticks() -> tuple[int, int] | None:
    """Stolen and all ticks of all CPUs since the machine started."""
    line = (_text(Path("/proc/stat")) or "").partition("\n")[0].split()
    if len(line) < 9:
        return None
    numbers = [int(word) for word in line[1:9]]
    return numbers[7], sum(numbers)


def _steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _swapped_bytes() -> int | None:
    text = _text(Path("/proc/vmstat"))
    if text is None:
        return None
    counts = dict(line.split() for line in text.splitlines() if line.startswith("pswp"))
    return sum(map(int, counts.values())) * os.sysconf("SC_PAGE_SIZE")


def _throttled() -> int | None:
    counts = [_text(path) for path in _CPU.glob("cpu*/thermal_throttle/core_throttle_count")]
    return sum(int(count) for count in counts if count) if counts else None


def _temperature() -> float | None:
    degrees = [_text(path) for path in _THERMAL.glob("thermal_zone*/temp")]
    return max((int(text) / 1000 for text in degrees if text and text.lstrip("-").isdigit()), default=None)


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _cpu_seconds() -> dict[int, tuple[str, float]]:
    """Seconds of CPU that each process has had, by its number, with its name. Our own are left out."""
    tick = os.sysconf("SC_CLK_TCK")
    found: dict[int, tuple[str, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        text = _text(stat)
        if text is None:
            continue
        head, _, rest = text.rpartition(")")
        words = rest.split()
        pid, name = int(head.partition(" ")[0]), head.partition("(")[2]
        found[pid] = (name, (int(words[11]) + int(words[12])) / tick)
    found.pop(os.getpid(), None)
    return found


def _busy(before: Look, after: Look) -> list[str]:
    """Processes that were there all the time and took more than a tenth of a core, the busiest first."""
    elapsed = max(after.at - before.at, 1e-9)
    shares = [
        ((seconds - before.busy[pid][1]) / elapsed, pid, name)
        for pid, (name, seconds) in after.busy.items()
        if pid in before.busy and before.busy[pid][0] == name
    ]
    loud = [each for each in sorted(shares, reverse=True) if each[0] > _BUSY_SHARE]
    return [f"{name} ({share:.0%} of a core, process {pid})" for share, pid, name in loud[:_SHOWN]]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
