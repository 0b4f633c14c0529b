"""How the steps of ``imgtool warm-cache`` are shown: a table for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgtool.models.bake import StepEnded

_STYLES = {"done": "green", "unchanged": "", "skipped": "yellow", "failed": "red"}


def print_steps(steps: Sequence[StepEnded]) -> None:
    """A row a step: result, time, bytes, memory of the process that loaded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from imgtool.cli.cache import megabytes

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, justify in (("model", "left"), ("step", "left"), ("result", "left")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for heading in ("time", "bytes", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for step in steps:
        table.add_row(
            Text(step.model),
            step.step.value,
            Text(step.result.value, _STYLES[step.result.value]),
            _seconds(step.seconds),
            megabytes(step.size_bytes) if step.size_bytes else "",
            f"{megabytes(step.rss_before)} to {megabytes(step.rss_after)}" if step.rss_after else "",
            # Causes of failures are long, and are told below the table.
            Text("" if step.result.value == "failed" else step.detail),
        )
    Console(highlight=False).print(table)


def steps_object(steps: Sequence[StepEnded]) -> list[dict[str, Any]]:
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
