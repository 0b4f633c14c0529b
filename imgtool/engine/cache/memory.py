"""Records in memory, for runs that keep nothing: the same content named twice is still computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from imgtool.engine.cache.records import Record, Update, decode, encode, merged

LIMIT_BYTES = 64_000_000
"""Some ten thousand pages of text; what was written longest ago goes first."""


class MemoryTier:
    """A :class:`imgtool.engine.cache.records.Tier` that ends with the process and needs no disk."""

    enabled = True

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._records: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get_many(self, keys: Sequence[str]) -> dict[str, Record]:
        """The records that there are."""
        found = {key: decode(data) for key in keys if (data := self._records.get(key)) is not None}
        return {key: record for key, record in found.items() if record is not None}

    def merge(self, updates: Iterable[Update]) -> None:
        """Add what is new, and let go of the oldest records past the limit."""
        for update in updates:
            former = self._records.pop(update.key, None)
            data = encode(merged(None if former is None else decode(former), update))
            self._records[update.key] = data
            self._bytes += len(data) - len(former or b"")
        while self._bytes > self._limit and self._records:
            _, data = self._records.popitem(last=False)
            self._bytes -= len(data)

    def claim(self, keys: Sequence[str]) -> set[str]:
        """No other process computes anything for this one."""
        return set()

    def release(self, keys: Iterable[str]) -> None:
        """Nothing is claimed."""

    def entries(self) -> int:
        """Number of records."""
        return len(self._records)

    def bytes(self) -> int:
        """Size of the records in bytes."""
        return self._bytes

    def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._bytes = 0
