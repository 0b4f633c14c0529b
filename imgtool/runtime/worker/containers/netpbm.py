"""The kinds of Netpbm that Pillow does not read: PAM (P7), and PFM in colour (PF). As pam(5) and pfm(5) define them."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from PIL import Image

from imgtool.runtime.worker.decode_errors import DAMAGED_REMEDY, TRUNCATED_REMEDY, DecodeError
from imgtool.runtime.worker.pixels import stretched

_PFM = re.compile(rb"PF\s+(\d+)\s+(\d+)\s+([-+.\deE]+)\s")
_COLOURS = {1, 2, 3, 4}


def netpbm(content: bytes, check_size: Callable[[int, int], None]) -> Image.Image:
    """The picture of a PAM or of a PFM in colour. ``check_size`` is called with width and height before any is made.

    Raises:
        DecodeError: the header is none, the file ends too early, or the picture is of channels that are no colours.
    """
    return _pam(content, check_size) if content.startswith(b"P7") else _pfm(content, check_size)


def _pfm(content: bytes, check_size: Callable[[int, int], None]) -> Image.Image:
    header = _PFM.match(content)
    try:
        width, height, scale = (int(header[1]), int(header[2]), float(header[3])) if header else (0, 0, 0.0)
    except ValueError:
        header = None
    if header is None:
        raise DecodeError("damaged", "the PFM file is damaged (its header is no header)", DAMAGED_REMEDY)
    check_size(width, height)
    data = _whole(content[header.end() :], 12 * width * height, "PFM")
    # The sign of the scale is the order of bytes; rows are stored from the bottom up.
    values = np.frombuffer(data, "<f4" if scale < 0 else ">f4").reshape(height, width, 3)[::-1]
    return Image.fromarray(stretched(values.astype(np.float32), np.nan))


def _pam(content: bytes, check_size: Callable[[int, int], None]) -> Image.Image:
    head, found, data = content.partition(b"ENDHDR\n")
    fields = dict(line.split(None, 1) for line in head.splitlines()[1:] if not line.startswith(b"#") and b" " in line)
    try:
        width, height, depth, most = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except (KeyError, ValueError):
        found = b""
    if not found or depth < 1 or not 0 < most < 1 << 16:
        raise DecodeError("damaged", "the PAM file is damaged (its header is no header)", DAMAGED_REMEDY)
    check_size(width, height)
    kind = fields.get(b"TUPLTYPE", b"").decode("ascii", "replace").strip()
    if depth not in _COLOURS:
        text = f"this PAM has {depth} channels{f' of the kind {kind}' if kind else ''}, which are no colours"
        remedy = "take the channels of a picture out of it: pamchannel -infile FILE -tupletype RGB 0 1 2 > NEW.pam"
        raise DecodeError("unsupported", text, remedy)
    size = 1 if most < 256 else 2
    values = np.frombuffer(_whole(data, width * height * depth * size, "PAM"), ">u2" if size == 2 else np.uint8)
    levels = np.rint(values * (255.0 / most)).clip(0, 255).astype(np.uint8).reshape(height, width, depth)
    return Image.fromarray(levels[..., 0] if depth == 1 else levels)


def _whole(data: bytes, size: int, name: str) -> bytes:
    if len(data) < size:
        text = f"the {name} file is incomplete ({len(data):,} bytes of {size:,})"
        raise DecodeError("truncated", text, TRUNCATED_REMEDY)
    return data[:size]
