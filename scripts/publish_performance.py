"""Publish a saved benchmark: docs/performance.json without this machine's paths, its report and chart, README's table.

    imgtool bench --save out/performance.json
    python scripts/publish_performance.py out/performance.json

``make performance`` does both.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from msgspec.structs import replace

from imgtool.bench.data.record import Experiment
from imgtool.bench.data.saved import load_experiment
from imgtool.bench.report.charts import phases_file
from imgtool.bench.report.content import Report
from imgtool.bench.report.findings import Findings
from imgtool.bench.report.markdown import headline_table, markdown_report
from imgtool.ground.versioned import encode

ROOT = Path(__file__).resolve().parents[1]
_BEGIN, _END = "<!-- headline: generated from docs/performance.json -->\n", "<!-- end of headline -->"


def main() -> None:
    """Read the file that the command line names; write what the repository keeps of it."""
    experiment = without_paths(load_experiment(Path(sys.argv[1])))
    docs, readme = ROOT / "docs", ROOT / "README.md"
    (docs / "performance.json").write_bytes(encode(experiment))
    (docs / "performance.svg").write_text(phases_file(Findings(experiment)), encoding="utf-8")
    report = markdown_report(Report(experiment), "Performance", "performance.svg")
    (docs / "performance.md").write_text(report, encoding="utf-8")
    before, _, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    readme.write_text(f"{before}{_BEGIN}{headline_table(experiment).strip()}\n{_END}{after}", encoding="utf-8")


def without_paths(experiment: Experiment) -> Experiment:
    """``experiment`` with the names of files only, and without what programs that succeeded wrote on stderr."""
    arms = tuple(replace(arm, command=_names(arm.command)) for arm in experiment.arms)
    samples = tuple(replace(each, stderr_tail="") if each.exit_code == 0 else each for each in experiment.samples)
    return replace(experiment, command=_names(experiment.command), arms=arms, samples=samples)


def _names(command: tuple[str, ...]) -> tuple[str, ...]:
    """Words that are paths lose their folders; in words that are programs, the folder of this checkout is the current
    one."""
    return tuple(re.sub(r"^/.*/(?=[^/]+$)", "", word.replace(f"'{ROOT}'", "'.'")) for word in command)


if __name__ == "__main__":
    main()
