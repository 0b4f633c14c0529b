"""From a file to upright RGB pixels, or to a problem that says what is wrong with the file.

Pillow raises almost any exception on a hostile file; only :class:`DecodeError` leaves this module.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

# Imported by name so that no format makes Pillow import all of its fifty plugins.
from PIL import (  # noqa: F401
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from imgtool.image_formats import HEAD_BYTES, sniff
from imgtool.runtime.protocol import too_many_pages
from imgtool.runtime.worker.colour import to_srgb
from imgtool.runtime.worker.containers.bitmap import Bitmap, icon
from imgtool.runtime.worker.containers.camera_raw import camera_raw, developed
from imgtool.runtime.worker.containers.mend import NEARLY, Lenient, mend
from imgtool.runtime.worker.containers.netpbm import netpbm
from imgtool.runtime.worker.containers.pdf import PdfPages
from imgtool.runtime.worker.containers.plugins import load_plugin
from imgtool.runtime.worker.containers.tiff_directories import MOST_LISTED, count_directories, is_copy_or_mask
from imgtool.runtime.worker.containers.tiff_numbers import TiffOfNumbers
from imgtool.runtime.worker.containers.tiff_parts import TiffOfParts
from imgtool.runtime.worker.decode_errors import DAMAGED_REMEDY, DecodeError, explain, explained, unreadable
from imgtool.runtime.worker.jpeg import upright_jpeg
from imgtool.runtime.worker.pixels import (
    as_bytes,
    full_scale,
    grounds,
    orientation,
    shows_something,
    upright_rgb,
    without_empty_alpha,
)
from imgtool.types import TextLine

__all__ = ["DecodeError", "DecodedPage", "Decoder"]

_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")
_MOST_FRAMES, _MOST_SEARCHED_PIXELS = 100, 200_000_000
"""So many frames of an animation, and pixels of them together, are searched for one that shows something."""

_ONE_BY_ONE = ("GIF", "PNG", "WEBP")
"""Formats whose frame is made from the ones before it, and whose canvas may grow on the way (GIF)."""

_MAX_METADATA_BYTES = 16 << 20
"""What a single text or colour profile of a PNG may unpack to, and what else a JPEG file is taken to hold. Pillow's own
limit for PNG of one megabyte refuses a sound picture for the profile of a printer."""

_PILLOW_OR_HERE = r"PIL\b|imgtool\.runtime\.worker\b"

_SAY_THEIR_COLOURS, _COLOURS_WITHIN = ("AVIF", "HEIF", "PNG"), 1 << 16
"""Formats that name a colour space by numbers, within so many bytes from the start."""

_BITS_PER_SAMPLE = 258

_KEEP_PIXELS = 50_000_000
"""A larger multi-page file is opened anew for each page rather than kept in memory between two."""


@dataclass(frozen=True)
class DecodedPage:
    """One page of a file. ``pixels`` is (height, width, 3) uint8 RGB, upright, C-contiguous; ``file_size`` in bytes.

    ``shown`` is the frame to look at instead where the first of an animation shows nothing; ``notice`` is what the user
    should know about the pixels. ``clear`` is the share that is transparent, ``other`` the same picture on another
    ground where something of it cannot be seen on the first.
    ``text`` is what the page of a document has of its own.
    """

    pixels: NDArray[np.uint8]
    format: str
    width: int
    height: int
    page: int
    pages: int
    file_size: int
    shown: int = 0
    notice: str | None = None
    clear: float = 0.0
    other: NDArray[np.uint8] | None = None
    text: tuple[TextLine, ...] = ()


@dataclass
class _OpenImage:
    """An image held open: a file with the state that it had then, or bytes (``path`` is ``None``).

    ``format`` is what the file is. ``frames`` are Pillow's numbers of its pages, where not all frames are pages.
    ``jpeg`` is the JPEG inside that stands for it, ``turn`` its EXIF orientation where the file states it elsewhere.
    """

    path: bytes | None
    state: os.stat_result | None
    file: BinaryIO
    image: Image.Image
    format: str
    pages: int = 1
    frames: list[int] | None = None
    jpeg: bytes | None = None
    turn: int | None = None
    document: PdfPages | TiffOfParts | TiffOfNumbers | None = None
    text: tuple[TextLine, ...] = ()

    def serves(self, source: bytes | BytesIO, page: int) -> bool:
        """Whether ``page`` of ``source`` can be had from it: the very image, unchanged, and not backwards where frames
        build on each other (Pillow loses count when it rewinds an animated PNG)."""
        if self.format in _ONE_BY_ONE and page < self.image.tell():
            return False
        if isinstance(source, BytesIO):
            return isinstance(self.file, BytesIO) and self.file.getbuffer() == source.getbuffer()
        if self.path != source or self.state is None:
            return False
        try:
            now = Path(os.fsdecode(source)).stat()
        except OSError:
            return False
        return os.path.samestat(now, self.state) and _version(now) == _version(self.state)


class Decoder:
    """Decodes files, keeping the last multi-page one open so that its pages in order cost one step each.

    Switches Pillow's own limit on pixels off for the process: ``max_pixels`` stands in its place. Raises its limit on
    what a PNG's text and profile unpack to.
    One decoder must not be used by two threads at once.
    """

    def __init__(
        self,
        max_pixels: int,
        *,
        accept_truncated: bool = False,
        pdf_dpi: int = 200,
        max_pages: int | None = None,
        max_frames: int | None = None,
        max_growth: int | None = None,
    ) -> None:
        """Files of more than ``max_pages`` pages are refused where they are documents (TIFF, PDF), others where they
        have more than ``max_frames``. Without a limit only the first page is asked for: in a TIFF of more than
        ``MOST_LISTED`` directories smaller copies are then counted as pages. A page of a PDF document that takes more
        than ``max_growth`` bytes ends the process."""
        self._pdf_dpi, self._max_growth = pdf_dpi, max_growth
        self._max_pages, self._max_frames = max_pages, max_frames
        self._max_pixels = max_pixels
        self._accept_truncated = accept_truncated
        self._kept: _OpenImage | None = None
        Image.MAX_IMAGE_PIXELS = None
        PngImagePlugin.MAX_TEXT_CHUNK = _MAX_METADATA_BYTES
        # Pillow logs what it does not like of a file; without any handler that would reach stderr. Its warnings are
        # ignored once and for all: what is set aside and restored around a decode, other threads would see too.
        logging.getLogger("PIL").addHandler(logging.NullHandler())
        warnings.filterwarnings("ignore", module=_PILLOW_OR_HERE)

    def decode(
        self, path: bytes | str, page: int = 0, expect: tuple[int, int] | None = None, sha256: str = ""
    ) -> DecodedPage:
        """The pixels of one page of a file, counted from 0.

        ``expect`` is the size in bytes and the ``mtime_ns`` that the file had when it was hashed. With ``sha256`` it is
        hashed again after it was decoded: two versions that were written within one tick of its time have the same
        time.

        Raises:
            DecodeError: for every reason there is, with a :class:`Problem` inside.
        """
        source = os.fsencode(path)
        decoded = self._guarded(source, page, expect)
        if sha256:
            with _open_regular(source) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    self.close()
                    raise _changed()
        return decoded

    def decode_bytes(self, content: bytes, page: int = 0) -> DecodedPage:
        """The pixels of one page of the file whose bytes are ``content``.

        Raises:
            DecodeError: as of :meth:`decode`.
        """
        return self._guarded(BytesIO(content), page, None)

    def close(self) -> None:
        """Close the file that is kept open, if any."""
        kept, self._kept = self._kept, None
        if kept is not None:
            if kept.document is not None:
                kept.document.close()
            kept.file.close()

    def _guarded(self, source: bytes | BytesIO, page: int, expect: tuple[int, int] | None) -> DecodedPage:
        held = source.getvalue() if isinstance(source, BytesIO) else source
        try:
            return self._decode(source, page, expect)
        except DecodeError as error:
            self.close()
            again = BytesIO(held) if isinstance(source, BytesIO) else source
            if page == 0 and (mended := self._mended(again, error.problem.code, str(error), expect)) is not None:
                return mended
            raise
        except MemoryError as error:
            self.close()
            raise DecodeError(
                "out_of_memory", "not enough memory to decode this image", "free memory or lower --max-pixels"
            ) from error
        except OSError as error:  # a disk or a mount that fails between two calls
            self.close()
            raise unreadable(error) from error

    def _mended(
        self, source: bytes | BytesIO, code: str, said: str, expect: tuple[int, int] | None
    ) -> DecodedPage | None:
        """A file that is nearly whole, or any that is incomplete where that is accepted; ``said`` is what is wrong."""
        if code not in ("truncated", "damaged"):
            return None
        most_missing = 1.0 if self._accept_truncated else NEARLY
        with suppress(DecodeError, OSError, MemoryError):
            content = source.getvalue() if isinstance(source, BytesIO) else Path(os.fsdecode(source)).read_bytes()
            kind = sniff(content[:HEAD_BYTES]) or ""
            if (mended := mend(content, kind, self._max_pixels, most_missing)) is not None:
                share = (
                    f"about {mended.missing:.0%} is missing" if mended.missing >= 0.005 else "less than 1% is missing"
                )
                share = share if mended.missing else "the picture is whole"
                page = self._decode(BytesIO(mended.content), 0, None)
                return replace(page, file_size=len(content), notice=f"{said}; {share}")
            if self._accept_truncated and code == "truncated":
                with Lenient():
                    page = self._decode(source, 0, expect)
                return replace(page, notice=f"{said}; what is missing is blank")
        self.close()
        return None

    def _decode(self, source: bytes | BytesIO, page: int, expect: tuple[int, int] | None) -> DecodedPage:
        opened = self._kept
        if opened is None or not opened.serves(source, page):
            self.close()
            opened = self._kept = self._open(source, expect)
        elif expect is not None:
            _check_unchanged(opened.file, expect)
        try:
            with explained(opened.file, opened.format):
                self._turn_to(opened, page)
                image = opened.image
                pixels = _pixels(opened)
                ground = grounds(image)
                other = None if ground.other is None else _pixels(opened, ground.other)
                shown = 0 if page or opened.format not in _ANIMATIONS else self._first_shown(opened, pixels)
            if opened.state is not None:
                # Written to in place meanwhile: the pixels are of neither version.
                _check_unchanged(opened.file, _version(opened.state))
        except DecodeError as error:
            # The frames of an animation are made from each other: after a damaged one there is none.
            error.pages = 1 if opened.format in _ANIMATIONS else opened.pages
            raise
        size = opened.file.seek(0, os.SEEK_END) if opened.state is None else opened.state.st_size
        if page == opened.pages - 1 or image.width * image.height > _KEEP_PIXELS:
            self.close()
        height, width = pixels.shape[:2]
        notice = "the text is the document's own, not read from the picture" if opened.text else None
        return DecodedPage(
            pixels,
            opened.format,
            width,
            height,
            page,
            opened.pages,
            size,
            shown,
            notice,
            ground.clear,
            other,
            opened.text,
        )

    def _open(self, source: bytes | BytesIO, expect: tuple[int, int] | None) -> _OpenImage:
        file: BinaryIO = source if isinstance(source, BytesIO) else _open_regular(source)
        try:
            state = None if isinstance(source, BytesIO) else os.fstat(file.fileno())
            if expect is not None:
                _check_unchanged(file, expect)
            path = None if isinstance(source, BytesIO) else source
            name = _format_of(file)
            document: PdfPages | TiffOfParts | TiffOfNumbers | None = None
            unlisted = 0
            if name == "PDF":
                document = PdfPages(file, self._pdf_dpi, self._max_growth)
                self._check_pages(name, document.pages)
            elif name == "TIFF":
                counted = count_directories(file)  # it would take Pillow half a minute for 65,535
                self._check_pages(name, counted)
                unlisted = counted if self._max_pages is None and counted > MOST_LISTED else 0
                most = MOST_LISTED if unlisted else counted
                document = TiffOfParts.opened(file, most) or TiffOfNumbers.opened(file, most)
            if document is not None:
                pages, empty = unlisted or document.pages, Image.new("RGB", (1, 1))
                return _OpenImage(path, state, file, empty, name, pages, document=document)
            if (kind := camera_raw(file, name)) is not None:
                with explained(file, kind):
                    image, jpeg, turn = developed(file, kind)
                self._check_size(*image.size)
                return _OpenImage(path, state, file, image, kind, jpeg=jpeg, turn=turn)
            with explained(file, name):
                bitmap = self._of_bitmap(file, name) if name in ("BMP", "ICO", "CUR", "PAM", "PFM") else None
                try:
                    image = bitmap or Image.open(file, formats=[name])
                except UnidentifiedImageError:
                    raise _reason(file, name) from None
                self._check_size(*image.size)
                # The second picture of a stereo or gain-map JPEG is no page of it.
                is_stereo = image.format == "MPO"
                pages = unlisted or (1 if is_stereo else max(1, getattr(image, "n_frames", 1)))
                self._check_pages(name, pages)
                if name == "TGA":
                    image = without_empty_alpha(image)
                if name == "PNG" and pages == 1:
                    image = _with_exact_key(image, file)
                frames = _whole_pages(image, pages) if pages > 1 and name == "TIFF" and not unlisted else None
        except BaseException:
            file.close()
            raise
        return _OpenImage(path, state, file, image, name, len(frames or range(pages)), frames=frames)

    def _of_bitmap(self, file: BinaryIO, name: str) -> Image.Image | None:
        """The picture of a bitmap, icon, cursor, PAM or PFM; ``None`` where Pillow reads the bitmap."""
        file.seek(0)
        if name == "BMP" and Bitmap(file.read(HEAD_BYTES)).is_plain:
            return None
        file.seek(0)
        content = file.read()
        if name in ("PAM", "PFM"):
            image = netpbm(content, self._check_size)
            image.format = name
            return image
        found = Bitmap(content) if name == "BMP" else icon(content)
        self._check_size(*found.size)
        image = found.image() if isinstance(found, Bitmap) else found
        image.load()
        image.format = name
        return image

    def _first_shown(self, opened: _OpenImage, pixels: NDArray[np.uint8]) -> int:
        """The first frame of an animation that is more than one colour, given the pixels of frame 0."""
        affordable = _MOST_SEARCHED_PIXELS // (opened.image.width * opened.image.height)
        for frame in range(min(opened.pages, _MOST_FRAMES, 1 + affordable)):
            if frame:
                try:
                    self._turn_to(opened, frame)
                    pixels = _pixels(opened)
                except Exception:  # noqa: BLE001 - what is wrong with a later frame is not this one's problem
                    break
            if shows_something(pixels):
                return frame
        return 0

    def _check_size(self, width: int, height: int) -> None:
        """Before any pixel is decoded: a file of a few bytes can ask for gigabytes."""
        if width < 1 or height < 1:
            raise DecodeError("damaged", f"the image is {width} × {height}: it has no pixels", DAMAGED_REMEDY)
        if width * height > self._max_pixels:
            raise DecodeError(
                "too_many_pixels",
                f"{width} × {height} is {_megapixels(width * height)} megapixels,"
                f" more than the limit of {_megapixels(self._max_pixels)}",
                f"if you trust the file, raise the limit: --max-pixels {-(-width * height // 1_000_000)}M",
            )

    def _check_pages(self, name: str, pages: int) -> None:
        """Before any page is looked at: a file of a megabyte can have as many as take a week."""
        most = self._max_pages if name in ("TIFF", "PDF") else self._max_frames
        if most is not None and pages > most:
            found = too_many_pages(name, pages, most)
            raise DecodeError(found.code, found.message, found.remedy or "")

    def _turn_to(self, opened: _OpenImage, page: int) -> None:
        if not 0 <= page < opened.pages:
            count = "1 page" if opened.pages == 1 else f"{opened.pages} pages"
            raise DecodeError("no_such_page", f"there is no page {page}: the file has {count}", "pages count from 0")
        if opened.document is not None:
            self._check_size(*opened.document.size(page))
            opened.image, opened.text = opened.document.render(page)
            return
        if opened.pages == 1 and opened.frames is None:
            return
        image = opened.image
        if opened.format in _ONE_BY_ONE:
            for step in range(image.tell() + 1, page):
                image.seek(step)
                self._check_size(*image.size)
        image.seek(page if opened.frames is None else opened.frames[page])
        self._check_size(*image.size)


def _pixels(opened: _OpenImage, ground: int | None = None) -> NDArray[np.uint8]:
    """The page that is turned to, upright, on ``ground`` where it is transparent."""
    image = opened.image
    content = opened.jpeg
    # A file much larger than its picture is more than that, a film for example: Pillow reads no further than it must.
    most = 3 * image.width * image.height + _MAX_METADATA_BYTES
    if opened.format == "JPEG" and opened.file.seek(0, os.SEEK_END) <= most:
        opened.file.seek(0)
        content = opened.file.read()
    head = b""
    if opened.format in _SAY_THEIR_COLOURS:
        opened.file.seek(0)
        head = opened.file.read(_COLOURS_WITHIN)
    colours = to_srgb(image, head)
    if content is not None and (pixels := upright_jpeg(image, content, opened.turn, colours)) is not None:
        return pixels
    if opened.format == "PNG" and "transparency" in image.info and ground is None:
        _scale_key(image)
    image.load()
    if opened.format == "TIFF" and (exact := _few_bits_of_many(image, opened.file)) is not None:
        return upright_rgb(exact, orientation(image), colours, ground)
    return upright_rgb(image, opened.turn, colours, ground)


def _few_bits_of_many(image: Image.Image, file: BinaryIO) -> Image.Image | None:
    """A colour TIFF of 16 bits whose values all fit in 10, 12 or 14, as a device of so many bits writes it: bright; of
    these bits Pillow keeps the highest eight of 16. ``None`` where it is none such."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    if image.mode != "RGB" or bits != (16, 16, 16) or int(np.asarray(image).max()) >= 1 << 6:
        return None
    import cv2

    file.seek(0)
    page = image.tell()
    is_read, levels = cv2.imdecodemulti(
        np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED, range=(page, page + 1)
    )
    if not is_read or levels[0].dtype != np.uint16 or levels[0].shape != (image.height, image.width, 3):
        return None
    return Image.fromarray(as_bytes(levels[0][..., ::-1], full_scale(float(levels[0].max()))))


def _whole_pages(image: Image.Image, frames: int) -> list[int] | None:
    """The frames of a TIFF that are pages, and not smaller copies or masks of others (by their tags)."""
    found = []
    for frame in range(frames):
        try:
            image.seek(frame)
            if not is_copy_or_mask(getattr(image, "tag_v2", {})):
                found.append(frame)
        except Exception:  # noqa: BLE001 - it is said when the page is asked for
            found.append(frame)
    with suppress(Exception):
        image.seek(found[0] if found else 0)
    return found if 0 < len(found) < frames else None


def _scale_key(image: Image.Image) -> None:
    """The colour of a PNG that stands for nothing, in the eight bits that Pillow makes of the file's own number."""
    key, raw = image.info["transparency"], next((str(tile.args) for tile in getattr(image, "tile", ())), "")
    if isinstance(key, int) and image.mode == "L" and (bits := {"L;2": 2, "L;4": 4}.get(raw)):
        image.info["transparency"] = key * 255 // (2**bits - 1)


def _with_exact_key(image: Image.Image, file: BinaryIO) -> Image.Image:
    """A PNG of 16 bits a colour of which one stands for nothing, with its transparency: of the eight bits that Pillow
    keeps, other colours have the same."""
    if "transparency" not in image.info or all(str(tile.args) != "RGB;16B" for tile in getattr(image, "tile", ())):
        return image
    import cv2

    image.load()  # says what is wrong with the file, which OpenCV passes over
    file.seek(0)
    levels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.shape[2:] != (4,):
        return image
    exact = Image.fromarray(np.ascontiguousarray((levels[..., (2, 1, 0, 3)] >> 8).astype(np.uint8)))
    exact.format, exact.info = image.format, {name: each for name, each in image.info.items() if name != "transparency"}
    return exact


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:,.0f}" if pixels >= 10_000_000 else f"{pixels / 1e6:g}"


def _version(state: os.stat_result) -> tuple[int, int]:
    return state.st_size, state.st_mtime_ns


def _check_unchanged(file: BinaryIO, expect: tuple[int, int]) -> None:
    if _version(os.fstat(file.fileno())) != expect:
        raise _changed()


def _changed() -> DecodeError:
    return DecodeError(
        "changed_while_reading", "the file was changed while it was being read", "run again once it is complete"
    )


def _open_regular(path: bytes) -> BufferedReader:
    """Open a file for reading; never waits, as opening a named pipe would."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise DecodeError(
            "not_found", "the file is gone: it was deleted or moved after it was listed", "run again"
        ) from error
    except PermissionError as error:
        raise DecodeError(
            "permission_denied", "no permission to read the file", "check its mode and owner (ls -l)"
        ) from error
    except (OSError, ValueError) as error:
        raise unreadable(error) from error
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    if not regular:
        os.close(descriptor)
        raise DecodeError("not_an_image", "this is no regular file but a folder, pipe or device", "leave it out")
    return os.fdopen(descriptor, "rb")


def _format_of(file: BinaryIO) -> str:
    """Pillow's name of the file's format, by its first bytes."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise DecodeError("empty_file", "the file is empty (0 bytes)", "get another copy of the file, or delete it")
    name = sniff(head)
    if name is None and head[4:8] == b"ftyp":
        raise DecodeError(
            "not_an_image",
            f"this is a media file of brand {head[8:12].decode('ascii', 'replace')!r}, most likely a video",
            "extract a frame first, or leave it out with --exclude",
        )
    if name is None:
        raise DecodeError(
            "not_an_image",
            "this is no image of a known format, whatever its name says",
            "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are read; leave others out with --exclude",
        )
    load_plugin(name)
    return name


def _reason(file: BinaryIO, name: str) -> DecodeError:
    """Why Pillow refused a file whose first bytes are right: it says so only when its plugin is called directly."""
    try:
        file.seek(0)
        Image.OPEN[name][0](file, "")
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the reason is what was asked for
        return explain(error, file, name)
    return explain(ValueError("no reason given"), file, name)
