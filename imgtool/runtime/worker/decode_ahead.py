"""Decoding ahead: the next images are decoded while the present one computes, within a budget of pixels."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.runtime.protocol import Item
from imgtool.types import Problem

if TYPE_CHECKING:
    from imgtool.runtime.worker.decode import DecodedPage


@dataclass(frozen=True)
class Undecodable:
    """An item that could not be decoded. ``pages`` is how many its file has, as far as that could be seen."""

    problem: Problem
    pages: int = 1


@dataclass(frozen=True)
class Arrival:
    """A decoded item, with the seconds the decode took."""

    item: Item
    outcome: DecodedPage | Undecodable
    seconds: float

    @property
    def pixels(self) -> int:
        """Pixels held by this arrival until it is released."""
        return 0 if isinstance(self.outcome, Undecodable) else self.outcome.width * self.outcome.height


class DecodeAhead:
    """One thread that decodes queued items in order while at most ``budget`` pixels are held decoded.

    Whatever ``decode`` raises is a failure of that item. An image larger than the whole budget is still decoded, alone.
    ``take`` gives arrivals in the order of ``add``; each must be given back with ``release`` once its pixels are no
    longer referenced.
    """

    def __init__(
        self,
        decode: Callable[[Item], DecodedPage | Undecodable],
        budget: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._decode = decode
        self._budget = budget
        self._clock = clock
        self._waiting: deque[Item] = deque()
        self._arrived: deque[Arrival] = deque()
        self._held = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="decode-ahead", daemon=True)
        self._thread.start()

    def add(self, items: tuple[Item, ...]) -> None:
        """Queue items."""
        with self._changed:
            self._waiting.extend(items)
            self._changed.notify_all()

    def take(self) -> Arrival:
        """The next arrival; blocks until it is there."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._arrived))
            return self._arrived.popleft()

    def release(self, arrival: Arrival) -> None:
        """Say that the pixels of an arrival are no longer held."""
        with self._changed:
            self._held -= arrival.pixels
            self._changed.notify_all()

    def close(self) -> None:
        """Stop after the item in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or (self._waiting and (self._held == 0 or self._held < self._budget))
                )
                if self._closed:
                    return
                item = self._waiting.popleft()
            began = self._clock()
            try:
                outcome = self._decode(item)
            except BaseException as error:  # noqa: BLE001 - who takes would wait for ever for what never comes
                text = f"decoding failed in an unexpected way: {type(error).__name__}: {error}"
                outcome = Undecodable(Problem("damaged", text, "convert the image with another program"))
            arrival = Arrival(item, outcome, self._clock() - began)
            with self._changed:
                self._held += arrival.pixels
                self._arrived.append(arrival)
                self._changed.notify_all()
