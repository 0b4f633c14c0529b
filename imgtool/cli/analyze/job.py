"""One ``analyze`` job of the command line: target, writer, engine, progress, summary, exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from imgtool import trace
from imgtool.cli.analyze.summary import print_summary
from imgtool.cli.console import Messages, say, terminal_width, wants_color
from imgtool.cli.progress import Progress
from imgtool.config import Resolved
from imgtool.engine.engine import Engine
from imgtool.engine.observer import Observer
from imgtool.engine.statistics import Statistics
from imgtool.errors import ExitCode, NoImages, OutputNotWritable, TooManyFailures, UsageProblem
from imgtool.formats.interface import Writer, needs_thumbnails, open_writer
from imgtool.formats.target import ReaderGone, Target, guess_format
from imgtool.image_formats import sniff_file
from imgtool.options import EngineOptions, OutputFormat


class _Watcher(Observer):
    """Passes what the engine says on to the terminal."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self.progress: Progress | None = None
        self.total: int | None = None

    def notice(self, text: str) -> None:
        if self.progress:
            self.progress.clear()
        self._messages.notice(text)

    def found(self, images: int, *, complete: bool) -> None:
        if complete:
            self.total = images


class Job:
    """A resolved command, ready to run."""

    def __init__(self, resolved: Resolved) -> None:
        self._options: EngineOptions = resolved.engine
        self._output = resolved.output
        self._format = self._choose_format()
        self._messages = Messages(quiet=self._output.quiet)
        if self._output.verbose:
            self._show_origins(resolved.origins)

    def run(self, paths: Iterable[str]) -> ExitCode:
        """Run the job; returns the exit code its results deserve.

        Raises:
            imgtool.errors.ImgtoolError: the job as a whole cannot be done, or was stopped by its own failure limits.
        """
        watcher = _Watcher(self._messages)
        watcher.wants_total = self._shows_progress and sys.stderr is not None and sys.stderr.isatty()
        try:
            # The engine first: what cannot begin must not have emptied the file of an earlier run.
            engine = self._engine(watcher)
            self._check_places()
            with Target(self._output.output, self._format) as target, engine:
                stopped = self._answer(engine, watcher, target, paths)
                figures = engine.statistics
                trace.mark("last result")
        except ReaderGone:
            raise BrokenPipeError from None
        self._report(figures)
        if stopped is not None:
            raise stopped
        return exit_code(figures, engine.model_problems)

    def _engine(self, watcher: _Watcher) -> Engine:
        return Engine(
            self._options,
            observer=watcher,
            thumbnails=needs_thumbnails(self._format),
            echo_worker=self._output.verbose,
        )

    def _answer(
        self, engine: Engine, watcher: _Watcher, target: Target, paths: Iterable[str]
    ) -> TooManyFailures | None:
        """Write every result. Returns what stopped the run: what was answered before is still written out whole."""
        progress = Progress(shown=self._shows_progress, expected=lambda: watcher.total)
        watcher.progress = progress
        writer = self._writer(target)
        stopped = None
        try:
            self._write_all(engine, writer, progress, paths)
        except TooManyFailures as error:
            stopped = error
        finally:
            progress.clear()
        figures = engine.statistics
        writer.close(_summary(figures))
        if not figures.images and not self._options.retry_failed:
            raise NoImages("no image was found under what was given", _why_nothing(self._options))
        return stopped

    def _check_places(self) -> None:
        """Find out before the work what would spoil it after."""
        output = self._output.output
        if output is not None and output.is_file() and sniff_file(str(output)) is not None:
            raise UsageProblem(f"{output} is an image and would be written over", "name another file with -o")
        if self._output.stats not in (None, "-"):
            _write_stats(Statistics(), str(self._output.stats))

    def _writer(self, target: Target) -> Writer:
        return open_writer(
            self._format,
            target.stream,
            title=self._title(),
            width=terminal_width(sys.stdout),
            color=target.is_terminal and wants_color(sys.stdout),
        )

    def _write_all(self, engine: Engine, writer: Writer, progress: Progress, paths: Iterable[str]) -> None:
        shares_screen = self._output.output is None and sys.stdout.isatty()
        first = True
        for result in engine.analyze(paths):
            if shares_screen:
                progress.clear()
            with trace.span("write", "parent"):
                writer.write(result)
            if first:
                trace.mark("first result")
                first = False
            if progress.due():
                progress.update(engine.statistics)

    def _report(self, figures: Statistics) -> None:
        if not self._output.quiet:
            print_summary(self._messages, figures, self._output.output)
        if self._output.stats is not None:
            _write_stats(figures, self._output.stats)

    @property
    def _shows_progress(self) -> bool:
        return not self._output.quiet

    def _choose_format(self) -> OutputFormat:
        if self._output.format is not None:
            return self._output.format
        guessed = guess_format(self._output.output) if self._output.output is not None else None
        return guessed or OutputFormat.TABLE

    def _title(self) -> str:
        return self._output.output.stem if self._output.output is not None else "imgtool"

    def _show_origins(self, origins: Mapping[str, str]) -> None:
        for name, origin in sorted(origins.items()):
            self._messages.plain(f"option {name} comes from {origin}")


_NOTHING_FOUND = (
    "formats: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, and HEIC with `pip install 'imgtool[heif]'`; "
    "hidden files need --hidden"
)


def _why_nothing(options: EngineOptions) -> str:
    """What may have kept images from being found: the choice of names before the formats."""
    chosen = [("--include", each) for each in options.include] + [("--exclude", each) for each in options.exclude]
    if not chosen:
        return _NOTHING_FOUND
    flags = " ".join(f"{flag} {each}" for flag, each in chosen)
    return f"check {flags}: case counts, *.jpg is a name at any depth, raw/*.jpg a path from the named folder on"


def exit_code(figures: Statistics, model_problems: Mapping[str, Any]) -> ExitCode:
    """The exit code that a finished run deserves."""
    if model_problems:
        return ExitCode.MODEL_MISSING
    if figures.images and not figures.answered and not figures.partial:
        return ExitCode.NONE_ANSWERED
    return ExitCode.SOME_FAILED if figures.failed or figures.partial else ExitCode.OK


def _summary(figures: Statistics) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(figures)
    return values


def _write_stats(figures: Statistics, where: str) -> None:
    text = msgspec.json.format(msgspec.json.encode(figures), indent=2).decode() + "\n"
    if where == "-":
        say(text)
        return
    try:
        Path(where).expanduser().write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputNotWritable(
            f"the statistics cannot be written to {where}: {error.strerror}", "name another file with --stats"
        ) from error
