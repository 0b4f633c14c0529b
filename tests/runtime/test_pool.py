"""The pool with workers that do what the test says: who gets what, what a death means, and when time is up."""

from __future__ import annotations

from typing import TypeVar

import pytest

from imgtool.errors import WorkerUnusable
from imgtool.runtime.interface import FewerWorkers, PoolEvent
from imgtool.runtime.pool import Pool, PoolLimits
from imgtool.runtime.process import Died
from imgtool.runtime.protocol import (
    DECODE,
    Answered,
    BatchDone,
    Failed,
    FromWorker,
    Item,
    ItemFinished,
    ModelFailed,
    Ready,
    StepBegan,
    StepEnded,
    TaskPlan,
)
from imgtool.types import Problem
from tests.fakes.clock import FakeClock
from tests.fakes.workers import FakeWorker, FakeWorkers, item, plan

EventT = TypeVar("EventT")
DEAD = Died("was killed by SIGKILL (killed)", "")
LOAD_CAPTION = "load:caption:Fake"


class Setting:
    """A pool, its workers and its clock, and what waits for it."""

    def __init__(
        self, *plans: TaskPlan, workers: int = 1, batch_size: int = 2, memory: int = 1000, gradual: bool = False
    ) -> None:
        self.clock = FakeClock()
        self.workers = FakeWorkers()
        limits = PoolLimits(workers, batch_size, 10.0, load_timeout=100.0, max_worker_memory=memory, gradual=gradual)
        self.pool = Pool(self.workers, lambda: plans or (plan(),), lambda call: call(), limits, self.clock)
        self.waiting: list[Item] = []
        self.gone: list[PoolEvent] = []

    def submit(self, *numbers: int, more_coming: bool = False) -> None:
        self.waiting += [item(number) for number in numbers]
        self.go_on(more_coming=more_coming)

    def go_on(self, *, more_coming: bool = False) -> None:
        """As a scheduler does after everything that happens."""
        self.gone += self.pool.events()
        while room := self.pool.room(len(self.waiting), more_coming=more_coming):
            taken, self.waiting = self.waiting[:room], self.waiting[room:]
            self.pool.submit(taken)
            self.gone += self.pool.events()

    def say(self, worker: FakeWorker, *messages: FromWorker | Died) -> None:
        for message in messages:
            self.pool.handle(worker, message)
        self.go_on()

    def answer(self, worker: FakeWorker, *numbers: int) -> None:
        for number in numbers:
            self.say(worker, Answered(item=number, task="caption", analyzer="Fake", value=b'"fine"', seconds=0.1))
            self.say(worker, ItemFinished(item=number))

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.gone if isinstance(event, kind)]


def began(step: str, *items: int) -> StepBegan:
    return StepBegan(step=step, items=items)


def done(batch: int, rss: int = 0) -> BatchDone:
    return BatchDone(batch=batch, rss_bytes=rss)


def test_an_idle_worker_gets_what_there_is_and_a_busy_one_two_batches_at_most() -> None:
    it = Setting()
    it.submit(0)
    it.submit(1, 2, 3, 4, 5)
    assert it.workers[0].given == [[0], [1, 2]]
    it.answer(it.workers[0], 0)
    it.say(it.workers[0], done(0))
    assert it.workers[0].given == [[0], [1, 2], [3, 4]]


def test_a_partial_batch_waits_for_company_only_while_more_is_coming() -> None:
    it = Setting()
    it.submit(0, 1, 2, more_coming=True)
    assert it.workers[0].given == [[0, 1]]
    it.go_on(more_coming=False)
    assert it.workers[0].given == [[0, 1], [2]]


def test_workers_start_as_there_is_work_and_no_more_than_allowed() -> None:
    it = Setting(workers=2)
    assert len(it.workers) == 0
    it.submit(*range(20))
    assert [worker.given for worker in it.workers.started] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    it.pool.warm_up()
    assert all(worker.warmed_up for worker in it.workers.started)


def test_batches_of_several_workers_get_smaller_towards_the_end() -> None:
    it = Setting(workers=2, batch_size=8)
    it.submit(*range(9))
    assert [worker.given for worker in it.workers.started] == [[[0, 1, 2], [5]], [[3, 4], [6]]]


def test_workers_that_come_gradually_follow_the_first_image() -> None:
    it = Setting(workers=2, gradual=True)
    it.submit(*range(8))
    assert len(it.workers) == 1
    assert it.workers[0].given == [[0], [1]]
    it.answer(it.workers[0], 0)
    it.say(it.workers[0], done(0))
    assert len(it.workers) == 2
    assert it.workers[1].given == [[2, 3], [5]]
    assert it.pool.statistics.allowed == 2


def test_warming_up_waits_for_no_first_batch() -> None:
    it = Setting(workers=2, gradual=True)
    it.pool.warm_up()
    assert [worker.warmed_up for worker in it.workers.started] == [True, True]


def test_a_document_that_takes_too_much_memory_alone_is_told_so() -> None:
    """With others at work it may have been their memory."""
    it = Setting(batch_size=3)
    it.submit(0, 1, 2)
    full = Died("exited with code 12", "", took_too_much=True)
    it.say(it.workers[0], Ready(pid=1), began(DECODE, 1), full)
    assert it.of(Failed) == []
    assert it.workers[1].given == [[1]]
    assert it.workers[1].batches[0].isolated
    it.say(it.workers[1], Ready(pid=2), began(DECODE, 1), full)
    (failed,) = it.of(Failed)
    assert (failed.item, failed.task, failed.problem.code) == (1, None, "out_of_memory")
    assert [each.item for each in it.of(ItemFinished)] == [1]
    assert it.workers[2].given == [[0, 2]]
    assert not it.workers[2].batches[0].isolated


def test_one_that_dies_with_nothing_announced_costs_nothing() -> None:
    it = Setting()
    it.submit(0, 1)
    it.say(it.workers[0], Ready(pid=1), DEAD)
    assert it.gone == []
    assert it.workers[1].given == [[0]]
    assert it.workers[1].batches[0].isolated
    it.answer(it.workers[1], 0)
    it.say(it.workers[1], done(it.workers[1].batches[0].id))
    assert it.workers[1].given == [[0], [1]]
    assert not it.workers[1].batches[1].isolated


def test_the_images_in_hand_are_suspects_and_the_one_that_kills_alone_is_guilty() -> None:
    it = Setting(batch_size=4)
    it.submit(0, 1, 2, 3)
    it.say(it.workers[0], Ready(pid=1), began("caption", 1, 2), DEAD)
    assert [it.workers[1].given, it.workers[1].batches[0].isolated] == [[[1]], True]
    it.answer(it.workers[1], 1)
    it.say(it.workers[1], done(it.workers[1].batches[0].id))
    assert it.workers[1].given == [[1], [2]]
    it.say(it.workers[1], Ready(pid=2), began("caption", 2), DEAD)
    (failed,) = it.of(Failed)
    assert (failed.item, failed.task, failed.problem.code) == (2, "caption", "worker_crashed")
    assert [event.item for event in it.of(ItemFinished)] == [1, 2]
    assert it.workers[2].given == [[0, 3]]
    assert it.pool.statistics.died == 2


def test_one_that_is_killed_from_outside_again_and_again_is_taken_for_guilty_late() -> None:
    it = Setting()
    it.submit(0)
    killed = Died("was killed by SIGKILL (killed)", "", from_outside=True)
    for number in range(4):
        assert it.of(Failed) == []
        assert it.workers[number].given == [[0]]
        it.say(it.workers[number], Ready(pid=1), began("caption", 0), killed)
    (failed,) = it.of(Failed)
    assert (failed.problem.code, "4 times" in failed.problem.message) == ("worker_crashed", True)


def test_a_batch_that_dies_isolated_is_halved() -> None:
    it = Setting(batch_size=4)
    it.submit(0, 1, 2, 3)
    it.say(it.workers[0], Ready(pid=1), began("caption", 0, 1, 2, 3), DEAD)
    assert it.workers[1].given == [[0, 1]]
    it.say(it.workers[1], Ready(pid=2), began("caption", 0, 1), DEAD)
    assert it.workers[2].given == [[2, 3]], "suspects go in turn, one batch at a time"


def test_an_answer_that_is_there_is_not_asked_again() -> None:
    it = Setting(plan("text", "Fine"), plan("caption"))
    it.waiting.append(item(0, "text", "caption"))
    it.go_on()
    text = Answered(item=0, task="text", analyzer="Fine", value=b"[]", seconds=0.1)
    it.say(it.workers[0], Ready(pid=1), text, began("caption", 0), DEAD)
    (again,) = it.workers[1].batches[0].items
    assert (again.tasks, dict(again.known)) == (("caption",), {"text": b"[]"})
    it.say(it.workers[1], Ready(pid=1), began("caption", 0), DEAD)
    (failed,) = it.of(Failed)
    assert failed.task == "caption"


@pytest.mark.parametrize("step", ["caption", DECODE])
def test_a_step_past_its_deadline_is_stopped_and_its_image_guilty(step: str) -> None:
    it = Setting()
    it.submit(0, 1)
    it.say(it.workers[0], Ready(pid=1), began(step, 0))
    assert it.pool.seconds_to_deadline() == 10.0
    it.clock.advance(9.9)
    it.go_on()
    assert not it.workers[0].killed
    it.clock.advance(0.2)
    it.go_on()
    assert it.workers[0].killed
    (failed,) = it.of(Failed)
    assert (failed.item, failed.problem.code) == (0, "timeout")
    assert it.pool.statistics.timed_out == 1
    assert it.workers[1].given == [[1]]


def test_several_images_at_once_have_the_time_of_all_and_are_halved_when_late() -> None:
    it = Setting(batch_size=4)
    it.submit(0, 1, 2, 3)
    it.say(it.workers[0], Ready(pid=1), began("caption", 0, 1, 2, 3))
    it.clock.advance(39)
    it.go_on()
    assert not it.workers[0].killed
    it.clock.advance(2)
    it.go_on()
    assert it.workers[0].killed
    assert it.of(Failed) == []
    assert it.workers[1].given == [[0, 1]]


def test_a_model_that_takes_too_long_to_load_is_done_without() -> None:
    it = Setting(plan("caption", "Fake", "Other"))
    it.submit(0)
    it.say(it.workers[0], Ready(pid=1), began(LOAD_CAPTION))
    it.clock.advance(101)
    it.go_on()
    (failed,) = it.of(ModelFailed)
    assert (failed.analyzer, failed.stand_in) == ("Fake", "Other")
    assert [each.analyzer for each in it.workers[1].plans] == ["Other"]
    assert it.workers[1].given == [[0]]


def test_a_model_that_kills_whoever_loads_it_is_found_in_isolation() -> None:
    it = Setting()
    it.submit(0)
    it.say(it.workers[0], Ready(pid=1), began(LOAD_CAPTION), DEAD)
    assert it.workers[1].one_by_one
    it.say(it.workers[1], Ready(pid=1), began(LOAD_CAPTION), DEAD)
    (failed,) = it.of(ModelFailed)
    assert (failed.task, failed.stand_in) == ("caption", None)
    assert [(event.item, event.task) for event in it.of(Failed)] == [(0, "caption")]
    it.submit(1)
    assert [event.item for event in it.of(Failed)] == [0, 1], "nothing of that task is tried any more"


def test_a_worker_without_room_for_a_model_is_ended_where_others_are_left() -> None:
    it = Setting(workers=2)
    it.submit(0, 1, 2, 3)
    failed = ModelFailed(task="caption", analyzer="Fake", problem=Problem("model_load_failed", "no memory"))
    it.say(it.workers[0], failed)
    assert it.workers[0].killed
    assert [event.left for event in it.of(FewerWorkers)] == [1]
    assert it.of(ModelFailed) == []
    it.say(it.workers[1], failed)
    assert len(it.of(ModelFailed)) == 1
    assert {event.item for event in it.of(Failed)} == {0, 1, 2, 3}


def test_a_worker_that_has_grown_leaves_between_two_batches() -> None:
    it = Setting(memory=1000)
    it.submit(0, 1, 2)
    it.answer(it.workers[0], 0, 1)
    it.say(it.workers[0], done(0, rss=1001))
    assert not it.workers[0].asked_to_leave, "it has another batch in hand"
    it.submit(3)
    assert it.workers[0].given == [[0, 1], [2]]
    it.answer(it.workers[0], 2)
    it.say(it.workers[0], done(1, rss=900))
    assert it.workers[0].asked_to_leave
    assert it.workers[1].given == [[3]]
    assert it.pool.statistics.recycled == 1


def test_a_worker_that_cannot_start_ends_the_run_at_the_third_time_and_may_be_tried_again_later() -> None:
    it = Setting()
    it.submit(0)
    dead = Died("exited with code 1", "ModuleNotFoundError")
    it.say(it.workers[0], dead)
    it.say(it.workers[1], dead)
    with pytest.raises(WorkerUnusable, match="exited with code 1 before it was ready, 3 times:\nModuleNotFoundError"):
        it.say(it.workers[2], dead)
    assert it.gone == [], "an image is not to blame for a worker that it never reached"
    it.submit(1)
    assert it.workers[3].given == [[1]]


def test_a_worker_that_never_gets_ready_has_a_deadline() -> None:
    it = Setting()
    it.submit(0)
    assert it.pool.seconds_to_deadline() == 100.0
    for number in range(2):
        it.clock.advance(101)
        it.go_on()
        assert it.workers[number].killed
        assert it.workers[number + 1].given == [[0]]
    it.clock.advance(101)
    with pytest.raises(WorkerUnusable, match="was not ready within 100 s, 3 times"):
        it.go_on()
    assert it.gone == []


def test_a_worker_that_says_nothing_about_what_it_has_is_ended_and_its_image_found() -> None:
    it = Setting(batch_size=4)
    it.submit(0, 1, 2)
    it.say(it.workers[0], Ready(pid=1), began("caption", 0), StepEnded(step="caption", items=(0,)))
    assert it.pool.seconds_to_deadline() == 100.0
    it.clock.advance(101)
    it.go_on()
    assert it.workers[0].killed
    assert it.workers[1].given == [[0]]
    it.say(it.workers[1], Ready(pid=2))
    it.clock.advance(101)
    it.go_on()
    (failed,) = it.of(Failed)
    assert (failed.item, failed.task, failed.problem.code) == (0, None, "timeout")
    assert it.workers[2].given == [[1, 2]]


def test_a_worker_with_nothing_to_do_may_be_silent() -> None:
    it = Setting()
    it.submit(0)
    it.say(it.workers[0], Ready(pid=1))
    it.answer(it.workers[0], 0)
    it.say(it.workers[0], done(0))
    assert it.pool.seconds_to_deadline() is None


def test_a_worker_that_is_replaced_and_does_not_leave_is_killed() -> None:
    it = Setting(memory=1000)
    it.submit(0)
    it.say(it.workers[0], Ready(pid=1))
    it.answer(it.workers[0], 0)
    it.say(it.workers[0], done(0, rss=2000))
    assert it.workers[0].asked_to_leave
    assert it.pool.seconds_to_deadline() == 10.0
    it.clock.advance(11)
    it.go_on()
    assert it.workers[0].killed


def test_one_that_is_replaced_and_leaves_is_left_alone() -> None:
    it = Setting(memory=1000)
    it.submit(0)
    it.say(it.workers[0], Ready(pid=1))
    it.answer(it.workers[0], 0)
    it.say(it.workers[0], done(0, rss=2000), Died("exited with code 0", ""))
    it.clock.advance(11)
    it.go_on()
    assert not it.workers[0].killed


def test_a_late_word_of_a_worker_that_was_ended_is_not_heard() -> None:
    it = Setting()
    it.submit(0)
    it.say(it.workers[0], Ready(pid=1), began("caption", 0))
    it.clock.advance(11)
    it.go_on()
    before = list(it.gone)
    it.say(it.workers[0], ItemFinished(item=0), DEAD)
    assert it.gone == before


def test_closing_asks_idle_workers_to_leave_and_kills_those_whose_work_nobody_waits_for() -> None:
    it = Setting(workers=3, batch_size=1, memory=1000)
    it.submit(0, 1, 2)
    for worker in it.workers.started:
        it.say(worker, Ready(pid=1))
    it.answer(it.workers[0], 0)
    it.say(it.workers[0], done(0))
    it.pool.close()
    assert [worker.asked_to_leave for worker in it.workers.started] == [True, False, False]
    assert [worker.killed for worker in it.workers.started] == [False, True, True]


def test_closing_kills_what_does_not_leave_and_at_once_everything() -> None:
    for at_once in (False, True):
        it = Setting()
        it.workers.leave = False
        it.submit(0)
        it.say(it.workers[0], Ready(pid=1))
        it.answer(it.workers[0], 0)
        it.say(it.workers[0], done(0))
        it.pool.close(at_once=at_once)
        assert it.workers[0].killed
        assert it.workers[0].asked_to_leave is not at_once


def test_a_forked_child_lets_go_of_all_workers() -> None:
    it = Setting(workers=2)
    it.submit(0, 1, 2)
    it.pool.forget()
    assert all(worker.forgotten and not worker.killed for worker in it.workers.started)
