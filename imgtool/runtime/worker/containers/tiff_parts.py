"""TIFF files whose strips or tiles are each a picture in another format (WebP, JPEG 2000, PNG, JPEG XL): libtiff reads
these only where it was built with the libraries, Pillow has them anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgtool.image_formats import TIFF_PARTS
from imgtool.runtime.worker.containers.plugins import load_plugin
from imgtool.runtime.worker.containers.tiff_directories import MOST, directories, is_copy_or_mask
from imgtool.runtime.worker.decode_errors import DAMAGED_REMEDY, DecodeError
from imgtool.types import TextLine

_APERIO_YCBCR = 33003

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 256, 257, 259, 262, 274
_STRIPS, _ROWS, _STRIP_SIZES, _PLANAR = 273, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES, _PROFILE = 322, 323, 324, 325, 34675
_MOST_FILLED, _SMALL = 4, 1 << 22
"""How many times as large as the picture its tiles may be together, but for so many pixels."""


class _Part(NamedTuple):
    """Where a part lies in the file, in bytes, and in the picture, in pixels; its least and its greatest height."""

    offset: int
    size: int
    left: int
    top: int
    width: int
    least: int
    most: int


def _codec(directory: ImageFileDirectory_v2) -> str | None:
    """Pillow's name of the format of each part of a TIFF page; ``None`` where they are no pictures of their own."""
    compression = directory.get(_COMPRESSION)
    return TIFF_PARTS.get(compression) if isinstance(compression, int) else None


class TiffOfParts:
    """A TIFF file of such pages, held open."""

    def __init__(self, file: BinaryIO, pages: list[ImageFileDirectory_v2]) -> None:
        self._file, self._pages, self.pages = file, pages, len(pages)

    @classmethod
    def opened(cls, file: BinaryIO, most: int = MOST) -> TiffOfParts | None:
        """``file`` as such a file, of ``most`` directories at most; ``None`` where its first page has none."""
        found: list[ImageFileDirectory_v2] = []
        with suppress(Exception):  # what is wrong with a directory is said when Pillow opens the file
            for directory in directories(file, most):
                if not found and _codec(directory) is None:
                    return None
                if not found or not is_copy_or_mask(directory):
                    found.append(directory)
        return cls(file, found) if found else None

    def size(self, page: int) -> tuple[int, int]:
        """Width and height of a page."""
        directory = self._pages[page]
        return int(directory.get(_WIDTH, 0)), int(directory.get(_HEIGHT, 0))

    def render(self, page: int) -> tuple[Image.Image, tuple[TextLine, ...]]:
        """A page as it is stored; no lines of text.

        Raises:
            DecodeError: the page is in another format, or a part of it is not what it should be.
            Exception: whatever Pillow raises on a damaged part.
        """
        directory = self._pages[page]
        codec = _codec(directory)
        if codec is None or directory.get(_PLANAR, 1) != 1:
            text = f"page {page} of this TIFF is stored in a way that is not supported here"
            raise DecodeError("unsupported", text, "convert it to PNG or JPEG")
        load_plugin(codec)
        picture: Image.Image | None = None
        for part in _parts(directory, *self.size(page)):
            self._file.seek(part.offset)
            image: Image.Image = Image.open(BytesIO(self._file.read(part.size)), formats=[codec])
            if image.width != part.width or not part.least <= image.height <= part.most:
                text = f"the TIFF file is damaged (a part of it is {image.width} × {image.height})"
                raise DecodeError("damaged", text, DAMAGED_REMEDY)
            if directory.get(_COMPRESSION) == _APERIO_YCBCR and image.mode == "RGB":
                image = Image.frombytes("YCbCr", image.size, image.tobytes()).convert("RGB")
            picture = picture or Image.new(image.mode, self.size(page))
            picture.paste(image.convert(picture.mode), (part.left, part.top))
        if picture is None:
            raise DecodeError("damaged", "the TIFF file is damaged (it lacks the parts of a page)", DAMAGED_REMEDY)
        if directory.get(_PHOTOMETRIC) == 0 and picture.mode == "L":
            picture = ImageOps.invert(picture)
        if isinstance(profile := directory.get(_PROFILE), bytes):
            picture.info["icc_profile"] = profile
        picture.getexif()[_ORIENTATION] = directory.get(_ORIENTATION, 1)
        return picture, ()

    def close(self) -> None:
        """Nothing is held but the file, which is its opener's."""


def _parts(directory: ImageFileDirectory_v2, width: int, height: int) -> Iterator[_Part]:
    """The strips or tiles of a page, as far as both lists of them go. Tiles at the right and below are filled up."""
    is_tiled = _TILES in directory
    wide, tall = width, min(int(directory.get(_ROWS, height)), height)
    if is_tiled:
        wide, tall = int(directory.get(_TILE_WIDTH, 0)), int(directory.get(_TILE_HEIGHT, 0))
    across, down = (-(-length // side) if side > 0 else 0 for length, side in ((width, wide), (height, tall)))
    if across * wide * down * tall > _MOST_FILLED * width * height + _SMALL:
        return
    offsets, sizes = (
        directory.get(tag, ()) for tag in ((_TILES, _TILE_SIZES) if is_tiled else (_STRIPS, _STRIP_SIZES))
    )
    for number, (offset, size) in enumerate(zip(offsets, sizes, strict=False)):
        if number >= across * down:
            return
        top = number // across * tall
        yield _Part(
            offset, size, number % across * wide, top, wide, tall if is_tiled else min(tall, height - top), tall
        )
