"""One page of one image that somebody asked about, and what is known of it so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.cache.answer_values import decode_answer
from imgtool.engine.cache.records import DECODE_FAILURE, ImageFacts, Record, StoredAnswer
from imgtool.engine.files.discover import ImageRef
from imgtool.engine.files.words import address_of
from imgtool.engine.plan import Choice, Plan
from imgtool.engine.statistics import Tally
from imgtool.types import (
    RESULT_TYPES,
    AnyTaskResult,
    ImageResult,
    Priority,
    Problem,
    Status,
    TaskResults,
)

_RESULT_TYPES = {task.value: kind for task, kind in RESULT_TYPES.items()}


class PageRequest(Struct, eq=False, kw_only=True, weakref=True):
    """What is asked, by whom, and what is known. Changed by the scheduler alone, from ``submit`` until it is ``done``.

    The image is the file ``ref`` or the bytes ``content``; one with neither is a file that is still to be looked at.
    ``on_done`` and ``on_part`` are called in the scheduler's thread. ``fresh`` says who answered the tasks that were
    computed for this request, ``from_shared`` whether an answer came from the shared cache, ``left_out`` which other
    pages are not looked at. With ``only_kept`` nothing is computed: what the store does not have fails with
    ``NotKept``. Where ``most_waiting`` images of its priority or a higher one wait to be computed already, it fails
    with ``QueueFull``, unless another request has it computed anyway.
    """

    name: str
    tasks: tuple[str, ...]
    on_done: Callable[[PageRequest], None]
    tally: Tally
    on_part: Callable[[str], None] | None = None
    ref: ImageRef | None = None
    content: bytes | None = None
    content_size: int | None = None
    sha256: str | None = None
    page: int = 0
    pages: int = 1
    priority: int = Priority.NORMAL
    caller: Hashable = None
    deadline: float | None = None
    only_failed: bool = False
    only_kept: bool = False
    most_waiting: int | None = None
    left_out: str | None = None

    image: ImageFacts | None = None
    answers: dict[str, StoredAnswer] = {}
    values: dict[str, Any] = {}
    fresh: dict[str, Choice] = {}
    from_shared: bool = False
    failures: dict[str, Problem] = {}
    error: Problem | None = None
    seconds: float = 0.0
    flights: int = 0
    done: bool = False
    skipped: bool = False
    cancelled: bool = False
    failure: BaseException | None = None

    @property
    def key(self) -> str:
        """The key of its record in the result store."""
        return f"{self.sha256}#{self.page}" if self.page else f"{self.sha256}"

    @property
    def thumbnail_key(self) -> str:
        """The key of its thumbnail: who wants none does not read it."""
        return self.key + "/thumbnail"

    @property
    def stored_at(self) -> float | None:
        """When the oldest of its answers was computed, in seconds since 1970; ``None`` where there is none."""
        return min((answer.stored_at for answer in self.answers.values()), default=None)

    def fill(self, record: Record, choices: Iterable[Choice]) -> bool:
        """Take over the answers of a record that were given by these analyzers; whether all of them could be read."""
        self.image = self.image or record.image
        whole = True
        for choice in choices:
            if (answer := record.answers.get(choice.fingerprint)) is None:
                continue
            try:
                self.take(choice.task, answer)
            except (msgspec.DecodeError, UnicodeDecodeError):
                whole = False
        return whole

    def take(self, task: str, answer: StoredAnswer) -> None:
        """Take over one answer.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError: it is no answer to that task.
        """
        self.values[task] = decode_answer(task, answer.value)
        self.answers[task] = answer

    def missing(self) -> tuple[str, ...]:
        """Tasks without an answer. Without the facts about the image nothing counts as answered."""
        return tuple(task for task in self.tasks if task not in self.answers or self.image is None)

    def failed_before(self, record: Record | None, plan: Plan) -> bool:
        """Whether something that is asked is known to have failed."""
        asked = {DECODE_FAILURE, *(choice.fingerprint for choice in plan.chosen.values())}
        return record is not None and not asked.isdisjoint(record.failures)

    def result(self, plan: Plan, *, cache_enabled: bool) -> ImageResult:
        """What is known, as the result that is given out."""
        tasks = {task: self.task_result(task, plan, cache_enabled) for task in self.tasks if task != THUMBNAIL}
        answered = sum(result.error is None for result in tasks.values())
        in_part = any(self._given_by(task, plan).unread for task in tasks if task in self.answers)
        status = Status.OK if answered == len(tasks) and not in_part else Status.PARTIAL
        image = self.image
        size = self.content_size if self.ref is None else self.ref.size
        # A name that is no UTF-8 was decoded with surrogates, which JSON cannot hold: those bytes become \xNN.
        odd = not self.name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in self.name)
        path = self.name
        uri: str | UnsetType = UNSET
        if odd:
            try:
                path = self.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                uri = address_of(self.name)
            except UnicodeEncodeError:  # no file has such a name
                path = self.name.encode("utf-8", "backslashreplace").decode()
        return ImageResult(
            path=path,
            page=self.page,
            pages=image.pages if image else self.pages,
            sha256=self.sha256,
            format=image.format if image else None,
            width=image.width if image else None,
            height=image.height if image else None,
            file_size=image.file_size if size is None and image else size,
            status=Status.FAILED if self.error is not None or not answered else status,
            tasks=TaskResults(**tasks),  # type: ignore[arg-type]
            error=self.error,
            processing_time_ms=round(self.seconds * 1000, 3),
            cache_enabled=cache_enabled,
            from_cache=bool(tasks) and all(result.from_cache for result in tasks.values()),
            uri=uri,
            thumbnail=self.values.get(THUMBNAIL, UNSET),
        )

    def task_result(self, task: str, plan: Plan, cache_enabled: bool) -> AnyTaskResult:
        """What is known of one task: its answer, or why there is none."""
        choice, kind = plan.chosen[task], _RESULT_TYPES[task]
        answer = self.answers.get(task)
        if answer is not None:
            name, given = choice.spec.name, self._given_by(task, plan)
            of_image = None if self.image is None else self.image.notice
            return kind(
                engine=answer.engine,
                model=answer.model,
                model_version=answer.model_version,
                backend=answer.backend,
                seconds=answer.seconds,
                from_cache=cache_enabled and task not in self.fresh,
                stands_in_for=choice.stands_in_for or (name if answer.engine != name else None),
                # That of this run's plan: an earlier run asked for other languages, or for another engine.
                notice="; ".join(filter(None, (given.notice, of_image, self.left_out))) or None,
                value=given.as_asked(self.values[task]),
            )
        return kind(
            engine=choice.spec.name,
            model=choice.probe.model,
            model_version=choice.probe.model_version,
            backend=choice.spec.backend,
            seconds=0.0,
            error=self.error or self.failures.get(task) or _NOT_ANSWERED,
        )

    def _given_by(self, task: str, plan: Plan) -> Choice:
        """Who has given an answer."""
        return self.fresh.get(task) or plan.chosen[task].of_engine(self.answers[task].engine)


_NOT_ANSWERED = Problem("not_answered", "this task was not answered", "run again")
