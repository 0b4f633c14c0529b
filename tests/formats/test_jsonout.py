"""JSON and JSON Lines: what is written reads back as the same result."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgtool.formats.interface import open_writer
from imgtool.options import OutputFormat
from imgtool.types import ImageResult
from tests.results import answered, any_result, caption, failed, labels, partial, text

RESULTS = [
    answered(caption=caption("A bright picture."), text=text("안녕", "hello"), labels=labels(chart=0.9)),
    failed(),
    partial(),
]


def written(format: OutputFormat, results: Iterable[ImageResult]) -> str:
    out = io.StringIO()
    writer = open_writer(format, out)
    for result in results:
        writer.write(result)
    writer.close({})
    return out.getvalue()


def test_json_lines_read_back_as_the_same_results() -> None:
    lines = written(OutputFormat.JSONL, RESULTS).splitlines()
    assert [msgspec.json.decode(line, type=ImageResult) for line in lines] == RESULTS


def test_json_reads_back_as_the_same_results_one_a_line() -> None:
    document = written(OutputFormat.JSON, RESULTS)
    assert msgspec.json.decode(document, type=list[ImageResult]) == RESULTS
    assert len(document.splitlines()) == len(RESULTS) + 2


@pytest.mark.parametrize(("format", "document"), [(OutputFormat.JSON, "[]\n"), (OutputFormat.JSONL, "")])
def test_no_result_is_a_valid_document(format: OutputFormat, document: str) -> None:
    assert written(format, []) == document


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    (line,) = written(OutputFormat.JSONL, [answered("a\udcff.png", text=text("x\ud800y"))]).splitlines()
    result = json.loads(line)
    assert result["path"] == "a\ufffd.png"
    assert result["tasks"]["text"]["value"][0]["text"] == "x\ufffdy"


def test_a_task_that_was_not_asked_is_absent() -> None:
    (line,) = written(OutputFormat.JSONL, [answered(caption=caption("A picture."))]).splitlines()
    assert list(json.loads(line)["tasks"]) == ["caption"]
    assert "thumbnail" not in json.loads(line)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_result(), max_size=3))
def test_any_result_is_one_line_of_valid_utf8_json(results: list[ImageResult]) -> None:
    lines = written(OutputFormat.JSONL, results).encode().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["page"] for line in lines] == [result.page for result in results]
    assert len(json.loads(written(OutputFormat.JSON, results))) == len(results)
