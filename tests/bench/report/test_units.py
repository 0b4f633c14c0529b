"""Figures as a person reads them."""

from __future__ import annotations

import pytest

from imgtool.bench.data.record import Metric
from imgtool.bench.report.units import figure_text, unlike_text

STARTUP, MEMORY = Metric.STARTUP, Metric.PEAK_RSS


@pytest.mark.parametrize(
    ("metric", "value", "limit", "shown"),
    [
        (STARTUP, 5.0015, 5.0, "5.002 s"),
        (STARTUP, 4.9999, 5.0, "4.9999 s"),
        (STARTUP, 5.01, 5.0, "5.01 s"),
        (STARTUP, 5.0, 5.0, "5.00 s"),
        (STARTUP, 5.0 + 1e-9, 5.0, "5.00 s"),
        (STARTUP, 0.12345, 0.1234, "123.5 ms"),
        (STARTUP, 0.0000123456, 0.0000123, "12.35 µs"),
        (MEMORY, 1.2504e9, 1.25e9, "1.2504 GB"),
        (MEMORY, 512.3e6, 512e6, "512.3 MB"),
        (MEMORY, 900_300.0, 900_000.0, "900.3 kB"),
    ],
)
def test_a_figure_has_the_digits_that_tell_it_from_its_limit(
    metric: Metric, value: float, limit: float, shown: str
) -> None:
    assert unlike_text(metric, value, limit) == shown


def test_three_digits_are_usual() -> None:
    assert [figure_text(STARTUP, value) for value in (0.0, 0.0000123, 0.0451, 1.234)] == [
        "0.00 s", "12.3 µs", "45.1 ms", "1.23 s",
    ]  # fmt: skip
    assert [figure_text(MEMORY, value) for value in (12_345.0, 5.12e8, 1.25e9)] == ["12 kB", "512 MB", "1.25 GB"]
