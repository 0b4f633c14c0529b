"""What is fuzzed: a function for each place of ours where bytes of strangers are parsed.

A target takes any bytes and returns, whatever it is given. It raises what no caller expects: that is a finding.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from msgspec import DecodeError as JsonProblem

from imgtool.errors import ImgtoolError

Target = Callable[[bytes], None]

# Fuzzing has a folder that is removed afterwards (tests/fuzzing/fuzz.py); this one goes with the interpreter.
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz")


def _file(data: bytes, name: str) -> Path:
    path = Path(os.environ.get("FUZZ_SCRATCH", _FOLDER.name)) / name
    path.write_bytes(data)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def records(data: bytes) -> None:
    """Rows of the result store, and values of the shared cache."""
    from imgtool.engine.cache.answer_values import decode_answer
    from imgtool.engine.cache.records import UNREADABLE, decode
    from imgtool.engine.cache.shared.answers import Question, read_answer

    with suppress(*UNREADABLE):
        record = decode(data)
        for answer in record.answers.values() if record else ():
            for task in ("caption", "text", "labels", "codes"):
                with suppress(*UNREADABLE):
                    decode_answer(task, answer.value)
    read_answer(Question("a", "text", "f"), data)


def manifests(data: bytes) -> None:
    """Manifests of fetched and of compiled models, and the header of their weights."""
    from imgtool.artefacts.manifest import NAME, read_manifest
    from imgtool.weights.errors import FileRefused
    from imgtool.weights.manifest import decode
    from imgtool.weights.safetensors import check_safetensors

    with suppress(ValueError):
        decode(data).fingerprint  # noqa: B018
    path = _file(data, NAME)
    os.utime(path, ns=(0, hash(data) & 0xFFFFFFFFFFFF))  # manifests are read once for each state of the file
    with suppress(ValueError):
        read_manifest(path.parent)
    with suppress(FileRefused):
        check_safetensors(path, "")


def protocol(data: bytes) -> None:
    """Messages of a worker. Whatever is wrong with one, the worker that sent it is lost, and the parent goes on."""
    from imgtool.runtime.protocol import read_from_worker

    stream = io.BytesIO(data)
    with suppress(JsonProblem):
        while read_from_worker(stream) is not None:
            pass


def configuration(data: bytes) -> None:
    """Configuration files, with every conversion of options."""
    from imgtool.config import resolve

    path = _file(data, "imgtool.toml")
    with suppress(ImgtoolError):
        resolve({}, environ={}, folder=path.parent, user_file=path.parent / "none")


def quantities(data: bytes) -> None:
    """Sizes, durations and settings, as flags and variables of the environment give them."""
    from imgtool.quantities import parse_duration, parse_size, split_settings

    text = _text(data)
    for parse in (parse_size, parse_duration):
        with suppress(ValueError):
            parse(text)
    split_settings(text)
    from imgtool.config import resolve

    first, _, second = text.partition("\n")
    with suppress(ImgtoolError):
        resolve({}, environ={f"IMGTOOL_{first[:20].upper()}": second}, folder=Path("/"), user_file=Path("/none"))


def path_lists(data: bytes) -> None:
    """Lists of paths on standard input and in files."""
    from imgtool.engine.files.path_lists import read_list

    path = str(_file(data, "list"))
    for nul in (False, True):
        with suppress(ImgtoolError):
            list(read_list(path, nul))
    earlier, sys.stdin = sys.stdin, io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]
    try:
        with suppress(ImgtoolError):
            list(read_list("-"))
    finally:
        sys.stdin = earlier


def label_files(data: bytes) -> None:
    """Files of class names."""
    from imgtool.analyzers.labels.names import read_labels

    for name in ("labels.txt", "labels.csv"):
        with suppress(ImgtoolError):
            read_labels(_file(data, name))


def onnx_files(data: bytes) -> None:
    """ONNX files: what they say of themselves, and where their weights lie."""
    from imgtool.analyzers.labels.graph import read_graph
    from imgtool.analyzers.labels.sources import from_metadata
    from imgtool.inference.denormals import NotOnnx, count_denormals, external_files, zeroed_bytes

    path = _file(data, "model.onnx")
    graph = read_graph(path)
    with suppress(ImgtoolError):
        from_metadata(graph.metadata)
    for look in (count_denormals, external_files):
        with suppress(NotOnnx, OSError):
            look(path)
    with suppress(NotOnnx):
        zeroed_bytes(data)


def onnx_metadata(data: bytes) -> None:
    """What ONNX files say in words: lines of a key, a tab and a value."""
    from imgtool.analyzers.labels.settings import resolve
    from imgtool.analyzers.labels.sources import from_metadata

    pairs = dict(line.partition("\t")[::2] for line in _text(data).split("\n"))
    with suppress(ImgtoolError):
        given = from_metadata(pairs)
        resolve(given, (1, 3, None, None))


def sidecars(data: bytes) -> None:
    """JSON files beside a classifier."""
    from imgtool.analyzers.labels.settings import resolve
    from imgtool.analyzers.labels.sources import from_folder, from_sidecar, is_sidecar

    path = _file(data, "config.json")
    is_sidecar(path)
    for dims in ((), (1, 3, 224, 224)):
        with suppress(ImgtoolError):
            resolve(from_sidecar(path, dims), dims or (1, 3, None, None))
        with suppress(ImgtoolError):
            from_folder([path], dims)


def file_heads(data: bytes) -> None:
    """Telling the format of a file, and whether its structure is sound as far as it goes."""
    from imgtool.image_formats import sniff
    from imgtool.runtime.worker.file_structure import ends_before_its_end, is_sound_so_far, jpeg_frame

    sniff(data[:512])
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "QOI", "JPEG2000", "AVIF", "JXL"):
        is_sound_so_far(io.BytesIO(data), kind)
        ends_before_its_end(io.BytesIO(data), kind)
    jpeg_frame(io.BytesIO(data))


def camera_raws(data: bytes) -> None:
    """Probing TIFF files for camera RAW, and the search for the JPEG inside."""
    from imgtool.runtime.worker.containers import camera_raw
    from imgtool.runtime.worker.containers.tiff_parts import TiffOfParts, _parts

    kind = camera_raw.camera_raw(io.BytesIO(data), "TIFF")
    camera_raw.largest_jpeg(data)
    camera_raw._orientation(data, kind or "CR3")
    document = TiffOfParts.opened(io.BytesIO(data))
    for page in range(document.pages if document else 0):
        with suppress(TypeError, ValueError, OverflowError):  # turned into a problem by the decoder
            assert document is not None
            sum(1 for _ in _parts(document._pages[page], *document.size(page)))


def bitmaps(data: bytes) -> None:
    """Bitmaps, icons and cursors: our own decoder."""
    from imgtool.runtime.worker.containers.bitmap import Bitmap, icon
    from imgtool.runtime.worker.decode_errors import DecodeError

    for read in (Bitmap, icon):
        with suppress(DecodeError):
            found = read(data)
            if isinstance(found, Bitmap):
                found.is_plain  # noqa: B018
                width, height = found.size
                if 0 < width * height < 100_000 and width > 0:
                    found.image()


def mended_files(data: bytes) -> None:
    """Mending files that are nearly whole."""
    from imgtool.runtime.worker.containers.mend import mend

    for kind in ("PNG", "WEBP", "BMP"):
        mend(data, kind, 10_000, 1.0)


def decoder(data: bytes) -> None:
    """The whole decoder: whatever a file holds, only a problem in words leaves it."""
    from imgtool.runtime.worker.decode import DecodeError, Decoder

    if data[:4] in (b"%PDF", b"\0MRM", b"FOVb") or data[:6] == b"II\x1a\0\0\0":
        return  # other people's parsers, which are many times as slow here
    with suppress(DecodeError):
        Decoder(20_000).decode_bytes(data)


def hs_codes(data: bytes) -> None:
    """HS codes in recognised text."""
    from imgtool.analyzers.codes.hs.find import find_hs_codes
    from imgtool.types import TextLine

    lines = [
        TextLine(
            text[:200], 0.9, ((0.0, 20.0 * row), (200.0, 20.0 * row), (200.0, 20.0 * row + 16), (0.0, 20.0 * row + 16))
        )
        for row, text in enumerate(data.decode("utf-8", "replace").split("\n")[:20])
    ]
    find_hs_codes(lines)


@cache
def _database() -> Any:
    from imgtool.database.sqlite import SqliteDatabase

    database = SqliteDatabase(Path(_FOLDER.name) / "results.sqlite3")
    database.connect(create=True)
    return database


def queries(data: bytes) -> None:
    """Queries of ``imgtool search``, as far as an empty database goes."""
    from imgtool.database.search.query import parse, phrases
    from imgtool.database.search.words import spans, stream

    text = _text(data)
    stream(text)
    with suppress(ImgtoolError):
        query = parse(text)
        if len(text) < 40:  # a pattern of many words takes long to compile
            spans(text, phrases(query))
        _database().find(query, limit=5)


def tesseract_tsv(data: bytes) -> None:
    """What Tesseract prints."""
    from imgtool.analyzers.text.tesseract_tsv import HEADER, DamagedOutput, parse_lines

    text = data.decode("utf-8", "replace")
    for output in (text, f"{HEADER}\n{text}\n"):
        with suppress(DamagedOutput):
            parse_lines(output, 100, 100)


def http_bodies(data: bytes) -> None:
    """Bodies of requests: the first line is their type, the second their length."""
    from starlette.requests import Request

    from imgtool.service.bodies import BodyReader, images_of
    from imgtool.service.problems import HttpProblem

    kind, _, rest = data.partition(b"\n")
    length, _, body = rest.partition(b"\n")
    kind, length = kind.replace(b"\r", b""), length.replace(b"\r", b"")
    headers = [(b"content-type", kind), *([(b"content-length", length)] if length else [])]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": kind[:40]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def read() -> None:
        request = Request(scope, receive)
        async with BodyReader(4_000, seconds=5).read(request) as held:
            await images_of(request, held, most_files=4)

    with suppress(HttpProblem):
        asyncio.run(read())


def http_headers(data: bytes) -> None:
    """Parameters and headers of requests."""
    from imgtool.service.bodies import clean_name
    from imgtool.service.gate import host_name
    from imgtool.service.jobs.endpoints import _whole
    from imgtool.service.predict import _number, checked_hash, parse_tasks
    from imgtool.service.problems import HttpProblem
    from imgtool.types import Task

    text = data.decode("latin-1")
    host_name(text)
    clean_name(text)
    request: Any = SimpleNamespace(query_params={"a": text})
    for check in (
        lambda: checked_hash(text),
        lambda: parse_tasks(text, [Task.TEXT]),
        lambda: _number({"a": text}, "a", 0, 0, 100_000),
        lambda: _number({"a": text}, "a", 1.5, 0, 100_000),
        lambda: _whole(request, "a", 1, 100),
    ):
        with suppress(HttpProblem):
            check()


def api_keys(data: bytes) -> None:
    """Files of API keys."""
    from imgtool.service.keys import read_keys

    with suppress(ImgtoolError):
        read_keys(_file(data, "keys.json"))


def baselines(data: bytes) -> None:
    """Saved experiments of bench."""
    from imgtool.bench.data.saved import load_experiment

    with suppress(ImgtoolError):
        load_experiment(_file(data, "baseline.json"))


def imports(data: bytes) -> None:
    """Files for ``imgtool database import``, and the earlier outputs that ``--retry-failed`` adds to."""
    from imgtool.database.transfer import _entries
    from imgtool.formats.merge import MergeWriter
    from imgtool.options import OutputFormat

    with suppress(ImgtoolError):
        list(_entries(io.BytesIO(data)))  # type: ignore[arg-type]
    path = _file(data, "earlier")
    for form in (OutputFormat.JSONL, OutputFormat.JSON, OutputFormat.CSV):
        with suppress(ImgtoolError, csv.Error):
            MergeWriter(form, path, io.StringIO()).close({})


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        *(api_keys, baselines, bitmaps, camera_raws, configuration, decoder, file_heads, hs_codes, http_bodies),
        *(http_headers, imports, label_files, manifests, mended_files, onnx_files, onnx_metadata, path_lists, protocol),
        *(quantities, queries, records, sidecars, tesseract_tsv),
    )
}
