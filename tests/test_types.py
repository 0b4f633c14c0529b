"""Results as people use them: values or ``None``, JSON and back, and other libraries' types."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import msgspec
import pytest

from imgtool.engine.keywords import EngineKeywords
from imgtool.options import EngineOptions
from imgtool.types import (
    Backend,
    CaptionResult,
    ImageResult,
    Label,
    LabelsResult,
    Problem,
    Status,
    Task,
    TaskResults,
    TextLine,
    TextResult,
)

WHO: dict[str, Any] = {"engine": "e", "model": "m", "model_version": "1", "backend": Backend.PYTHON, "seconds": 0.5}
LINES = tuple(
    TextLine(text=text, confidence=0.5, box=((0, 0), (9, 0), (9, 9), (0, 9))) for text in ("TOTAL", "12.00 한글")
)


def result(**changes: Any) -> ImageResult:
    tasks = TaskResults(
        caption=CaptionResult(**WHO, value="a receipt"),
        text=TextResult(**WHO, value=LINES),
        labels=LabelsResult(**WHO, value=(Label(label="paper", score=0.75),)),
    )
    fields: dict[str, Any] = {
        "path": "a.png",
        "sha256": "ab" * 32,
        "status": Status.OK,
        "tasks": tasks,
        "processing_time_ms": 12.5,
        "cache_enabled": True,
        "from_cache": False,
    }
    return ImageResult(**{**fields, **changes})


FAILED = result(status=Status.FAILED, error=Problem("damaged", "it is"), tasks=TaskResults())


def test_type_checkers_know_every_option_of_the_engine() -> None:
    assert set(EngineKeywords.__annotations__) == set(EngineOptions.__struct_fields__)


def test_answers_are_values() -> None:
    it = result()
    assert (it.caption, it.text, it.lines) == ("a receipt", "TOTAL\n12.00 한글", LINES)
    assert it.labels == (Label(label="paper", score=0.75),)
    assert it.ok


def test_what_was_not_asked_or_failed_is_none() -> None:
    for it in (FAILED, result(tasks=TaskResults(caption=CaptionResult(**WHO, error=Problem("timeout", "late"))))):
        assert (it.caption, it.text, it.lines, it.labels) == (None, None, None, None)
    assert FAILED.tasks.caption is None
    assert FAILED.tasks.get(Task.TEXT) is None
    assert result(tasks=TaskResults(text=TextResult(**WHO, value=()))).text == ""


def test_a_problem_of_the_image_is_told_once() -> None:
    problem = Problem("damaged", "it is")
    tasks = TaskResults(
        caption=CaptionResult(**WHO, error=problem), text=TextResult(**WHO, error=Problem("timeout", "late"))
    )
    it = result(error=problem, tasks=tasks)
    assert it.problems() == [(None, problem), (Task.TEXT, Problem("timeout", "late"))]


@pytest.mark.parametrize("it", [result(), FAILED, result(thumbnail=b"\xff\xd8")])
def test_json_and_dictionaries_there_and_back(it: ImageResult) -> None:
    assert ImageResult.from_json(it.to_json()) == it
    assert ImageResult.from_json(it.to_json(indent=2).encode()) == it
    assert json.loads(it.to_json()) == it.to_dict() == json.loads(json.dumps(it.to_dict()))
    assert next(iter(it.to_dict())) == "schema_version"
    if it.thumbnail is msgspec.UNSET:
        assert ImageResult.from_dict(it.to_dict()) == it
        assert "thumbnail" not in it.to_dict()
    assert dict(it) == it.to_dict()
    assert "\n" not in it.to_json()


def test_what_is_no_result_raises_a_value_error() -> None:
    for text in ("", "{}", '{"path": 5}', "[]"):
        with pytest.raises(ValueError):
            ImageResult.from_json(text)
    with pytest.raises(ValueError):
        ImageResult.from_dict({"path": "a"})
    with pytest.raises(KeyError):
        result()["no field"]


def test_results_of_earlier_versions_are_read() -> None:
    earlier = (
        '{"schema_version":1,"path":"a.png","page":0,"pages":1,"sha256":null,"format":null,"width":null,"height":null,'
        '"file_size":3,"status":"failed","tasks":{},"error":{"code":"not_an_image","message":"m","remedy":"r"},'
        '"processing_time_ms":0.0,"cache_enabled":true,"from_cache":false}'
    )
    it = ImageResult.from_json(earlier)
    assert (it.caption, it.error and it.error.code) == (None, "not_an_image")
    assert it.to_json() == earlier


def test_dataclasses_and_copies() -> None:
    @dataclasses.dataclass
    class Page:
        number: int
        result: ImageResult

    page = Page(1, result())
    assert dataclasses.asdict(page)["result"] == result()
    assert copy.deepcopy(page) == page
    assert msgspec.structs.replace(result(), path="b.png").path == "b.png"


def test_pydantic_models_and_fastapi_endpoints_take_and_give_results() -> None:
    pydantic = pytest.importorskip("pydantic")
    fastapi = pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    class Answer(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        name: str
        result: ImageResult

    answer = Answer(name="one", result=result())
    assert json.loads(answer.model_dump_json())["result"] == result().to_dict()
    assert Answer.model_validate_json(answer.model_dump_json()).result == result()
    assert Answer(name="two", result=result().to_dict()).result == result()
    with pytest.raises(pydantic.ValidationError):
        Answer(name="three", result={"path": 5})

    app = fastapi.FastAPI()

    @app.get("/typed")
    def typed() -> ImageResult:
        return result()

    @app.get("/untyped")
    def untyped():  # type: ignore[no-untyped-def]
        return result()

    @app.get("/many")
    def many() -> list[ImageResult]:
        return [result(), FAILED]

    client = TestClient(app)
    assert client.get("/typed").json() == result().to_dict()
    assert client.get("/untyped").json() == result().to_dict()
    assert client.get("/many").json() == [result().to_dict(), FAILED.to_dict()]
    schema = client.get("/openapi.json").json()
    described = json.dumps(schema["paths"]["/typed"])
    assert "processing_time_ms" in described and "$defs" not in json.dumps(schema)
