"""What is wrong with an image file: what Pillow raises, turned into problems with a code and a remedy.

Pillow and the libraries under it have no exceptions of their own for this; their words and the file's own end tell.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import BinaryIO

from PIL import UnidentifiedImageError

from imgtool.image_formats import TIFF_PARTS
from imgtool.runtime.worker.file_structure import ends_before_its_end, is_sound_so_far, jpeg_frame
from imgtool.types import Problem

TRUNCATED_REMEDY = "get a complete copy of the file: it was cut off while being copied or downloaded"
DAMAGED_REMEDY = "open it in an image editor and save it again, or get another copy"


class DecodeError(Exception):
    """A file that gave no pixels; ``problem`` says why and what to do. ``pages`` is how many the file has, as far as it
    could be opened: another page of it may be whole."""

    pages: int = 1

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.problem = Problem(code, message, remedy)


@contextmanager
def explained(file: BinaryIO, name: str) -> Iterator[None]:
    """Turn whatever Pillow raises about a file into a problem; memory is another matter than the file."""
    try:
        yield
    except (DecodeError, MemoryError):
        raise
    except Exception as error:
        raise explain(error, file, name) from error


def unreadable(error: Exception) -> DecodeError:
    """The disk, not the file, is at fault."""
    reason = getattr(error, "strerror", None) or str(error)
    return DecodeError("unreadable", f"the file cannot be read: {reason}", "check the disk or the network share")


_PLACES_THAT_LIE = {errno.EINVAL, errno.EOVERFLOW}
"""What the system says where a file names a place in itself that no file can have."""
_COMPRESSION_TAG = 259
_COMMON_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946})
_OF_SOME_BUILDS = {34925: "lzma", 50000: "zstd"}
"""Compressions that libtiff has where it was built with their libraries."""
_UNSUPPORTED_WORDS = (
    "unsupported",
    "not supported",
    "not available",
    "not installed",
    "unknown pixel mode",
    "not implemented",
    "no codec",
    "cannot handle",
    "samples per pixel",
    "unknown data organization",
)
_RARE_FRAMES = {
    0xC3: "lossless",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"),
    0xCB: "lossless and arithmetic",
    0xF7: "JPEG-LS",
}
"""Frames of JPEG (ITU-T T.81, table B.1; T.87) that libjpeg-turbo does not decode."""


def explain(error: Exception, file: BinaryIO, name: str) -> DecodeError:
    """What ``error``, raised while ``file`` of Pillow's format ``name`` was read, means to a person."""
    kind = "HEIC" if name == "HEIF" else "JPEG" if name == "MPO" else name
    said = str(error).strip() or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # its words name the object that was read, and not the file
        said = "a picture inside it cannot be found"
    said = said.partition(". Please build")[0]  # the advice of libjxl to its developers
    if isinstance(error, OSError) and error.errno is not None and error.errno not in _PLACES_THAT_LIE:
        return unreadable(error)
    if "Decompressed data too large" in said or "Too much memory used in text chunks" in said:
        return DecodeError(
            "metadata_too_large",
            f"text or a colour profile stored in this {kind} unpacks to more than is reasonable",
            "save the image again without its metadata",
        )
    rare = _rare_compression(file) if kind == "TIFF" else _RARE_FRAMES.get(jpeg_frame(file)) if kind == "JPEG" else None
    if rare is not None:
        text = f"this {kind} is compressed in a way that is not supported here ({rare})"
        return DecodeError("unsupported", text, "convert it to PNG or an ordinary JPEG")
    ends_early = isinstance(error, EOFError) or "truncated" in said.lower() or ends_before_its_end(file, name)
    if ends_early and is_sound_so_far(file, kind):
        return DecodeError("truncated", f"the {kind} file is incomplete ({said})", TRUNCATED_REMEDY)
    if isinstance(error, NotImplementedError) or any(word in said.lower() for word in _UNSUPPORTED_WORDS):
        return DecodeError(
            "unsupported", f"this {kind} uses a feature that is not supported: {said}", "convert it to PNG or JPEG"
        )
    return DecodeError("damaged", f"the {kind} file is damaged ({said})", DAMAGED_REMEDY)


def _rare_compression(file: BinaryIO) -> str | None:
    """The compression of a TIFF's first page, if this build of libtiff does not have it: LERC, JBIG, ..."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with suppress(Exception):
        file.seek(0)
        head = file.read(8)
        file.seek(int.from_bytes(head[4:8], "little" if head[:2] == b"II" else "big"))
        directory = ImageFileDirectory_v2(head)
        directory.load(file)
        compression = directory.get(_COMPRESSION_TAG)
        if not isinstance(compression, int) or compression in _COMMON_COMPRESSIONS | TIFF_PARTS.keys():
            return None
        is_here = compression in _OF_SOME_BUILDS and _libtiff_has(_OF_SOME_BUILDS[compression])
        return None if is_here else f"number {compression}"
    return None


def _libtiff_has(codec: str) -> bool:
    """Whether it can write a picture so, which tells whether it can read one."""
    from PIL import Image

    try:
        Image.new("L", (1, 1)).save(BytesIO(), "TIFF", compression=codec)
    except OSError:
        return False
    return True
