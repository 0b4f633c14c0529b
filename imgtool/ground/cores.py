"""How many cores this process may really use: affinity mask and cgroup quota, not what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


def granted_cores() -> int:
    """At least 1. A container limited to half a core gets 1: a thread fewer than one cannot be had."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity call
        allowed = os.cpu_count() or 1
    quota = _cgroup_cores()
    return max(1, min(allowed, round(quota) if quota else allowed))


def _cgroup_cores() -> float | None:
    """Cores granted by the cgroup's quota, or ``None`` where there is none."""
    try:
        if _CGROUP_V2.exists():
            quota, period = _CGROUP_V2.read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        quota, period = (path.read_text().strip() for path in _CGROUP_V1)
        return None if int(quota) < 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None
