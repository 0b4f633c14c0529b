"""The outputs of one run of ``analyze``: each result goes to every one of them, and no earlier output is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from imgtool.cli.console import Messages, terminal_width, wants_color
from imgtool.engine.files.problems import NOT_THERE
from imgtool.errors import UsageProblem
from imgtool.files import refuse_image
from imgtool.formats.interface import Writer, needs_thumbnails, open_writer
from imgtool.formats.target import Target, guess_format, unlike_its_name
from imgtool.options import OutputFormat, OutputOptions
from imgtool.types import ImageResult


class Outputs:
    """Stdout, or the files that ``-o`` names.

    ``merge`` puts the results into files that are there already. A file that is there stays as it is until there is a
    result about something that exists.

    Raises:
        UsageProblem: an output is an image, is named twice, has the suffix of no format, or cannot be appended to.
    """

    def __init__(self, options: OutputOptions, *, merge: bool) -> None:
        self._options = options
        self._merge = merge and not options.append
        places: tuple[Path | None, ...] = options.output or (None,)
        self._formats = {place: self._format_of(place) for place in places}
        if len(self._formats) < len(places):
            raise UsageProblem("two outputs go to the same file", "name different files with -o")
        self._targets: dict[Path | None, Target] = {}
        self._writers: dict[Path | None, Writer] = {}
        self._found = False

    def _format_of(self, place: Path | None) -> OutputFormat:
        """Of one output, ``--format`` sets the format; of several, that of those without a suffix of ours."""
        named = self._options.format
        if place is not None:
            refuse_image(place)
        if place is None or (named is not None and len(self._options.output) == 1):
            found = named
        else:
            try:
                found = guess_format(place) or named
            except UsageProblem:
                if named is None:
                    raise
                found = named
        if self._options.append and (place is None or found is not OutputFormat.JSONL):
            raise UsageProblem("--append adds to a file of JSON Lines", "name one with -o results.jsonl")
        return found or OutputFormat.TABLE

    @property
    def needs_thumbnails(self) -> bool:
        """Whether results must carry a thumbnail."""
        return any(map(needs_thumbnails, self._formats.values()))

    @property
    def written(self) -> list[Path]:
        """The files that were written."""
        targets = ((place, target) for place, target in self._targets.items() if place is not None)
        return [target.left_at or place for place, target in targets if not target.untouched]

    @property
    def galleries(self) -> list[Path]:
        """The galleries among them, which a person opens."""
        found = [place for place in self._formats if self._formats[place] is OutputFormat.HTML and place is not None]
        return [place for place in found if place in self.written and place.is_file()]

    def report(self, messages: Messages) -> None:
        """Name the files that stay as they were, and those whose suffix says something else."""
        for place, format in self._formats.items():
            if place in self.written and (note := unlike_its_name(place, format)):
                messages.notice(note)
        why = "nothing has failed before" if self._merge else "nothing that was named was found"
        for place in (place for place, target in self._targets.items() if target.untouched):
            messages.notice(f"{place} stays as it was: {why}")

    @contextmanager
    def opened(self, messages: Messages) -> Iterator[None]:
        """Everything is open inside. Raises what :class:`Target` raises."""
        self._targets = {
            place: Target(place, format, careful=True, append=self._options.append, whole=self._merge)
            for place, format in self._formats.items()
        }
        try:
            with ExitStack() as stack:
                for target in self._targets.values():
                    stack.enter_context(target)
                self._writers = {place: self._writer(place, target) for place, target in self._targets.items()}
                yield
        except BaseException:
            for target in self._targets.values():
                if target.left_at is not None:
                    messages.notice(f"the results so far are in {target.left_at}")
            raise

    def _writer(self, place: Path | None, target: Target) -> Writer:
        format = self._formats[place]
        bom = target.is_file if self._options.csv_bom is None else self._options.csv_bom
        if place is not None and self._merge and target.untouched:
            from imgtool.formats.merge import MergeWriter

            return MergeWriter(format, place.expanduser(), target.stream, bom=bom)
        return open_writer(
            format,
            target.stream,
            title=place.stem if place is not None else "imgtool",
            folder=None if place is None or target.is_stdout else place.expanduser().parent,
            width=terminal_width(sys.stdout),
            color=target.is_terminal and wants_color(sys.stdout),
            bom=bom,
        )

    def write(self, result: ImageResult) -> None:
        """Write one result to all."""
        if not self._found and (result.error is None or result.error.code not in NOT_THERE):
            self._found = True
            for target in self._targets.values():
                target.release()
        for place, writer in self._writers.items():
            as_it_is = result.thumbnail is UNSET or needs_thumbnails(self._formats[place])
            writer.write(result if as_it_is else msgspec.structs.replace(result, thumbnail=UNSET))

    def flush(self) -> None:
        """Let whoever reads along see what was written. Between results that follow at once that is not worth a call
        of the system each."""
        for target in self._targets.values():
            target.stream.flush()

    def interrupt(self, summary: Mapping[str, Any]) -> None:
        """Complete what is written so far, to be kept under another name. What cannot be written is given up."""
        for place, target in self._targets.items():
            with suppress(Exception):
                if self._found:
                    self._writers[place].close(summary)
                    target.ends_as = "interrupted"

    def close(self, summary: Mapping[str, Any]) -> None:
        """Complete every document."""
        for writer in self._writers.values():
            writer.close(summary)

    def keep(self, *, stopped: bool) -> None:
        """Every document is complete: none is lost, whatever happens at the end of the run. Those of a run that was
        ``stopped`` replace no earlier file."""
        for target in self._targets.values():
            target.ends_as = "interrupted" if stopped and target.is_careful else "complete"
