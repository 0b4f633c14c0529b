"""One page of one file as databases keep it, made from the result of a run and turned back into one.

What a picture says is kept once for each content (its ``key``: the SHA-256 of the file, with ``#<page>`` for later
pages), however many files have that content, so a file that moves keeps everything. A file that could not be read has
its path for a key. Results of several runs are merged task by task: the newest answer counts, and a failure is no news
where there is an answer.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field, structs

from imgtool.types import ImageResult, Status, TaskResults

LEAST_LABEL = 0.05
"""Labels below this score are kept, but not searched for: a classifier gives every picture a little of everything."""

_REPLACEMENT = "\ufffd"
_NO_NAME = re.compile("[^A-Za-z0-9_]")
_UNSAYABLE = re.compile("[\0\ud800-\udfff]")
# Of a result in the database: where the file is, and how it came here, are not part of what was said about it.
_LEFT_OUT = ("path", "file_size", "cache_enabled", "from_cache")

_encode = msgspec.json.Encoder().encode
_decode_result = msgspec.json.Decoder(ImageResult).decode


@cache
def this_machine() -> str:
    """The name of this host: whether a file is there can only be told where it was seen."""
    return os.uname().nodename


class Entry(Struct, frozen=True):
    """A page of a file and what was said about it. ``path`` is absolute, or ``None`` where only the content is known;
    times are seconds since 1970, ``mtime_ns`` nanoseconds."""

    path: str | None
    result: ImageResult
    stamps: Mapping[str, str]
    mtime_ns: int | None = None
    seen_at: float = field(default_factory=time.time)
    gone_at: float | None = None
    machine: str = field(default_factory=this_machine)

    @property
    def key(self) -> str:
        """What its content is kept under."""
        return content_key(self.result, self.path)


def content_key(result: ImageResult, path: str | None) -> str:
    """The key of what ``result`` says; ``path`` is absolute."""
    if result.sha256 is None:
        return f"path:{path}#{result.page}"
    return f"{result.sha256}#{result.page}" if result.page else result.sha256


# --------------------------------------------------------------------------------------------------------------------
# Telling answers apart


def stamps(result: ImageResult) -> dict[str, str]:
    """What tells the answers of ``result`` from others, by task; equal for an answer that was just computed and for
    the same one from the cache.

    They are asked for of every image of every run, so they are cheap: a checksum of who answered, how long it took in
    microseconds, what was said, and the run's notice about it.
    """
    found = {name: _stamp(name, answer) for name, answer in _asked(result)}
    if result.error is not None:
        found["error"] = _failure("error", result.error.code)
    return found


_TASKS: tuple[str, ...] = TaskResults.__struct_fields__
_answers: Callable[[TaskResults], tuple[Any, ...]] = attrgetter(*_TASKS)
"""The answers to all tasks; false where one was not asked."""


def _stamp(name: str, answer: Any) -> str:
    if answer.error is not None:
        return _failure(name, answer.error.code)
    value = answer.value
    if value.__class__ is str:
        said = value
    elif name == "text" and value:
        said = "\n".join([line.text for line in value])
    else:
        said = repr(value)
    if answer.notice:  # it is of the run, not of the answer
        said += answer.notice
    start = int(answer.seconds * 1e6) ^ _checksum_of_engine(answer.engine, answer.model_version)
    return f"{name}={zlib.crc32(said.encode('utf-8', 'surrogatepass'), start & 0xFFFFFFFF):08x};"


def _failure(name: str, code: str) -> str:
    return f"{name}!{_NO_NAME.sub('_', code)};"


@cache
def _checksum_of_engine(engine: str, model_version: str) -> int:
    return zlib.crc32(f"{engine}\n{model_version}".encode("utf-8", "surrogatepass"))


def recorded(result: ImageResult, by_task: Mapping[str, str]) -> str:
    """A note of what is kept of a page of a file: the month, so that it is renewed now and then, the beginning of its
    SHA-256, its stamps, and one stamp of all that ``result`` says, as a run says it that has it from the cache."""
    answers = {name: structs.replace(answer, from_cache=True) for name, answer in _asked(result)}
    return f"{_begin_note(result)} {joined(by_task)} {_stamp_of_all(TaskResults(**answers))}"


def _begin_note(result: ImageResult) -> str:
    return f"{_this_month()} {result.sha256[:16] if result.sha256 else '-'}"


def _stamp_of_all(tasks: TaskResults) -> str:
    try:
        encoded = _encode(tasks)
    except UnicodeEncodeError:  # a lone surrogate
        encoded = repr(tasks).encode("ascii", "backslashreplace")
    return f"={zlib.crc32(encoded):08x};"


def _asked(result: ImageResult) -> list[tuple[str, Any]]:
    return [(name, answer) for name, answer in zip(_TASKS, _answers(result.tasks), strict=True) if answer]


def is_recorded(note: str, result: ImageResult) -> bool:
    """Whether ``note`` says that ``result`` is kept, perhaps among more."""
    if not note.startswith(_begin_note(result)):
        return False
    # The usual case first: it takes half the time.
    if result.error is None and note.endswith(_stamp_of_all(result.tasks)):
        return True
    return all(stamp in note for stamp in stamps(result).values())


@cache
def _this_month() -> str:
    return time.strftime("%Y-%m")


def joined(by_task: Mapping[str, str]) -> str:
    """Stamps as one text."""
    return " ".join(by_task[name] for name in sorted(by_task))


def split(text: str) -> dict[str, str]:
    """The reverse of :func:`joined`."""
    return {re.split("[=!]", stamp, maxsplit=1)[0]: stamp for stamp in text.split()}


# --------------------------------------------------------------------------------------------------------------------
# Results as they are kept


def _tree(result: ImageResult) -> dict[str, Any]:
    """What is kept of ``result``: without what belongs to the file, and with every answer marked as kept.

    NUL and lone surrogates, which neither JSON in PostgreSQL nor UTF-8 can hold, become U+FFFD.
    """
    tree = msgspec.to_builtins(msgspec.structs.replace(result, thumbnail=UNSET))
    for name in _LEFT_OUT:
        tree.pop(name, None)
    for answer in tree["tasks"].values():
        answer["from_cache"] = True
    kept: dict[str, Any] = clean(tree)
    return kept


def decode_body(body: str | bytes, path: str, file_size: int | None) -> ImageResult:
    """The result of the file at ``path`` from what is kept.

    Raises:
        msgspec.DecodeError: it was kept by a version of imgtool whose results are unlike those of this one.
    """
    data = body.encode() if isinstance(body, str) else body
    here = _encode({"path": path, "file_size": file_size, "cache_enabled": True, "from_cache": True})
    return _decode_result(here[:-1] + b"," + data[1:])


def merged(former: ImageResult | None, new: ImageResult) -> ImageResult:
    """Everything that is known of one content, whichever run asked it."""
    if former is None:
        return new
    tasks = {name: getattr(former.tasks, name) for name in _TASKS}
    for name in _TASKS:
        answer = getattr(new.tasks, name)
        if answer and (answer.error is None or not tasks[name] or tasks[name].error is not None):
            tasks[name] = answer
    given = [answer for answer in tasks.values() if answer]
    answered = sum(answer.error is None for answer in given)
    error = new.error if not answered else None
    if error is not None or not answered:
        status = Status.FAILED
    else:
        # Without a failure, an image is partial because of a language that its text was not read in.
        read = new if tasks["text"] is new.tasks.text else former
        in_part = read.status is Status.PARTIAL and not read.problems()
        status = Status.OK if answered == len(given) and not in_part else Status.PARTIAL
    known = new if new.width is not None else former
    return msgspec.structs.replace(
        new,
        format=known.format,
        width=known.width,
        height=known.height,
        pages=max(former.pages, new.pages),
        tasks=TaskResults(**tasks),
        error=error,
        status=status,
    )


def clean(value: Any) -> Any:
    """``value`` with every string in it as text that both databases can hold."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _UNSAYABLE.sub(_REPLACEMENT, value)
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


# --------------------------------------------------------------------------------------------------------------------
# The rows of one content


class Words(Struct, frozen=True):
    """The words of a content by field, as :func:`imgtool.database.search.words.stream` writes them."""

    text: str
    caption: str
    labels: str
    codes: str


class Rows(Struct, frozen=True):
    """The rows of all tables that one content fills, but for its number."""

    body: str
    error_code: str | None
    tasks: list[tuple[str, str, str, str, float, str | None]]
    lines: list[tuple[int, str, float, str]]
    labels: list[tuple[int, str, float]]
    codes: list[tuple[int, str, str, str, str, float | None, bool, str | None]]
    words: Words
    captioned: bool


def rows(result: ImageResult) -> Rows:
    """Take ``result`` apart. A task that this version does not know is taken as it comes."""
    from imgtool.database.search.words import stream

    tree = _tree(result)
    tasks = tree["tasks"]
    values = {name: answer.get("value") for name, answer in tasks.items()}
    lines = [
        (number, line["text"], line["confidence"], _encode(line["box"]).decode())
        for number, line in enumerate(values.get("text") or ())
    ]
    labels = [(number, label["label"], label["score"]) for number, label in enumerate(values.get("labels") or ())]
    codes = [_code(number, code) for number, code in enumerate(values.get("codes") or ())]
    likely = [label for number, label, score in labels if score >= LEAST_LABEL or not number]
    caption = values.get("caption") or ""
    error = tree.get("error")
    return Rows(
        body=_encode(tree).decode(),
        error_code=None if error is None else error["code"],
        tasks=[
            (name, answer["engine"], answer["model"], answer["model_version"], answer["seconds"], _error(answer))
            for name, answer in tasks.items()
        ],
        lines=lines,
        labels=labels,
        codes=codes,
        words=Words(
            text=stream("\n".join(line["text"] for line in values.get("text") or () if not line.get("doubt"))),
            caption=stream(caption),
            labels=stream("\n".join(likely)),
            codes=stream("\n".join(f"{value}\n{normalised}" for _, _, value, normalised, *_ in codes)),
        ),
        captioned=bool(caption),
    )


def _error(answer: dict[str, Any]) -> str | None:
    error = answer.get("error")
    return None if error is None else str(error["code"])


def _code(number: int, code: dict[str, Any]) -> tuple[int, str, str, str, str, float | None, bool, str | None]:
    value = str(code.get("value") or "")
    # Of a tariff number, what all countries share and what one of them added.
    normalised = f"{code.get('normalised') or ''}{code.get('national') or ''}" or value
    return (
        number,
        str(code.get("kind") or ""),
        value,
        normalised,
        code_key(normalised),
        code.get("confidence"),
        bool(code.get("checked")),
        _encode(code["box"]).decode() if "box" in code else None,
    )


def code_key(text: str) -> str:
    """A code as it is looked up: letters and digits alone."""
    from imgtool.database.search.words import Phrase

    phrase = Phrase.of(text)
    return "".join(phrase.runs) if phrase is not None else ""


# --------------------------------------------------------------------------------------------------------------------
# Paths


class Absolute:
    """Makes paths absolute; files of one folder mostly come one after the other."""

    def __init__(self) -> None:
        self._given: str | None = None
        self._folder = ""

    def __call__(self, path: str) -> str:
        """``path`` from the root, without ``.`` and ``..`` (links stay)."""
        folder, slash, name = path.rpartition("/")
        if folder + slash != self._given:
            self._given = folder + slash
            found = os.path.abspath(self._given or ".")  # noqa: PTH100 - links stay
            self._folder = found if found.endswith("/") else found + "/"
        return self._folder + name
