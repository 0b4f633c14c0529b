"""The words of the project as types: what is asked, what is answered, what went wrong.

Everything here is a frozen ``msgspec.Struct`` or an enum, so that a result costs a few microseconds to encode
and its JSON Schema (``imgtool schema``) is derived from the very types that are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum
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
    """How an image came out: every task answered; some, or without a language that was asked for by name; or none."""

    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"


class Priority(IntEnum):
    """Which requests are computed first, where several wait. Any integer will do; these have names."""

    LOW = -10
    NORMAL = 0
    HIGH = 10


class Backend(StrEnum):
    """What executes an analyzer."""

    ONNX = "onnx"
    TORCH = "torch"
    PYTHON = "python"


Point = tuple[float, float]
"""``(x, y)`` in pixels of the upright image, origin at the top left."""

Box = tuple[Point, Point, Point, Point]
"""Four corners, clockwise from the top left as the text is read."""


class TextLine(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of recognised text. ``confidence`` is in [0, 1].

    ``doubt``, where there is one, says why this is likely no text of the image: such a line is not offered as words.
    """

    text: str
    confidence: float
    box: Box
    doubt: str | None = None


def sure_lines(lines: Iterable[TextLine]) -> list[TextLine]:
    """Those that nothing is said against."""
    return [line for line in lines if line.doubt is None]


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


_TASKS = tuple(Task)


class TaskResults(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field a task: ``None``, and absent in JSON, where the task was not asked."""

    caption: CaptionResult | None = None
    text: TextResult | None = None
    labels: LabelsResult | None = None
    codes: CodesResult | None = None

    def get(self, task: Task) -> AnyTaskResult | None:
        """The result of ``task``, or ``None`` where it was not asked."""
        found: AnyTaskResult | None = getattr(self, task)
        return found

    def items(self) -> list[tuple[Task, AnyTaskResult]]:
        """The tasks that were asked, in the order of :class:`Task`."""
        return [(task, result) for task in _TASKS if (result := getattr(self, task)) is not None]


class ImageResult(Struct, frozen=True, kw_only=True):
    """Everything said about one image (or one page of a file). One JSON object an image.

    ``caption``, ``text``, ``lines`` and ``labels`` are the answers, or ``None`` where there is none. ``tasks`` says
    more about each: every task that was asked is there, with ``error`` set where it failed.
    """

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
    uri: str | UnsetType = UNSET
    """The ``file://`` address, where the name is no UTF-8: ``path`` has ``\\xNN`` for its bytes then."""
    thumbnail: bytes | UnsetType = UNSET
    """A small JPEG; present only where the output asked for it (the HTML gallery does)."""

    @property
    def caption(self) -> str | None:
        """The sentence about the image."""
        return None if self.tasks.caption is None else self.tasks.caption.value

    @property
    def text(self) -> str | None:
        """The text in the image, a line a line, without doubtful lines; empty where there is none."""
        lines = self.lines
        return None if lines is None else "\n".join(line.text for line in sure_lines(lines))

    @property
    def lines(self) -> tuple[TextLine, ...] | None:
        """The lines of text with their confidence and place, in reading order."""
        return None if self.tasks.text is None else self.tasks.text.value

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """The classes of the image, most probable first."""
        return None if self.tasks.labels is None else self.tasks.labels.value

    @property
    def ok(self) -> bool:
        """Whether every task was answered."""
        return self.status is Status.OK

    def problems(self) -> list[tuple[Task | None, Problem]]:
        """Everything that went wrong: the image's own problem (task ``None``), then each task's own."""
        found: list[tuple[Task | None, Problem]] = [] if self.error is None else [(None, self.error)]
        for task, answer in self.tasks.items():
            if answer.error is not None and answer.error != self.error:
                found.append((task, answer.error))
        return found

    def to_json(self, *, indent: int | None = None) -> str:
        """The JSON object that the command line writes, in one line or indented."""
        data = msgspec.json.encode(self)
        return (data if indent is None else msgspec.json.format(data, indent=indent)).decode()

    def to_dict(self) -> dict[str, Any]:
        """The same object as dictionaries, lists, strings and numbers."""
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return found

    @classmethod
    def from_json(cls, text: str | bytes) -> ImageResult:
        """The result that ``text`` holds.

        Raises:
            ValueError: it holds none.
        """
        return msgspec.json.decode(text, type=cls)

    @classmethod
    def from_dict(cls, data: Any) -> ImageResult:
        """The result that :meth:`to_dict` made into ``data``.

        Raises:
            ValueError: it is none.
        """
        return msgspec.convert(data, cls)

    # ``dict(result)``, which FastAPI also uses for what it does not know.

    def keys(self) -> Iterator[str]:
        """The names of the fields, as in :meth:`to_dict`."""
        return iter(name for name in self.__struct_fields__ if getattr(self, name) is not UNSET)

    def __getitem__(self, name: str) -> Any:
        if name not in self.__struct_fields__:
            raise KeyError(name)
        return msgspec.json.decode(msgspec.json.encode(getattr(self, name)))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """A result as a field of a pydantic model, and as what a FastAPI endpoint returns."""
        from pydantic_core import core_schema

        def validate(value: Any) -> ImageResult:
            if isinstance(value, cls):
                return value
            return cls.from_json(value) if isinstance(value, str | bytes) else cls.from_dict(value)

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_dict)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        # Within an API description other schemas stand beside it: its own are put where they are referred to.
        whole = msgspec.json.schema(cls)
        named = whole["$defs"]

        def inlined(part: Any) -> Any:
            if isinstance(part, list):
                return [inlined(each) for each in part]
            if not isinstance(part, dict):
                return part
            if "$ref" in part:
                return inlined(named[part["$ref"].rpartition("/")[2]])
            return {key: inlined(each) for key, each in part.items()}

        found: dict[str, Any] = inlined(whole)
        return {key: value for key, value in found.items() if key != "$defs"}


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
