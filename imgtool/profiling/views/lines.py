"""Memory of one function line by line: memory_profiler's decorator, in whichever process imports the function."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from imgtool.distribution import install_command
from imgtool.errors import UsageProblem
from imgtool.profiling.analyze_run import RunOutcome, analyze_command, run
from imgtool.profiling.record import Absence
from imgtool.profiling.views.imports import bootstrap_path

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
VARIABLE, FOLDER_VARIABLE = "_IMGTOOL_PROFILE_LINES", "_IMGTOOL_PROFILE_LINES_FOLDER"


def check_target(target: str) -> str:
    """``target`` itself.

    Raises:
        UsageProblem: it is not of the form ``module:function``.
    """
    if _TARGET.fullmatch(target):
        return target
    raise UsageProblem(
        f"--line-by-line {target} does not name a function",
        "write module:function, such as imgtool.runtime.worker.decode:Decoder.decode",
    )


def sample(arguments: Sequence[str], folder: Path, target: str) -> tuple[str | Absence, RunOutcome | None]:
    """Run ``analyze`` with the function ``target`` measured line by line: memory_profiler's table, or why not."""
    if find_spec("memory_profiler") is None:
        return Absence(view="lines", reason="memory_profiler is not installed", remedy=install_command("profile")), None
    for old in folder.glob("*.lines"):
        old.unlink()
    environment = {VARIABLE: target, FOLDER_VARIABLE: str(folder), **bootstrap_path()}
    outcome = run(analyze_command(arguments), folder / "lines.log", environment)
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.glob("*.lines"))]
    failed = [text for text in texts if text.startswith("error: ")]
    tables = [text.strip() for text in texts if text.strip() and text not in failed]
    if tables:
        return "\n\n".join(tables) + "\n", outcome
    reason = failed[0][7:].strip() if failed else f"{target} was never called in this run"
    return Absence(
        view="lines", reason=reason, remedy="give a function that this run calls, as module:function"
    ), outcome
