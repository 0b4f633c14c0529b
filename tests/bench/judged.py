"""Experiments as data, for what judges them: every figure is chosen, one metric at a time."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from imgtool.bench.data.record import (
    Arm,
    ArmKind,
    Experiment,
    ExperimentSettings,
    Machine,
    Metric,
    Noise,
    PageCache,
    PeakMemory,
    RunSample,
)

MACHINE = Machine(
    cpu="AMD EPYC 7763",
    cores=4,
    granted_cores=2.0,
    cpu_features=("avx2", "fma"),
    memory_bytes=16_000_000_000,
    system="Linux",
    kernel="6.8.0-31",
    python="3.12.3",
    libraries={"onnxruntime": "1.19.2", "torch": "2.5.1"},
    weights={"blip": "synthetic-1f", "easyocr": "synthetic-2e"},
    threads=2,
)

SETTINGS = ExperimentSettings(
    runs=10,
    warm_ups=1,
    steady=3,
    page_cache=(PageCache.WARM,),
    tasks=("caption", "text"),
    images=("page.png 640x480",),
    weights="synthetic",
)

WALL = 20.0
"""Seconds that every sample takes where nothing else is said."""

Figures = Mapping[Metric, Sequence[float]]


def around(value: float, *, spread: float = 0.02, runs: int = 10, seed: int = 0) -> list[float]:
    """``runs`` figures about ``value``; always the same ones for a seed."""
    chance = random.Random(seed)
    return [value * (1 + chance.uniform(-spread, spread)) for _ in range(runs)]


def samples(
    arm: str, figures: Figures, *, failed: int = 0, page_cache: PageCache = PageCache.WARM
) -> tuple[RunSample, ...]:
    """A warm-up run that no figure may contain, a sample for each place in ``figures``, and ``failed`` more."""
    runs = max((len(values) for values in figures.values()), default=0)
    counted = [_sample(arm, run, {m: values[run] for m, values in figures.items()}, page_cache) for run in range(runs)]
    warm_up = _sample(arm, -1, dict.fromkeys(figures, 1e6), page_cache)
    broken = [
        RunSample(arm=arm, run=runs + place, order=0, page_cache=page_cache, exit_code=-11, error="killed by SIGSEGV")
        for place in range(failed)
    ]
    return (warm_up, *counted, *broken)


def _sample(arm: str, run: int, figures: Mapping[Metric, float], page_cache: PageCache) -> RunSample:
    memory = None
    if Metric.PEAK_RSS in figures or Metric.PEAK_ANON in figures:
        memory = PeakMemory(
            peak_rss=int(figures.get(Metric.PEAK_RSS, 0)),
            peak_anon=int(figures.get(Metric.PEAK_ANON, 0)),
            peak_file=0,
            tree_peak_rss=int(figures.get(Metric.PEAK_RSS, 0)),
            method="sampled",
        )
    times = {metric.value: value for metric, value in figures.items() if not metric.is_memory}
    wall = times.pop("wall", WALL)
    return RunSample(arm=arm, run=run, order=0, page_cache=page_cache, exit_code=0, memory=memory, wall=wall, **times)


def experiment(
    arms: Mapping[str, Figures], *, reference: str = "", taken: Sequence[RunSample] = (), **changes: Any
) -> Experiment:
    """``arms`` by name with their figures; ``taken`` are more samples."""
    fields: dict[str, Any] = {
        "version": "0.1.0",
        "created": "2025-03-01T10:00:00Z",
        "command": ("imgtool", "bench"),
        "machine": MACHINE,
        "noise": Noise(),
        "settings": SETTINGS,
        "arms": tuple(
            Arm(name=name, kind=ArmKind.EAGER if name == "eager" else ArmKind.ANALYZE, options=()) for name in arms
        ),
        "samples": (*(sample for name, figures in arms.items() for sample in samples(name, figures)), *taken),
        "reference": reference or next(iter(arms), ""),
    }
    return Experiment(**{**fields, **changes})
