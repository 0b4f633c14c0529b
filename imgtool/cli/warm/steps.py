"""How the steps of ``imgtool warm-cache`` are shown: a table for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from imgtool.cli.console import data_console, megabytes, print_json

if TYPE_CHECKING:
    from imgtool.errors import ExitCode
    from imgtool.warming.bake import WarmStepEnded

_STYLES = {"done": "green", "unchanged": "", "skipped": "yellow", "failed": "red"}


def print_steps(steps: Sequence[WarmStepEnded]) -> None:
    """The steps of each model under its name, a line each: result, time, bytes, memory of the process that loaded.

    What else there is to say of a step stands below it, so that nothing is cut however narrow the terminal.
    """
    from rich.padding import Padding
    from rich.text import Text

    console = data_console()
    for model, of_model in groupby(steps, key=lambda step: step.model):
        console.print(Text(model, "bold"))
        for step in of_model:
            seconds = f"{step.seconds:.2f} s" if step.seconds >= 0.005 else ""
            size = megabytes(step.size_bytes) if step.size_bytes else ""
            memory = f"{megabytes(step.rss_before)} to {megabytes(step.rss_after)}" if step.rss_after else ""
            line = Text(f"  {step.step.value:<9}")
            line.append(f"{step.result.value:<11}", _STYLES[step.result.value])
            line.append(f"{seconds:>9}  {size:>9}  {memory}".rstrip())
            console.print(line)
            # Causes of failures are long, and are told below all steps.
            if step.detail and step.result.value != "failed":
                console.print(Padding(Text(step.detail, "dim"), (0, 0, 0, 11), expand=False))


def steps_object(steps: Sequence[WarmStepEnded]) -> list[dict[str, Any]]:
    """The steps as JSON values. Seconds and bytes; memory is the resident set of the process that loaded."""
    return [
        {
            "model": step.model,
            "step": step.step.value,
            "result": step.result.value,
            "detail": step.detail,
            "remedy": step.remedy,
            "seconds": step.seconds,
            "size_bytes": step.size_bytes,
            "rss_before_bytes": step.rss_before,
            "rss_after_bytes": step.rss_after,
        }
        for step in steps
    ]


def print_report(code: ExitCode, **values: Any) -> None:
    """What was done or found as one JSON object on stdout, the version of its schema first."""
    print_json({"schema_version": 1, "ok": not code, "exit_code": int(code), **values})
