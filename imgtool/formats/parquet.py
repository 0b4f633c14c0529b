"""Results as Parquet: typed and nested, for data frames and SQL engines. Needs pyarrow (extra ``formats``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any

import msgspec

from imgtool.distribution import install_command
from imgtool.errors import MissingExtra
from imgtool.formats.clean import well_formed_tree
from imgtool.types import SCHEMA_VERSION, ImageResult

ROW_GROUP = 1000
"""Rows a row group, and so rows held in memory at most."""

_IMAGE_FIELDS = ("path", "page", "pages", "sha256", "format", "width", "height", "file_size")
_RUN_FIELDS = ("engine", "model", "model_version", "backend", "seconds", "from_cache", "stands_in_for", "notice")


class ParquetWriter:
    """One row an image or page, compressed with zstd, in row groups of :data:`ROW_GROUP`.

    Columns are the fields of :class:`imgtool.types.ImageResult` by name, but for the tasks, which are flat: ``caption``
    (string), ``text`` (list of text, confidence and box: x1, y1 ... x4, y4 in pixels) and ``labels`` (list of label
    and score) are the answers, null where there is none, and ``caption_run``, ``text_run`` and ``labels_run`` say who
    gave them or what went wrong. The file's metadata has ``imgtool.schema_version``.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self, out: IO[bytes]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ModuleNotFoundError as error:
            raise MissingExtra("writing Parquet needs pyarrow", install_command("formats")) from error
        self._arrow = pyarrow
        self._schema = schema()
        self._file = parquet.ParquetWriter(_UntilClosed(out), self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, result: ImageResult) -> None:
        self._rows.append(_row(result))
        if len(self._rows) >= ROW_GROUP:
            self._write_group()

    def close(self, summary: Mapping[str, Any]) -> None:
        if self._rows:
            self._write_group()
        self._file.close()

    def _write_group(self) -> None:
        try:
            table = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
        except UnicodeEncodeError:
            table = self._arrow.Table.from_pylist(well_formed_tree(self._rows), schema=self._schema)
        self._file.write_table(table)
        self._rows = []


class _UntilClosed:
    """A stream that swallows what comes after it was closed.

    When a run ends early, pyarrow completes the unfinished file as its writer is collected, and by then the stream is
    closed.
    """

    closed = False

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, data: bytes) -> int:
        return len(data) if self._out.closed else self._out.write(data)

    def flush(self) -> None:
        if not self._out.closed:
            self._out.flush()

    def close(self) -> None:
        self.flush()


def schema() -> Any:
    """The ``pyarrow.Schema`` of the file."""
    import pyarrow as pa

    types = {**dict.fromkeys(("page", "pages", "width", "height"), pa.int32()), "file_size": pa.int64()}
    types |= {"seconds": pa.float64(), "from_cache": pa.bool_()}

    def fields(names: Iterable[str]) -> list[tuple[str, Any]]:
        return [(name, types.get(name, pa.string())) for name in names]

    problem = pa.struct(fields(("code", "message", "remedy")))
    run = pa.struct([*fields(_RUN_FIELDS), ("error", problem)])
    line = pa.struct([("text", pa.string()), ("confidence", pa.float64()), ("box", pa.list_(pa.float32()))])
    label = pa.struct([("label", pa.string()), ("score", pa.float64())])
    return pa.schema(
        [
            *fields(_IMAGE_FIELDS),
            ("status", pa.string()),
            ("caption", pa.string()),
            ("text", pa.list_(line)),
            ("labels", pa.list_(label)),
            *((f"{task}_run", run) for task in ("caption", "text", "labels")),
            ("error", problem),
            ("processing_time_ms", pa.float64()),
            ("cache_enabled", pa.bool_()),
            ("from_cache", pa.bool_()),
        ],
        metadata={"imgtool.schema_version": str(SCHEMA_VERSION)},
    )


def _row(result: ImageResult) -> dict[str, Any]:
    row = {name: getattr(result, name) for name in _IMAGE_FIELDS}
    row.update(
        status=result.status.value,
        error=_plain(result.error),
        processing_time_ms=result.processing_time_ms,
        cache_enabled=result.cache_enabled,
        from_cache=result.from_cache,
    )
    for task, answer in result.tasks.items():
        row[task.value] = _value(answer.value)
        run = {name: getattr(answer, name) for name in _RUN_FIELDS}
        row[f"{task.value}_run"] = {**run, "backend": answer.backend.value, "error": _plain(answer.error)}
    return row


def _value(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    rows = [msgspec.structs.asdict(item) for item in value]
    for row in rows:
        if "box" in row:
            row["box"] = [number for point in row["box"] for number in point]
    return rows


def _plain(struct: msgspec.Struct | None) -> dict[str, Any] | None:
    return None if struct is None else msgspec.structs.asdict(struct)
