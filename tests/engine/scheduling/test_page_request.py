"""One page on its way: what the store already knows, what is asked, what is learnt, what is given out."""

from __future__ import annotations

import time

import msgspec
import pytest

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.config import convert_options
from imgtool.engine.cache.records import DECODE_FAILURE, RECORD_VERSION, ImageFacts, Record, StoredAnswer
from imgtool.engine.files.discover import ImageRef
from imgtool.engine.plan import Plan, make_plan
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.options import EngineOptions
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


def request(page: int = 0) -> PageRequest:
    return PageRequest("photo.png", REF, "ab" * 32, page=page)


def test_every_page_has_a_key_of_its_own() -> None:
    assert (request().key, request(3).key) == ("ab" * 32, "ab" * 32 + "#3")
    assert request(3).thumbnail_key == "ab" * 32 + "#3/thumbnail"


def test_what_the_store_knows_by_this_plan_is_not_asked_again(plan: Plan) -> None:
    it = request()
    kept = {plan.chosen["caption"].fingerprint: answer(b'"kept"'), "of-another-plan": answer(b'"other"')}
    it.fill(Record(RECORD_VERSION, FACTS, kept), plan.chosen.values())
    assert it.missing(plan) == ("text", THUMBNAIL)
    item = it.item(7, ("text",), plan)
    assert (item.id, item.tasks, item.size, item.mtime_ns, dict(item.known)) == (7, ("text",), 9, 5, {})


def test_without_the_facts_about_the_image_nothing_counts_as_answered(plan: Plan) -> None:
    it = request()
    it.fill(Record(RECORD_VERSION, None, {plan.chosen["caption"].fingerprint: answer(b'"kept"')}), plan.chosen.values())
    assert "caption" in it.missing(plan)


def test_what_is_learnt_goes_under_fingerprints_and_pictures_have_a_record_of_their_own(plan: Plan) -> None:
    it = request()
    it.image = FACTS
    for task, value in (("caption", b'"a"'), (THUMBNAIL, b'"aGk="')):
        it.answers[task], it.fresh[task] = answer(value), plan.chosen[task]
    it.failures = {"text": Problem("model_failed", "planted")}
    record, picture = it.updates(plan)
    assert set(record.answers) == {plan.chosen["caption"].fingerprint}
    assert set(record.failures) == {plan.chosen["text"].fingerprint}
    assert (picture.key, set(picture.answers)) == (it.thumbnail_key, {plan.chosen[THUMBNAIL].fingerprint})


def test_a_model_that_could_not_be_loaded_is_not_the_image_s_failure(plan: Plan) -> None:
    it = request()
    it.failures = {"text": Problem("model_load_failed", "planted")}
    it.error = Problem("damaged", "planted")
    (update,) = it.updates(plan)
    assert set(update.failures) == {DECODE_FAILURE}


@pytest.mark.parametrize(
    ("answers", "failures", "error", "status"),
    [
        (("caption", "text"), (), False, Status.OK),
        (("caption",), ("text",), False, Status.PARTIAL),
        ((), ("caption", "text"), False, Status.FAILED),
        ((), (), True, Status.FAILED),
    ],
)
def test_the_status_says_how_much_was_answered(
    plan: Plan, answers: tuple[str, ...], failures: tuple[str, ...], error: bool, status: Status
) -> None:
    it = request()
    values = {"caption": b'"a"', "text": b"[]"}
    it.answers = {task: answer(values[task]) for task in answers}
    it.failures = {task: Problem("model_failed", "planted") for task in failures}
    it.error = Problem("damaged", "planted") if error else None
    assert it.result(plan, cache_enabled=True).status is status


def test_an_answer_of_a_stand_in_says_for_whom_it_stands_in(plan: Plan) -> None:
    it = request()
    it.image, it.answers = FACTS, {"caption": answer(b'"a"', engine="other")}
    result = it.result(plan, cache_enabled=True)
    caption = result.tasks.caption
    assert caption
    assert (caption.engine, caption.stands_in_for, caption.from_cache) == ("other", "hazard", True)
    assert (result.pages, result.width, result.file_size) == (4, 3, 9)


def test_the_same_content_elsewhere_gets_everything(plan: Plan) -> None:
    it, other = request(), PageRequest("copy.png", REF, "ab" * 32)
    it.image, it.answers = FACTS, {"caption": answer(b'"a"'), "text": answer(b"[]")}
    it.share(other)
    assert other.done
    assert other.result(plan, cache_enabled=True).status is Status.OK
    assert other.result(plan, cache_enabled=True).path == "copy.png"


def test_bytes_of_a_name_that_are_no_utf8_are_shown_as_escapes(plan: Plan) -> None:
    it = PageRequest("caf\udce9.png", error=Problem("not_found", "planted"), done=True)
    assert it.result(plan, cache_enabled=False).path == "caf\\xe9.png"
