"""``engine.submit``: every kind of source, tickets from threads and coroutines, limits and deadlines."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgtool import Cancelled, Engine, ImgtoolError, Priority, QueueFull, Status, Task, UsageProblem
from imgtool.engine.observer import Observer
from imgtool.engine.ticket import Ticket
from imgtool.errors import NotKept, SourceProblem
from tests import pictures


class Heard(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def engine(**options: Any) -> Engine:
    chosen = {
        "tasks": ["caption", "text"],
        "caption_engine": "tests.planted:Hazard",
        "text_engine": "tests.planted:Fine",
        "cache": False,
    }
    return Engine(**{**chosen, **options})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    import os

    from tests.conftest import ROOT

    os.environ["PYTHONPATH"] = str(ROOT)
    with engine() as made:
        yield made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return pictures.flat(tmp_path / "photo.png", (10, 20, 30))


def source(photo: Path, kind: str) -> Any:
    content = photo.read_bytes()
    image = Image.open(io.BytesIO(content))
    return {
        "path": photo,
        "text": str(photo),
        "bytes": content,
        "bytearray": bytearray(content),
        "file object": io.BytesIO(content),
        "image": image,
        "array": np.asarray(image),
        "floats": np.asarray(image).astype(np.float64) / 255,
    }[kind]


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "bytearray", "file object", "image", "array", "floats"])
def test_every_kind_of_source_is_answered(shared: Engine, photo: Path, kind: str) -> None:
    result = shared.submit(source(photo, kind)).result(60)
    assert (result.status, result.caption, result.text) == (Status.OK, "colour (10, 20, 30)", "")
    assert (result.width, result.height, result.sha256 is not None) == (8, 6, True)
    assert result.file_size


def test_what_has_no_name_gets_one(shared: Engine, photo: Path) -> None:
    content = photo.read_bytes()
    assert shared.submit(content).result(60).path == "<bytes>"
    assert shared.submit(content, name="upload 1.png").result(60).path == "upload 1.png"
    with photo.open("rb") as file:
        assert shared.submit(file).result(60).path == str(photo)
    assert shared.submit(str(photo), name="ignored").result(60).path == str(photo)


def test_a_page_of_a_document(shared: Engine, tmp_path: Path) -> None:
    pages = [Image.new("RGB", (10 + n, 10), (n * 20, 10, 10)) for n in range(3)]
    path = tmp_path / "three.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for source in (path, path.read_bytes()):
        results = [shared.submit(source, page=page).result(60) for page in range(4)]
        assert [(r.page, r.width, r.status.value) for r in results[:3]] == [(n, 10 + n, "ok") for n in range(3)]
        assert results[3].error is not None and results[3].error.code == "no_such_page"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("/no/such/file.png", "not_found"),
        ("/", "not_a_file"),
        (b"an ordinary text", "not_an_image"),
        (b"", "empty_file"),
        (b"\x89PNG\r\n\x1a\n garbage", "damaged"),
    ],
)
def test_what_cannot_be_read_is_a_result_in_which_every_task_says_why(shared: Engine, source: Any, code: str) -> None:
    result = shared.submit(source).result(60)
    assert (result.status, result.error and result.error.code) == (Status.FAILED, code)
    assert (result.caption, result.text, result.labels, result.lines) == (None, None, None, None)
    assert [answer.error for _, answer in result.tasks.items()] == [result.error, result.error]
    assert result.problems() == [(None, result.error)]


def test_what_is_no_source_or_no_task_raises_at_once(shared: Engine, photo: Path) -> None:
    with pytest.raises(SourceProblem):
        shared.submit(17)  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="does not answer 'labels'"):
        shared.submit(photo, tasks=["labels"])
    with pytest.raises(UsageProblem, match="no task"):
        shared.submit(photo, tasks=[])
    with pytest.raises(UsageProblem, match="thumbnail"):
        shared.submit(photo, tasks=["thumbnail"])


@pytest.mark.parametrize(
    "how",
    [
        {"page": "1"},
        {"page": 1.0},
        {"page": None},
        {"page": -1},
        {"page": 1 << 31},
        {"name": Path("upload.png")},
        {"name": 5},
        {"priority": "high"},
        {"priority": None},
        {"priority": float("nan")},
        {"deadline": "30"},
        {"deadline": float("nan")},
        {"caller": ["a", "list"]},
        {"tasks": 5},
    ],
    ids=str,
)
def test_an_argument_that_makes_no_sense_raises_at_once_and_changes_nothing(how: dict[str, Any], photo: Path) -> None:
    with engine(isolate=False, queue_limit=1) as made:
        with pytest.raises(UsageProblem) as caught:
            made.submit(photo.read_bytes(), **how)
        assert caught.value.remedy
        assert next(iter(how)) in str(caught.value)
        assert made.submit(photo).result(60).ok
        assert made.statistics.workers is not None and made.statistics.workers.died == 0


@pytest.mark.parametrize("forever", [float("inf"), 1e12])
def test_a_deadline_and_a_timeout_may_be_beyond_all_clocks(forever: float, tmp_path: Path) -> None:
    first, second = slow(tmp_path, 2)
    with engine(caption_engine="tests.planted:Slow", isolate=False, timeout=forever, load_timeout=forever) as made:
        tickets = [made.submit(first, deadline=forever), made.submit(second)]
        assert [ticket.result(forever).ok for ticket in tickets] == [True, True]
        time.sleep(0.1)  # with nothing to do it waits for the deadline
        assert made.submit(first).result(60).ok


def test_a_name_that_no_file_can_have_is_written_out(photo: Path) -> None:
    with engine(isolate=False) as made:
        result = made.submit(photo.read_bytes(), name="up\ud800load \udcff.png").result(60)
        assert (result.path, result.ok) == ("up\\ud800load \\udcff.png", True)
        assert result.to_dict()["path"] == result.path
        for missing in (made.submit("a\ud800.png").result(60), *made.analyze(["a\ud800.png"])):
            assert (missing.path, missing.error is not None) == ("a\\ud800.png", True)
            assert missing.to_json()


def test_a_result_that_cannot_be_made_is_raised_and_nobody_waits_for_it(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    with engine(isolate=False) as made:
        monkeypatch.setattr("imgtool.engine.scheduling.page_request.PageRequest.result", fail)
        with pytest.raises(RuntimeError, match="planted"):
            made.submit(photo).result(60)
        monkeypatch.undo()
        assert made.submit(photo).result(60).ok


def test_a_callback_that_raises_takes_nothing_from_the_others(photo: Path) -> None:
    heard = Heard()
    called: list[Ticket] = []

    def fail(_: Ticket) -> None:
        raise RuntimeError("planted")

    with engine(isolate=False, caption_engine="tests.planted:Slow", observer=heard) as made:
        ticket = made.submit(photo)
        ticket.add_done_callback(fail)
        ticket.add_done_callback(called.append)
        ticket.result(60)
        made.submit(photo).result(60)
    assert called == [ticket]
    assert any("RuntimeError: planted" in text for text in heard.notices)


@pytest.mark.parametrize("tasks", ["caption", ["caption"], (Task.CAPTION,)])
def test_only_what_is_asked_is_answered(shared: Engine, photo: Path, tasks: Any) -> None:
    result = shared.submit(photo, tasks).result(60)
    assert (result.caption, result.tasks.text, result.text) == ("colour (10, 20, 30)", None, None)
    assert list(result.to_dict()["tasks"]) == ["caption"]


def test_parts_come_as_they_are_ready_and_the_quickest_first(photo: Path) -> None:
    with engine(caption_engine="tests.planted:Slow") as made:
        made.submit(pictures.flat(photo.with_name("first.png"))).result(60)
        ticket = made.submit(photo)
        parts = []
        for task, answer in ticket.parts(timeout=60):
            parts.append((task, answer.value))
            if task is Task.TEXT:
                assert not ticket.done()
        assert parts == [(Task.TEXT, ()), (Task.CAPTION, "slow")]
        assert list(ticket.parts()) == [(task, answer) for task, answer in ticket.result().tasks.items()][::-1]


def test_parts_in_a_coroutine_and_of_what_failed(shared: Engine, photo: Path) -> None:
    async def parts(ticket: Ticket) -> dict[Task, bool]:
        return {task: answer.error is None async for task, answer in ticket.parts(60)}

    assert asyncio.run(parts(shared.submit(photo))) == {Task.CAPTION: True, Task.TEXT: True}
    assert asyncio.run(parts(shared.submit(b"no image"))) == {Task.CAPTION: False, Task.TEXT: False}


def test_a_ticket_in_threads_and_coroutines_at_once(shared: Engine, photo: Path) -> None:
    ticket = shared.submit(photo)
    called: list[Ticket] = []
    ticket.add_done_callback(called.append)
    from_threads: list[Any] = []
    threads = [threading.Thread(target=lambda: from_threads.append(ticket.result(60))) for _ in range(5)]
    for thread in threads:
        thread.start()

    async def wait() -> Any:
        return await ticket

    async def several() -> list[Any]:
        return list(await asyncio.gather(*(wait() for _ in range(5))))

    results = asyncio.run(several())
    for thread in threads:
        thread.join(60)
    assert len({id(result) for result in [*results, *from_threads]}) == 1
    ticket.add_done_callback(called.append)
    assert called == [ticket, ticket]


def slow(tmp_path: Path, count: int) -> list[Path]:
    return [pictures.flat(tmp_path / f"{number}.png", (number, 0, 0)) for number in range(count)]


def test_waiting_may_end_without_ending_the_request(tmp_path: Path) -> None:
    with engine(caption_engine="tests.planted:Slow", isolate=False) as made:
        ticket = made.submit(slow(tmp_path, 1)[0])
        with pytest.raises(TimeoutError, match="not answered within"):
            ticket.result(timeout=0.01)
        assert ticket.result(60).caption == "slow"


def test_a_cancelled_ticket_says_so(tmp_path: Path) -> None:
    with engine(caption_engine="tests.planted:Slow") as made:
        tickets = [made.submit(path) for path in slow(tmp_path, 30)]
        assert tickets[29].cancel()
        with pytest.raises(Cancelled) as caught:
            tickets[29].result(10)
        assert isinstance(caught.value, ImgtoolError) and caught.value.remedy
        assert (tickets[29].done(), tickets[29].cancelled(), tickets[29].cancel()) == (True, True, False)
        with pytest.raises(Cancelled):
            list(tickets[29].parts(10))
        assert tickets[0].result(60).ok and not tickets[0].cancel()


def test_a_coroutine_that_is_cancelled_cancels_its_request(tmp_path: Path) -> None:
    with engine(caption_engine="tests.planted:Slow") as made:
        tickets = [made.submit(path) for path in slow(tmp_path, 30)]

        async def impatient() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await tickets[29]

        asyncio.run(impatient())
        deadline = time.monotonic() + 10
        while not tickets[29].done():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert tickets[29].cancelled()


def test_a_deadline_of_a_ticket(tmp_path: Path) -> None:
    with engine(caption_engine="tests.planted:Slow") as made:
        tickets = [made.submit(path, deadline=0.8) for path in slow(tmp_path, 60)]
        began = time.monotonic()
        results = [ticket.result(60) for ticket in tickets]
        assert time.monotonic() - began < 10
        late = results[59].tasks.caption
        assert late is not None and late.error is not None
        assert (late.error.code, results[59].status) == ("deadline_exceeded", Status.FAILED)


def test_more_than_the_queue_takes_is_refused_until_there_is_room(tmp_path: Path) -> None:
    paths = slow(tmp_path, 12)
    with engine(caption_engine="tests.planted:Slow", queue_limit=10) as made:
        tickets = [made.submit(path) for path in paths[:10]]
        with pytest.raises(QueueFull) as caught:
            made.submit(paths[10])
        assert caught.value.remedy
        assert all(ticket.result(60).ok for ticket in tickets)
        assert made.submit(paths[10]).result(60).ok
        assert len(list(made.analyze(paths))) == 12, "an analysis has a window of its own"


def test_a_queue_is_bounded_in_bytes_but_takes_one_of_any_size(tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in slow(tmp_path, 3)]
    with engine(caption_engine="tests.planted:Slow", queue_bytes=len(contents[0]) + 10) as made:
        ticket = made.submit(contents[0])
        with pytest.raises(QueueFull, match="bytes"):
            made.submit(contents[1])
        ticket.result(60)
        big = made.submit(contents[1] + b"\0" * 1000)
        assert big.result(60).caption == "slow"


def test_who_is_in_a_hurry_overtakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    with engine(caption_engine="tests.planted:Slow", batch_size=1) as made:
        tickets = [made.submit(path) for path in slow(tmp_path, 12)]
        tickets.append(made.submit(pictures.flat(tmp_path / "urgent.png", (9, 9, 9)), priority=Priority.HIGH))
        for number, ticket in enumerate(tickets):
            ticket.add_done_callback(lambda _, number=number: done.append(number))  # type: ignore[misc]
        for ticket in tickets:
            ticket.result(60)
    assert done.index(12) <= 3


def test_the_figures_count_what_was_submitted(photo: Path, tmp_path: Path) -> None:
    with engine(cache=True, cache_dir=tmp_path / "cache") as made:
        for _ in range(3):
            made.submit(photo).result(60)
        made.submit(b"no image").result(60)
        figures = made.statistics
    assert (figures.images, figures.answered, figures.failed, figures.hits, figures.misses) == (4, 3, 1, 2, 2)
    assert figures.cache is not None and figures.cache.entries == 1


def test_a_large_upload_is_hashed_and_sent_whole(shared: Engine) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    noise[0, 0] = (10, 20, 30)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
    assert len(buffer.getvalue()) > 2_000_000
    result = shared.submit(buffer.getvalue()).result(60)
    assert (result.caption, result.width) == ("colour (10, 20, 30)", 900)


def test_what_would_wait_behind_too_many_is_refused_and_what_is_computed_anyway_is_not(tmp_path: Path) -> None:
    paths = [pictures.flat(tmp_path / f"{n}.png", (n, 1, 1)) for n in range(12)]
    with engine(caption_engine="tests.planted:Slow", tasks=["caption"], workers=1, batch_size=1) as made:
        made.submit(paths[0]).result(60)
        tickets = [made.submit(paths[1])]
        while not made.load.in_hand:  # files are hashed in any order
            time.sleep(0.001)
        tickets += [made.submit(path, most_waiting=3) for path in paths[2:]]
        again = made.submit(paths[1], most_waiting=0)
        known = made.submit(paths[0], most_waiting=0)
        first = made.submit(pictures.flat(tmp_path / "first.png", (99, 1, 1)), most_waiting=3, priority=Priority.HIGH)
        assert [ticket.result(60).caption for ticket in (again, known, first)] == ["slow"] * 3
        refused = 0
        for ticket in tickets:
            try:
                ticket.result(60)
            except QueueFull as error:
                refused += 1
                assert error.remedy
        assert 4 <= refused <= 9
        assert made.load == (0, 0, 0)


def test_what_is_kept_is_found_by_its_hash(tmp_path: Path) -> None:
    photo = pictures.flat(tmp_path / "photo.png", (10, 20, 30))
    with engine(cache=True, cache_dir=tmp_path / "cache") as made:
        result = made.submit(photo, tasks=["caption"]).result(60)
        assert result.sha256 is not None
        found = made.look_up(result.sha256, ["caption"], name="by hash").result(60)
        assert (found.caption, found.path, found.from_cache) == (result.caption, "by hash", True)
        assert found.file_size == photo.stat().st_size
        for sha256, tasks in ((result.sha256, None), ("0" * 64, ["caption"])):
            with pytest.raises(NotKept) as caught:
                made.look_up(sha256, tasks).result(60)
            assert caught.value.remedy
        with pytest.raises(UsageProblem):
            made.look_up(result.sha256, ["labels"])
        assert made.submitted.images == 2
        assert made.loaded_tasks == {"caption"}
