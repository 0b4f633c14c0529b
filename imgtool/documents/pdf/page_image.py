"""A picture as an image of a PDF document: a JPEG as it is, everything else without loss."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple, cast

import img2pdf
import numpy as np
from pikepdf import Name, Pdf
from PIL import Image, features

from imgtool.documents.interface import DocumentFailed
from imgtool.runtime.worker.decode import DecodeError, Decoder
from imgtool.runtime.worker.pixels import orientation

_UPRIGHT: dict[int, tuple[int, int, int, int, int, int]] = {
    1: (1, 0, 0, 1, 0, 0),
    2: (-1, 0, 0, 1, 1, 0),
    3: (-1, 0, 0, -1, 1, 1),
    4: (1, 0, 0, -1, 0, 1),
    5: (0, -1, -1, 0, 1, 1),
    6: (0, -1, 1, 0, 0, 1),
    7: (0, 1, 1, 0, 0, 0),
    8: (0, 1, -1, 0, 1, 0),
}
"""By EXIF orientation: the matrix that turns the unit square of the stored image upright, PDF's y axis going up."""

_LEAST_DPI, _MOST_DPI = 100, 2400
"""What a file states outside is what programs write that know nothing: 72, 96, 1."""

_LONG_SIDE = 842.0
"""Points; an image that states no resolution is as long as a page of A4."""


_LEAST_SIDE, _MOST_SIDE = 3.0, 14_400.0
"""Points; PDF has no other pages."""

_Dpi = tuple[float, float] | None
"""Dots an inch, across and down."""


class PageImage(NamedTuple):
    """An image of ``pdf``, the matrix for it in the unit square, and the size of its page in points."""

    pdf: Pdf
    image: Any
    matrix: tuple[int, int, int, int, int, int]
    width: float
    height: float


class PageImages:
    """Makes the images of the pages of a file."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def of(self, path: str, page: int, pages: int, size: tuple[int, int]) -> PageImage:
        """Page ``page`` of the file at ``path``, of which ``size`` (width and height upright) was analyzed.

        Raises:
            DocumentFailed: it cannot be read, or is not what was analyzed.
        """
        data, turn, dpi = b"", 1, cast(_Dpi, None)
        with open(path, "rb") as file:
            if pages == 1 and (head := file.read(3)) in (b"\xff\xd8\xff", b"\x89PN"):
                file.seek(0)
                data, turn, dpi = self._as_it_is(file.read(), size, jpeg=head == b"\xff\xd8\xff")
        encoded = _encoded(data) if data else None
        if encoded is None:
            turn = 1
            pixels, dpi = self._decoded(path, page), dpi or _stated_dpi(path)
            if (pixels.shape[1], pixels.shape[0]) != size:
                raise DocumentFailed("the image is not the one that was analyzed: analyze it again")
            encoded = _encoded(_lossless(pixels))
        if encoded is None:
            raise DocumentFailed("the image cannot be put into a PDF document: convert it to PNG")
        across, down = (72 / dpi[0], 72 / dpi[1]) if dpi else (_LONG_SIDE / max(size),) * 2
        image = next(iter(encoded.pages[0].Resources[Name.XObject].values()))
        width, height = size[0] * across, size[1] * down
        fitting = min(1.0, _MOST_SIDE / max(width, height))
        width, height = (max(_LEAST_SIDE, side * fitting) for side in (width, height))
        return PageImage(encoded, image, _UPRIGHT[turn], width, height)

    def _as_it_is(self, data: bytes, size: tuple[int, int], *, jpeg: bool) -> tuple[bytes, int, _Dpi]:
        """The bytes of a file that a PDF document can hold as they are, its orientation and resolution; or nothing."""
        try:
            with Image.open(BytesIO(data)) as image:
                turn = orientation(image)
                stored = image.size if turn < 5 else image.size[::-1]
                dpi = _dpi(image)
                if dpi and turn >= 5:
                    dpi = dpi[::-1]
                usable = stored == size and (jpeg or image.mode in ("1", "L", "RGB"))
                usable = usable and "transparency" not in image.info
        except (OSError, ValueError, SyntaxError):
            return b"", 1, None
        return (data, turn, dpi) if usable else (b"", 1, dpi)

    def _decoded(self, path: str, page: int) -> Any:
        try:
            return self._decoder.decode(path, page).pixels
        except DecodeError as error:
            raise DocumentFailed(str(error)) from error


def _encoded(data: bytes) -> Pdf | None:
    """A PDF document of the picture in ``data`` alone; ``None`` where that cannot be had without a change."""
    out = BytesIO()
    try:
        img2pdf.convert(
            data,
            outputstream=out,
            rotation=img2pdf.Rotation.none,
            layout_fun=lambda width, height, dpi: (100, 100, 100, 100),
            first_frame_only=True,
            nodate=True,
        )
    except Exception:  # noqa: BLE001 - its classes for what it does not take have no base of their own
        return None
    return Pdf.open(out)


def _lossless(pixels: Any) -> bytes:
    """RGB pixels as a file of as few channels and bits as they need: black and white as faxes are, others as PNG."""
    grey = pixels[..., 0]
    if np.array_equal(grey, pixels[..., 1]) and np.array_equal(grey, pixels[..., 2]):
        image = Image.fromarray(np.ascontiguousarray(grey))
        if np.isin(grey, (0, 255)).all():
            image = image.convert("1", dither=Image.Dither.NONE)
    else:
        image = Image.fromarray(pixels)
    out = BytesIO()
    if image.mode == "1" and features.check("libtiff"):
        image.save(out, "TIFF", compression="group4")
    else:
        image.save(out, "PNG")
    return out.getvalue()


def _stated_dpi(path: str) -> _Dpi:
    try:
        with Image.open(path) as image:
            return _dpi(image)
    except (OSError, ValueError, SyntaxError):
        return None


def _dpi(image: Image.Image) -> _Dpi:
    """The resolution that a file states, unless it cannot be meant."""
    try:
        across, down = map(float, image.info.get("dpi") or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # Faxes have 204 x 98 dots an inch.
    return (across, down) if max(across, down) >= _LEAST_DPI <= 2 * min(across, down) and across <= _MOST_DPI else None
