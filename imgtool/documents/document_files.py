"""Writes files about each document while results come in page by page."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from imgtool.documents.interface import DocumentFailed, Form, PageWriter
from imgtool.documents.places import Places
from imgtool.engine.files.words import real_path
from imgtool.errors import OutputNotWritable
from imgtool.files import new_partial, sweep_partials
from imgtool.types import ImageResult

_MOVERS, _MOST_SETTLING = 8, 32
"""Threads that flush files to the disk, and files that may wait for it."""

_CAUSES = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
}


class Figures(Struct):
    """What was written: the number of files by suffix."""

    written: dict[str, int] = {}
    kept: int = 0
    """Files that were there already and stay as they were."""
    foreign: int = 0
    """Those of another program, which are never replaced."""
    incomplete: int = 0
    """Documents with pages on which something failed."""
    failed: list[str] = []
    """Files that could not be made, and why."""


class _Begun(Struct, eq=False):
    """A file that is being written under a temporary name."""

    form: Form
    place: Path
    partial: Path
    descriptor: int
    writer: PageWriter


class DocumentFiles:
    """A file in each of ``forms`` about each document, as whole as its pages are.

    Results are those of an analysis: the pages of a document follow each other. One page is held at a time. A file is
    written under a temporary name beside its place and moved there once the document is complete; one that is there
    already stays as it is unless ``overwrite``. A document of which nothing was answered gets no files.
    """

    def __init__(self, forms: Sequence[Form], places: Places, *, overwrite: bool) -> None:
        self._forms = forms
        self._places = places
        self._overwrite = overwrite
        self._begun: list[_Begun] = []
        self._document: str | None = None
        self._last_page = -1
        self._has_failures = False
        self._movers = ThreadPoolExecutor(_MOVERS, thread_name_prefix="documents")
        self._settling: deque[tuple[_Begun, Future[bool]]] = deque()
        self._swept: Path | None = None
        self.figures = Figures()

    def add(self, result: ImageResult) -> None:
        """Take in a result.

        Raises:
            OutputNotWritable: a file cannot be written there, nor could the next.
        """
        if result.path != self._document or result.page <= self._last_page:
            self._finish()
            self._begin(result)
        self._last_page = result.page
        self._has_failures |= bool(result.problems())
        for begun in list(self._begun):
            try:
                begun.writer.add(result)
            except (DocumentFailed, OSError) as error:
                self._give_up(begun, error)
        if result.page == result.pages - 1:
            self._finish()

    def close(self) -> None:
        """Complete the last document. Raises what :meth:`add` raises."""
        self._finish()
        self._settle(0)
        self._end()

    def abandon(self) -> None:
        """Give up the document that is not complete. Never raises."""
        for begun in self._begun:
            self._discard(begun)
        self._begun = []
        while self._settling:
            with suppress(OutputNotWritable):
                self._settle(0)
        self._end()

    def _end(self) -> None:
        self._movers.shutdown()
        for form in self._forms:
            form.close()

    def notes(self) -> list[str]:
        """What the user should know about names and files that stayed."""
        found, figures = [], self.figures
        if self._places.kept_suffixes:
            names = " and ".join(self._places.kept_suffix)
            found.append(
                f"{self._places.kept_suffixes:,} images share their name with another one but for the suffix ({names}):"
                f" the files about them have the whole name"
            )
        if figures.kept:
            found.append(f"{figures.kept:,} files were there already and stay as they were; --overwrite replaces them")
        if figures.foreign:
            found.append(f"{figures.foreign:,} .xmp files of other programs stay as they were")
        if figures.incomplete:
            found.append(f"{figures.incomplete:,} documents lack what failed on some of their pages")
        return found

    # -- one document

    def _begin(self, first: ImageResult) -> None:
        self._document, self._has_failures = first.path, False
        name = "stdin" if first.path == "-" else real_path(first.path)
        try:
            place = self._places.of(name)
        except OSError:  # its folder is not there: neither is the document
            return
        for form in self._forms:
            target = place + form.suffix
            if os.path.lexists(target) and not self._may_replace(form, target):
                continue
            try:
                self._begun.append(self._open(form, target, first))
            except OSError as error:
                self._report(target, error)

    def _may_replace(self, form: Form, target: str) -> bool:
        if not self._overwrite:
            self.figures.kept += 1
            return False
        if form.may_replace(Path(target)):
            return True
        self.figures.foreign += 1
        return False

    def _open(self, form: Form, target: str, first: ImageResult) -> _Begun:
        place = Path(os.path.realpath(target))
        folder = place.parent
        folder.mkdir(parents=True, exist_ok=True)
        if folder != self._swept:
            self._swept = folder
            sweep_partials(folder)
        descriptor, partial = new_partial(folder)
        try:
            return _Begun(form, place, partial, descriptor, form.begin(partial, first))
        except BaseException:
            os.close(descriptor)
            partial.unlink(missing_ok=True)
            raise

    def _finish(self) -> None:
        """Complete the files of the document, and have them put in their places."""
        says_something = False
        for begun in list(self._begun):
            try:
                if begun.writer.close():
                    self._settling.append((begun, self._movers.submit(self._put_in_place, begun)))
                    says_something = True
                else:
                    self._discard(begun)
                self._begun.remove(begun)
            except (DocumentFailed, OSError) as error:
                self._give_up(begun, error)
        self.figures.incomplete += says_something and self._has_failures
        self._document, self._last_page = None, -1
        self._settle(_MOST_SETTLING)

    def _settle(self, most: int) -> None:
        """Wait until at most ``most`` files are on their way to their places."""
        while len(self._settling) > most:
            begun, moved = self._settling.popleft()
            try:
                if moved.result():
                    self.figures.written[begun.form.suffix] = self.figures.written.get(begun.form.suffix, 0) + 1
                else:
                    self.figures.kept += 1
            except OSError as error:
                self._report(begun.place, error)
            finally:
                self._discard(begun)

    def _put_in_place(self, begun: _Begun) -> bool:
        """Flush a file and move it, unless something is there by now. In a thread: disks flush many at once faster."""
        os.fsync(begun.descriptor)
        if self._overwrite:
            with suppress(FileNotFoundError):
                begun.partial.chmod(begun.place.stat().st_mode & 0o7777)
            begun.partial.replace(begun.place)
            return True
        try:
            os.link(begun.partial, begun.place)  # refuses what another process has put there meanwhile
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            begun.partial.rename(begun.place)
        return True

    def _give_up(self, begun: _Begun, error: Exception) -> None:
        self._begun.remove(begun)
        self._discard(begun)
        self._report(begun.place, error)

    def _report(self, place: str | Path, error: Exception) -> None:
        """Note that one file cannot be made, or end the run where no other could be either."""
        if isinstance(error, OSError) and error.errno in _CAUSES:
            remedy = "make room there, or put the files elsewhere with --sidecar-dir"
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                remedy = "put the files elsewhere with --sidecar-dir"
            raise OutputNotWritable(f"{place} cannot be written: {_CAUSES[error.errno]}", remedy) from error
        self.figures.failed.append(
            f"{place}: {error.strerror or error}" if isinstance(error, OSError) else f"{place}: {error}"
        )

    @staticmethod
    def _discard(begun: _Begun) -> None:
        begun.writer.abandon()
        with suppress(OSError):
            os.close(begun.descriptor)
        with suppress(OSError):
            begun.partial.unlink(missing_ok=True)
