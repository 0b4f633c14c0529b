"""The result store in a thread of its own: a disk that does not answer costs a moment, and not the run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from imgtool import trace
from imgtool.engine.cache.records import Record, Tier, Update

PATIENCE_SECONDS = 10.0
"""How long a look-up may take before its images count as unknown; a lock is waited for five seconds."""

_DROP_AT = 10_000

Looked = tuple[dict[str, Record], set[str]]
"""Records, and images that another process has claimed."""


class BackgroundStore:
    """A tier that is opened and used by one thread, in the order in which it is asked.

    ``look_up`` and ``merge`` return at once; ``call_soon`` has what was found told in the caller's thread. All methods
    are the scheduler's, but ``enabled`` and ``figures``, which any thread may ask.
    """

    def __init__(
        self,
        open_tier: Callable[[], Tier],
        call_soon: Callable[[Callable[[], None]], None],
        warn: Callable[[str], None],
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_tier = open_tier
        self._call_soon = call_soon
        self._warn = warn
        self._patience = patience
        self._clock = clock
        self._tier: Tier | None = None
        self._jobs: queue.SimpleQueue[Callable[[Tier], None] | None] = queue.SimpleQueue()
        self._asked: dict[int, tuple[float, Callable[[Looked], None]]] = {}
        self._looking = 0
        self._numbers = 0
        self._stalled = False
        self._warned = False
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def enabled(self) -> bool:
        """Whether answers can at least be looked up."""
        return self._tier is not None and self._tier.enabled and not self._stalled

    @property
    def busy(self) -> bool:
        """Whether a look-up is under way."""
        return self._looking > 0

    def look_up(self, keys: Sequence[str], then: Callable[[dict[str, Record]], None]) -> None:
        """Find the records of a window of images; ``then`` gets those that there are."""

        def look(tier: Tier) -> Looked:
            with trace.span("look up", "parent", images=len(keys)):
                return tier.get_many(keys), set()

        def looked(found: Looked) -> None:
            self._looking -= 1
            then(found[0])

        self._looking += 1
        self._ask(look, looked)

    def claim(self, images: Mapping[str, Sequence[str]], then: Callable[[dict[str, Record], set[str]], None]) -> None:
        """Claim images that are to be computed, each by its key and with the keys of its records.

        ``then`` gets the records that there are by now, and the images that another process is computing.
        """

        def look(tier: Tier) -> Looked:
            with trace.span("claim", "parent", images=len(images)):
                taken = tier.claim(list(images))
                return tier.get_many(
                    [key for image, keys in images.items() if image not in taken for key in keys]
                ), taken

        self._ask(look, lambda found: then(*found))

    def merge(self, updates: Sequence[Update], release: Sequence[str] = ()) -> None:
        """Keep what is new, and then give up the claims to these images."""
        if not self._stalled or self._jobs.qsize() < _DROP_AT:

            def write(tier: Tier) -> None:
                try:
                    if updates:
                        with trace.span("store", "parent"):
                            tier.merge(updates)
                finally:
                    tier.release(release)

            self._put(write)

    def tick(self) -> None:
        """Count what was not answered in time as unknown."""
        now = self._clock()
        late = [number for number, (deadline, _) in self._asked.items() if deadline <= now or self._stalled]
        if late:
            self._stalled = True
            if not self._warned:
                self._warned = True
                self._warn(
                    f"the result cache has not answered for {self._patience:g} s; the run goes on without it "
                    "(look at the disk, or choose another --cache-dir)"
                )
        for number in late:
            self._asked.pop(number)[1](({}, set()))

    def seconds_to_deadline(self) -> float | None:
        """How long until ``tick`` has something to do."""
        deadlines = [deadline for deadline, _ in self._asked.values()]
        return max(0.0, min(deadlines) - self._clock()) if deadlines else None

    def figures(self, timeout: float = 2.0) -> tuple[int, int] | None:
        """Number of records and bytes; ``None`` where the store does not say in time."""
        if self._thread is None or self._stalled or self._closed.is_set():
            return None
        answer: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._put(lambda tier: answer.put((tier.entries(), tier.bytes())))
        try:
            return answer.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self, timeout: float = 5.0) -> None:
        """Write what was given and close the tier, as far as that takes no longer than ``timeout`` seconds."""
        self._asked.clear()
        self._looking = 0
        if self._thread is not None:
            self._jobs.put(None)
            if not self._stalled:
                self._closed.wait(timeout)

    def _ask(self, look: Callable[[Tier], Looked], then: Callable[[Looked], None]) -> None:
        self._numbers += 1
        number = self._numbers
        if self._stalled:
            then(({}, set()))
            return
        self._asked[number] = (self._clock() + self._patience, then)

        def job(tier: Tier) -> None:
            found: Looked = {}, set()
            try:
                found = look(tier)
            finally:
                self._call_soon(partial(self._found, number, found))

        if not self._put(job):
            self.tick()

    def _put(self, job: Callable[[Tier], None]) -> bool:
        """Have a job done; whether there is a thread that does it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="store", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # no more threads
                self._stalled = self._warned = True
                self._warn(f"the result cache is not used: {error}; the run goes on without it")
        self._jobs.put(job)
        return not self._stalled

    def _found(self, number: int, found: Looked) -> None:
        self._stalled = False
        asked = self._asked.pop(number, None)
        if asked is not None:
            asked[1](found)

    def _run(self) -> None:
        try:
            with trace.span("open store", "parent"):
                tier = self._tier = self._open_tier()
        except Exception as error:  # noqa: BLE001 - without a store everything is computed
            tier = self._tier = _Nothing()
            self._say(f"the result cache cannot be opened: {type(error).__name__}: {error}; the run goes on without it")
        while (job := self._jobs.get()) is not None:
            try:
                job(tier)
            except Exception as error:  # noqa: BLE001 - a miss, or a write that is dropped
                self._say(f"the result cache failed: {type(error).__name__}: {error}; some answers are not kept")
        try:
            tier.close()
        finally:
            self._closed.set()

    def _say(self, text: str) -> None:
        self._call_soon(lambda: self._warn(text))


class _Nothing:
    """A tier that could not be opened."""

    enabled = False

    def get_many(self, keys: Sequence[str]) -> dict[str, Record]:
        return {}

    def merge(self, updates: object) -> None:
        pass

    def claim(self, keys: Sequence[str]) -> set[str]:
        return set()

    def release(self, keys: object) -> None:
        pass

    def entries(self) -> int:
        return 0

    def bytes(self) -> int:
        return 0

    def close(self) -> None:
        pass
