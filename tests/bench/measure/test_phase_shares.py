"""The time to the first result, divided among the phases."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from imgtool.bench.data.record import PageCache
from imgtool.bench.measure.phase_shares import OTHER, median_shares, shares
from tests.bench.sample_experiments import experiment, sample


def test_add_up_to_the_first_result() -> None:
    one = sample("a", 0, 0, 2.0, PageCache.WARM)
    found = shares(one)
    assert sum(found.values()) == pytest.approx(one.first_result)
    assert found["imports"] == pytest.approx(1.0)
    assert found[OTHER] == pytest.approx(0.1)


def test_of_phases_that_overlap_a_moment_belongs_to_the_last_begun() -> None:
    one = sample("a", 0, 0, 2.0, PageCache.WARM)
    inner = replace(one.phases[1], name="inner", began=0.5, seconds=0.2)
    found = shares(replace(one, phases=(*one.phases, inner)))
    assert found["inner"] == pytest.approx(0.2)
    assert found["imports"] == pytest.approx(0.8)
    assert sum(found.values()) == pytest.approx(one.first_result)


def test_tasks_that_compute_at_once_share_their_moments() -> None:
    one = replace(sample("a", 0, 0, 2.0, PageCache.WARM), first_result=4.0)
    text, caption = (replace(one.phases[1], name=name, began=1.0) for name in ("text", "caption"))
    found = shares(replace(one, phases=(replace(text, seconds=3.0), replace(caption, seconds=2.0))))
    assert found == pytest.approx({OTHER: 1.0, "text": 2.0, "caption": 1.0})


def test_medians_come_in_the_order_of_the_phases() -> None:
    names = list(median_shares(experiment(), "eager"))
    assert names == ["interpreter", "imports", "load blip", "caption", OTHER]
