"""The figures of a run that are worked out of others."""

from __future__ import annotations

import pytest

from imgtool.cli.analyze.summary import _details
from imgtool.engine.statistics import Statistics, Tally
from imgtool.runtime.pool import WorkerStatistics


def test_stages_name_what_the_run_waited_for() -> None:
    tally = Tally()
    tally._began -= 10
    tally.inference("text", 15.0)
    tally.inference("caption", 1.0)
    tally.figures.decode_seconds_total = 0.4
    figures = tally.statistics(workers=WorkerStatistics(started=2, allowed=2))
    assert list(figures.stages) == ["text", "caption", "decode"]
    assert figures.stages["text"] == pytest.approx(0.75, rel=0.01)
    shares = "share of the time of 2 workers, partly side by side: text 75 %, caption 5 %, decode 2 %"
    assert shares in list(_details(figures))


def test_a_run_without_workers_has_no_stages() -> None:
    figures = Tally().statistics(workers=WorkerStatistics())
    assert figures.stages == {}
    assert list(_details(figures)) == []
    assert list(_details(Statistics())) == []
