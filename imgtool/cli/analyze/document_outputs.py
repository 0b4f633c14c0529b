"""The files that ``--text-out`` and ``--sidecar`` write about each document of a run, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.cli.analyze.summary import MOST_FAILED
from imgtool.cli.console import Messages
from imgtool.config import Resolved
from imgtool.engine.files.problems import shown
from imgtool.errors import UsageProblem
from imgtool.types import ImageResult

if TYPE_CHECKING:
    from imgtool.documents.document_files import DocumentFiles


class DocumentOutputs:
    """Nothing is imported and nothing done where no such files were asked for.

    Raises:
        imgtool.errors.UsageProblem: the options for them make no sense together, or an extra is missing.
    """

    def __init__(self, resolved: Resolved) -> None:
        self._folder = resolved.output.sidecar_dir
        self._files: DocumentFiles | None = None
        if resolved.output.text_out or resolved.output.sidecar:
            from imgtool.documents.document_files import DocumentFiles
            from imgtool.documents.forms import forms_of
            from imgtool.documents.places import Places

            self._places = Places(self._folder)
            forms = forms_of(resolved.output, resolved.engine)
            self._files = DocumentFiles(forms, self._places, overwrite=resolved.output.overwrite)
            return
        for name in ("sidecar_dir", "overwrite"):
            if resolved.origins.get(name) == "flag":  # a configuration file may well say it once for all runs
                flag = name.replace("_", "-")
                raise UsageProblem(f"--{flag} is about files of --text-out and --sidecar", "name one: --text-out txt")

    def lie_as_in(self, only: str | None) -> None:
        """Say which path is the only one that was named, if there is no other."""
        if self._files is not None:
            self._places.root = only

    def add(self, result: ImageResult) -> None:
        """Take in a result. Raises what :meth:`DocumentFiles.add` raises."""
        if self._files is not None:
            self._files.add(result)

    def finish(self, *, whole: bool) -> None:
        """There are no more results. The last document is complete, unless the run was stopped in it."""
        if self._files is not None:
            self._files.close() if whole else self._files.abandon()

    def report(self, messages: Messages) -> bool:
        """Say what was written and what was not; returns whether there are files that could not be made."""
        if self._files is None:
            return False
        figures = self._files.figures
        if written := [f"{count:,} {suffix}" for suffix, count in figures.written.items()]:
            place = "beside the images" if self._folder is None else f"under {shown(str(self._folder))}"
            messages.plain(f"files written {place}: {', '.join(written)}")
        for note in self._files.notes():
            messages.notice(note)
        for failure in figures.failed[:MOST_FAILED]:
            messages.error(f"not written: {failure}")
        if (more := len(figures.failed) - MOST_FAILED) > 0:
            messages.error(f"not written: {more:,} more files")
        return bool(figures.failed)
