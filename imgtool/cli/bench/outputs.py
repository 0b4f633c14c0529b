"""Where the outcome of ``imgtool bench startup`` goes: the terminal, and the files that were asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from imgtool.bench.data.history import append, load_history
from imgtool.bench.data.record import Experiment
from imgtool.bench.data.saved import encoded
from imgtool.bench.gate.judgement import Judgement
from imgtool.bench.gate.self_test import noise_floors
from imgtool.bench.report.content import Report, html_report
from imgtool.bench.report.junit import junit_report
from imgtool.bench.report.markdown import markdown_report
from imgtool.bench.report.terminal import terminal_report
from imgtool.bench.report.units import change_interval_text, metric_text
from imgtool.cli.bench.options import BenchOptions
from imgtool.cli.console import Messages, terminal_width, wants_color
from imgtool.errors import OutputNotWritable, UsageProblem
from imgtool.files import refuse_image, write_output

_STDOUT = Path("-")


def check_outputs(options: BenchOptions) -> None:
    """Refuse, before anything runs, what would fail after it.

    Raises:
        OutputNotWritable: a file or folder cannot be written.
        UsageProblem: two outputs have the same path, or one would replace the baseline.
    """
    files = (options.save, options.json, options.markdown, options.html, options.junit)
    given = [path for path in files if path is not None]
    if options.save == _STDOUT:
        raise UsageProblem("--save needs a file", "--json - writes the same to stdout")
    places = [path if path == _STDOUT else path.expanduser().resolve() for path in given]
    if twice := next((path for path in places if places.count(path) > 1), None):
        raise UsageProblem(f"two outputs go to {twice}", "give each a path of its own")
    baseline = options.baseline and Path(options.baseline).expanduser().resolve()
    if baseline in places and baseline.is_file():
        raise UsageProblem(f"{baseline} is the baseline, and an output would replace it", "write to another file")
    for path in given:
        if path != _STDOUT:
            check_file(path)
    if (folder := options.history) is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputNotWritable(
                f"{folder} is not a folder and cannot be made one", "name another folder"
            ) from error
        if not os.access(folder, os.W_OK):
            raise OutputNotWritable(f"{folder} cannot be written", "name another folder")


def replacing_nothing(options: BenchOptions, messages: Messages) -> BenchOptions:
    """The options without the outputs that are there already: for an experiment of which no run succeeded."""
    kept: dict[str, None] = {}
    for name in ("save", "json", "markdown", "html"):
        path: Path | None = getattr(options, name)
        if path is not None and path != _STDOUT and path.expanduser().is_file():
            messages.notice(f"{path} stays as it was: no run succeeded")
            kept[name] = None
    return msgspec.structs.replace(options, **kept)


def check_file(path: Path) -> None:
    """
    Raises:
        OutputNotWritable: ``path`` is a folder, is in none, or cannot be written.
        UsageProblem: it is an image.
    """
    if path.is_dir():
        raise OutputNotWritable(f"{path} is a folder", "name a file in it")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise OutputNotWritable(f"{path.parent} is not a folder", "make it first, or name another file")
    if not os.access(path if path.exists() else parent, os.W_OK):
        raise OutputNotWritable(f"{path} cannot be written", "name another file")
    refuse_image(path)


def write_outputs(
    experiment: Experiment, judgement: Judgement | None, options: BenchOptions, messages: Messages
) -> None:
    """Every file that was asked for, each whole or not at all, then the tables on stdout, whose reader may be gone. One
    file that cannot be written does not prevent the others.

    Raises:
        OutputNotWritable: one could not be written; the message names the first.
    """
    failed: list[OutputNotWritable] = []
    history, page = None, None
    if options.history is not None:
        try:
            append(options.history, experiment)
            history, page = load_history(options.history), options.history / "index.html"
        except OutputNotWritable as error:
            failed.append(error)
    report = Report(experiment, judgement, history)
    writers: tuple[tuple[Path | None, Callable[[], str]], ...] = (
        (options.json, lambda: encoded(experiment).decode()),
        (options.markdown, lambda: markdown_report(report)),
        (options.html, lambda: html_report(report)),
        (options.junit, lambda: junit_report(experiment, judgement)),
        (page, lambda: html_report(report)),
    )
    for path, text in sorted(writers, key=lambda writer: writer[0] == _STDOUT):
        if path is not None:
            try:
                write_text(path, text())
            except OutputNotWritable as error:
                failed.append(error)
                continue
            if path != _STDOUT:
                messages.plain(f"written: {path}")
    if _STDOUT not in (options.json, options.markdown, options.junit) and sys.stdout is not None:
        width, color = terminal_width(sys.stdout), wants_color(sys.stdout)
        _print(terminal_report(experiment, width=width, color=color, judgement=judgement))
        if options.self_test:
            _print(_noise_text(experiment))
    if failed:
        raise failed[0]


def write_text(path: Path, text: str) -> None:
    """``text`` to ``path``, or to stdout where it is ``-``.

    Raises:
        OutputNotWritable: it cannot be written.
    """
    if path == _STDOUT:
        _print(text)
    elif path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8")  # a pipe or a device cannot be replaced
        except OSError as error:
            message = f"{path} cannot be written: {error.strerror or error}"
            raise OutputNotWritable(message, "name another file") from error
    else:
        write_output(path, text.encode())


def _print(text: str) -> None:
    """To stdout, if there is one, with ``?`` for what its encoding lacks: a locale must not lose what was measured."""
    if sys.stdout is not None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def _noise_text(experiment: Experiment) -> str:
    """What this machine calls a difference between two arms that are the same."""
    lines = ["", "noise floor: the same arm twice"]
    for floor in noise_floors(experiment):
        found = floor.comparison
        if found.low is not None and found.high is not None:
            smallest = floor.detectable
            told = "too few runs to tell" if smallest is None else f"{smallest:.1%} slower would be detected"
            interval = change_interval_text(found.low, found.high)
            lines.append(f"  {metric_text(floor.metric)}: {found.verdict.value} ({interval}); {told}")
    return "\n".join(lines) + "\n"
