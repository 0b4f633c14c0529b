"""How the steps of ``imgtool warm-cache`` are shown: a table for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

    from imgtool.warming.bake import WarmStepEnded

_STYLES = {"done": "green", "unchanged": "", "skipped": "yellow", "failed": "red"}


def print_steps(steps: Sequence[WarmStepEnded]) -> None:
    """The steps of each model under its name, a line each: result, time, bytes, memory of the process that loaded.

    What else there is to say of a step stands below it, so that nothing is cut however narrow the terminal.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for model, of_model in groupby(steps, key=lambda step: step.model):
        console.print(Text(model, "bold"))
        for step in of_model:
            console.print(_line(step))
            # Causes of failures are long, and are told below all steps.
            if step.detail and step.result.value != "failed":
                console.print(Padding(Text(step.detail, "dim"), (0, 0, 0, 11), expand=False))


def _line(step: WarmStepEnded) -> Text:
    from rich.text import Text

    from imgtool.cli.cache import megabytes

    size = megabytes(step.size_bytes) if step.size_bytes else ""
    memory = f"{megabytes(step.rss_before)} to {megabytes(step.rss_after)}" if step.rss_after else ""
    line = Text(f"  {step.step.value:<9}")
    line.append(f"{step.result.value:<11}", _STYLES[step.result.value])
    line.append(f"{_seconds(step.seconds):>9}  {size:>9}  {memory}".rstrip())
    return line


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


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout, the version of its schema first."""
    import msgspec

    text = msgspec.json.encode({"schema_version": 1, **value}, enc_hook=str)
    sys.stdout.write(msgspec.json.format(text, indent=2).decode() + "\n")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.005 else ""
