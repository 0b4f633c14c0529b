"""The scheduler with a pool that does what the test says: one flight for each content, however many ask, and every
request is done at some time."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from imgtool.engine.cache.memory import MemoryTier
from imgtool.engine.cache.records import Record, Update
from imgtool.errors import EngineClosed, WorkerUnusable
from imgtool.runtime.interface import FewerWorkers
from imgtool.runtime.protocol import Answered, Decoded, Failed, ItemFinished, LoadRetried, ModelFailed
from imgtool.types import Problem, Status
from tests.engine.scheduling.settings import Setting


@pytest.fixture
def make() -> Iterator[Callable[..., Setting]]:
    made: list[Setting] = []

    def one(*tasks: str, **options: Any) -> Setting:
        made.append(Setting(*tasks, **options))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.fixture
def it(make: Callable[..., Setting]) -> Setting:
    return make()


def test_a_request_is_answered_and_kept(it: Setting) -> None:
    first = it.ask(b"one")
    it.settle()
    it.pool.answer()
    result = first.result()
    assert (result.caption, result.status, result.from_cache) == ("a caption", Status.OK, False)
    second = it.ask(b"one").result()
    assert (second.caption, second.from_cache) == ("a caption", True)
    assert it.asked() == ["one"]


def test_all_who_ask_for_one_content_wait_for_one_flight(it: Setting) -> None:
    asked = [it.ask(b"one") for _ in range(50)]
    it.settle()
    asked += [it.ask(b"one") for _ in range(50)]
    it.settle()
    assert it.asked() == ["one"]
    it.pool.answer()
    assert {each.result().caption for each in asked} == {"a caption"}
    assert sum(not each.result().from_cache for each in asked) == 1


def test_the_cancel_of_one_cancels_nobody_else(it: Setting) -> None:
    leader, follower = it.ask(b"one"), it.ask(b"one")
    it.settle()
    it.scheduler.cancel(leader.request)
    it.settle()
    assert leader.done.is_set()
    assert leader.request.cancelled
    it.pool.answer()
    assert follower.result().caption == "a caption"


def test_what_waits_and_is_cancelled_by_all_is_never_computed(make: Callable[..., Setting]) -> None:
    it = make()
    it.pool.capacity = 1
    first, second, third = it.ask(b"one"), it.ask(b"two"), it.ask(b"three")
    it.settle()
    it.scheduler.cancel(second.request)
    it.settle()
    it.pool.answer()
    it.settle()
    it.pool.answer()
    assert third.result().caption == "a caption"
    assert it.asked() == ["one", "three"]
    assert first.result().ok and second.request.cancelled


def test_what_is_in_hand_and_is_cancelled_is_kept_when_done(it: Setting) -> None:
    first = it.ask(b"one")
    it.settle()
    it.scheduler.cancel(first.request)
    it.settle()
    it.pool.answer()
    it.settle()
    assert it.ask(b"one").result().from_cache
    assert it.asked() == ["one"]


def test_a_cancel_that_comes_too_late_changes_nothing(it: Setting) -> None:
    first = it.ask(b"one")
    it.settle()
    it.pool.answer()
    result = first.result()
    it.scheduler.cancel(first.request)
    it.settle()
    assert not first.request.cancelled
    assert first.result() == result


def test_higher_priorities_overtake_and_callers_take_turns(it: Setting) -> None:
    it.pool.capacity = 1
    it.ask(b"busy")
    it.settle()
    asked = [
        it.ask(b"low", priority=-10),
        *(it.ask(b"many%d" % number, caller="many") for number in range(3)),
        it.ask(b"one", caller="one"),
        it.ask(b"high", priority=10),
    ]
    it.settle()
    it.pool.answers_at_once = True
    it.pool.answer()
    for each in asked:
        each.result()
    assert it.asked() == ["busy", "high", "many0", "one", "many1", "many2", "low"]


def test_a_follower_in_a_hurry_takes_the_flight_along(it: Setting) -> None:
    it.pool.capacity = 1
    it.ask(b"busy")
    it.settle()
    asked = [it.ask(b"first"), it.ask(b"second"), it.ask(b"second", priority=10)]
    it.settle()
    it.pool.answers_at_once = True
    it.pool.answer()
    for each in asked:
        each.result()
    assert it.asked() == ["busy", "second", "first"]


def test_a_deadline_gives_what_is_there_and_the_rest_fails(make: Callable[..., Setting]) -> None:
    it = make("caption", "text")
    asked = it.ask(b"one", deadline=time.monotonic() + 0.3)
    it.settle()
    (item,) = it.pool.in_hand.values()
    it.pool.say(
        Decoded(item=item.id, format="PNG", width=3, height=2, pages=1, file_size=9, seconds=0.1),
        Answered(item=item.id, task="text", analyzer="Fine", value=b"[]", seconds=0.1),
    )
    result = asked.result()
    assert (result.status, result.lines, result.caption) == (Status.PARTIAL, (), None)
    assert result.tasks.caption is not None and result.tasks.caption.error is not None
    assert result.tasks.caption.error.code == "deadline_exceeded"
    it.pool.answer()
    it.settle()
    assert it.ask(b"one").result().from_cache, "what was in hand is kept"


def test_an_answer_is_not_kept_until_its_deadline(it: Setting) -> None:
    it.ask(b"one")
    it.settle()
    it.pool.answer()
    it.settle()
    asked = it.ask(b"one", deadline=time.monotonic() + 3600)
    asked.result()
    it.settle()
    request = weakref.ref(asked.request)
    del asked
    it.settle()
    gc.collect()
    assert request() is None


def test_what_waits_past_its_deadline_is_never_computed(it: Setting) -> None:
    it.pool.capacity = 0
    late = it.ask(b"one", deadline=time.monotonic() + 0.05)
    assert late.result().status is Status.FAILED
    it.pool.capacity = 9
    other = it.ask(b"two")
    it.settle()
    it.pool.answer()
    other.result()
    assert it.asked() == ["two"]


def test_parts_are_told_as_they_are_there_also_to_who_comes_later(make: Callable[..., Setting]) -> None:
    it = make("caption", "text")
    first = it.ask(b"one")
    it.settle()
    (item,) = it.pool.in_hand.values()
    it.pool.say(
        Decoded(item=item.id, format="PNG", width=3, height=2, pages=1, file_size=9, seconds=0.1),
        Answered(item=item.id, task="text", analyzer="Fine", value=b"[]", seconds=0.1),
    )
    it.settle()
    second = it.ask(b"one")
    it.settle()
    assert (first.parts, second.parts) == (["text"], ["text"])
    it.pool.answer()
    first.result()
    assert first.parts[-1] == second.parts[-1] == "caption"
    assert len(it.pool.asked) == 1


def test_who_comes_after_a_task_has_failed_is_told_why(make: Callable[..., Setting]) -> None:
    it = make("caption", "text")
    problem = Problem("model_failed", "planted")
    first = it.ask(b"one")
    it.settle()
    (item,) = it.pool.in_hand.values()
    it.pool.say(
        Decoded(item=item.id, format="PNG", width=3, height=2, pages=1, file_size=9, seconds=0.1),
        Failed(item=item.id, task="caption", problem=problem),
    )
    it.settle()
    second = it.ask(b"one")
    it.settle()
    assert second.parts == ["caption"]
    it.pool.say(
        Answered(item=item.id, task="text", analyzer="Fine", value=b"[]", seconds=0.1),
        ItemFinished(item=item.id, seconds=1.0),
    )
    for asked in (first, second):
        result = asked.result()
        assert result.lines == ()
        assert result.tasks.caption is not None and result.tasks.caption.error == problem


def test_what_is_done_is_not_kept_until_its_deadline(it: Setting) -> None:
    it.pool.answers_at_once = True
    kept = weakref.WeakSet[object]()
    for number in range(3000):
        asked = it.ask(b"%d" % (number % 10), deadline=time.monotonic() + 3600)
        asked.result()
        kept.add(asked.request.tally)
    it.settle()
    del asked
    gc.collect()
    assert len(kept) < 1500


def test_who_asks_for_more_gets_it_and_what_is_under_way_is_not_asked_twice(make: Callable[..., Setting]) -> None:
    it = make("caption", "text")
    one = it.ask(b"one", tasks=("caption",))
    it.settle()
    both = it.ask(b"one")
    it.settle()
    assert [item.tasks for item in it.pool.asked] == [("caption",), ("text",)]
    it.pool.answer()
    assert one.result().tasks.text is None
    result = both.result()
    assert (result.caption, result.lines) == ("a caption", ())


def test_a_task_that_reads_another_is_computed_with_it(make: Callable[..., Setting]) -> None:
    it = make("caption", "text", caption_engine="describe")
    it.ask(b"one", tasks=("caption",))
    it.settle()
    assert [set(item.tasks) for item in it.pool.asked] == [{"caption", "text"}]


@pytest.mark.parametrize("value", [b"5", b"{", b"\xff", b"null"])
def test_an_answer_that_is_none_fails_its_task_and_is_not_kept(it: Setting, value: bytes) -> None:
    it.pool.values["caption"] = value
    asked = it.ask(b"one")
    it.settle()
    it.pool.answer()
    result = asked.result()
    assert result.tasks.caption is not None and result.tasks.caption.error is not None
    assert result.tasks.caption.error.code == "model_failed"
    it.pool.values["caption"] = b'"fine"'
    again = it.ask(b"one")
    it.settle()
    it.pool.answer()
    assert again.result().caption == "fine"


def test_a_kept_answer_of_another_shape_is_a_miss_that_is_said_once(it: Setting) -> None:
    first = it.ask(b"one")
    it.settle()
    it.pool.answer()
    key = f"{first.result().sha256}"
    it.settle()
    record = it.tier.get_many([key])[key]
    (fingerprint,) = record.answers
    spoilt = msgspec.structs.replace(record.answers[fingerprint], value=msgspec.Raw(b'{"text": 5}'))
    it.pool.answers_at_once = True
    for _ in range(2):
        it.tier.merge([Update(key, record.image, {fingerprint: spoilt}, {})])
        result = it.ask(b"one").result()
        assert (result.caption, result.from_cache) == ("a caption", False)
        it.settle()
    assert len([text for text in it.heard.notices if "another shape" in text]) == 1


def test_a_worker_that_cannot_be_started_fails_who_waits_and_not_who_comes_later(it: Setting) -> None:
    asked = [it.ask(b"one"), it.ask(b"two")]
    it.settle()
    it.pool.unusable = WorkerUnusable("planted")
    it.settle()
    for each in asked:
        with pytest.raises(WorkerUnusable, match="planted"):
            each.result()
    later = it.ask(b"one")
    it.settle()
    it.pool.answer()
    assert later.result().ok


def test_closing_fails_what_is_open_and_what_comes_after(it: Setting) -> None:
    asked = [it.ask(b"one"), it.ask(b"two")]
    it.settle()
    it.scheduler.close()
    asked.append(it.ask(b"three"))
    for each in asked:
        with pytest.raises(EngineClosed):
            each.result()
    assert it.pool.closed
    it.scheduler.close()


def test_an_exception_inside_fails_whoever_waits_instead_of_keeping_them_waiting(it: Setting) -> None:
    asked = it.ask(b"one")
    it.settle()

    def fail() -> None:
        raise RuntimeError("planted")

    it.scheduler.call_soon(fail)
    with pytest.raises(RuntimeError, match="planted"):
        asked.result()
    with pytest.raises(RuntimeError, match="planted"):
        it.ask(b"two").result()


def test_what_a_caller_s_function_raises_is_said_and_changes_nothing(it: Setting) -> None:
    bad = it.request(b"one")

    def fail(_: object) -> None:
        raise ValueError("planted")

    bad.request.on_done = bad.request.on_part = fail
    it.scheduler.submit((bad.request,))
    good = it.ask(b"one")
    it.settle()
    it.pool.answer()
    assert good.result().ok
    assert any("ValueError: planted" in text for text in it.heard.notices)


def test_what_happens_to_models_and_workers_is_told(it: Setting) -> None:
    problem = Problem("model_load_failed", "no memory", "free some")
    it.pool.say(
        LoadRetried(task="caption", analyzer="blip", cause="OSError: x", attempt=2, attempts=3),
        ModelFailed(task="caption", analyzer="blip", problem=problem, stand_in="describe"),
        ModelFailed(task="text", analyzer="easyocr", problem=problem),
        FewerWorkers(1, problem),
    )
    it.settle()
    assert it.heard.notices == [
        "caption: loading blip failed (OSError: x), attempt 2 of 3",
        "describe stands in for blip: no memory (free some)",
        "no memory (free some): going on with 1 worker",
    ]
    assert it.heard.failed == {"text": problem}


def test_one_task_s_failure_is_not_the_other_s(make: Callable[..., Setting]) -> None:
    it = make("caption", "text")
    asked = it.ask(b"one")
    it.settle()
    (item,) = it.pool.in_hand.values()
    it.pool.say(
        Decoded(item=item.id, format="PNG", width=3, height=2, pages=1, file_size=9, seconds=0.1),
        Failed(item=item.id, task="text", problem=Problem("timeout", "planted")),
        Answered(item=item.id, task="caption", analyzer="hazard", value=b'"a"', seconds=0.1),
        ItemFinished(item=item.id, seconds=1.0),
    )
    result = asked.result()
    assert (result.status, result.caption, result.text) == (Status.PARTIAL, "a", None)
    assert set(asked.parts) == {"caption", "text"}


class SlowTier(MemoryTier):
    """A disk that does not answer until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.windows: list[int] = []

    def get_many(self, keys: Sequence[str]) -> dict[str, Record]:
        self.windows.append(len(keys))
        self.let.wait(20)
        return super().get_many(keys)


def test_a_store_that_does_not_answer_costs_its_patience_and_not_the_run(make: Callable[..., Setting]) -> None:
    tier = SlowTier()
    it = make(tier=tier, patience=0.2)
    it.pool.answers_at_once = True
    began = time.monotonic()
    assert it.ask(b"one").result().ok
    assert time.monotonic() - began < 5
    assert it.ask(b"two").result().ok
    assert len([text for text in it.heard.notices if "has not answered" in text]) == 1
    tier.let.set()
    it.settle()
    deadline = time.monotonic() + 10
    while not it.scheduler.store.enabled and time.monotonic() < deadline:
        time.sleep(0.01)
    assert it.ask(b"one").result().from_cache, "it is used again once it answers"


def test_requests_of_one_moment_are_looked_up_together(make: Callable[..., Setting]) -> None:
    tier = SlowTier()
    it = make(tier=tier)
    it.pool.answers_at_once = True
    asked = [it.ask(b"%d" % number) for number in range(100)]
    time.sleep(0.1)
    tier.let.set()
    for each in asked:
        each.result()
    # Each twice: when it comes, and when it goes to the pool, as another process may have answered it meanwhile.
    assert len(tier.windows) <= 6
    assert sum(tier.windows) == 200


class FailingTier(MemoryTier):
    """A store that raises what nobody has thought of."""

    def get_many(self, keys: Sequence[str]) -> dict[str, Record]:
        raise RuntimeError("planted")

    def merge(self, updates: Iterable[Update]) -> None:
        raise RuntimeError("planted")


def test_a_store_that_fails_is_a_miss(make: Callable[..., Setting]) -> None:
    it = make(tier=FailingTier())
    it.pool.answers_at_once = True
    assert it.ask(b"one").result().ok
    assert it.ask(b"one").result().ok
    it.settle()
    assert any("RuntimeError: planted" in text for text in it.heard.notices)


def test_many_threads_at_once_get_each_their_own(it: Setting) -> None:
    it.pool.answers_at_once = True
    wrong: list[str] = []

    def ask(thread: int) -> None:
        for number in range(50):
            content = b"%d" % ((thread * 7 + number) % 20)
            result = it.ask(content).result()
            if result.path != content.decode() or not result.ok:
                wrong.append(result.path)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert sorted(it.asked(), key=int) == [str(number) for number in range(20)]
