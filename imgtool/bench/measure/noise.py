"""What else the machine does during an experiment, read before and after it, with advice."""

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
class MachineCounters:
    """Counters of the machine at one moment; ``None`` where the system does not show them.

    ``ticks`` are stolen and all ticks of all CPUs; ``busy`` holds name and seconds of CPU of each process but our own.
    """

    at: float
    load: float | None
    ticks: tuple[int, int] | None
    swapped_bytes: int | None
    throttled: int | None
    busy: dict[int, tuple[str, float]]


class NoiseWatch:
    """Watches from its making to ``finish``."""

    def __init__(self) -> None:
        self._first = read_counters()

    def notices_before(self) -> list[str]:
        """What makes this a bad moment to measure. Takes a third of a second, to find busy processes."""
        time.sleep(_GLANCE_SECONDS)
        now = read_counters()
        return list(notices_on(_noise(self._first, now, now.load)))

    def finish(self) -> Noise:
        """What happened since, with notices."""
        # The load before is that of others; the load after contains the samples themselves.
        found = _noise(self._first, read_counters(), self._first.load)
        return msgspec.structs.replace(found, notices=tuple(notices_on(found)))


def read_counters() -> MachineCounters:
    """The machine as it is now."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = None
    line = (_text(Path("/proc/stat")) or "").partition("\n")[0].split()
    numbers = [int(word) for word in line[1:9]]
    ticks = (numbers[7], sum(numbers)) if len(numbers) == 8 else None
    vmstat = _text(Path("/proc/vmstat"))
    pages = [int(row.split()[1]) for row in (vmstat or "").splitlines() if row.startswith("pswp")]
    throttles = [_text(path) for path in _CPU.glob("cpu*/thermal_throttle/core_throttle_count")]
    return MachineCounters(
        at=time.monotonic(),
        load=load,
        ticks=ticks,
        swapped_bytes=None if vmstat is None else sum(pages) * os.sysconf("SC_PAGE_SIZE"),
        throttled=sum(int(count) for count in throttles if count) if throttles else None,
        busy=_cpu_seconds(),
    )


def _cpu_seconds() -> dict[int, tuple[str, float]]:
    tick = os.sysconf("SC_CLK_TCK")
    found: dict[int, tuple[str, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        if (text := _text(stat)) is not None:
            head, _, rest = text.rpartition(")")
            words = rest.split()
            found[int(head.partition(" ")[0])] = head.partition("(")[2], (int(words[11]) + int(words[12])) / tick
    found.pop(os.getpid(), None)
    return found


def _noise(before: MachineCounters, after: MachineCounters, load: float | None) -> Noise:
    steal = None
    if before.ticks and after.ticks and after.ticks[1] > before.ticks[1]:
        steal = (after.ticks[0] - before.ticks[0]) / (after.ticks[1] - before.ticks[1])
    degrees = [_text(path) for path in _THERMAL.glob("thermal_zone*/temp")]
    elapsed = max(after.at - before.at, 1e-9)
    # Processes that were there all the time and took more than a tenth of a core, the busiest first.
    shares = [
        ((seconds - before.busy[pid][1]) / elapsed, pid, name)
        for pid, (name, seconds) in after.busy.items()
        if pid in before.busy and before.busy[pid][0] == name
    ]
    busy = [each for each in sorted(shares, reverse=True) if each[0] > _BUSY_SHARE]
    return Noise(
        load_before=load,
        load_after=after.load,
        steal_share=steal,
        swapped_bytes=_difference(before.swapped_bytes, after.swapped_bytes),
        governor=_text(_CPU / "cpu0/cpufreq/scaling_governor"),
        temperature_celsius=max(
            (int(text) / 1000 for text in degrees if text and text.lstrip("-").isdigit()), default=None
        ),
        throttled=_difference(before.throttled, after.throttled),
        busy_processes=tuple(f"{name} ({share:.0%} of a core, process {pid})" for share, pid, name in busy[:_SHOWN]),
    )


def notices_on(noise: Noise) -> Iterable[str]:
    """What makes figures taken meanwhile doubtful, and what to do about it."""
    cores = os.cpu_count() or 1
    if noise.load_before is not None and noise.load_before > _LOAD_SHARE * cores:
        yield (
            f"the load average was {noise.load_before:.1f} on {cores} cores before the first sample: "
            "wait until it falls, or raise --runs"
        )
    if noise.busy_processes:
        yield f"other processes were busy: {', '.join(noise.busy_processes)}: end them, or raise --runs"
    if noise.steal_share is not None and noise.steal_share > _STEAL_SHARE:
        yield (
            f"the hypervisor gave {noise.steal_share:.0%} of this machine's time to others: "
            "raise --runs, or measure on a machine that is not shared"
        )
    if noise.swapped_bytes is not None and noise.swapped_bytes > _SWAPPED_BYTES:
        yield f"{noise.swapped_bytes / 1e6:.0f} MB were swapped: free memory, or measure fewer arms at once"
    if noise.governor is not None and noise.governor not in ("performance", "schedutil"):
        yield (
            f"the CPU's frequency governor is {noise.governor!r}: clock rates change with the load; "
            "set it to performance (`cpupower frequency-set -g performance`)"
        )
    if noise.throttled:
        yield f"the CPU was throttled {noise.throttled} times because of its heat: let it cool down, or raise --runs"


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
