"""What each model took to load: medians over the samples, and no memory where loads overlap."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import Experiment, MemoryStep, PageCache, RunSample, SamplePhase
from imgtool.bench.report.findings import Findings
from imgtool.bench.report.model_loads import ModelLoad, load_note, model_loads
from tests.bench.sample_experiments import BOTH, experiment


def loading(first: float, second: float, *, gap: float = 0.0) -> Experiment:
    """An arm whose samples load ``a`` and then ``b``, ``gap`` seconds after its end; each run a tenth longer."""

    def made(one: RunSample) -> RunSample:
        length = first + 0.1 * one.run
        loads = (
            SamplePhase(name="load a", began=1.0, seconds=length, process="worker"),
            SamplePhase(name="imports", began=1.0, seconds=length / 2, process="worker"),
            SamplePhase(name="load b", began=1.0 + length + gap, seconds=second, process="worker"),
        )
        size = 1000 * (1 + one.run)
        steps = tuple(
            MemoryStep(model=name, anon_before=size, anon_after=2 * size, file_before=1, file_after=2) for name in "ab"
        )
        assert one.memory is not None
        return replace(one, phases=loads, memory=replace(one.memory, steps=steps))

    found = experiment({"arm": 5.0}, runs=3)
    return replace(found, samples=tuple(map(made, found.samples)))


def test_medians_are_of_the_counted_samples() -> None:
    found = model_loads(loading(1.0, 0.5, gap=0.1), "arm")
    memory = MemoryStep(model="a", anon_before=2000, anon_after=4000, file_before=1, file_after=2)
    assert found == (ModelLoad("a", 1.1, memory), ModelLoad("b", 0.5, replace(memory, model="b")))


def test_loads_that_overlap_have_seconds_and_no_memory() -> None:
    made = loading(1.0, 0.5, gap=-0.3)
    assert model_loads(made, "arm")[:2] == (ModelLoad("a", 1.1, None), ModelLoad("b", 0.5, None))
    assert "Models of arm load at the same time" in load_note(Findings(made))
    assert "at the same time" not in load_note(Findings(loading(1.0, 0.5)))


def test_what_they_take_together_is_known() -> None:
    whole = model_loads(loading(1.0, 0.5, gap=-0.3), "arm")[-1]
    assert whole.model == "all together"
    assert whole.seconds == pytest.approx(1.3)
    assert whole.memory is not None
    assert (whole.memory.anon_before, whole.memory.anon_after) == (2000, 4000)


def test_a_sample_that_failed_or_warmed_up_is_not_looked_at() -> None:
    made = loading(1.0, 0.5)
    late = [replace(p, began=0.9) if p.name == "load b" else p for p in made.samples[0].phases]
    spoiled = [replace(made.samples[0], phases=tuple(late)), *made.samples[1:]]
    spoiled[1] = replace(spoiled[1], phases=tuple(late), error="was killed")
    assert [sample.run for sample in spoiled[:2]] == [-1, 0]
    assert "at the same time" not in load_note(Findings(replace(made, samples=tuple(spoiled))))


def test_states_of_the_page_cache_are_apart() -> None:
    made = experiment({"arm": 5.0}, states=BOTH, spread=0.0)
    (warm,), (cold,) = (model_loads(made, "arm", state) for state in BOTH)
    assert (warm.seconds, cold.seconds) == (2.0, 3.0)
    assert BOTH == (PageCache.WARM, PageCache.COLD)


def test_an_arm_without_phases_has_none() -> None:
    made = experiment({"arm": 5.0}, runs=2)
    bare = tuple(replace(sample, phases=(), memory=None) for sample in made.samples)
    assert model_loads(replace(made, samples=bare), "arm") == ()
