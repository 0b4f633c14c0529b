"""What people give as an image: a path, bytes, a file object, an image of Pillow, an array."""

from __future__ import annotations

import os
import sys
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from imgtool.engine import raw_image
from imgtool.engine.files import problems
from imgtool.errors import SourceProblem
from imgtool.image_formats import HEAD_BYTES
from imgtool.types import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

MOST_BYTES = 2_000_000_000
"""The longest file that is taken as bytes; a longer one is to be given as a path."""


class Readable(Protocol):
    """An open binary file, or what reads like one."""

    def read(self, size: int = -1, /) -> bytes: ...


class Upload(Protocol):
    """An upload of FastAPI or Starlette, with an open binary file below it."""

    @property
    def file(self) -> Readable: ...


if TYPE_CHECKING:
    Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Upload | Image | NDArray[np.generic]
    """An image as :meth:`imgtool.Engine.submit` takes it."""


class Content(NamedTuple):
    """The bytes of an image file and what to call it, or its path where ``content`` is ``None``; ``problem`` says what
    is wrong with the bytes."""

    name: str
    content: bytes | None = None
    problem: Problem | None = None


def read_source(source: Any, name: str | None = None) -> Content:
    """``source`` as a path or as the bytes of an image file; pixels become those of a TIFF.

    Raises:
        SourceProblem: it is of no kind that is taken here, or a file object that cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        return Content(path)
    # Whoever has an image of Pillow or an array has imported its library: nothing is imported to find out.
    pillow, numpy = sys.modules.get("PIL.Image"), sys.modules.get("numpy")
    if isinstance(source, bytes | bytearray | memoryview):
        return _checked(name or "<bytes>", bytes(source))
    if pillow is not None and isinstance(source, pillow.Image):
        return _checked(name or getattr(source, "filename", "") or "<image>", raw_image.from_pillow(source))
    if numpy is not None and isinstance(source, numpy.ndarray):
        return _checked(name or "<array>", raw_image.from_array(source))
    if hasattr(source, "read"):
        return _checked(name or _name_of(source), _read(source))
    raise SourceProblem(
        f"a {type(source).__name__} is no image",
        "give a path, bytes, an open binary file, an image of Pillow or a numpy array",
    )


def _read(file: Any) -> bytes:
    if iscoroutinefunction(file.read):
        # An upload of FastAPI or Starlette; the file below it is an ordinary one.
        below = getattr(file, "file", None)
        if below is None or iscoroutinefunction(getattr(below, "read", None)):
            raise SourceProblem("the file object is asynchronous", "give what its read() returns: await it before")
        file = below
    try:
        data: Any = file.read(MOST_BYTES + 1)
    except Exception as error:
        raise SourceProblem(
            f"the file object cannot be read: {type(error).__name__}: {error}", "give a path, or bytes"
        ) from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise SourceProblem("the file object gives text, not bytes", 'open it with mode "rb"')
    return bytes(data)


def _name_of(file: Any) -> str:
    found = getattr(file, "filename", None) or getattr(file, "name", None)
    return found if isinstance(found, str) else "<file>"


def _checked(name: str, content: bytes) -> Content:
    if len(content) > MOST_BYTES:
        raise SourceProblem(f"{len(content):,} bytes are too many to be sent to a worker", "give the path of the file")
    return Content(name, content, problems.with_content(content[:HEAD_BYTES]))
