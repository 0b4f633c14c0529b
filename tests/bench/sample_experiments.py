"""Experiments made up for the tests: figures that somebody chose, no process started."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from imgtool.bench.data.record import (
    Arm,
    ArmKind,
    Experiment,
    ExperimentSettings,
    Machine,
    MemoryStep,
    Noise,
    PageCache,
    PeakMemory,
    RunSample,
    SamplePhase,
)

BOTH = (PageCache.WARM, PageCache.COLD)


def machine(**changes: Any) -> Machine:
    """A small one."""
    values: dict[str, Any] = {
        "cpu": "Planted CPU 3000",
        "cores": 2,
        "granted_cores": 2.0,
        "cpu_features": ("avx2", "fma"),
        "memory_bytes": 24_000_000_000,
        "system": "Linux",
        "kernel": "6.1.0",
        "python": "3.11.7",
        "libraries": {"onnxruntime": "1.30.0", "torch": "2.9.0"},
        "weights": {"blip": "synthetic-blip-base", "easyocr": "synthetic-easyocr"},
        "threads": 2,
    }
    return Machine(**{**values, **changes})


def sample(arm: str, run: int, order: int, startup: float, state: PageCache, **changes: Any) -> RunSample:
    """A sample of an arm that starts in ``startup`` seconds, with phases and memory to go with it."""
    imports, load = 0.5 * startup, 0.4 * startup
    values: dict[str, Any] = {
        "arm": arm,
        "run": run,
        "order": order,
        "page_cache": state,
        "began_at": f"2030-01-01T00:00:{order % 60:02}+00:00",
        "exit_code": 0,
        "wall": startup * 1.8,
        "startup": startup,
        "first_result": startup * 1.5,
        "steady": startup * 0.2,
        "phases": (
            SamplePhase(name="interpreter", began=0.0, seconds=0.1 * startup),
            SamplePhase(name="imports", began=0.1 * startup, seconds=imports),
            SamplePhase(name="load blip", began=0.6 * startup, seconds=load, process="worker"),
            SamplePhase(name="caption", began=startup, seconds=0.45 * startup, process="worker"),
        ),
        "memory": PeakMemory(
            peak_rss=int(4e8 * startup),
            peak_anon=int(3e8 * startup),
            peak_file=int(1e8 * startup),
            tree_peak_rss=int(4.2e8 * startup),
            method="planted",
            steps=(
                MemoryStep(
                    model="blip",
                    anon_before=int(5e7),
                    anon_after=int(2e8 * startup),
                    file_before=int(1e7),
                    file_after=int(9e7),
                ),
            ),
        ),
    }
    return RunSample(**{**values, **changes})


def experiment(
    arms: Mapping[str, float] | None = None,
    *,
    runs: int = 10,
    spread: float = 0.02,
    states: Sequence[PageCache] = (PageCache.WARM,),
    seed: int = 1,
    **changes: Any,
) -> Experiment:
    """Arms by their startup in seconds, interleaved; a cold start takes half as long again."""
    chance = random.Random(seed)
    starts = {"eager": 5.0, "lazy": 4.6, "compiled": 0.45} if arms is None else arms
    samples = []
    for run in range(-1, runs):
        for name, startup in starts.items():
            for state in states:
                typical = startup * (1.5 if state is PageCache.COLD else 1.0)
                samples.append(sample(name, run, len(samples), typical * chance.gauss(1, spread), state))
    values: dict[str, Any] = {
        "version": "0.1.0",
        "created": "2030-01-01T00:00:00+00:00",
        "command": ("imgtool", "bench", "--runs", str(runs)),
        "machine": machine(),
        "noise": Noise(load_before=0.2, load_after=1.1),
        "settings": ExperimentSettings(
            runs=runs,
            warm_ups=1,
            steady=2,
            page_cache=tuple(states),
            tasks=("caption", "text"),
            images=("0000-1000x600.jpg (1000 x 600)",),
            weights="synthetic",
        ),
        "arms": tuple(
            Arm(name=name, kind=ArmKind.ANALYZE, command=("imgtool", "analyze", "a b.png"), summary=f"the {name} way")
            for name in starts
        ),
        "samples": tuple(samples),
        "reference": next(iter(starts)),
    }
    return Experiment(**{**values, **changes})


HOSTILE = "<img src=x onerror=document.title='owned'>"
WORDS = "</pre></script><script>document.title='owned'</script>"


def hostile() -> Experiment:
    """An arm whose name and words would be markup if they were not escaped; it failed."""
    made = experiment({"eager": 5.0, "compiled": 0.45})
    bad = replace(
        made.samples[-1], arm=HOSTILE, error=f"exited with code 1 {WORDS}", stderr_tail=f"| a\n\x1b[31m{WORDS}"
    )
    arm = Arm(name=HOSTILE, kind=ArmKind.COMMAND, command=("sh", "-c", WORDS))
    return replace(made, arms=(*made.arms, arm), samples=(*made.samples, bad))


def beside(made: Experiment) -> Experiment:
    """``made`` with a second model that every sample of ``lazy`` loads beside the first, and others after it."""

    def more(one: RunSample) -> RunSample:
        assert one.memory is not None
        load = next(phase for phase in one.phases if phase.name == "load blip")
        began = load.began + (0.5 if one.arm == "lazy" else 1.0) * load.seconds
        second = replace(load, name="load easyocr", began=began, seconds=2 * load.seconds)
        steps = (*one.memory.steps, replace(one.memory.steps[0], model="easyocr", anon_after=int(7e8)))
        return replace(one, phases=(*one.phases, second), memory=replace(one.memory, steps=steps))

    return replace(made, samples=tuple(map(more, made.samples)))
