"""When a server that failed is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class CircuitBreaker:
    """Open after a failure: then nothing is asked but, after a pause, one trial. The pause doubles with each failure,
    up to a limit, and lasts a random 80 to 120 % of that, so that many processes do not come back in one moment.

    Used by one thread.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, random_: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._random = random_
        self._pause = FIRST_PAUSE_SECONDS
        self._until: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the server is to be left alone."""
        return self._until is not None

    def begin_trial(self) -> bool:
        """Whether the pause is over and no trial is under way. Who gets a yes makes one, and says what came of it."""
        if self._until is None or self._trying or self._clock() < self._until:
            return False
        self._trying = True
        return True

    def fail(self) -> None:
        """It has failed, in a trial or in use."""
        if self._until is not None and not self._trying:
            return  # asked before it was known to be away
        self._trying = False
        self._until = self._clock() + self._pause * (0.8 + 0.4 * self._random())
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def pass_trial(self) -> None:
        """The trial went well. The next failure makes a longer pause all the same, until something real was answered:
        a server may answer a trial and nothing else."""
        self._until, self._trying = None, False

    def succeed(self) -> None:
        """Something real was answered."""
        if self._until is None:
            self._pause = FIRST_PAUSE_SECONDS
