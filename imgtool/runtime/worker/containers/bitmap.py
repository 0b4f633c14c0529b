"""Windows and OS/2 bitmaps that Pillow does not read, or not as browsers do: bit fields of any width, alpha, RLE with
gaps, colour profiles, two bits a pixel; and the icons and cursors that are made of bitmaps and PNGs.

The structures are BITMAPCOREHEADER to BITMAPV5HEADER and ICONDIR of the Windows documentation, and those of OS/2 2.0.
"""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from imgtool.image_formats import BITMAP_HEADER_SIZES
from imgtool.runtime.worker.decode_errors import DAMAGED_REMEDY, TRUNCATED_REMEDY, DecodeError

_FILE_HEADER, _CORE, _OS2_SHORT, _INFO, _OS2, _V5 = 14, 12, 16, 40, 64, 124
_RGB, _RLE8, _RLE4, _FIELDS, _ALPHA_FIELDS = 0, 1, 2, 3, 6
_DEFAULT_FIELDS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_ICON_ENTRY = 16
_PNG = b"\x89PNG\r\n\x1a\n"


class Bitmap:
    """A bitmap whose header starts at byte ``at`` of ``content``; in an icon (``in_icon``) a mask follows the pixels.

    Raises:
        DecodeError: the header is none, or of a kind that is not read.
    """

    def __init__(self, content: bytes, at: int = _FILE_HEADER, *, in_icon: bool = False) -> None:
        self._content, self._at, self._in_icon = content, at, in_icon
        (header,) = self._numbers("<I", 0)
        if header not in BITMAP_HEADER_SIZES:
            raise _unsupported(f"header of {header} bytes")
        width, height, _, self.bits = self._numbers("<HHHH" if header == _CORE else "<iiHH", 4)
        self.compression = self._numbers("<I", 16)[0] if header >= _INFO else _RGB
        used = self._numbers("<I", 32)[0] if header >= _INFO else 0
        self.size = (width, abs(height) // 2 if in_icon else abs(height))
        self._is_upright = height < 0
        self._header = header
        fields = {_FIELDS: 3, _ALPHA_FIELDS: 4}.get(self.compression, 0) if header != _OS2 else 0
        self._fields: tuple[int, ...] = _DEFAULT_FIELDS.get(self.bits, (0, 0, 0, 0))
        if fields:
            fields = 4 if header >= 56 else fields
            self._fields = (*self._numbers(f"<{fields}I", _INFO), 0)[:4]
        # Bit fields follow a header that has no place for them.
        end = at + header + (4 * fields if header == _INFO else 0)
        each = 3 if header == _CORE else 4
        data = int.from_bytes(content[10:14], "little") if at == _FILE_HEADER and not in_icon else 0
        count = min(used or 1 << self.bits, 1 << self.bits) if self.bits <= 8 else 0
        self._data = data if data > at else end + each * (used if self.bits > 8 else count)
        count = min(count, max(0, (self._data - end) // each))
        colours = np.frombuffer(content[end : end + each * count].ljust(each * count, b"\0"), np.uint8)
        self._palette: NDArray[np.uint8] = np.zeros((256, 3), np.uint8)
        self._palette[:count] = colours.reshape(count, each)[:, 2::-1]

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads it as browsers do."""
        is_known = self._header != _OS2_SHORT and self.compression == _RGB and self.bits in (1, 4, 8, 24, 32)
        return is_known and self._profile() is None

    def image(self) -> Image.Image:
        """The picture, RGB or RGBA.

        Raises:
            DecodeError: it is stored in a way that is not read, or the file ends too early.
        """
        width, height = self.size
        if self.compression in (_RLE8, _RLE4) and self.bits == (8 if self.compression == _RLE8 else 4):
            indices, given = _run_lengths(self._content[self._data :], width, height, self.bits)
            pixels = np.take(self._palette, indices, axis=0)
            pixels *= given[..., None]  # what is not given is black, as Chromium shows it
        elif self.compression == _RGB or (self._header != _OS2 and self.compression in (_FIELDS, _ALPHA_FIELDS)):
            pixels = self._stored()
        else:
            raise _unsupported(f"compression {self.compression} of {self.bits} bits")
        if self._in_icon and (pixels.shape[2] == 3 or not pixels[..., 3].any()):
            pixels = np.dstack((pixels[..., :3], self._mask()))
        image = Image.fromarray(np.ascontiguousarray(pixels if self._is_upright else pixels[::-1]))
        if (profile := self._profile()) is not None:
            image.info["icc_profile"] = profile
        return image

    def _numbers(self, form: str, place: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(form, self._content, self._at + place)
        except struct.error as error:
            raise _cut_short() from error

    def _rows(self, at: int, bits: int) -> NDArray[np.uint8]:
        """(height, bytes of a row), each row filled up to four bytes. What is missing is 0 where that is accepted."""
        width, height = self.size
        stride = (bits * width + 31) // 32 * 4
        data = self._content[at : at + stride * height]
        if len(data) < stride * height:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise _cut_short()
            data = data.ljust(stride * height, b"\0")
        return np.frombuffer(data, np.uint8).reshape(height, stride)

    def _stored(self) -> NDArray[np.uint8]:
        width, _ = self.size
        if self.bits not in (1, 2, 4, 8, 16, 24, 32):
            raise _unsupported(f"{self.bits} bits a pixel")
        rows = self._rows(self._data, self.bits)
        if self.bits <= 8:
            return np.take(self._palette, _unpacked(rows, self.bits)[:, :width], axis=0)
        if self.bits == 24:
            return rows[:, : 3 * width].reshape(len(rows), width, 3)[..., ::-1]
        values = np.ascontiguousarray(rows).view("<u2" if self.bits == 16 else "<u4")[:, :width]
        if self._in_icon and self.bits == 32 and self.compression == _RGB:
            return np.stack([_field(values, mask) for mask in (*self._fields[:3], 0xFF000000)], -1)
        *colours, alpha = self._fields
        return np.stack([_field(values, mask) for mask in (*colours, *((alpha,) if alpha else ()))], -1)

    def _mask(self) -> NDArray[np.uint8]:
        """The alpha that the mask behind the pixels of an icon gives, opaque where there is no mask."""
        width, height = self.size
        at = self._data + (self.bits * width + 31) // 32 * 4 * height
        try:
            return np.where(_unpacked(self._rows(at, 1), 1)[:, :width] == 1, 0, 255).astype(np.uint8)
        except DecodeError:
            return np.full((height, width), 255, np.uint8)

    def _profile(self) -> bytes | None:
        if self._header < _V5 or self._content[self._at + 56 : self._at + 60] != b"DEBM":
            return None
        place, size = self._numbers("<II", 112)
        return self._content[self._at + place : self._at + place + size]


def _unpacked(rows: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    shifts: NDArray[np.uint8] = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return ((rows[..., None] >> shifts) & (2**bits - 1)).reshape(len(rows), -1)


def _field(values: NDArray[np.integer], mask: int) -> NDArray[np.uint8]:
    """One channel of bit fields, 0 to 255; 0 where it has no bits. Bits that the values do not have do not count."""
    mask &= int(np.iinfo(values.dtype).max)
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    return np.rint(((values & mask) >> shift) * (255 / most)).astype(np.uint8)


def _run_lengths(data: bytes, width: int, height: int, bits: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Indices of RLE8 or RLE4, from the lowest row up, and which of them are given at all.

    Raises:
        DecodeError: the data ends before the picture does.
    """
    indices: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    given: NDArray[np.bool_] = np.zeros((height, width), np.bool_)
    at = x = y = 0
    while y < height:
        if at + 2 > len(data):
            if not (ImageFile.LOAD_TRUNCATED_IMAGES or given[-1].any()):
                raise _cut_short()
            break
        count, value = data[at], data[at + 1]
        at += 2
        if count == 0 and value < 3:  # end of the line, end of the picture, a jump
            if value == 1:
                break
            x, y = (
                (0, y + 1) if value == 0 else (x + data[at], y + data[at + 1]) if at + 2 <= len(data) else (0, height)
            )
            at += 2 * (value == 2)
            continue
        if count:
            line = np.array((value,) if bits == 8 else (value >> 4, value & 15), np.uint8)
            line = np.resize(line, count)
        else:
            size = -(-value * bits // 8)
            line = _unpacked(np.frombuffer(data[at : at + size], np.uint8)[None], bits)[0, :value]
            at += size + size % 2
        line = line[: max(0, width - x)]
        indices[y, x : x + len(line)], given[y, x : x + len(line)] = line, True
        x += len(line)
    return indices, given


def icon(content: bytes) -> Image.Image | Bitmap:
    """The largest picture of an icon or cursor, of several that with the most colours: a PNG, opened, or a bitmap.

    Raises:
        DecodeError: the file ends too early, or has no picture that can be opened.
    """
    found: list[tuple[int, int, Image.Image | Bitmap]] = []
    trouble = _cut_short()
    for number in range(int.from_bytes(content[4:6], "little")):
        entry = content[6 + _ICON_ENTRY * number :][:_ICON_ENTRY]
        at = int.from_bytes(entry[12:16], "little")
        if len(entry) < _ICON_ENTRY or at >= len(content):
            break
        try:
            if content.startswith(_PNG, at):
                picture: Image.Image | Bitmap = Image.open(BytesIO(content[at:]), formats=["PNG"])
                found.append((picture.size[0] * picture.size[1], 32, picture))
            else:
                picture = Bitmap(content, at, in_icon=True)
                found.append((picture.size[0] * picture.size[1], picture.bits, picture))
        except DecodeError as error:
            trouble = error
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever Pillow says of a PNG, another picture may be whole
            trouble = DecodeError("damaged", "a picture in the icon is damaged", DAMAGED_REMEDY)
    if not found:
        raise trouble
    return max(found, key=lambda each: each[:2])[2]


def _unsupported(what: str) -> DecodeError:
    text = f"this BMP uses a feature that is not supported: {what}"
    return DecodeError("unsupported", text, "convert it to PNG or JPEG")


def _cut_short() -> DecodeError:
    return DecodeError("truncated", "the file is incomplete: the bitmap in it ends too early", TRUNCATED_REMEDY)
