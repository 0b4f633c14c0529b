"""The words of the project as types: what is asked, what is answered, what went wrong.

Everything here is a frozen ``msgspec.Struct`` or an enum, so that a result costs a few microseconds to encode
and its JSON Schema (``imgtool schema``) is derived from the very types that are written.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

SCHEMA_VERSION = 1
"""Version of :class:`ImageResult` as JSON. Raised when a reader written for the former version would break."""


class Task(StrEnum):
    """What is asked about an image."""

    CAPTION = "caption"
    TEXT = "text"
    LABELS = "labels"
    CODES = "codes"


DEFAULT_TASKS = (Task.CAPTION, Task.TEXT, Task.LABELS)
"""The tasks of a run that names none."""


class Status(StrEnum):
    """How an image came out: every task answered, some, or none."""

    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"


class Backend(StrEnum):
    """What executes an analyzer."""

    ONNX = "onnx"
    TORCH = "torch"
    PYTHON = "python"


Point = tuple[float, float]
"""``(x, y)`` in pixels of the upright image, origin at the top left."""

Box = tuple[Point, Point, Point, Point]
"""Four corners, clockwise from the top left as the text is read."""


class TextLine(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of recognised text. ``confidence`` is in [0, 1]."""

    text: str
    confidence: float
    box: Box


class Label(Struct, frozen=True, forbid_unknown_fields=True):
    """One class of a classifier with its probability in [0, 1]."""

    label: str
    score: float


class Chapter(Struct, frozen=True, forbid_unknown_fields=True):
    """A chapter of the Harmonized System: its two digits and a short name in English and Korean."""

    number: str
    english: str
    korean: str


class Code(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A code found in an image: a barcode, a QR code, or a customs tariff number (``hs``) in the recognised text.

    ``kind`` is ``hs``, ``qr`` or another symbology (``ean13``, ``code128``, ...), ``value`` what was read. A tariff
    number has ``normalised``, the six digits that all countries share (four if no more were written), and ``national``,
    the digits that a country added. ``checked``: ``edition`` of the Harmonized System lists the number, or the check of
    a barcode passed. ``confidence`` is the measured share of right codes among those with the same evidence, in [0, 1];
    ``evidence`` lists what was found, as ``what: which``. ``links`` are addresses of pages about a tariff number.
    """

    kind: str
    value: str
    confidence: float
    box: Box
    normalised: str | None = None
    national: str | None = None
    checked: bool = False
    edition: str | None = None
    chapter: Chapter | None = None
    evidence: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class Problem(Struct, frozen=True):
    """A failure as a value: a stable ``code``, what happened, and what to do about it."""

    code: str
    message: str
    remedy: str = ""


class TaskResult(Struct, frozen=True, kw_only=True):
    """Who answered a task, how long it took, and whether the answer came from the result store.

    ``seconds`` is the time the analyzer spent on this image when it was computed, also for a cached answer.
    """

    engine: str
    model: str
    model_version: str
    backend: Backend
    seconds: float
    from_cache: bool = False
    stands_in_for: str | None = None
    notice: str | None = None
    error: Problem | None = None


class CaptionResult(TaskResult, frozen=True, kw_only=True):
    """One sentence about the image."""

    value: str | None = None


class TextResult(TaskResult, frozen=True, kw_only=True):
    """The lines of text in the image, in reading order."""

    value: tuple[TextLine, ...] | None = None


class LabelsResult(TaskResult, frozen=True, kw_only=True):
    """The classes of the image, most probable first."""

    value: tuple[Label, ...] | None = None


class CodesResult(TaskResult, frozen=True, kw_only=True):
    """The barcodes and QR codes from top to bottom, then the tariff numbers in reading order."""

    value: tuple[Code, ...] | None = None


AnyTaskResult = CaptionResult | TextResult | LabelsResult | CodesResult


class TaskResults(Struct, frozen=True, kw_only=True):
    """One field a task; a task that was not asked is absent."""

    caption: CaptionResult | UnsetType = UNSET
    text: TextResult | UnsetType = UNSET
    labels: LabelsResult | UnsetType = UNSET
    codes: CodesResult | UnsetType = UNSET

    def get(self, task: Task) -> AnyTaskResult | None:
        """The result of ``task``, or ``None`` where it was not asked."""
        found: AnyTaskResult | UnsetType = getattr(self, task.value)
        return None if found is UNSET else found

    def items(self) -> list[tuple[Task, AnyTaskResult]]:
        """The tasks that were asked, in the order of :class:`Task`."""
        return [(task, result) for task in Task if (result := self.get(task)) is not None]


class ImageResult(Struct, frozen=True, kw_only=True):
    """Everything said about one image (or one page of a file). One JSON object an image."""

    schema_version: int = SCHEMA_VERSION
    path: str
    page: int = 0
    pages: int = 1
    sha256: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    file_size: int | None = None
    status: Status
    tasks: TaskResults
    error: Problem | None = None
    processing_time_ms: float
    cache_enabled: bool
    from_cache: bool
    thumbnail: bytes | UnsetType = UNSET
    """A small JPEG; present only where the output asked for it (the HTML gallery does)."""

    def problems(self) -> list[tuple[Task | None, Problem]]:
        """Everything that went wrong: the image's own problem (task ``None``), then each task's."""
        own: list[tuple[Task | None, Problem]] = [] if self.error is None else [(None, self.error)]
        return own + [(task, found.error) for task, found in self.tasks.items() if found.error is not None]


RESULT_TYPES: dict[Task, type[AnyTaskResult]] = {
    Task.CAPTION: CaptionResult,
    Task.TEXT: TextResult,
    Task.LABELS: LabelsResult,
    Task.CODES: CodesResult,
}

VALUE_TYPES: dict[Task, Any] = {
    Task.CAPTION: str,
    Task.TEXT: tuple[TextLine, ...],
    Task.LABELS: tuple[Label, ...],
    Task.CODES: tuple[Code, ...],
}
"""The type of an answer's ``value`` by task, for decoding what a worker or the store sends."""


def result_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one :class:`ImageResult`."""
    schema = msgspec.json.schema(ImageResult)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "imgtool result", **schema}
