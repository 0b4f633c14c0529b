"""How values lie in a diskcache database: plain bytes, text and integers in the rows themselves; never pickles.

diskcache pickles what it does not know, and unpickles whatever a row says is a pickle, so that who may write the
database may run code in those who read it (CVE-2025-69872). :class:`JsonDisk` does neither. It also writes no value
files: diskcache removes the file of a replaced value before the transaction that replaces it is committed, and a
process killed in between would leave a row without its value.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from typing import Any, Final

from diskcache import UNKNOWN, Disk
from diskcache.core import MODE_RAW

_VALUE_FILE: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
_INT64: Final = range(-(2**63), 2**63)


class RefusedRow(Exception):
    """A row that :class:`JsonDisk` did not write: pickled, or with its value in a file."""


class JsonDisk(Disk):  # type: ignore[misc]
    """Keys and values as they are: ``bytes``, ``str`` or 64-bit ``int``. Encoding is the caller's matter.

    Other objects are refused with ``TypeError``, rows of any other mode with :class:`RefusedRow`.
    """

    def __init__(self, directory: str, **_settings: Any) -> None:
        # Settings come from the database too; none of them has a meaning here.
        super().__init__(directory)

    def put(self, key: Any) -> tuple[Any, bool]:
        """The database's form of ``key``, always raw."""
        return _plain(key), True

    def get(self, key: Any, raw: Any) -> Any:
        """The key of a row."""
        if not raw:
            raise RefusedRow("refused to read a row of the cache: its key is a pickle")
        return bytes(key) if isinstance(key, memoryview) else key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> tuple[int, int, None, Any]:
        """``(size, mode, file name, value)`` of a row; ``size`` counts files alone, so it is 0."""
        if read:
            raise TypeError("values are not read from files")
        return 0, MODE_RAW, None, _plain(value)

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> Any:
        """The value of a row."""
        if mode != MODE_RAW or filename is not None or read:
            raise RefusedRow(f"refused to read a row of the cache: its value has mode {mode}")
        return bytes(value) if isinstance(value, memoryview) else value

    def remove(self, file_path: Any) -> None:
        """Remove the value file of a refused row, if it has one of diskcache's own names and lies in the directory."""
        if not isinstance(file_path, str) or not _VALUE_FILE.fullmatch(file_path):
            return
        directory = os.path.realpath(self._directory)
        if os.path.realpath(os.path.join(directory, file_path)) == os.path.join(directory, file_path):  # noqa: PTH118
            with suppress(OSError):
                super().remove(file_path)


def _plain(thing: Any) -> Any:
    kind = type(thing)
    if kind is bytes:
        return sqlite3.Binary(thing)
    if kind is str or (kind is int and thing in _INT64):
        return thing
    raise TypeError(f"a {kind.__name__} is neither bytes nor text nor a 64-bit integer")
