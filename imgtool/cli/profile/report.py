"""``imgtool profile report``: files read, report built, written or printed."""

from __future__ import annotations

import sys
from pathlib import Path

from imgtool.bench.data.saved import load_experiment
from imgtool.errors import OutputNotWritable
from imgtool.files import replacing
from imgtool.profiling.page.svg import document
from imgtool.profiling.report import build
from imgtool.profiling.report_html import as_html
from imgtool.profiling.report_markdown import as_markdown
from imgtool.profiling.report_picture import phase_picture

_STEM = "performance"


def write_report(before: str, after: str, arms: tuple[str | None, str | None], output: str | None, title: str) -> None:
    """Build the report; print it as Markdown, or write it into the folder ``output`` as Markdown and HTML.

    Raises:
        UsageProblem: a file is no saved benchmark, or has no such arm.
        OutputNotWritable: the folder cannot be written.
    """
    former, later = (load_experiment(Path(name).expanduser()) for name in (before, after))
    report = build(former, later, arms, title, (before, after))
    if output is None:
        sys.stdout.write(as_markdown(report))
        return
    folder = Path(output).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = phase_picture(report)
        texts = {
            ".md": as_markdown(report, f"{_STEM}.svg"),
            ".html": as_html(report),
            ".svg": document(drawn.body, drawn.height, drawn.title),
        }
        for suffix, text in texts.items():
            path = folder / f"{_STEM}{suffix}"
            with replacing(path) as file:
                file.write(text.encode())
            sys.stdout.write(f"{path}\n")
    except OSError as error:
        raise OutputNotWritable(f"{folder} cannot be written: {error.strerror}", "name another folder") from error
