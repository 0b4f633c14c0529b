"""A worker's batches without the process around them: what is said, in which order, and what one image may spoil."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from imgtool.ground.retry import RetryPolicy
from imgtool.options import LoadPolicy
from imgtool.runtime.protocol import (
    Answered,
    Batch,
    BatchDone,
    Decoded,
    Failed,
    FromWorker,
    Item,
    ItemFinished,
    ModelLoaded,
    Setup,
    StepBegan,
    StepEnded,
    TaskPlan,
)
from imgtool.runtime.worker.batch_runner import BatchRunner, LockedSend
from tests import pictures, planted
from tests.fakes.workers import plan

MessageT = TypeVar("MessageT")


class Setting:
    """A runner and everything it said."""

    def __init__(self, *plans: TaskPlan, **options: object) -> None:
        self.said: list[FromWorker] = []
        bounds = {"max_pixels": 1_000_000, "batch_pixels": 10_000, "threads": 1, **options}
        setup = Setup(plans=plans, **bounds)  # type: ignore[arg-type]
        self.runner = BatchRunner(setup, LockedSend(self.said.append))

    def run(self, *items: Item, isolated: bool = False) -> None:
        batch = Batch(id=0, items=items, isolated=isolated)
        self.runner.expect(batch)
        self.runner.run(batch)

    def of(self, kind: type[MessageT]) -> list[MessageT]:
        return [message for message in self.said if isinstance(message, kind)]


@pytest.fixture
def it() -> Iterator[Setting]:
    setting = Setting(plan("text", "Fine"), plan("caption", "BatchedHazard"))
    yield setting
    setting.runner.close()


def images(folder: Path, *colours: pictures.Colour, tasks: tuple[str, ...] = ("text", "caption")) -> list[Item]:
    pictures.folder(folder, colours)
    found = []
    for number, path in enumerate(sorted(folder.iterdir())):
        state = path.stat()
        found.append(
            Item(id=number, path=bytes(path), page=0, size=state.st_size, mtime_ns=state.st_mtime_ns, tasks=tasks)
        )
    return found


def test_everything_about_an_image_is_said_before_it_is_finished(it: Setting, tmp_path: Path) -> None:
    it.run(*images(tmp_path / "a", (1, 2, 3), (4, 5, 6)))
    assert [(d.item, d.format, d.width, d.height, d.pages) for d in it.of(Decoded)] == [
        (0, "PNG", 8, 6, 1),
        (1, "PNG", 9, 6, 1),
    ]
    assert {(a.item, a.task) for a in it.of(Answered)} == {(n, t) for n in (0, 1) for t in ("text", "caption")}
    assert isinstance(it.said[-1], BatchDone)
    assert it.said[-1].rss_bytes > 1_000_000
    for finished in it.of(ItemFinished):
        position = it.said.index(finished)
        assert not any(isinstance(m, Answered) and m.item == finished.item for m in it.said[position:])


def test_every_step_is_announced_before_it_is_taken_and_ended_after(it: Setting, tmp_path: Path) -> None:
    it.run(*images(tmp_path / "a", (1, 2, 3)))
    steps = [message.step for message in it.of(StepBegan)]
    assert sorted(steps) == ["caption", "decode", "load:caption:BatchedHazard", "load:text:Fine", "text"]
    assert sorted(steps) == sorted(message.step for message in it.of(StepEnded))
    answer = next(message for message in it.of(Answered) if message.task == "caption")
    assert it.said.index(StepBegan(step="caption", items=(0,))) < it.said.index(answer)
    assert it.said.index(answer) < it.said.index(StepEnded(step="caption", items=(0,)))


def test_the_first_image_goes_alone_and_the_others_together(it: Setting, tmp_path: Path) -> None:
    it.run(*images(tmp_path / "a", *pictures.greys(4)))
    assert [m.items for m in it.of(StepBegan) if m.step == "caption"] == [(0,), (1, 2, 3)]
    assert [m.items for m in it.of(StepBegan) if m.step == "text"] == [(0,), (1,), (2,), (3,)], "it is not batched"


def test_a_group_holds_no_more_pixels_than_it_may(tmp_path: Path) -> None:
    it = Setting(plan("caption", "BatchedHazard"))
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(6):
        pictures.flat(folder / f"{number}.png", (number, 0, 0), (60, 100))
    found = images(folder, tasks=("caption",))
    it.run(*found)
    assert [m.items for m in it.of(StepBegan) if m.step == "caption"] == [(0,), (1, 2), (3, 4), (5,)]
    it.runner.close()


def test_an_exception_fails_the_images_that_cause_it(it: Setting, tmp_path: Path) -> None:
    it.run(*images(tmp_path / "a", (1, 2, 3), (4, 5, 6), planted.YELLOW, planted.MAGENTA, planted.CYAN, (7, 8, 9)))
    assert [(f.item, f.task, f.problem.code) for f in it.of(Failed)] == [
        (2, "caption", "model_failed"),
        (3, "caption", "out_of_memory"),
        (4, "caption", "model_failed"),
    ]
    assert {a.item for a in it.of(Answered) if a.task == "text"} == {0, 1, 2, 3, 4, 5}
    assert len(it.of(ItemFinished)) == 6


def test_one_that_cannot_be_decoded_fails_as_a_whole_and_alone(it: Setting, tmp_path: Path) -> None:
    found = images(tmp_path / "a", (1, 2, 3), (4, 5, 6))
    (tmp_path / "a" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    it.run(*found)
    (failed,) = it.of(Failed)
    assert (failed.item, failed.task, failed.problem.code) == (0, None, "changed_while_reading")
    assert [d.item for d in it.of(Decoded)] == [1]
    assert {f.item for f in it.of(ItemFinished)} == {0, 1}


def test_isolated_steps_go_one_by_one(it: Setting, tmp_path: Path) -> None:
    it.run(*images(tmp_path / "a", (1, 2, 3)), isolated=True)
    open_steps = 0
    for message in it.said:
        if isinstance(message, (StepBegan, StepEnded)) and message.step != "decode":
            open_steps += 1 if isinstance(message, StepBegan) else -1
            assert open_steps <= 1


def test_what_could_not_be_loaded_fails_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgtool.runtime.worker.models.LOADING", RetryPolicy(first_wait=0.0, jitter=0.0))
    it = Setting(plan("caption", "FailsLoading"), plan("text", "Fine"))
    it.run(*images(tmp_path / "a", (1, 2, 3)))
    assert [(f.task, f.problem.code) for f in it.of(Failed)] == [("caption", "model_load_failed")]
    assert [a.task for a in it.of(Answered)] == ["text"]
    it.runner.close()


def test_answers_that_are_known_reach_the_task_that_reads_them(tmp_path: Path) -> None:
    describe = TaskPlan(task="caption", analyzer="describe", target="describe", parameters={})
    it = Setting(describe)
    (one,) = images(tmp_path / "a", (1, 2, 3), tasks=("caption",))
    line = {"text": "TOTAL 12.00", "confidence": 0.9, "box": [[0, 0], [7, 0], [7, 3], [0, 3]]}
    it.run(msgspec.structs.replace(one, known={"text": msgspec.json.encode([line])}))
    assert b"TOTAL" in it.of(Answered)[0].value
    it.runner.close()


@pytest.mark.parametrize(
    ("options", "loaded"),
    [({}, 0), ({"load": LoadPolicy.EAGER}, 2), ({"load": LoadPolicy.PARALLEL}, 2), ({"awaited": True}, 2)],
)
def test_what_is_loaded_before_the_first_image(options: dict[str, object], loaded: int) -> None:
    it = Setting(plan("text", "Fine"), plan("caption", "Hazard"), **options)
    it.runner.prepare()
    assert len(it.of(ModelLoaded)) == loaded
    it.runner.close()


def test_warming_up_and_unloading_when_idle() -> None:
    it = Setting(plan("caption", "Hazard"), idle_ttl=0.0)
    assert it.runner.unload_idle() is None
    it.runner.warm_up()
    assert len(it.of(ModelLoaded)) == 1
    it.runner.unload_idle()
    it.runner.warm_up()
    assert len(it.of(ModelLoaded)) == 2, "it was freed and is loaded again"
    it.runner.close()


@pytest.mark.parametrize(("engine", "ahead"), [("Fine", 2), ("BatchedHazard", 5)])
def test_fewer_images_are_decoded_ahead_where_they_are_answered_one_by_one(
    tmp_path: Path, engine: str, ahead: int
) -> None:
    """Images of 48, 54, 60, 66 and 72 pixels, of which 100, or 400, are held."""
    setting = Setting(plan("text", engine), batch_pixels=200)
    setting.runner.expect(Batch(id=0, items=tuple(images(tmp_path / "a", *[(n, n, n) for n in range(5)]))))
    deadline = time.monotonic() + 10
    while len(setting.of(StepEnded)) < ahead and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(setting.of(StepEnded)) == ahead
    setting.runner.close()
