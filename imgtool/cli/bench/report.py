"""Where the outcome of ``imgtool bench startup`` goes: the terminal, and the files that were asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.bench.data.record import Experiment
from imgtool.bench.data.saved import encoded
from imgtool.cli.console import Messages, terminal_width, wants_color
from imgtool.errors import OutputNotWritable, UsageProblem

if TYPE_CHECKING:
    from imgtool.bench.data.history import History
    from imgtool.bench.gate.judgement import Judgement
    from imgtool.cli.bench.options import BenchOptions

Render = Callable[[], str]
_STDOUT = Path("-")


def check_places(options: BenchOptions) -> None:
    """Find out before the work what would spoil it after.

    Raises:
        OutputNotWritable: a file or folder cannot be written where it was named.
        UsageProblem: two outputs have one place, or one would replace the baseline.
    """
    named = (options.save, options.json, options.markdown, options.html)
    given = [path for path in named if path is not None]
    _check_apart(given, options)
    for path in given:
        if path != _STDOUT:
            _check_file(path)
    if options.history is not None:
        _check_folder(options.history)


def _check_apart(given: Sequence[Path], options: BenchOptions) -> None:
    if options.save == _STDOUT:
        raise UsageProblem("--save needs a file", "--json - writes the same to stdout")
    places = [path if path == _STDOUT else path.expanduser().resolve() for path in given]
    if twice := next((path for path in places if places.count(path) > 1), None):
        raise UsageProblem(f"two outputs go to {twice}", "give each its own place")
    baseline = options.baseline and Path(options.baseline).expanduser().resolve()
    if baseline in places and baseline.is_file():
        raise UsageProblem(
            f"{baseline} is the baseline, and would be replaced by what is compared with it", "write to another file"
        )


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise OutputNotWritable(f"{path} is a folder", "name a file in it")
    if not path.absolute().parent.is_dir():
        raise OutputNotWritable(f"{path.parent} is no folder", "make it first, or name another file")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise OutputNotWritable(f"{path} cannot be written", "name another file")


def _check_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(f"{path} is no folder, and cannot be made one", "name another folder") from error
    if not os.access(path, os.W_OK):
        raise OutputNotWritable(f"{path} cannot be written", "name another folder")


def print_outcome(experiment: Experiment, judgement: Judgement | None) -> None:
    """The tables on stdout."""
    from imgtool.bench.report import tables

    if sys.stdout is not None:
        width, color = terminal_width(sys.stdout), wants_color(sys.stdout)
        _say(tables.render(experiment, width=width, color=color, judgement=judgement))


def _say(text: str) -> None:
    """To stdout, if there is one, in what letters it has: a locale must not cost what was measured."""
    if sys.stdout is not None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def print_self_test(experiment: Experiment) -> None:
    """What this machine calls a difference where there is none."""
    from imgtool.bench.gate.self_test import noise_floors
    from imgtool.bench.report.wording import change_interval_text, metric_text

    _say("\nnoise floor: the same arm twice\n")
    for floor in noise_floors(experiment):
        found = floor.comparison
        if found.low is None or found.high is None:
            continue
        shown = "too few runs to say" if floor.detectable is None else f"{floor.detectable:.1%} slower would be noticed"
        interval = change_interval_text(found.low, found.high)
        _say(f"  {metric_text(floor.metric)}: {found.verdict.value} ({interval}); {shown}\n")


def write_reports(
    experiment: Experiment, judgement: Judgement | None, options: BenchOptions, messages: Messages
) -> None:
    """Every file that was asked for, each whole or not at all; one that cannot be written does not take the others.

    Raises:
        OutputNotWritable: one could not be written; the message says which was the first.
    """
    history: History | None = None
    failed: list[OutputNotWritable] = []
    if options.history is not None:
        with _noting(failed):
            history = _add_to_history(options.history, experiment)
    renders: tuple[tuple[Path | None, Render], ...] = (
        (options.json, lambda: encoded(experiment).decode()),
        (options.markdown, lambda: _markdown(experiment, judgement)),
        (options.html, lambda: _html(experiment, judgement, history)),
        (options.history and options.history / "index.html", lambda: _html(experiment, judgement, history)),
    )
    for path, render in renders:
        if path is not None:
            with _noting(failed):
                _write(path, render(), messages)
    if failed:
        raise failed[0]


@contextmanager
def _noting(failed: list[OutputNotWritable]) -> Iterator[None]:
    try:
        yield
    except OutputNotWritable as error:
        failed.append(error)


def _markdown(experiment: Experiment, judgement: Judgement | None) -> str:
    from imgtool.bench.report import markdown as report_markdown

    return report_markdown.render(experiment, judgement)


def _html(experiment: Experiment, judgement: Judgement | None, history: History | None) -> str:
    from imgtool.bench.report import html as report_html

    return report_html.render(experiment, judgement, history)


def _add_to_history(folder: Path, experiment: Experiment) -> History:
    """Everything in the folder, this run too."""
    from imgtool.bench.data.history import append, load_history

    append(folder, experiment)
    return load_history(folder)


def _write(path: Path, text: str, messages: Messages) -> None:
    from imgtool.files import write_atomically

    if path == _STDOUT:
        _say(text)
        return
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")  # a pipe or a device cannot be replaced
        else:
            write_atomically(path, text.encode())
    except OSError as error:
        raise OutputNotWritable(f"{path} cannot be written: {error.strerror or error}", "name another file") from error
    messages.plain(f"written: {path}")
