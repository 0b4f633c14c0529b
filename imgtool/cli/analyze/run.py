"""One run of ``imgtool analyze``: target, writer, engine, progress, summary, exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from imgtool import trace
from imgtool.cli.analyze.document_outputs import DocumentOutputs
from imgtool.cli.analyze.outputs import Outputs
from imgtool.cli.analyze.summary import MOST_FAILED, after_gallery, passed_over, print_summary
from imgtool.cli.console import Messages, say
from imgtool.cli.log_format import log
from imgtool.cli.progress import ProgressLine, progress_fields, progress_text
from imgtool.config import Resolved
from imgtool.database.interface import DatabaseUnavailable
from imgtool.database.locate import missing, recorder_for
from imgtool.database.recorder import Recorder
from imgtool.distribution import install_command
from imgtool.engine.engine import Engine
from imgtool.engine.files.discover import Named
from imgtool.engine.files.problems import shown
from imgtool.engine.observer import Observer
from imgtool.engine.statistics import Statistics
from imgtool.errors import ExitCode, NoImages, OutputNotWritable, TooManyFailures
from imgtool.files import refuse_image
from imgtool.formats.sink import ReaderGone
from imgtool.options import EngineOptions
from imgtool.types import ImageResult, Status


class Watcher(Observer):
    """Passes what the engine says on to the terminal."""

    def __init__(self, messages: Messages, line: ProgressLine, outputs: Outputs | None = None) -> None:
        self._messages = messages
        self._outputs = outputs
        self._line = line
        self.total: int | None = None

    def notice(self, text: str) -> None:
        self._line.clear()
        self._messages.notice(text)

    def waiting(self) -> None:
        if self._outputs is not None:
            self._outputs.flush()

    def found(self, images: int, *, complete: bool) -> None:
        if complete:
            self.total = images


class AnalyzeRun:
    """A resolved command, ready to run."""

    def __init__(self, resolved: Resolved) -> None:
        self._options = resolved.engine
        self._output = resolved.output
        self._outputs = Outputs(resolved.output, merge=resolved.engine.retry_failed)
        self._documents = DocumentOutputs(resolved)
        self._messages = Messages(quiet=self._output.quiet)
        self._line = ProgressLine(shown=not self._output.quiet)
        self._recorder: Recorder | None = None
        self._unrecorded: DatabaseUnavailable | None = None
        self._failed: list[str] = []
        self._failures = 0
        if self._output.verbose:
            for name, origin in sorted(resolved.origins.items()):
                self._messages.plain(f"option {name} comes from {origin}")

    def run(self, paths: Iterable[Named], only: str | None = None) -> ExitCode:
        """Run the job; returns the exit code its results deserve. ``only`` is the one path in ``paths``, where there is
        no other: files under ``--sidecar-dir`` lie as in it.

        Raises:
            imgtool.errors.ImgtoolError: the job as a whole cannot be done, or was stopped by its own failure limits.
        """
        watcher = Watcher(self._messages, self._line, self._outputs)
        watcher.wants_total = not self._output.quiet and sys.stderr is not None and sys.stderr.isatty()
        # The engine first: what cannot begin must not have emptied the file of an earlier run.
        engine = Engine(
            self._options,
            observer=watcher,
            thumbnails=self._outputs.needs_thumbnails,
            echo_worker=self._output.verbose,
        )
        self._documents.lie_as_in(only)
        if self._output.stats not in (None, "-"):
            _check_writable(str(self._output.stats))
        try:
            with self._outputs.opened(self._messages), engine, self._recording():
                stopped = self._answer(engine, watcher, paths)
                figures = engine.statistics
                trace.mark("last result")
        except (ReaderGone, OutputNotWritable) as error:
            # That a model is missing is worth its exit code, whatever becomes of stdout.
            known = engine.model_problems and not self._output.output
            if not known:
                raise
            if isinstance(error, OutputNotWritable):
                self._messages.error(str(error), error.remedy)
            return ExitCode.MODEL_MISSING
        if not self._output.quiet:
            self._print_end(figures)
        lacking = self._documents.report(self._messages)
        if self._output.stats is not None:
            _write_stats(figures, self._output.stats)
        if stopped is not None:
            raise stopped
        if self._unrecorded is not None:
            raise self._unrecorded
        return exit_code(figures, engine.model_problems) or (ExitCode.SOME_FAILED if lacking else ExitCode.OK)

    def _print_end(self, figures: Statistics) -> None:
        print_summary(self._messages, figures, self._outputs.written, self._failed, self._failures)
        self._outputs.report(self._messages)
        recorded = self._recorder is not None and self._output.database is None
        for gallery in self._outputs.galleries:
            self._messages.plain(after_gallery(gallery, figures, self._options, recorded=recorded))

    def _note_failure(self, result: ImageResult) -> None:
        """Keep the names of the first that failed: they are said at the end, after thousands of others."""
        if result.status is Status.OK or not (found := result.problems()):
            return
        self._failures += 1
        if self._failures <= MOST_FAILED:
            page = f" page {result.page + 1}" if result.pages > 1 else ""
            self._failed.append(f"{shown(result.path)}{page}: {found[0][1].message}")

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Keep the database in step with the results that are written inside."""
        self._recorder = recorder_for(self._output.database, self._options)
        if self._recorder is None:
            yield
            return
        try:
            yield
        except BaseException:
            self._recorder.close(at_once=True)
            raise
        lacking = missing(self._recorder.close())
        if lacking is not None and self._output.database is None:
            self._messages.notice(f"{lacking}; the next run or search adds them")
        else:
            self._unrecorded = lacking

    def _answer(self, engine: Engine, watcher: Watcher, paths: Iterable[Named]) -> TooManyFailures | None:
        """Write every result. Returns the failure that stopped the run, if any; what was answered before is written."""
        line, recorder, outputs = self._line, self._recorder, self._outputs
        shares_screen = not self._output.output and sys.stdout.isatty()
        stopped = None
        first = True
        try:
            for result in engine.analyze(paths):
                if shares_screen:
                    line.clear()
                with trace.span("write", "parent"):
                    outputs.write(result)
                    if shares_screen:
                        outputs.flush()
                    self._documents.add(result)
                self._note_failure(result)
                if recorder is not None and result.path != "-":  # what was piped in cannot be found again
                    recorder.add(result)
                if first:
                    trace.mark("first result")
                    first = False
                if line.due():
                    figures = engine.statistics
                    fields = {"total": watcher.total, **progress_fields(figures)}
                    line.show(progress_text(figures, watcher.total, line.seconds), **fields)
            self._documents.finish(whole=True)
        except TooManyFailures as error:
            stopped = error
            self._documents.finish(whole=False)
        except BaseException:
            self._documents.finish(whole=False)
            outputs.interrupt(msgspec.to_builtins(engine.statistics))
            raise
        finally:
            line.clear()
        figures = engine.statistics
        outputs.close(msgspec.to_builtins(figures))
        if not figures.images and not self._options.retry_failed:
            others = f"; {passed_over(figures)}" if figures.passed_over else ""
            raise NoImages(f"no image was found under what was given{others}", _why_nothing(self._options))
        outputs.keep(stopped=stopped is not None)
        return stopped


def _why_nothing(options: EngineOptions) -> str:
    """Why images may not have been found: ``--include`` and ``--exclude``, else the formats."""
    chosen = [("--include", each) for each in options.include] + [("--exclude", each) for each in options.exclude]
    if not chosen:
        heic = f"HEIC with `{install_command('heif')}`"
        return f"formats: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, and {heic}; hidden files need --hidden"
    flags = " ".join(f"{flag} {each}" for flag, each in chosen)
    return f"check {flags}: case matters; *.jpg matches in every folder, raw/*.jpg only in raw of the named folder"


def exit_code(figures: Statistics, model_problems: Mapping[str, Any]) -> ExitCode:
    """The exit code that a finished run deserves."""
    if model_problems:
        return ExitCode.MODEL_MISSING
    if figures.images and not figures.answered and not figures.partial:
        return ExitCode.NONE_ANSWERED
    return ExitCode.SOME_FAILED if figures.failed or figures.partial else ExitCode.OK


def _write_stats(figures: Statistics, where: str) -> None:
    text = msgspec.json.format(msgspec.json.encode(figures), indent=2).decode() + "\n"
    if where == "-":
        if not log("info", "statistics", "", msgspec.to_builtins(figures)):
            say(text)
        return
    with _writing_stats(where):
        Path(where).expanduser().write_text(text, encoding="utf-8")


def _check_writable(where: str) -> None:
    """Refuse a file that cannot be written; what it holds stays there until there is something new."""
    path = Path(where).expanduser()
    refuse_image(path)
    with _writing_stats(where):
        existed = path.exists()
        if path.is_file() or not existed:  # a pipe is opened once, when there is something to write
            path.open("ab").close()
        if not existed:
            path.unlink()


@contextmanager
def _writing_stats(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputNotWritable(
            f"the statistics cannot be written to {where}: {error.strerror}", "name another file with --stats"
        ) from error
