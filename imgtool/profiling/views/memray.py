"""memray in place of samples: every allocation of the run, where it is installed and asked for.

memray follows forks, not new programs, so the worker runs in a thread of the parent (``--no-isolate``) in this run.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from imgtool.ground.fresh import IMGTOOL
from imgtool.profiling.record import Absence
from imgtool.profiling.target import Outcome, run

PAGE = "memray.html"
NOTICE = "memory: memray looked at a run with --no-isolate, for it does not follow into a worker; see memray.html"


def sample(arguments: Sequence[str], folder: Path) -> tuple[Absence | None, Outcome | None]:
    """Run ``analyze`` under memray; its flame graph becomes ``memray.html`` in ``folder``."""
    if find_spec("memray") is None:
        return Absence(view="memray", reason="memray is not installed", remedy="pip install memray"), None
    recorded, script = folder / "memray.bin", folder / "analyze.py"
    script.write_text(f"{IMGTOOL}\n", encoding="utf-8")
    flags = ["--force", "--quiet", "--native", "-o", str(recorded)]
    command = [sys.executable, "-m", "memray", "run", *flags, str(script), "analyze", *arguments, "--no-isolate"]
    parent = str(Path(__file__).resolve().parents[3])
    outcome = run(command, folder / "memray.log", {"PYTHONPATH": _before(parent)})
    if not recorded.is_file():
        return Absence(view="memray", reason=f"memray recorded nothing: {outcome.last_words}"), outcome
    return _draw(recorded, folder / PAGE), outcome


def _before(parent: str) -> str:
    import os

    former = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([parent, *([former] if former else [])])


def _draw(recorded: Path, page: Path) -> Absence | None:
    command = [sys.executable, "-m", "memray", "flamegraph", "--force", "-o", str(page), str(recorded)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    recorded.unlink()
    if done.returncode == 0:
        return None
    return Absence(view="memray", reason=f"memray could not draw: {done.stderr.strip()[-200:]}")
