"""One page that somebody asked about: what the store already knows, what is missing, what is given out."""

from __future__ import annotations

import time

import msgspec
import pytest

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.config import convert_options
from imgtool.engine.cache.records import DECODE_FAILURE, RECORD_VERSION, ImageFacts, Record, StoredAnswer
from imgtool.engine.files.discover import ImageRef
from imgtool.engine.plan import Plan, make_plan
from imgtool.engine.scheduling.flight import Flight
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.statistics import Tally
from imgtool.options import EngineOptions
from imgtool.runtime.protocol import Answered
from imgtool.types import Backend, Problem, Status

FACTS = ImageFacts(format="PNG", width=3, height=2, pages=4, file_size=9)
REF = ImageRef("photo.png", size=9, mtime_ns=5, ctime_ns=5, device=1, inode=2)


@pytest.fixture(scope="module")
def plan() -> Plan:
    engines = {"caption_engine": "tests.planted:Hazard", "text_engine": "tests.planted:Fine"}
    options = convert_options(EngineOptions(), {"tasks": ["caption", "text"], **engines})
    return make_plan(options, thumbnails=True)


def answer(value: bytes, engine: str = "hazard") -> StoredAnswer:
    return StoredAnswer(
        value=msgspec.Raw(value),
        engine=engine,
        model="planted",
        model_version="1",
        backend=Backend.PYTHON,
        seconds=0.5,
        stored_at=time.time(),
    )


def request(page: int = 0, name: str = "photo.png") -> PageRequest:
    return PageRequest(
        name=name,
        tasks=("text", "caption", THUMBNAIL),
        on_done=lambda _: None,
        tally=Tally(),
        ref=REF,
        sha256="ab" * 32,
        page=page,
    )


def flight(plan: Plan, *tasks: str, known: dict[str, StoredAnswer] | None = None) -> Flight:
    it = request()
    return Flight(7, it.key, it.thumbnail_key, REF, None, 0, tasks or tuple(plan.chosen), known or {}, None, Tally())


def answered(task: str, value: bytes, analyzer: str = "hazard") -> Answered:
    return Answered(item=7, task=task, analyzer=analyzer, value=value, seconds=0.5)


def test_every_page_has_a_key_of_its_own() -> None:
    assert (request().key, request(3).key) == ("ab" * 32, "ab" * 32 + "#3")
    assert request(3).thumbnail_key == "ab" * 32 + "#3/thumbnail"


def test_what_the_store_knows_by_this_plan_is_not_missing(plan: Plan) -> None:
    it = request()
    kept = {plan.chosen["caption"].fingerprint: answer(b'"kept"'), "of-another-plan": answer(b'"other"')}
    assert it.fill(Record(RECORD_VERSION, FACTS, kept), plan.chosen.values())
    assert it.missing() == ("text", THUMBNAIL)


def test_without_the_facts_about_the_image_nothing_counts_as_answered(plan: Plan) -> None:
    it = request()
    it.fill(Record(RECORD_VERSION, None, {plan.chosen["caption"].fingerprint: answer(b'"kept"')}), plan.chosen.values())
    assert "caption" in it.missing()


@pytest.mark.parametrize("value", [b"5", b"null", b"[]", b'{"text": "a"}', b'"cut off', b"\xff"])
def test_an_answer_of_another_shape_is_a_miss(plan: Plan, value: bytes) -> None:
    it = request()
    kept = {plan.chosen["caption"].fingerprint: answer(value), plan.chosen["text"].fingerprint: answer(b"[]")}
    assert not it.fill(Record(RECORD_VERSION, FACTS, kept), plan.chosen.values())
    assert it.missing() == ("caption", THUMBNAIL)


def test_what_failed_before_is_known_by_decoding_or_by_an_analyzer_of_this_plan(plan: Plan) -> None:
    problem = Problem("damaged", "planted")
    assert not request().failed_before(None, plan)
    for key, failed in ((DECODE_FAILURE, True), (plan.chosen["text"].fingerprint, True), ("of-another-plan", False)):
        assert request().failed_before(Record(RECORD_VERSION, FACTS, {}, {key: problem}), plan) is failed


@pytest.mark.parametrize(
    ("answers", "failures", "error", "status"),
    [
        (("caption", "text"), (), False, Status.OK),
        (("caption",), ("text",), False, Status.PARTIAL),
        ((), ("caption", "text"), False, Status.FAILED),
        ((), (), True, Status.FAILED),
        (("text",), (), True, Status.FAILED),
    ],
)
def test_every_task_that_was_asked_is_there_and_the_status_says_how_much_was_answered(
    plan: Plan, answers: tuple[str, ...], failures: tuple[str, ...], error: bool, status: Status
) -> None:
    it = request()
    for task in answers:
        it.take(task, answer({"caption": b'"a"', "text": b"[]"}[task]))
    it.failures = {task: Problem("model_failed", "planted") for task in failures}
    it.error = Problem("damaged", "the image's own") if error else None
    result = it.result(plan, cache_enabled=True)
    assert result.status is status
    for task, found in result.tasks.items():
        code = "model_failed" if task in failures else "damaged"
        assert (found.error.code if found.error else None) == (None if task in answers else code)
    assert len(result.tasks.items()) == 2
    assert (result.caption, result.lines) == ("a" if "caption" in answers else None, () if "text" in answers else None)


def test_an_answer_of_a_stand_in_says_for_whom_it_stands_in(plan: Plan) -> None:
    it = request()
    it.image = FACTS
    it.take("caption", answer(b'"a"', engine="other"))
    result = it.result(plan, cache_enabled=True)
    caption = result.tasks.caption
    assert caption is not None
    assert (caption.engine, caption.stands_in_for, caption.from_cache) == ("other", "hazard", True)
    assert (result.pages, result.width, result.file_size) == (4, 3, 9)


def test_bytes_of_a_name_that_are_no_utf8_are_shown_as_escapes(plan: Plan) -> None:
    assert request(name="caf\udce9.png").result(plan, cache_enabled=False).path == "caf\\xe9.png"


class TestFlight:
    """One computation, for however many requests."""

    def test_the_pool_is_asked_for_what_is_missing_with_what_is_known(self, plan: Plan) -> None:
        item = flight(plan, "caption", known={"text": answer(b"[]"), "caption": answer(b'"old"')}).item()
        assert (item.id, item.path, item.tasks, item.size, item.mtime_ns) == (7, b"photo.png", ("caption",), 9, 5)
        assert item.known == {"text": b"[]"}
        assert item.content is None

    def test_what_is_learnt_goes_under_fingerprints_and_pictures_have_a_record_of_their_own(self, plan: Plan) -> None:
        it = flight(plan)
        it.image = FACTS
        it.take(answered("caption", b'"a"'), plan.chosen["caption"])
        it.take(answered(THUMBNAIL, b'"aGk="'), plan.chosen[THUMBNAIL])
        it.failures = {"text": Problem("model_failed", "planted")}
        record, picture = it.updates(plan)
        assert set(record.answers) == {plan.chosen["caption"].fingerprint}
        assert set(record.failures) == {plan.chosen["text"].fingerprint}
        assert (picture.key, set(picture.answers)) == (it.thumbnail_key, {plan.chosen[THUMBNAIL].fingerprint})

    def test_a_model_that_could_not_be_loaded_is_not_the_image_s_failure(self, plan: Plan) -> None:
        it = flight(plan)
        it.failures = {"text": Problem("model_load_failed", "planted")}
        it.error = Problem("damaged", "planted")
        (update,) = it.updates(plan)
        assert set(update.failures) == {DECODE_FAILURE}

    def test_an_answer_given_without_what_its_fingerprint_says_it_reads_is_not_kept(self) -> None:
        options = convert_options(
            EngineOptions(),
            {"tasks": ["caption", "text"], "caption_engine": "describe", "text_engine": "tests.planted:Fine"},
        )
        plan = make_plan(options)
        describe = plan.chosen["caption"]
        alone = flight(plan, "caption")
        alone.take(answered("caption", b'"a"', "describe"), describe)
        assert alone.updates(plan)[0].answers == {}
        informed = flight(plan, "caption", known={"text": answer(b"[]")})
        informed.take(answered("caption", b'"a"', "describe"), describe)
        assert set(informed.updates(plan)[0].answers) == {describe.fingerprint}
