"""Colour TIFF of floating-point, signed and 32-bit numbers, which Pillow has no mode for: read by OpenCV if it can."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgtool.runtime.worker.containers.tiff_directories import MOST, directories, is_copy_or_mask
from imgtool.runtime.worker.decode_errors import DAMAGED_REMEDY, DecodeError
from imgtool.runtime.worker.pixels import nodata, stretched
from imgtool.types import TextLine

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 258, 262, 277, 284
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_READ = {(1, 32), (2, 16), (2, 32), (3, 32), (3, 64)}
"""Sample formats (1 unsigned, 2 signed, 3 floating-point) and bits that OpenCV reads in colour."""
_WORDS = {1: "unsigned", 2: "signed", 3: "floating-point"}


class _Page(NamedTuple):
    number: int
    directory: ImageFileDirectory_v2
    samples: int
    kind: int
    bits: int


class TiffOfNumbers:
    """A TIFF file of such pages, held open."""

    def __init__(self, file: BinaryIO, pages: list[_Page]) -> None:
        self._file, self._pages, self.pages = file, pages, len(pages)

    @classmethod
    def opened(cls, file: BinaryIO, most: int = MOST) -> TiffOfNumbers | None:
        """``file`` as such a file, of ``most`` directories at most; ``None`` where its first page is none such."""
        found: list[_Page] = []
        with suppress(Exception):  # what is wrong with a directory is said when Pillow opens the file
            for number, directory in enumerate(directories(file, most)):
                samples, kind, bits = directory.get(_SAMPLES, 1), *(_first(directory.get(t, (1,))) for t in _KIND)
                if not found and (samples < 2 or (kind, bits) in ((1, 8), (1, 16)) or bits < 16 or kind not in _WORDS):
                    return None
                if not found or not is_copy_or_mask(directory):
                    found.append(_Page(number, directory, samples, kind, bits))
        return cls(file, found) if found else None

    def size(self, page: int) -> tuple[int, int]:
        """Width and height of a page."""
        directory = self._pages[page].directory
        return int(directory.get(_WIDTH, 0)), int(directory.get(_HEIGHT, 0))

    def render(self, page: int) -> tuple[Image.Image, tuple[TextLine, ...]]:
        """A page, upright, its values from the smallest to the largest as 0 to 255; no lines of text.

        Raises:
            DecodeError: its numbers or channels are of a kind that is not read, or the page is damaged.
        """
        number, directory, samples, kind, bits = self._pages[page]
        is_chunky, is_rgb = directory.get(_PLANAR, 1) == 1, directory.get(_PHOTOMETRIC) == 2
        if (kind, bits) not in _READ or samples not in (3, 4) or not is_chunky or not is_rgb:
            stored = "" if is_chunky else ", stored one after the other"
            text = (
                f"this TIFF has {samples} channels of {bits}-bit {_WORDS.get(kind, '')} numbers{stored}: not supported"
            )
            remedy = "convert it to eight bits, for example: gdal_translate -ot Byte -scale FILE.tif NEW.tif"
            raise DecodeError("unsupported", text, remedy)
        import cv2  # few files need it

        self._file.seek(0)
        content: Any = np.frombuffer(self._file.read(), np.uint8)
        is_read, found = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
        if not is_read or found[0].ndim != 3 or found[0].shape[2] != samples:
            raise DecodeError("damaged", f"the TIFF file is damaged (page {page} cannot be decoded)", DAMAGED_REMEDY)
        values = found[0]
        levels = stretched(values[..., 2::-1], nodata(directory))
        if samples == 4 and _first(directory.get(_EXTRA_SAMPLES, (0,))) in (1, 2):
            most = 1.0 if kind == 3 else float(np.iinfo(values.dtype).max)
            alpha = np.nan_to_num(values[..., 3] * (255.0 / most)).clip(0, 255).astype(np.uint8)
            levels = np.dstack((levels, alpha))
        return Image.fromarray(levels), ()

    def close(self) -> None:
        """Nothing is held but the file, which is its opener's."""


_KIND = (_SAMPLE_FORMAT, _BITS)


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)
