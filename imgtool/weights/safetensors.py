"""Checks that a weights file is a complete safetensors file and not a pickle.

Opening a pickle can run code; a truncated file can be mapped, but fails in the middle of a run. The
format: 8 bytes (little-endian length of the header), a JSON header, then the tensors' bytes.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from imgtool.weights.errors import FileRefused

_LARGEST_HEADER = 100_000_000


def check_safetensors(path: Path, remedy: str) -> None:
    """Check that ``path`` is a complete safetensors file. ``remedy`` is what to do if it is damaged.

    Raises:
        FileRefused: it is truncated, too long, a pickle, or something else.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if kind := _other_kind(start):
            raise FileRefused(
                f"{path} is named as safetensors but is {kind}; opening it could run code",
                "get the model.safetensors of that model, or convert the weights with the safetensors library",
            )
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _LARGEST_HEADER + 1
        if length > min(_LARGEST_HEADER, size - 8):
            raise FileRefused(f"{path} is not a complete safetensors file: its header is cut off", remedy)
        header = file.read(length)
    try:
        tensors = [one for name, one in json.loads(header).items() if name != "__metadata__"]
        end = 8 + length + max((one["data_offsets"][1] for one in tensors), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise FileRefused(f"{path} is not a safetensors file: its header is not a table of tensors", remedy) from error
    if end != size:
        raise FileRefused(f"{path} is not a complete safetensors file: it has {size} bytes instead of {end}", remedy)


def _other_kind(start: bytes) -> str:
    if start.startswith(b"PK\x03\x04"):
        return "a pickle (a PyTorch checkpoint)"
    if start[4:8] == bytes(4):
        # A plausible length of a header. A pickle and a web page have text or opcodes here.
        return ""
    if start.startswith(b"\x80"):
        return "a pickle (a PyTorch checkpoint)"
    return "a web page" if start.lstrip().startswith(b"<") else ""
