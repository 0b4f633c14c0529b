"""A share of the kills of ``scripts/kill_at_random.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killed_cases import CASES, SyntheticModels, kill_case
from tests.faults.killed_service import KilledService
from tests.faults.kills import Case

SHARE = 20


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case is not SyntheticModels], ids=lambda case: case.name)
def test_a_killed_command_leaves_nothing_wrong(case: type[Case], tmp_path: Path) -> None:
    times = max(2, CASES[case] // SHARE)
    tally = kill_case(case, tmp_path / "case", times, seed=2)
    assert tally.complaints == []
    assert tally.landed >= times - 1
    assert tally.unkept == 0


@pytest.mark.slow
def test_a_killed_service_goes_on_with_its_jobs(tmp_path: Path) -> None:
    assert KilledService(tmp_path / "service").kill(3, seed=2).complaints == []
