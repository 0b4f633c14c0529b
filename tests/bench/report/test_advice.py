"""What an arm gained, what is left and which targets are met: made-up benchmarks whose truth is known."""

from __future__ import annotations

import random
import re

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import Arm, ArmKind, Experiment, MemoryStep, PeakMemory, RunSample, SamplePhase
from imgtool.bench.report.advice import SWITCHES, default_arm, gains, group_of, remainders, targets
from imgtool.bench.report.content import Report, sections
from imgtool.bench.report.markdown import markdown_report
from imgtool.errors import UsageProblem
from tests.bench.sample_experiments import experiment
from tests.command import imgtool

EAGER = Arm(name="eager", kind=ArmKind.EAGER, summary="everything first")
COMPILED = Arm(name="compiled", kind=ArmKind.ANALYZE, options=("--backend", "onnx"), summary="compiled models")
SAME = Arm(name="same", kind=ArmKind.ANALYZE, options=("--backend", "torch"), summary="no better")

_SLOW = {"interpreter": 0.1, "imports": 4.0, "load blip": 1.0, "load easyocr": 1.5, "caption": 1.0, "text": 2.0}
_QUICK = {"interpreter": 0.2, "imports": 0.5, "load blip": 0.1, "load easyocr": 0.1, "caption": 0.5, "text": 1.1}


def _sample(arm: Arm, run: int, chance: random.Random) -> RunSample:
    quick = arm is COMPILED
    factor, at, phases = chance.gauss(1, 0.01), 0.0, []
    for name, seconds in (_QUICK if quick else _SLOW).items():
        phases.append(SamplePhase(name=name, began=at, seconds=seconds * factor))
        at += seconds * factor
    rss = int((0.9e9 if quick else 2.3e9) * factor)
    step = MemoryStep(model="blip", anon_before=0, anon_after=rss // 2, file_before=0, file_after=10_000_000)
    return RunSample(
        arm=arm.name,
        run=run,
        order=run,
        wall=at + 0.2,
        startup=(0.9 if quick else 6.6) * factor,
        first_result=at,
        steady=2.0 * factor,
        phases=tuple(phases),
        memory=PeakMemory(
            peak_rss=rss, peak_anon=rss // 2, peak_file=0, tree_peak_rss=rss, method="made up", steps=(step,)
        ),
    )


def made(*arms: Arm) -> Experiment:
    """Ten runs an arm, one percent of noise."""
    chance = random.Random(7)
    samples = tuple(_sample(arm, run, chance) for run in range(10) for arm in arms)
    return replace(experiment({"x": 1.0}, runs=1), arms=arms, samples=samples, reference=arms[0].name)


def test_the_arm_to_explain_is_what_a_user_gets() -> None:
    assert default_arm(made(EAGER, SAME, COMPILED)) == "compiled"
    assert default_arm(made(EAGER, SAME)) == "same"
    plain = Arm(name="mine", kind=ArmKind.ANALYZE)
    assert default_arm(made(EAGER, plain, COMPILED)) == "mine"
    assert default_arm(made(EAGER)) == "eager"


def test_shares_of_the_gain_come_from_the_phases() -> None:
    rows = {row.group: row for row in gains(made(EAGER, COMPILED), "eager", "compiled")}
    assert rows["imports"].before - rows["imports"].after == pytest.approx(3.5, rel=0.03)
    assert rows["models load"].before - rows["models load"].after == pytest.approx(2.3, rel=0.03)
    assert rows["first answers"].before - rows["first answers"].after == pytest.approx(1.4, rel=0.05)
    assert rows["start of processes"].share is None
    assert sum(row.share for row in rows.values() if row.share is not None) == pytest.approx(1)
    assert rows["imports"].share == pytest.approx(3.5 / 7.2, rel=0.02)


def test_without_phases_there_are_no_gains() -> None:
    found = made(EAGER, COMPILED)
    bare = tuple(replace(one, phases=()) if one.arm == "eager" else one for one in found.samples)
    assert gains(replace(found, samples=bare), "eager", "compiled") == []


def test_what_is_left_has_an_option_that_would_reduce_it() -> None:
    first = remainders(made(EAGER, COMPILED), COMPILED)[0]
    assert (first.phase, first.option) == ("text", "--precision fast")
    assert first.share == pytest.approx(0.44, abs=0.01)


def test_what_an_arm_does_already_is_not_advised() -> None:
    fast = replace(COMPILED, options=("--backend", "onnx", "--precision", "fast"))
    assert remainders(made(EAGER, COMPILED), fast)[0].option == "--ocr canvas_size"
    assert remainders(made(EAGER, COMPILED), EAGER)[0].option.startswith("imgtool warm-cache")


@pytest.mark.parametrize(
    ("phase", "group"),
    [
        ("load blip", "models load"),
        ("warm up blip", "warm-up"),
        ("text", "first answers"),
        ("look up", "files and store"),
        ("plan", "start of processes"),
        ("decode", "decode"),
    ],
)
def test_every_phase_has_a_group(phase: str, group: str) -> None:
    assert group_of(phase) == group


def test_targets_are_met_missed_or_not_measured() -> None:
    assert [check.met for check in targets(made(EAGER, COMPILED), "compiled")] == [True, True, True]
    assert [check.met for check in targets(made(EAGER, SAME), "same")] == [False, True, False]
    found = made(EAGER, COMPILED)
    bare = tuple(replace(one, startup=None, memory=None, first_result=None) for one in found.samples)
    assert [check.met for check in targets(replace(found, samples=bare), "compiled")] == [None, None, None]


def test_a_median_that_rounds_to_its_target_is_told_from_it() -> None:
    found = made(EAGER, COMPILED)
    late = [replace(one, first_result=5.0015) if one.arm == "compiled" else one for one in found.samples]
    text = markdown_report(Report(replace(found, samples=tuple(late))))
    assert re.search(r"\| first result within 5 s \| 5\.00[12] s \| no \|", text)


def test_targets_and_switches_are_for_comparisons_with_the_eager_program() -> None:
    titles = {section.title: len(section.blocks) for section in sections(Report(made(EAGER, COMPILED)))}
    assert titles["Targets"] == 2
    titles = {section.title: len(section.blocks) for section in sections(Report(made(SAME, COMPILED)))}
    assert titles["Targets"] == titles["What is left"] == 0
    assert titles["Where the time to the first result goes"] == 3


def test_an_arm_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageProblem, match="nobody"):
        sections(Report(made(EAGER, COMPILED), arm="nobody"))


def test_every_switch_is_an_option_of_analyze() -> None:
    said = imgtool("analyze", "--help-all", COLUMNS="200").out
    for switch, _ in SWITCHES:
        assert switch.split()[0] in said
