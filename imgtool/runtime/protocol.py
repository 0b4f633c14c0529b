"""What the parent and a worker say to each other: length-prefixed MessagePack over two pipes.

MessagePack rather than pickle, so that a worker taken over by a hostile image can send nothing but data, and rather
than JSON, because images may travel in it as they are. Length-prefixed, so that a message cut off by a crash is never
taken for whole. Answers are JSON inside: that is how they are kept and given out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from imgtool.options import LoadPolicy
from imgtool.types import Problem

PIXELS_VERSION = "3"
"""Version of what ``decode`` makes of a file. Part of every fingerprint: raise it when pixels can change."""

DECODE = "decode"
LOAD = "load:"
"""Steps a worker announces besides the names of tasks: decoding, and ``load:<task>:<engine>``."""

_LENGTH = struct.Struct("!I")


class TaskPlan(Struct, frozen=True, kw_only=True):
    """How a task is answered: by which analyzer, with which parameters, and who stands in if it cannot load."""

    task: str
    analyzer: str
    target: str
    parameters: dict[str, Any]
    stand_ins: tuple[TaskPlan, ...] = ()


class Setup(Struct, frozen=True, tag="setup", kw_only=True):
    """The first message to a worker.

    ``max_pages`` is of documents, ``max_frames`` of animations and the like; ``None`` is without a limit.
    ``max_growth`` is bytes that a page of a document may take while it is drawn: beyond it the worker ends with
    ``TOO_MUCH_MEMORY``. ``None``, for a worker that is no process of its own, is without a limit.
    ``awaited``: an image is on its way, so models that load in no time may load before it is there. ``idle_ttl`` is
    seconds without work after which a model is unloaded; ``None`` is never.
    """

    plans: tuple[TaskPlan, ...]
    max_pixels: int
    batch_pixels: int
    threads: int
    accept_truncated: bool = False
    pdf_dpi: int = 200
    max_pages: int | None = None
    max_frames: int | None = None
    max_growth: int | None = None
    load: LoadPolicy = LoadPolicy.LAZY
    awaited: bool = False
    idle_ttl: float | None = None


TOO_MUCH_MEMORY = 12
"""The exit code of a worker that would have held more than it may (ENOMEM)."""


def too_many_pages(format: str, pages: int, most: int) -> Problem:
    """A file that has more pages or frames than the limit."""
    what = "pages" if format in ("TIFF", "PDF") else "frames"
    return Problem(
        "too_many_pages",
        f"this {format} has {pages:,} {what}, more than the limit of {most:,}",
        f"if you trust the file, raise the limit: --max-pages {pages}; its first page alone: --pages first",
    )


class Item(Struct, frozen=True, kw_only=True):
    """One page of one image and what is wanted of it.

    The image is a file or, where ``content`` is not ``None``, the bytes of one. ``path`` is ``os.fsencode``d: a name
    need not be UTF-8. ``size`` and ``mtime_ns`` are those the file had when it was hashed, and ``sha256`` is what came
    out; where it ``just_changed``, its time may not tell of a further change. ``known`` are answers that exist already
    and that other tasks may read, as JSON. Items come to a pool by ``priority``, highest first; one that keeps items
    waiting heeds it.
    """

    id: int
    path: bytes
    page: int
    tasks: tuple[str, ...]
    size: int = 0
    mtime_ns: int = 0
    just_changed: bool = False
    content: bytes | None = None
    known: dict[str, bytes] = {}
    sha256: str = ""
    priority: int = 0


class Batch(Struct, frozen=True, tag="batch", kw_only=True):
    """Items to answer. ``isolated``: one step at a time, so that a crash has exactly one cause."""

    id: int
    items: tuple[Item, ...]
    isolated: bool = False


class Stop(Struct, frozen=True, tag="stop"):
    """Finish what was sent, then leave."""


class WarmUp(Struct, frozen=True, tag="warm_up"):
    """Load every model now and run each once."""


class Ready(Struct, frozen=True, tag="ready", kw_only=True):
    """The worker has started."""

    pid: int


class StepBegan(Struct, frozen=True, tag="began", kw_only=True):
    """A step that can hang or crash begins on these items."""

    step: str
    items: tuple[int, ...]


class StepEnded(Struct, frozen=True, tag="ended", kw_only=True):
    """That step is over."""

    step: str
    items: tuple[int, ...]


class Decoded(Struct, frozen=True, tag="decoded", kw_only=True):
    """What the file turned out to be. Width and height are those of the upright image.

    ``shown`` is the page to look at instead where this one, the first of an animation, shows nothing. ``notice`` is
    what the user should know about the pixels.
    """

    item: int
    format: str
    width: int
    height: int
    pages: int
    file_size: int
    seconds: float
    shown: int = 0
    notice: str | None = None


class Answered(Struct, frozen=True, tag="answered", kw_only=True):
    """An answer of ``analyzer``; ``value`` is JSON of the task's value type (base64 text for a thumbnail)."""

    item: int
    task: str
    analyzer: str
    value: bytes
    seconds: float


class Failed(Struct, frozen=True, tag="failed", kw_only=True):
    """A task of an item, or the whole item (``task`` is ``None``), cannot be answered. ``pages`` is how many pages the
    file of an item has that could be opened but not decoded."""

    item: int
    task: str | None
    problem: Problem
    pages: int = 1


class ItemFinished(Struct, frozen=True, tag="finished", kw_only=True):
    """Everything about this item has been said.

    ``seconds`` is its wall time: its decode, and its share of what the images that ran together took. Of the latter
    ``answering_seconds`` is what tasks were running in, without any loading of models.
    """

    item: int
    seconds: float = 0.0
    answering_seconds: float = 0.0


class BatchDone(Struct, frozen=True, tag="batch_done", kw_only=True):
    """A batch is finished. ``rss_bytes`` is the worker's resident set now."""

    batch: int
    rss_bytes: int


class ModelLoaded(Struct, frozen=True, tag="model_loaded", kw_only=True):
    """A model is ready. Loading is counted without the imports before it. Memory is the worker's in bytes before and
    after: its resident set, and what of that is its own (``anon``; 0 where the system does not tell)."""

    task: str
    analyzer: str
    import_seconds: float
    load_seconds: float
    warm_up_seconds: float
    rss_before: int
    rss_after: int
    anon_before: int
    anon_after: int


class LoadRetried(Struct, frozen=True, tag="load_retried", kw_only=True):
    """Loading failed for a cause that may pass, and is tried again: attempt number ``attempt`` of ``attempts``."""

    task: str
    analyzer: str
    cause: str
    attempt: int
    attempts: int


class ModelFailed(Struct, frozen=True, tag="model_failed", kw_only=True):
    """A model could not be loaded. ``stand_in`` answers from now on; without one the task's items fail."""

    task: str
    analyzer: str
    problem: Problem
    stand_in: str | None = None


ToWorker = Setup | Batch | WarmUp | Stop
ItemEvent = Decoded | Answered | Failed | ItemFinished
ModelEvent = ModelLoaded | LoadRetried | ModelFailed
FromWorker = Ready | StepBegan | StepEnded | ItemEvent | BatchDone | ModelEvent

_encode = msgspec.msgpack.Encoder().encode
_decode_to_worker: Callable[[bytes], ToWorker] = msgspec.msgpack.Decoder(ToWorker).decode
_decode_from_worker: Callable[[bytes], FromWorker] = msgspec.msgpack.Decoder(FromWorker).decode


def write(stream: BinaryIO, message: ToWorker | FromWorker) -> None:
    """Send one message and flush. Not thread-safe: callers hold a lock.

    Raises:
        OSError: the other side is gone.
    """
    write_body(stream, _encode(message))


def write_body(stream: BinaryIO, body: bytes) -> None:
    """Send the bytes of one message and flush. Not thread-safe: callers hold a lock.

    Raises:
        OSError: the other side is gone.
    """
    stream.write(_LENGTH.pack(len(body)))
    stream.write(body)
    stream.flush()


def read_to_worker(stream: BinaryIO) -> ToWorker | None:
    """The next message to a worker, or ``None`` at the end of the stream."""
    body = read_body(stream)
    return None if body is None else _decode_to_worker(body)


def read_from_worker(stream: BinaryIO) -> FromWorker | None:
    """The next message from a worker, or ``None`` at the end of the stream (also one cut off in the middle)."""
    body = read_body(stream)
    return None if body is None else _decode_from_worker(body)


def read_body(stream: BinaryIO) -> bytes | None:
    """The bytes of the next message, or ``None`` at the end of the stream (also of one cut off in the middle)."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None
