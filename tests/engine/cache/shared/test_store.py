"""The shared tier's thread: what it asks, what it does not wait for, and what becomes of a server that fails."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from imgtool.engine.cache.records import Update
from imgtool.engine.cache.shared import store as module
from imgtool.engine.cache.shared.answers import Question, encode_answer
from imgtool.engine.cache.shared.store import FIRST_PATIENCE_SECONDS, MOST_WAITING, PATIENCE_SECONDS, SharedStore
from imgtool.errors import ImgtoolError
from imgtool.types import Problem
from tests.caches import FACTS, answer
from tests.fakes.clock import FakeClock

URL = "redis://user:s3cret@host:6379/0"


def asked(number: int = 0) -> Question:
    return Question(f"{number:064x}", "caption", "blip-1")


def update(number: int = 0, text: str = "a cat") -> Update:
    question = asked(number)
    answers = {question.fingerprint: answer(text)}
    return Update(question.record, FACTS, answers, {}, {question.fingerprint: question.task})


class FakeClient:
    """A server in a dictionary. Set ``failure`` and everything raises it; clear ``going`` and it hangs."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.milliseconds: list[int] = []
        self.calls: list[str] = []
        self.failure: Exception | None = None
        self.refusal: ImgtoolError | None = None
        self.going = threading.Event()
        self.going.set()
        self.closed = 0

    def begin(self) -> None:
        self._call("begin")

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        self._call(f"fetch {len(names)}")
        return {name: self.values[name] for name in names if name in self.values}

    def store(self, values: Sequence[tuple[str, bytes, int]]) -> tuple[int, ImgtoolError | None]:
        self._call(f"store {len(values)}")
        if self.refusal is not None:
            return 0, self.refusal
        self.values.update({name: data for name, data, _ in values})
        self.milliseconds += [milliseconds for *_, milliseconds in values]
        return len(values), None

    def close(self) -> None:
        self.closed += 1

    def _call(self, what: str) -> None:
        self.calls.append(what)
        assert self.going.wait(20)
        if self.failure is not None:
            raise self.failure


class Setting:
    """A store, its client, and the scheduler's thread, which is the test's."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.client = FakeClient()
        self.warnings: list[str] = []
        self.connected = 0
        self.inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        settings: dict[str, Any] = {"ttl": 3600.0, "max_age": None, **options}
        self.store = SharedStore(
            URL,
            call_soon=self.inbox.put,
            warn=self.warnings.append,
            connect=self._connect,
            clock=self.clock,
            **settings,
        )

    def _connect(self, url: str) -> FakeClient:
        self.connected += 1
        return self.client

    def hear(self) -> None:
        """Wait for the next thing that the thread says, but for its having imported the client."""
        while (call := self.inbox.get(timeout=10)) == self.store._on_opened:
            call()
        call()

    def hear_all(self) -> None:
        """Until the thread has been silent for a moment."""
        while True:
            try:
                self.inbox.get(timeout=0.1)()
            except queue.Empty:
                return

    def look_up(self, *questions: Question) -> list[Any]:
        """What ``then`` gets: nothing yet, or one answer."""
        told: list[Any] = []
        self.store.look_up(questions, told.append)
        return told

    def ask(self, *questions: Question) -> Any:
        """What is found, at once or after the thread has said it."""
        told = self.look_up(*questions)
        while not told:
            self.hear()
        return {question: found.answer.value for question, found in told[0].items()}

    def fail(self, failure: Exception | None = None) -> None:
        """Let the server fail in a look-up."""
        self.client.failure = failure or ImgtoolError("cannot be reached", "start it")
        assert self.ask(asked()) == {}


@pytest.fixture
def it() -> Iterator[Setting]:
    setting = Setting()
    yield setting
    setting.client.going.set()
    setting.store.close()


def test_nothing_is_connected_before_something_is_asked(it: Setting) -> None:
    assert it.connected == 0
    assert it.store.figures().available is None
    assert not it.store.enabled
    assert not [each for each in threading.enumerate() if each.name == "shared cache"]


def test_what_is_written_is_found_in_one_look(it: Setting) -> None:
    it.store.write([update(number, f"cat {number}") for number in range(10)])
    it.hear()
    found = it.ask(*(asked(number) for number in range(20)))
    assert found == {asked(number): msgspec.Raw(b'"cat %d"' % number) for number in range(10)}
    assert it.client.calls == ["store 10", "fetch 20"]
    figures = it.store.figures()
    assert (figures.hits, figures.misses, figures.written, figures.dropped) == (10, 10, 10, 0)
    assert figures.available
    assert it.store.enabled
    assert figures.server == "redis://host:6379/0"


def test_failures_and_answers_without_a_task_are_not_shared(it: Setting) -> None:
    failed = Update("ab" * 32, FACTS, {}, {"blip-1": Problem("broken", "broken")})
    unnamed = Update("ab" * 32, FACTS, {"blip-1": answer()}, {})
    faceless = Update("ab" * 32, None, {"blip-1": answer()}, {}, {"blip-1": "caption"})
    it.store.write([failed, unnamed, faceless])
    it.hear_all()
    assert it.client.values == {}
    assert it.connected == 0


def test_answers_are_good_for_the_ttl_give_or_take_a_tenth() -> None:
    it = Setting(ttl=100.0)
    it.store.write([update(number) for number in range(60)])
    it.hear()
    assert 90_000 <= min(it.client.milliseconds) < 97_000
    assert 103_000 < max(it.client.milliseconds) <= 110_000
    it.store.close()


def test_answers_that_are_too_old_for_this_run_are_a_miss() -> None:
    it = Setting(max_age=60.0)
    for number, age in ((1, 10.0), (2, 100.0)):
        it.client.values[asked(number).name] = encode_answer(asked(number), FACTS, answer("x", age=age)) or b""
    assert set(it.ask(asked(1), asked(2))) == {asked(1)}
    it.store.close()


def test_garbage_is_a_miss_and_said_once(it: Setting) -> None:
    it.client.values[asked(1).name] = b"\x00garbage"
    it.client.values[asked(2).name] = encode_answer(asked(3), FACTS, answer()) or b""
    for _ in range(2):
        assert it.ask(asked(1), asked(2)) == {}
    assert len(it.warnings) == 1
    assert "imgtool cache clear --shared" in it.warnings[0]
    assert it.store.enabled


def test_a_failing_server_is_said_once_and_then_left_alone(it: Setting) -> None:
    it.fail()
    for number in range(50):
        assert it.look_up(asked(number)) == [{}], "answered at once"
        it.store.write([update(number)])
    assert it.client.calls == ["fetch 1"]
    assert len(it.warnings) == 1
    assert "redis://host:6379/0 cannot be reached" in it.warnings[0]
    assert "start it" in it.warnings[0]
    figures = it.store.figures()
    assert (figures.misses, figures.dropped, figures.failures, figures.available) == (51, 50, 1, False)


def test_a_server_is_tried_in_the_background_and_nobody_waits_for_that(it: Setting) -> None:
    it.fail()
    it.client.going.clear()  # it hangs, now
    it.clock.advance(2)
    for _ in range(5):
        assert it.look_up(asked()) == [{}]
    deadline = time.monotonic() + 10
    while it.client.calls[-1] != "begin" and time.monotonic() < deadline:
        time.sleep(0.001)
    assert it.client.calls == ["fetch 1", "begin"]
    it.client.failure = None
    it.client.going.set()
    it.hear()
    it.client.values[asked().name] = encode_answer(asked(), FACTS, answer()) or b""
    assert set(it.ask(asked())) == {asked()}
    assert it.store.enabled


def test_a_trial_that_fails_is_followed_by_a_longer_pause(it: Setting) -> None:
    it.fail()
    it.clock.advance(2)
    it.look_up(asked())
    it.hear()
    it.clock.advance(1.3)
    it.look_up(asked())
    it.hear_all()
    assert it.client.calls == ["fetch 1", "begin"]
    it.clock.advance(2)
    it.look_up(asked())
    it.hear()
    assert it.client.calls == ["fetch 1", "begin", "begin"]
    assert len(it.warnings) == 1


def test_a_server_that_answers_byte_by_byte_is_given_up(it: Setting) -> None:
    assert it.ask(asked()) == {}
    it.client.going.clear()
    told, others = it.look_up(asked(1)), it.look_up(asked(2))
    while len(it.client.calls) < 2:
        time.sleep(0.001)
    assert it.store.seconds_to_deadline() == pytest.approx(PATIENCE_SECONDS)
    it.store.tick()
    assert not told
    it.clock.advance(PATIENCE_SECONDS)
    it.store.tick()
    assert told == others == [{}]
    assert not it.store.busy
    assert it.store.seconds_to_deadline() is None
    assert it.look_up(asked(3)) == [{}]
    assert "does not answer in time" in it.warnings[0]
    # What it says at last is nobody's answer any more, and its connection is not used again.
    it.client.values[asked(1).name] = encode_answer(asked(1), FACTS, answer()) or b""
    it.client.going.set()
    it.hear_all()
    assert told == [{}]
    assert it.client.closed == 1
    assert len(it.client.calls) == 2, "what was given up meanwhile is not asked at all"
    assert not it.store.enabled
    assert it.store.figures().hits == 0


def test_the_first_look_up_may_take_longer_because_it_imports(it: Setting) -> None:
    it.client.going.clear()
    it.look_up(asked())
    assert it.store.seconds_to_deadline() == pytest.approx(FIRST_PATIENCE_SECONDS)
    it.inbox.get(timeout=10)()
    assert it.store.seconds_to_deadline() == pytest.approx(PATIENCE_SECONDS)
    it.look_up(asked(1))
    it.clock.advance(PATIENCE_SECONDS)
    it.store.tick()
    assert not it.store.busy


def test_look_ups_go_before_writes(it: Setting) -> None:
    it.client.going.clear()
    it.store.write([update(0)])
    while not it.client.calls:
        time.sleep(0.001)
    it.store.write([update(number) for number in range(200)])
    told = it.look_up(asked(1))
    it.client.going.set()
    while not told:
        it.hear()
    it.hear_all()
    assert it.client.calls == ["store 1", "fetch 1", "store 64", "store 64", "store 64", "store 8"]


def test_what_is_too_much_to_wait_is_dropped_and_counted(it: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    it.client.going.clear()
    it.store.write([update()])
    while not it.client.calls:
        time.sleep(0.001)
    began = time.monotonic()
    it.store.write([update(number) for number in range(MOST_WAITING + 500)])
    assert time.monotonic() - began < 1
    assert (it.store.figures().waiting, it.store.figures().dropped) == (MOST_WAITING + 1, 500)  # one is being written
    it.client.going.set()
    it.hear_all()
    assert (it.store.figures().written, it.store.figures().dropped) == (MOST_WAITING + 1, 500)
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 10_000)
    it.client.going.clear()
    it.store.write([update(number, "x" * 4000) for number in range(10)])
    it.client.going.set()
    it.hear_all()
    assert it.store.figures().dropped == 507


def test_a_server_that_takes_nothing_still_answers_and_is_offered_one_answer_after_a_pause(it: Setting) -> None:
    it.client.values[asked().name] = encode_answer(asked(), FACTS, answer()) or b""
    it.client.refusal = ImgtoolError("is full", "give it memory")
    it.store.write([update(1), update(2)])
    it.hear()
    assert set(it.ask(asked())) == {asked()}
    it.store.write([update(3)])
    it.hear_all()
    assert it.client.calls == ["store 2", "fetch 1"]
    assert (it.store.figures().dropped, it.store.enabled) == (3, True)
    assert len(it.warnings) == 1
    assert "is full" in it.warnings[0]
    it.clock.advance(2)
    it.client.refusal = None
    it.store.write([update(4), update(5)])
    it.hear()
    it.store.write([update(6)])
    it.hear()
    assert it.client.calls[2:] == ["store 1", "store 1"]
    assert (it.store.figures().written, it.store.figures().dropped) == (2, 4)


def test_an_offer_that_is_lost_with_the_server_is_made_again(it: Setting) -> None:
    it.client.refusal = ImgtoolError("is full", "give it memory")
    it.store.write([update(1)])
    it.hear()
    it.clock.advance(2)
    it.client.going.clear()
    told = it.look_up(asked())
    while it.client.calls[-1] != "fetch 1":
        time.sleep(0.001)
    it.store.write([update(2)])
    it.client.failure = ImgtoolError("cannot be reached", "start it")
    it.client.going.set()
    while not told:
        it.hear()
    it.client.failure = it.client.refusal = None
    it.clock.advance(60)
    it.look_up(asked())
    it.hear()
    it.clock.advance(60)
    it.store.write([update(3)])
    it.hear()
    assert it.store.figures().written == 1


def test_closing_writes_what_waits(it: Setting) -> None:
    it.store.write([update(number) for number in range(200)])
    it.store.close()
    assert len(it.client.values) == 200
    assert it.client.closed == 1


def test_closing_does_not_wait_long_for_a_server_that_hangs(it: Setting) -> None:
    it.client.going.clear()
    it.store.write([update(number) for number in range(200)])
    began = time.monotonic()
    it.store.close(timeout=0.2)
    assert 0.15 < time.monotonic() - began < 2


def test_closing_after_a_failure_does_not_wait_at_all(it: Setting) -> None:
    it.fail()
    it.client.going.clear()
    it.clock.advance(2)
    it.look_up(asked())  # begins a trial, which hangs
    began = time.monotonic()
    it.store.close(timeout=5)
    assert time.monotonic() - began < 1


def test_a_failure_while_closing_drops_the_rest(it: Setting) -> None:
    it.client.failure = ImgtoolError("cannot be reached", "start it")
    it.store.write([update(number) for number in range(1000)])
    it.store.close(timeout=5)
    assert it.client.calls == ["store 64"]
    assert it.store.figures().dropped == 1000


def test_no_message_has_the_password(it: Setting) -> None:
    it.fail(RuntimeError("no connection to redis://user:s3cret@host"))
    assert it.warnings
    assert "s3cret" not in " ".join(it.warnings) + repr(it.store.figures())
    assert "RuntimeError" in it.warnings[0]


def test_without_threads_everything_is_a_miss(it: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert it.look_up(asked()) == [{}]
    it.clock.advance(1000)
    assert it.look_up(asked()) == [{}]
    it.store.write([update()])
    assert it.store.figures().dropped == 1
    assert len(it.warnings) == 1
    began = time.monotonic()
    it.store.close(timeout=5)
    assert time.monotonic() - began < 1
