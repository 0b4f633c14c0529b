"""The bottom of the output stream: a file descriptor whose failures are said in imgtool's words."""

from __future__ import annotations

import codecs
import errno
import io
import os
from typing import Any

from imgtool.errors import OutputNotWritable

NEAREST = "imgtool-nearest"
"""Name of the codec error handler that writes the nearest ASCII character for one that an encoding lacks."""

_NEAREST = {"✓": "+", "✗": "x", "…": "~", "×": "x", "·": "-", "“": '"', "”": '"'}

_ELSEWHERE = "or name a file elsewhere with -o"
_CAUSES = {
    errno.ENOENT: ("its folder does not exist", f"make the folder first, {_ELSEWHERE}"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "name a file elsewhere with -o"),
    errno.EISDIR: ("it is a folder", "name a file in it, for example -o results.json"),
    errno.EACCES: ("permission denied", f"change the permissions there, {_ELSEWHERE}"),
    errno.EPERM: ("permission denied", f"change the permissions there, {_ELSEWHERE}"),
    errno.EROFS: ("the file system is read-only", "name a file elsewhere with -o"),
    errno.ENOSPC: ("no space is left on the disk", f"make room there, {_ELSEWHERE}; images done are in the cache"),
    errno.EDQUOT: ("the disk quota is used up", f"make room there, {_ELSEWHERE}; images done are in the cache"),
    errno.ENAMETOOLONG: ("its name is too long", "name a file with a shorter name"),
    errno.ELOOP: ("its symbolic links lead in a circle", "name another file"),
    errno.EBADF: ("it is closed", "open it, or name a file with -o"),
}


class ReaderGone(Exception):
    """Whoever read the output has stopped (``imgtool analyze … | head``): no failure, but a reason to end."""


def not_writable(name: str, error: OSError) -> OutputNotWritable:
    """``error`` on the output ``name``, with what to do about it."""
    cause, remedy = _CAUSES.get(error.errno or 0, (error.strerror or str(error), "name a file elsewhere with -o"))
    return OutputNotWritable(f"{name} cannot be written: {cause}", remedy)


class Sink(io.FileIO):
    """A raw stream on a descriptor. Once ``abandoned`` it swallows what is still in the buffers above it.

    One that ``replaces`` a file empties it when the first byte is written. One that ``holds`` keeps what is written in
    memory, until ``let_go``.

    Raises:
        ReaderGone: on writing, the other end of the pipe is closed.
        OutputNotWritable: on writing, whatever else the system refuses.
    """

    def __init__(
        self, descriptor: int, shown: str, *, closefd: bool = True, replaces: bool = False, holds: bool = False
    ) -> None:
        super().__init__(descriptor, "wb", closefd=closefd)
        self._shown = shown
        self._held = bytearray() if holds else None
        self.replaces = replaces
        self.reader_gone = False
        self.abandoned = False

    def write(self, data: Any, /) -> int:
        if self.abandoned:
            return memoryview(data).nbytes
        if self._held is not None:
            self._held += data
            return memoryview(data).nbytes
        try:
            if self.replaces:
                self.empty()
            return super().write(data)
        except BrokenPipeError:
            self.reader_gone = True
            raise ReaderGone from None
        except BlockingIOError:
            raise
        except OSError as error:
            raise not_writable(self._shown, error) from error

    def empty(self) -> None:
        """Cut the file off at its beginning."""
        self.replaces = False
        os.ftruncate(self.fileno(), 0)

    def let_go(self) -> None:
        """Write what was held. Raises what ``write`` raises."""
        held, self._held = self._held, None
        while held:
            del held[: self.write(held)]


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_NEAREST.get(character, "?") for character in missing), error.end


codecs.register_error(NEAREST, _nearest)
