"""A run and the same run again: how much of it comes from the cache, by imgtool's own count."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from imgtool.bench.arms.cached import beside_models
from imgtool.bench.arms.images import draw_in_child
from imgtool.bench.measure.child import ChildFailed
from imgtool.errors import UsageProblem
from imgtool.ground.fresh import imgtool_command
from imgtool.options import EngineOptions
from imgtool.runtime.process import describe_exit


class Repeated(Struct, frozen=True, kw_only=True):
    """A run and the same run again, each in a fresh process; counted by imgtool's own statistics."""

    images: int
    first_hits: int
    hits: int
    hit_rate_percent: float
    first_seconds: float
    seconds: float


def measure_repeated(
    paths: Sequence[str],
    *,
    images: int,
    options: Sequence[str],
    models: EngineOptions,
    folder: Path | None,
    timeout: float = 3600.0,
) -> Repeated:
    """Analyze ``paths``, or ``images`` drawn ones, twice with one cache, each time in a fresh process.

    ``options`` are words of ``imgtool analyze``, and ``models`` what they mean: the cache is a scratch one with the
    models of theirs. ``timeout`` is seconds a run.

    Raises:
        UsageProblem: the run failed; the message holds what it said.
        ChildFailed: it crashed or hung.
    """
    with tempfile.TemporaryDirectory(prefix="imgtool-bench-", dir=folder) as scratch:
        root = Path(scratch)
        analyzed = list(paths)
        if not analyzed:
            draw_in_child(root / "images", ((640, 480), (1000, 600)), images)
            analyzed = [str(root / "images")]
        beside_models(models, root / "cache")
        words = ["analyze", *analyzed, *options, "--cache-dir", str(root / "cache")]
        command = imgtool_command(words)
        first, again = (_run(command, root / f"{number}.json", timeout) for number in range(2))
        return Repeated(
            images=again.images,
            first_hits=first.hits,
            hits=again.hits,
            hit_rate_percent=again.hit_rate_percent or 0.0,
            first_seconds=first.wall_seconds,
            seconds=again.wall_seconds,
        )


class _Counted(Struct):
    images: int
    hits: int
    hit_rate_percent: float | None
    wall_seconds: float


def _run(command: list[str], stats: Path, timeout: float) -> _Counted:
    whole = [*command, "--stats", str(stats), "--format", "jsonl", "--quiet"]
    try:
        done = subprocess.run(whole, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"the run did not finish within {timeout:.0f} s") from None
    if not stats.is_file() or not stats.stat().st_size or done.returncode not in (0, 3):
        said = done.stderr.decode("utf-8", "replace").strip()[-1000:]
        message = f"the run {describe_exit(done.returncode)}{': ' if said else ''}{said}"
        raise ChildFailed(message) if done.returncode < 0 else UsageProblem(message)
    return msgspec.json.decode(stats.read_bytes(), type=_Counted)
