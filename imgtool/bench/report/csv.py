"""Every sample of an experiment as a row, warm-up runs and failures too, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from typing import Any

from imgtool.bench.data.record import Experiment, Sample
from imgtool.bench.gate.judgement import Judgement
from imgtool.formats.csvout import safe_cell

_COLUMNS = (
    "arm",
    "page_cache",
    "run",
    "order",
    "began_at",
    "exit_code",
    "error",
    "startup_seconds",
    "first_result_seconds",
    "steady_seconds_an_image",
    "wall_seconds",
    "peak_rss_bytes",
    "tree_peak_rss_bytes",
    "peak_anon_bytes",
    "peak_file_bytes",
    "resident_share",
)


def render(experiment: Experiment, judgement: Judgement | None = None) -> str:
    """After RFC 4180: CRLF, a header always. Units stand in the names of the columns; after the fixed ones comes
    ``phase: NAME`` in seconds for every phase that any sample has, those of one name added up. Run -1 is a warm-up.
    """
    phases = list(dict.fromkeys(phase.name for sample in experiment.samples for phase in sample.phases))
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow([*_COLUMNS, *(safe_cell(f"phase: {name}") for name in phases)])
    for sample in experiment.samples:
        cells = _cells(sample)
        seconds = _phase_seconds(sample)
        rows.writerow([*(cells[column] for column in _COLUMNS), *(seconds.get(name, "") for name in phases)])
    return out.getvalue()


def _cells(sample: Sample) -> dict[str, Any]:
    memory = sample.memory
    return {
        "arm": safe_cell(sample.arm),
        "page_cache": sample.page_cache.value,
        "run": sample.run,
        "order": sample.order,
        "began_at": sample.began_at,
        "exit_code": sample.exit_code,
        "error": safe_cell(sample.error),
        "startup_seconds": sample.startup,
        "first_result_seconds": sample.first_result,
        "steady_seconds_an_image": sample.steady,
        "wall_seconds": sample.wall,
        "peak_rss_bytes": None if memory is None else memory.peak_rss,
        "tree_peak_rss_bytes": None if memory is None else memory.tree_peak_rss,
        "peak_anon_bytes": None if memory is None else memory.peak_anon,
        "peak_file_bytes": None if memory is None else memory.peak_file,
        "resident_share": sample.resident_share,
    }


def _phase_seconds(sample: Sample) -> dict[str, float]:
    found: dict[str, float] = {}
    for phase in sample.phases:
        found[phase.name] = found.get(phase.name, 0.0) + phase.seconds
    return found
