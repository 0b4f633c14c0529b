"""One page of one file on its way through the engine, from found to answered."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.cache.store import DECODE_FAILURE, ImageFacts, Record, StoredAnswer, Update
from imgtool.engine.files.discover import ImageRef
from imgtool.engine.plan import Choice, Plan
from imgtool.runtime.protocol import Item
from imgtool.types import (
    RESULT_TYPES,
    VALUE_TYPES,
    AnyTaskResult,
    ImageResult,
    Problem,
    Status,
    Task,
    TaskResults,
)

_DECODERS = {task.value: msgspec.json.Decoder(VALUE_TYPES[task]).decode for task in Task}
_decode_bytes = msgspec.json.Decoder(bytes).decode


@dataclass
class PageRequest:
    """What is known so far about one page of one file. ``fresh`` says who answered the tasks that
    were computed in this run."""

    path: str
    ref: ImageRef | None = None
    sha256: str | None = None
    page: int = 0
    pages: int = 1
    image: ImageFacts | None = None
    answers: dict[str, StoredAnswer] = field(default_factory=dict)
    fresh: dict[str, Choice] = field(default_factory=dict)
    failures: dict[str, Problem] = field(default_factory=dict)
    error: Problem | None = None
    seconds: float = 0.0
    done: bool = False
    skipped: bool = False
    followers: list[PageRequest] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The key of its record in the result store."""
        return f"{self.sha256}#{self.page}" if self.page else f"{self.sha256}"

    @property
    def thumbnail_key(self) -> str:
        """The key of its thumbnail: a run that wants none does not read it."""
        return self.key + "/thumbnail"

    def fill(self, record: Record, chosen: Iterable[Choice]) -> None:
        """Take over the answers of a record that were given by the analyzers of this run."""
        self.image = self.image or record.image
        for choice in chosen:
            if (answer := record.answers.get(choice.fingerprint)) is not None:
                self.answers[choice.task] = answer

    def missing(self, plan: Plan) -> tuple[str, ...]:
        """Tasks without an answer. Without the facts about the image nothing counts as answered."""
        return tuple(task for task in plan.chosen if task not in self.answers or self.image is None)

    def item(self, number: int, tasks: tuple[str, ...], plan: Plan) -> Item:
        """What the pool is asked: the missing tasks, and the known answers that they read."""
        assert self.ref is not None
        read = {earlier.value for task in tasks for earlier in plan.chosen[task].spec.after}
        return Item(
            id=number,
            path=os.fsencode(self.ref.path),
            page=self.page,
            size=self.ref.size,
            mtime_ns=self.ref.mtime_ns,
            tasks=tasks,
            known={task: answer.value for task, answer in self.answers.items() if task in read and task not in tasks},
        )

    def share(self, other: PageRequest) -> None:
        """Give everything computed to another path with the same content."""
        other.image, other.error, other.pages = self.image, self.error, self.pages
        other.answers, other.failures = dict(self.answers), dict(self.failures)
        other.done = True

    def updates(self, plan: Plan) -> list[Update]:
        """What the store should learn: fresh answers, and failures that are the image's own."""
        fresh = {who.fingerprint: (task, self.answers[task]) for task, who in self.fresh.items()}
        failures = {plan.chosen[task].fingerprint: problem for task, problem in self.failures.items()}
        if self.error is not None:
            failures[DECODE_FAILURE] = self.error
        # A model that could not be loaded says nothing about the image.
        failures = {key: problem for key, problem in failures.items() if problem.code != "model_load_failed"}
        answers = {key: a for key, (task, a) in fresh.items() if task != THUMBNAIL}
        pictures = {key: a for key, (task, a) in fresh.items() if task == THUMBNAIL}
        updates = [Update(key=self.key, image=self.image, answers=answers, failures=failures)]
        if pictures:
            updates.append(Update(key=self.thumbnail_key, image=self.image, answers=pictures, failures={}))
        return updates

    def result(self, plan: Plan, *, cache_enabled: bool) -> ImageResult:
        """The finished request as the result that is given out."""
        tasks = {t: self._task_result(t, c, cache_enabled) for t, c in plan.chosen.items() if t != THUMBNAIL}
        given = {task: result for task, result in tasks.items() if result is not None}
        answered = sum(result.error is None for result in given.values())
        status = Status.OK if answered == len(given) else Status.PARTIAL
        image = self.image
        thumbnail = self.answers.get(THUMBNAIL)
        return ImageResult(
            # Bytes of a name that are no UTF-8 become \xNN.
            path=self.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
            page=self.page,
            pages=image.pages if image else self.pages,
            sha256=self.sha256,
            format=image.format if image else None,
            width=image.width if image else None,
            height=image.height if image else None,
            file_size=self.ref.size if self.ref else None,
            status=Status.FAILED if self.error is not None or not answered else status,
            tasks=TaskResults(**given),  # type: ignore[arg-type]
            error=self.error,
            processing_time_ms=round(self.seconds * 1000, 3),
            cache_enabled=cache_enabled,
            from_cache=bool(given) and all(r.from_cache for r in given.values()),
            thumbnail=_decode_bytes(thumbnail.value) if thumbnail else UNSET,
        )

    def _task_result(self, task: str, chosen: Choice, cache_enabled: bool) -> AnyTaskResult | None:
        answer, problem, kind = self.answers.get(task), self.failures.get(task), RESULT_TYPES[Task(task)]
        if answer is not None:
            return kind(
                engine=answer.engine,
                model=answer.model,
                model_version=answer.model_version,
                backend=answer.backend,
                seconds=answer.seconds,
                from_cache=cache_enabled and task not in self.fresh,
                stands_in_for=chosen.stands_in_for or (chosen.spec.name if answer.engine != chosen.spec.name else None),
                notice=answer.notice,
                value=_DECODERS[task](answer.value),
            )
        if problem is None:
            return None
        return kind(
            engine=chosen.spec.name,
            model=chosen.probe.model,
            model_version=chosen.probe.model_version,
            backend=chosen.spec.backend,
            seconds=0.0,
            error=problem,
        )
