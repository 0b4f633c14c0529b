"""Where the output goes: stdout, or a file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import suppress
from io import BufferedWriter, TextIOWrapper
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, TextIO

from imgtool.errors import UsageProblem
from imgtool.files import new_partial, refuse_image, sweep_partials
from imgtool.formats.interface import is_binary
from imgtool.formats.sink import NEAREST, Sink, not_writable
from imgtool.options import OutputFormat

_SUFFIXES = {
    ".txt": OutputFormat.TABLE,
    ".json": OutputFormat.JSON,
    ".jsonl": OutputFormat.JSONL,
    ".ndjson": OutputFormat.JSONL,
    ".csv": OutputFormat.CSV,
    ".parquet": OutputFormat.PARQUET,
    ".pq": OutputFormat.PARQUET,
    ".xlsx": OutputFormat.XLSX,
    ".html": OutputFormat.HTML,
    ".htm": OutputFormat.HTML,
}

_STANDARD = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/self/fd)/([0-9]{1,6})")


def guess_format(path: Path) -> OutputFormat | None:
    """The format that the suffix of ``path`` stands for, in upper or lower case; ``None`` where it has none.

    Raises:
        UsageProblem: no format has that suffix.
    """
    suffix = path.suffix.lower()
    if suffix and suffix not in _SUFFIXES:
        remedy = f"end its name with one of {', '.join(_SUFFIXES)}, or name the format with --format"
        raise UsageProblem(f"{path}: no format has the suffix {suffix}", remedy)
    return _SUFFIXES.get(suffix)


def unlike_its_name(path: Path, format: OutputFormat) -> str:
    """A note where ``path`` has the suffix of another format than the one that it is written in; else nothing."""
    with suppress(UsageProblem):
        meant = guess_format(path)
        if meant not in (None, OutputFormat.TABLE, format):
            return f"{path} is written as {format.value} in spite of its suffix: --format or the configuration sets it"
    return ""


def _descriptor(name: str) -> int | None:
    """The open file descriptor that ``name`` means. Opening it by its name would write from the file's start again."""
    numbered = _DESCRIPTOR.fullmatch(name)
    return int(numbered[1]) if numbered else _STANDARD.get(name)


class Target:
    """The stream that a writer writes to, from before the run (``with Target(...) as target``) until all is written.

    ``output`` is a file, or ``None`` or ``-`` for stdout. A file is written under a temporary name beside it, and on
    success flushed to the disk and moved into place; after an exception the temporary file is removed and what was
    there before stays. The new file keeps the permissions of the one it replaces, and a symbolic link stays a link.

    Written directly are: JSON Lines, so that ``tail -f`` can follow and an interrupted run keeps its finished lines;
    and whatever is no regular file (a pipe, a device, ``/dev/fd/3``). JSON Lines replace an earlier file when the first
    is written. ``append`` adds them to it; ``whole`` writes them as every other format.

    ``careful`` leaves an earlier file that holds something as it is until ``release`` says that there is something to
    put in its place. ``ends_as`` is for a run that is interrupted or has its document complete before the end.

    Writing raises ``ReaderGone`` where the reader of a pipe has gone, and ``OutputNotWritable`` where the disk is
    full.

    Raises:
        OutputNotWritable: on entering, the file cannot be made there; on leaving, it cannot be completed.
        UsageProblem: on entering, a binary format would go to a terminal, or the file is an image.
    """

    stream: IO[Any]
    """What the writer gets: bytes for a binary format, else text in UTF-8 (a table on stdout: in stdout's encoding)."""

    ends_as: Literal["failed", "interrupted", "complete"] = "failed"
    """What becomes of the document after an exception: removed, kept under another name, or put in its place. An
    interrupted one is kept under another name without an exception, too."""

    def __init__(
        self,
        output: Path | None,
        format: OutputFormat,
        *,
        stdout: TextIO | None = None,
        careful: bool = False,
        append: bool = False,
        whole: bool = False,
    ) -> None:
        self._name = "-" if output is None else _expanded(output)
        self._format = format
        self._stdout: TextIO | None = sys.stdout if stdout is None else stdout
        self._sink: Sink | None = None
        self._partial: Path | None = None
        self._place = Path(self._name)
        self._careful, self._append = careful, append
        self._direct = format is OutputFormat.JSONL and not whole
        self._made: Path | None = None
        self.untouched = False
        """Whether an earlier file is there and stays as it is."""
        self.is_careful = False
        """Whether an earlier file was there that holds something."""
        self.left_at: Path | None = None
        """Where an interrupted run has left what it wrote."""

    @property
    def is_stdout(self) -> bool:
        """Whether the data goes to stdout."""
        return _descriptor(self._name) == 1

    @property
    def is_file(self) -> bool:
        """Whether a file is written under a temporary name: not JSON Lines, a pipe, a device or stdout."""
        return self._partial is not None

    @property
    def is_terminal(self) -> bool:
        """Whether a person is looking: stdout, or the device named, is a terminal."""
        return self.stream.isatty()

    @property
    def closed(self) -> bool:
        """Whether the reader has gone, so that writing on makes no sense."""
        return self._sink is not None and self._sink.reader_gone

    def release(self) -> None:
        """There is something to put in the place of an earlier file."""
        if self.untouched:
            self.untouched = False
            if self._sink is not None:
                self._sink.let_go()

    def __enter__(self) -> Target:
        try:
            self.stream = self._open()
        except OSError as error:
            raise not_writable(self._shown, error) from error
        if is_binary(self._format) and self.stream.isatty():
            self._discard()
            name = self._format.value
            raise UsageProblem(f"{name} is binary and would garble the terminal", f"name a file: -o results.{name}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            whole = self.ends_as == "complete" or (kind is None and self.ends_as != "interrupted")
            # What was written directly is flushed in any case.
            if not self.untouched and (whole or self.ends_as == "interrupted" or not (self._partial or self.closed)):
                self._finish(whole)
            if not whole and self._made is not None and not self._made.stat().st_size:
                self._made.unlink()
        except OSError as failure:
            raise not_writable(self._shown, failure) from failure
        finally:
            self._discard()

    @property
    def _shown(self) -> str:
        return "stdout" if self.is_stdout else self._name

    def _open(self) -> IO[Any]:
        descriptor = _descriptor(self._name)
        if descriptor is None:
            self._sink = self._open_file()
        elif descriptor != 1:
            self._sink = Sink(os.dup(descriptor), self._shown)
        else:
            return self._open_stdout()
        return self._dressed(self._sink, "utf-8")

    def _open_stdout(self) -> IO[Any]:
        if self._stdout is None or self._stdout.closed:  # closed by whoever started us
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            descriptor = self._stdout.fileno()
        except (OSError, AttributeError):  # a stand-in for stdout that is no file
            return self._stdout.buffer if is_binary(self._format) else self._stdout
        self._stdout.flush()
        self._sink = Sink(descriptor, self._shown, closefd=False)
        return self._dressed(self._sink, self._stdout.encoding if self._format is OutputFormat.TABLE else "utf-8")

    def _dressed(self, sink: Sink, encoding: str) -> IO[Any]:
        buffered = BufferedWriter(sink)
        if is_binary(self._format):
            return buffered
        return TextIOWrapper(buffered, encoding=encoding, errors=NEAREST, newline="")

    def _open_file(self) -> Sink:
        try:
            found = Path(self._name).stat()
        except FileNotFoundError:
            found = None
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if found is not None and not stat.S_ISREG(found.st_mode):
            return Sink(os.open(self._name, os.O_WRONLY), self._shown)
        refuse_image(Path(self._name))
        self.untouched = self._careful and not self._append and found is not None and found.st_size > 0
        self.is_careful = self.untouched
        if not self._direct:
            return Sink(self._open_partial(found), self._shown)
        # Linux refuses O_CREAT on another's file in a folder like /tmp, though it may be written.
        flags = (os.O_RDWR | os.O_APPEND) if self._append else os.O_WRONLY
        descriptor = os.open(self._name, flags | (os.O_CREAT if found is None else 0), 0o666)
        if found is None:
            self._made = Path(self._name)
        elif self._append and found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
            os.write(descriptor, b"\n")  # an earlier run was killed within a line
        return Sink(descriptor, self._shown, replaces=not self._append, holds=self.untouched)

    def _open_partial(self, found: os.stat_result | None) -> int:
        self._place = Path(os.path.realpath(self._name))
        if found is not None:
            # Moving a file over another needs no permission on that other: a read-only file would not be safe.
            os.close(os.open(self._place, os.O_WRONLY))
        descriptor, self._partial = new_partial(self._place.parent)
        if found is not None:
            with suppress(PermissionError):  # only root may give a file away; otherwise the new one is the user's own
                os.fchown(descriptor, found.st_uid, found.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
        return descriptor

    def _finish(self, whole: bool) -> None:
        self.stream.flush()
        if self._sink is None:
            return
        if whole and self._sink.replaces:
            self._sink.empty()
        if stat.S_ISREG(os.fstat(self._sink.fileno()).st_mode):
            os.fsync(self._sink.fileno())
        if (partial := self._partial) is not None:
            claimed = os.dup(self._sink.fileno())
            try:
                self.stream.close()
                self._partial = None  # whatever happens now, complete results are not thrown away
                if not whole:
                    self._place = self.left_at = _free_name(self._place)
                try:
                    partial.replace(self._place)
                except OSError:
                    _overwrite(partial, self._place)
            finally:
                os.close(claimed)
            sweep_partials(self._place.parent)

    def _discard(self) -> None:
        if self._sink is not None:
            self._sink.abandoned = True
            self.stream.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)
            self._partial = None


def _free_name(place: Path) -> Path:
    """``results.interrupted.csv`` beside ``results.csv``, with a number where that is taken."""
    names = (f"{place.stem}.interrupted{number or ''}{place.suffix}" for number in count())
    return next(path for name in names if not (path := place.with_name(name)).exists())


def _expanded(output: Path) -> str:
    """``~`` as the home folder: a shell does that for an argument, nobody for a configuration file."""
    with suppress(RuntimeError):  # no such user: then it is a file's name
        return str(output.expanduser())
    return str(output)


def _overwrite(partial: Path, place: Path) -> None:
    """Copy where moving is refused: a file mounted into a container, or another's file in a folder like ``/tmp``.

    Raises:
        OutputNotWritable: that is refused too; the complete output stays under its temporary name.
    """
    import shutil

    try:
        with partial.open("rb") as source, open(os.open(place, os.O_WRONLY | os.O_TRUNC), "wb") as out:
            shutil.copyfileobj(source, out)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        failure = not_writable(str(place), error)
        if partial.exists():
            with suppress(OSError):  # under a name that no later run takes for unfinished
                partial = partial.rename(partial.with_suffix(".complete"))
            failure.remedy = f"the complete output is in {partial}: move it yourself"
        raise failure from error
    partial.unlink()
