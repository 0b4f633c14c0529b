"""What an experiment is compared with, and with what figures."""

from __future__ import annotations

import msgspec
import pytest

from imgtool.bench.data.record import Metric
from imgtool.bench.gate.baseline import against, ratios_to_reference
from imgtool.bench.stats.comparison import INTERLEAVED_MARGIN, SAVED_MARGIN, Verdict
from tests.bench.judged import MACHINE, around, experiment, samples

NOW = experiment(
    {"eager": {Metric.STARTUP: around(10.0), Metric.WALL: around(12.0)}, "compiled": {Metric.STARTUP: around(1.0)}}
)


def test_every_comparison_within_an_experiment() -> None:
    found = list(against(NOW, None).all_compared())
    assert [(one.arm, one.metric, one.against) for one in found] == [
        ("compiled", Metric.STARTUP, "eager"),
        ("compiled", Metric.WALL, "eager"),
    ]
    assert found[0].comparison.verdict is Verdict.FASTER
    assert found[0].comparison.ratio == pytest.approx(0.1, rel=0.05)
    assert found[0].comparison.margin == INTERLEAVED_MARGIN
    assert found[1].comparison.verdict is Verdict.SLOWER


def test_every_arm_is_compared_with_itself_as_saved_and_with_a_wider_margin() -> None:
    found = list(against(NOW, NOW).all_compared())
    assert [(one.arm, one.metric) for one in found] == [
        ("eager", Metric.STARTUP),
        ("eager", Metric.WALL),
        ("compiled", Metric.STARTUP),
        ("compiled", Metric.WALL),
    ]
    assert {one.comparison.verdict for one in found} == {Verdict.NO_DIFFERENCE}
    assert {one.comparison.margin for one in found} == {SAVED_MARGIN}


def test_across_machines_runs_are_paired_so_that_a_common_drift_cancels() -> None:
    drift = [1.0 + 0.2 * run for run in range(10)]
    drifting = experiment(
        {
            "eager": {Metric.STARTUP: [10.0 * factor for factor in drift]},
            "compiled": {Metric.STARTUP: [2.0 * factor for factor in drift]},
        }
    )
    assert ratios_to_reference(drifting, "compiled", "eager", Metric.STARTUP) == pytest.approx([0.2] * 10)
    elsewhere = msgspec.structs.replace(drifting, machine=msgspec.structs.replace(MACHINE, cpu="another"))
    found, _wall = against(drifting, elsewhere, across_machines=True).all_compared()
    assert found.ratios
    assert found.comparison.verdict is Verdict.NO_DIFFERENCE


def test_a_run_that_one_arm_lacks_is_in_no_ratio() -> None:
    """Run 1 of compiled failed: run 2 is still held against run 2."""
    taken = [sample for sample in samples("compiled", {Metric.STARTUP: [1.0, 2.0, 3.0]}) if sample.run != 1]
    mixed = experiment({"eager": {Metric.STARTUP: [10.0, 20.0, 30.0]}, "compiled": {}}, taken=taken)
    assert ratios_to_reference(mixed, "compiled", "eager", Metric.STARTUP) == pytest.approx([0.1, 0.1])
