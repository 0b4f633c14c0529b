"""``imgtool bench report``: the report of a saved benchmark, as HTML or Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgtool.cli.analyze.options import Text
from imgtool.cli.boundary import boundary


def report(
    saved: Annotated[str, typer.Argument(help="What imgtool bench --save wrote.", metavar="SAVED.json")],
    output: Annotated[
        Text,
        typer.Option("--output", "-o", help="A file: .html or .md.", metavar="FILE", show_default="Markdown on stdout"),
    ] = None,
    baseline: Annotated[
        Text, typer.Option(help="An earlier saved benchmark: its arms are compared with these.", metavar="FILE")
    ] = None,
    arm: Annotated[
        Text,
        typer.Option(
            help="The arm whose gains on the reference, phase by phase, are listed.",
            metavar="NAME",
            show_default="analyze without options, compiled, or the last",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="The report's heading.", metavar="TEXT")] = "Benchmark",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks.")] = False,
) -> None:
    """Write the report of a saved benchmark: figures, verdicts, where the time goes, and what would reduce it."""
    with boundary(verbose=verbose):
        from imgtool.bench.data.saved import load_experiment
        from imgtool.bench.report.content import Report, html_report
        from imgtool.bench.report.markdown import markdown_report
        from imgtool.cli.bench.outputs import check_file, write_text
        from imgtool.errors import UsageProblem

        path = Path(output or "-").expanduser()
        if output is not None and path.suffix not in (".html", ".md"):
            raise UsageProblem(f"{output} ends neither in .html nor in .md", "name a file of one of the two formats")
        former = None if baseline is None else load_experiment(Path(baseline).expanduser())
        found = Report(load_experiment(Path(saved).expanduser()), former=former, arm=arm)
        if output is not None:
            check_file(path)
        write_text(path, html_report(found, title) if path.suffix == ".html" else markdown_report(found, title))
