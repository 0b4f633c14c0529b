"""The shared tier of the result store: answers in a Redis server that several machines use.

A thread of its own asks the server, so that nothing else waits for it; whatever is wrong with the server is a miss.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from imgtool import trace
from imgtool.engine.cache.records import ImageFacts, StoredAnswer, Update
from imgtool.engine.cache.shared.answers import Question, SharedAnswer, encode_answer, read_answer
from imgtool.engine.cache.shared.circuit_breaker import CircuitBreaker
from imgtool.engine.cache.shared.url import without_password
from imgtool.engine.statistics import SharedCacheStatistics
from imgtool.errors import ImgtoolError

FIRST_PATIENCE_SECONDS = 3.0
"""How long the client library may take to be imported, which the first look-up waits for."""
PATIENCE_SECONDS = 1.0
"""How long a look-up may take altogether: each step has a limit of its own, but a server may answer byte by byte, and
finding its address may take any time."""

MOST_WAITING = 2000
MOST_WAITING_BYTES = 32_000_000
"""What may wait to be written; more is dropped."""

_WRITTEN_AT_ONCE = 64
_JITTER = 0.1
_CLOSE_SECONDS = 1.0

Found = Mapping[Question, SharedAnswer]


class Client(Protocol):
    """What the thread asks: :class:`imgtool.engine.cache.shared.redis_client.RedisClient`."""

    def begin(self) -> None: ...
    def fetch(self, names: Sequence[str]) -> dict[str, bytes]: ...
    def store(self, values: Sequence[tuple[str, bytes, int]]) -> tuple[int, ImgtoolError | None]: ...
    def close(self) -> None: ...


class _LookUp(Struct, eq=False):
    questions: Sequence[Question]
    deadline: float
    then: Callable[[Found], None]


class _Waiting(Struct, eq=False):
    """An answer that waits to be written."""

    question: Question
    image: ImageFacts
    answer: StoredAnswer


class SharedStore:
    """Looks answers up and writes answers. All methods are the scheduler's, but ``figures``, which any thread may ask.

    ``ttl`` is how many seconds the server keeps an answer; answers older than ``max_age`` seconds count as absent.
    ``call_soon`` has a function called in the scheduler's thread, where alone the circuit breakers change. ``warn`` is
    told of each kind of trouble once.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl: float,
        max_age: float | None,
        call_soon: Callable[[Callable[[], None]], None],
        warn: Callable[[str], None],
        connect: Callable[[str], Client] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._place = without_password(url)
        self._ttl = ttl
        self._max_age = max_age
        self._call_soon = call_soon
        self._warn = warn
        self._connect = connect or _redis_client
        self._clock = clock
        self._said: set[str] = set()
        self._breaker = CircuitBreaker(clock)
        self._writing = CircuitBreaker(clock)
        self._figures = SharedCacheStatistics(server=self._place)
        self._opened = False
        self._answered = False
        self._asked: set[_LookUp] = set()
        self._changed = threading.Condition()
        # What the thread shares with the scheduler's, as it does the counts of what was written and dropped:
        self._look_ups: deque[_LookUp] = deque()
        self._trial = False
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._being_written = 0
        self._closed = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def enabled(self) -> bool:
        """Whether answers can be looked up: the server has answered, and has not failed since."""
        return self._answered and not self._breaker.is_open

    @property
    def busy(self) -> bool:
        """Whether a look-up is under way."""
        return bool(self._asked)

    def begin(self) -> None:
        """Connect now, without waiting for it: the first look-up then takes less time."""
        if self._thread is None:
            self._post(trial=True)

    def look_up(self, questions: Sequence[Question], then: Callable[[Found], None]) -> None:
        """Find answers; ``then`` gets those that there are: at once where the server is not to be asked now."""
        if self._breaker.is_open:
            self._figures.misses += len(questions)
            then({})
            if self._breaker.begin_trial():
                self._post(trial=True)
            return
        patience = PATIENCE_SECONDS if self._opened else FIRST_PATIENCE_SECONDS
        look_up = _LookUp(questions, self._clock() + patience, then)
        self._asked.add(look_up)
        self._post(look_up)

    def write(self, updates: Iterable[Update]) -> None:
        """Have answers written some time; dropped where too many wait, or nothing can be written now."""
        answers = [
            _Waiting(Question(update.key, update.tasks[fingerprint], fingerprint), update.image, answer)
            for update in updates
            if update.image is not None
            for fingerprint, answer in update.answers.items()
            if fingerprint in update.tasks
        ]
        with self._changed:
            for each in answers:
                full = len(self._waiting) >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES
                if full or self._breaker.is_open or (self._writing.is_open and not self._writing.begin_trial()):
                    self._figures.dropped += 1
                else:
                    self._waiting.append(each)
                    self._waiting_bytes += memoryview(each.answer.value).nbytes
        if self._waiting:
            self._post()

    def tick(self) -> None:
        """Give up look-ups that take too long."""
        now = self._clock()
        if late := [look_up for look_up in self._asked if look_up.deadline <= now]:
            self._on_trouble("does not answer in time", "look at the server and the network")
            for look_up in late:
                self._finish(look_up, {})

    def seconds_to_deadline(self) -> float | None:
        """How long until ``tick`` has something to do."""
        return max(0.0, min(each.deadline for each in self._asked) - self._clock()) if self._asked else None

    def figures(self) -> SharedCacheStatistics:
        """The figures so far."""
        figures = self._figures
        return SharedCacheStatistics(
            server=figures.server,
            available=self.enabled if self._answered or figures.failures else None,
            hits=figures.hits,
            misses=figures.misses,
            written=figures.written,
            waiting=len(self._waiting) + self._being_written,
            dropped=figures.dropped,
            failures=figures.failures,
        )

    def close(self, timeout: float = _CLOSE_SECONDS) -> None:
        """Write what waits, as far as that takes no longer than ``timeout`` seconds, and close the connection."""
        self._asked.clear()
        with self._changed:
            self._closed = True
            self._look_ups.clear()
            if self._breaker.is_open:
                self._drop_waiting()
            self._changed.notify()
        if self._thread is not None and not self._breaker.is_open:
            self._ended.wait(timeout)

    # -- in the scheduler's thread

    def _post(self, look_up: _LookUp | None = None, *, trial: bool = False) -> None:
        with self._changed:
            if look_up is not None:
                self._look_ups.append(look_up)
            self._trial = self._trial or trial
            self._changed.notify()
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="shared cache", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads
            self._on_trouble("is not used: no thread can be started", "allow more processes and threads: ulimit -u")
            self._breaker.begin_trial()  # which never ends
            for each in list(self._asked):
                self._finish(each, {})

    def _finish(self, look_up: _LookUp, found: Found) -> None:
        if look_up in self._asked:
            self._asked.remove(look_up)
            self._figures.hits += len(found)
            self._figures.misses += len(look_up.questions) - len(found)
            look_up.then(found)

    def _on_trouble(self, what: str, remedy: str) -> None:
        """The server has failed: leave it alone for a while."""
        self._figures.failures += 1
        self._breaker.fail()
        if self._writing.is_open:
            self._writing.fail()  # its trial may be among what is dropped
        with self._changed:
            self._drop_waiting()
        self._say(what, remedy)

    def _say(self, what: str, remedy: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._warn(f"the shared cache {self._place} {what}; the run goes on without it ({remedy})")

    def _on_looked_up(self, look_up: _LookUp, found: Found, garbage: int) -> None:
        if look_up in self._asked:  # else it came too late, which counts as a failure
            self._answered = True
            self._breaker.succeed()
            self._finish(look_up, found)
        if garbage:
            self._say("holds values that are none of imgtool's", "`imgtool cache clear --shared` has them ignored")

    def _on_opened(self) -> None:
        self._opened = True
        for look_up in self._asked:
            look_up.deadline = min(look_up.deadline, self._clock() + PATIENCE_SECONDS)

    def _on_trial_passed(self) -> None:
        self._answered = True
        self._breaker.pass_trial()

    def _on_written(self, refusal: ImgtoolError | None) -> None:
        if refusal is None:
            self._writing.pass_trial()
            self._writing.succeed()
        else:
            self._figures.failures += 1
            self._writing.fail()
            self._say(str(refusal), refusal.remedy)

    def _drop_waiting(self) -> None:
        self._figures.dropped += len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0

    # -- in the thread of its own

    def _run(self) -> None:
        client: Client | None = None
        while (job := self._next_job()) is not None:
            look_up, answers = job
            try:
                if client is None:
                    with trace.span("open shared cache", "parent"):
                        client = self._connect(self._url)
                    self._call_soon(self._on_opened)
                if look_up is not None:
                    self._fetch(client, look_up)
                elif answers:
                    self._store(client, answers)
                else:
                    client.begin()
                    self._call_soon(self._on_trial_passed)
            except Exception as error:  # noqa: BLE001 - a miss, or a write that is dropped
                self._tell_failure(error, look_up, len(answers))
        if client is not None:
            client.close()
        self._ended.set()

    def _next_job(self) -> tuple[_LookUp | None, list[_Waiting]] | None:
        """A look-up, or answers to be written, or neither for a trial; ``None`` at the end. Waits for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._look_ups or self._trial or self._waiting or self._closed)
            if self._look_ups:
                return self._look_ups.popleft(), []
            if self._trial:
                self._trial = False
                return None, []
            answers: list[_Waiting] = []
            while self._waiting and len(answers) < _WRITTEN_AT_ONCE:
                answers.append(self._waiting.popleft())
                self._waiting_bytes -= memoryview(answers[-1].answer.value).nbytes
            self._being_written = len(answers)
            return (None, answers) if answers else None

    def _fetch(self, client: Client, look_up: _LookUp) -> None:
        if self._clock() >= look_up.deadline:
            return  # given up while it waited for another
        questions = {question.name: question for question in look_up.questions}
        with trace.span("look up shared", "parent", answers=len(questions)):
            values = client.fetch(list(questions))
            read = {questions[name]: read_answer(questions[name], data) for name, data in values.items()}
        oldest = 0.0 if self._max_age is None else time.time() - self._max_age
        whole = {question: answer for question, answer in read.items() if answer is not None}
        found = {question: found for question, found in whole.items() if found.answer.stored_at >= oldest}
        garbage = len(read) - len(whole)
        if self._clock() >= look_up.deadline:
            client.close()
        self._call_soon(lambda: self._on_looked_up(look_up, found, garbage))

    def _store(self, client: Client, answers: Sequence[_Waiting]) -> None:
        values = []
        for each in answers:
            if (data := encode_answer(each.question, each.image, each.answer)) is not None:
                # Answers that were written together are not to expire together.
                seconds = self._ttl * random.uniform(1 - _JITTER, 1 + _JITTER)
                values.append((each.question.name, data, max(1, round(1000 * seconds))))
        with trace.span("store shared", "parent", answers=len(values)):
            written, refusal = client.store(values) if values else (0, None)
        with self._changed:
            self._figures.written += written
            self._figures.dropped += len(answers) - written
            self._being_written = 0
        self._call_soon(lambda: self._on_written(refusal))

    def _tell_failure(self, error: Exception, look_up: _LookUp | None, unwritten: int) -> None:
        what, remedy = f"cannot be used ({type(error).__name__})", "leave out --shared-cache"
        if isinstance(error, ImgtoolError):
            what, remedy = str(error), error.remedy

        def tell() -> None:
            self._on_trouble(what, remedy)
            if look_up is not None:
                self._finish(look_up, {})

        with self._changed:
            # At once: until the scheduler hears of it, each of them would wait for the server in vain.
            self._figures.dropped += unwritten
            self._being_written = 0
            self._drop_waiting()
        self._call_soon(tell)


def _redis_client(url: str) -> Client:
    from imgtool.engine.cache.shared.redis_client import RedisClient

    return RedisClient(url)
