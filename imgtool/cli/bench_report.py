"""Where the outcome of ``imgtool bench startup`` goes: the terminal, and the files that were asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.bench.record import Experiment
from imgtool.cli.console import Messages, terminal_width, wants_color
from imgtool.errors import OutputNotWritable
from imgtool.versioned import encode

if TYPE_CHECKING:
    from imgtool.bench.judgement import Judgement
    from imgtool.bench.trend import History
    from imgtool.cli.bench_options import BenchOptions

Render = Callable[[], str]


def check_places(options: BenchOptions) -> None:
    """Find out before the work what would spoil it after.

    Raises:
        OutputNotWritable: the folder of a file is not there, or the file is a folder.
    """
    for path in (options.save, options.json, options.csv, options.markdown, options.html):
        if path is None or path == Path("-"):
            continue
        if path.is_dir():
            raise OutputNotWritable(f"{path} is a folder", "name a file in it")
        if not path.absolute().parent.is_dir():
            raise OutputNotWritable(f"{path.parent} is no folder", "make it first, or name another file")


def print_outcome(experiment: Experiment, judgement: Judgement | None) -> None:
    """The tables on stdout."""
    from imgtool.bench import tables

    sys.stdout.write(
        tables.render(experiment, width=terminal_width(sys.stdout), color=wants_color(sys.stdout), judgement=judgement)
    )


def print_self_test(experiment: Experiment) -> None:
    """What this machine calls a difference where there is none."""
    from imgtool.bench.self_test import noise_floors
    from imgtool.bench.wording import change_interval_text, metric_text

    sys.stdout.write("\nnoise floor: the same arm twice\n")
    for floor in noise_floors(experiment):
        found = floor.comparison
        if found.low is None or found.high is None:
            continue
        shown = "too few runs to say" if floor.detectable is None else f"{floor.detectable:.1%} slower would be noticed"
        interval = change_interval_text(found.low, found.high)
        sys.stdout.write(f"  {metric_text(floor.metric)}: {found.verdict.value} ({interval}); {shown}\n")


def write_reports(experiment: Experiment, judgement: Judgement | None, options: BenchOptions) -> None:
    """Every file that was asked for, each whole or not at all.

    Raises:
        OutputNotWritable: one cannot be written; the message says which.
    """
    history = None if options.history is None else _add_to_history(options.history, experiment)
    renders: tuple[tuple[Path | None, Render], ...] = (
        (options.json, lambda: encode(experiment).decode()),
        (options.csv, lambda: _csv(experiment, judgement)),
        (options.markdown, lambda: _markdown(experiment, judgement)),
        (options.html, lambda: _html(experiment, judgement, history)),
        (options.history and options.history / "index.html", lambda: _html(experiment, judgement, history)),
    )
    for path, render in renders:
        if path is not None:
            _write(path, render())


def _csv(experiment: Experiment, judgement: Judgement | None) -> str:
    from imgtool.bench import report_csv

    return report_csv.render(experiment, judgement)


def _markdown(experiment: Experiment, judgement: Judgement | None) -> str:
    from imgtool.bench import report_markdown

    return report_markdown.render(experiment, judgement)


def _html(experiment: Experiment, judgement: Judgement | None, history: History | None) -> str:
    from imgtool.bench import report_html

    return report_html.render(experiment, judgement, history)


def _add_to_history(folder: Path, experiment: Experiment) -> History:
    """Everything in the folder, this run too."""
    from imgtool.bench.trend import append, load_history

    append(folder, experiment)
    return load_history(folder)


def _write(path: Path, text: str) -> None:
    from imgtool.models.atomic import write_atomically

    if path == Path("-"):
        sys.stdout.write(text)
        return
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")  # a pipe or a device cannot be replaced
        else:
            write_atomically(path, text.encode())
    except OSError as error:
        raise OutputNotWritable(f"{path} cannot be written: {error.strerror or error}", "name another file") from error
    Messages().plain(f"written: {path}")
