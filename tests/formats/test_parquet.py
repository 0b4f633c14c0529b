"""Parquet: typed and nested, as another program reads it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgtool.distribution import install_command
from imgtool.errors import ExitCode
from imgtool.formats.parquet import ROW_GROUP, ParquetWriter
from imgtool.types import SCHEMA_VERSION, ImageResult
from tests.results import answered, any_result, caption, failed, labels, partial, text

parquet = pytest.importorskip("pyarrow.parquet")


def written(results: Iterable[ImageResult]) -> bytes:
    out = io.BytesIO()
    writer = ParquetWriter(out)
    for result in results:
        writer.write(result)
    writer.close({})
    return out.getvalue()


def opened(results: Iterable[ImageResult]) -> Any:
    return parquet.ParquetFile(io.BytesIO(written(results)))


def test_answers_keep_their_types() -> None:
    result = answered(caption=caption("A picture."), text=text("안녕", "hello"), labels=labels(chart=0.93))
    (row,) = opened([result]).read().to_pylist()
    assert row["caption"] == "A picture."
    assert row["text"][0] == {"text": "안녕", "confidence": 0.9, "box": [1.0, 2.0, 30.5, 2.0, 30.5, 9.0, 1.0, 9.0]}
    assert row["labels"] == [{"label": "chart", "score": 0.93}]
    assert (row["width"], row["file_size"], row["status"], row["from_cache"]) == (1000, 1234, "ok", False)
    assert (row["text_run"]["engine"], row["text_run"]["backend"], row["text_run"]["error"]) == (
        "rapidocr",
        "onnx",
        None,
    )


def test_failures_are_rows() -> None:
    broken, slow = opened([failed(), partial()]).read().to_pylist()
    assert (broken["status"], broken["error"]["code"], broken["caption_run"]) == ("failed", "truncated", None)
    assert (slow["text"], slow["text_run"]["error"]["remedy"]) == (None, "use --timeout 300")


def test_no_text_is_not_the_same_as_not_asked() -> None:
    none_found, not_asked = opened([answered(text=text()), answered()]).read().to_pylist()
    assert (none_found["text"], not_asked["text"]) == ([], None)


def test_no_result_is_a_file_without_rows() -> None:
    file = opened([])
    assert file.metadata.num_rows == 0
    assert "caption" in file.schema_arrow.names


def test_the_file_says_its_schema_version_and_is_compressed() -> None:
    file = opened([answered()])
    assert file.schema_arrow.metadata[b"imgtool.schema_version"] == str(SCHEMA_VERSION).encode()
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_rows_are_written_group_by_group() -> None:
    file = opened(answered(f"{number}.png") for number in range(2 * ROW_GROUP + 1))
    groups = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
    assert groups == [ROW_GROUP, ROW_GROUP, 1]
    assert file.read(["path"])["path"].to_pylist()[-1] == f"{2 * ROW_GROUP}.png"


def test_a_pipe_will_do() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source:
        with os.fdopen(writer, "wb") as out:
            document = ParquetWriter(out)
            document.write(answered("a.png"))
            document.close({})
        assert parquet.read_table(io.BytesIO(source.read()))["path"].to_pylist() == ["a.png"]


def test_without_pyarrow_the_extra_is_named() -> None:
    # An interpreter in which pyarrow cannot be found, as after an installation without the extra.
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from imgtool.formats.interface import open_writer; from imgtool.options import OutputFormat\n"
        "from imgtool.errors import MissingExtra\n"
        "try: open_writer(OutputFormat.PARQUET, sys.stdout.buffer)\n"
        "except MissingExtra as error: print(int(error.exit_code), error.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{int(ExitCode.USAGE)} {install_command('formats')}"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_result(), max_size=3))
def test_any_result_is_a_row(results: list[ImageResult]) -> None:
    table = opened(results).read()
    assert table["page"].to_pylist() == [result.page for result in results]
