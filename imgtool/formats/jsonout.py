"""Results as JSON: one object a line, or one array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import msgspec

from imgtool.formats.clean import well_formed_tree
from imgtool.types import ImageResult

_ENCODER = msgspec.json.Encoder()


def encode(result: ImageResult) -> str:
    """``result`` as one line of JSON, without the newline.

    A lone surrogate in a string becomes U+FFFD, a number that is not finite becomes ``null``: JSON knows neither.
    """
    try:
        encoded = _ENCODER.encode(result)
    except UnicodeEncodeError:
        encoded = _ENCODER.encode(well_formed_tree(msgspec.to_builtins(result)))
    return encoded.decode()


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def write(self, result: ImageResult) -> None:
        self.write_row(encode(result))

    def write_row(self, row: str) -> None:
        """Write what is JSON already."""
        self._out.write(row + "\n")

    def close(self, summary: Mapping[str, Any]) -> None:
        self._out.flush()


class JsonWriter:
    """One JSON array with a result a line, written element by element; an array too when there was no result."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._before = "[\n"

    def write(self, result: ImageResult) -> None:
        self.write_row(encode(result))

    def write_row(self, row: str) -> None:
        """Write what is JSON already."""
        self._out.write(self._before + row)
        self._before = ",\n"

    def close(self, summary: Mapping[str, Any]) -> None:
        self._out.write("[]\n" if self._before == "[\n" else "\n]\n")
        self._out.flush()
