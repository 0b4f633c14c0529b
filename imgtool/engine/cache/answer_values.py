"""Answers as JSON, read as the values of their tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.types import VALUE_TYPES, Task

_DECODERS: dict[str, Callable[[Any], Any]] = {
    **{task.value: msgspec.json.Decoder(VALUE_TYPES[task]).decode for task in Task},
    THUMBNAIL: msgspec.json.Decoder(bytes).decode,
}


def decode_answer(task: str, value: Any) -> Any:
    """An answer's JSON as the value of its task.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is no answer to that task.
    """
    return _DECODERS[task](value)
