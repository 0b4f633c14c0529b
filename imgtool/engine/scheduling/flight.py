"""One computation of an image's tasks, however many requests wait for it."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable

import msgspec
from msgspec import Struct, structs

from imgtool.analyzers.interface import THUMBNAIL
from imgtool.engine.cache.records import DECODE_FAILURE, ImageFacts, StoredAnswer, Update
from imgtool.engine.files.discover import ImageRef
from imgtool.engine.plan import Choice, Plan
from imgtool.engine.scheduling.page_request import PageRequest
from imgtool.engine.statistics import Tally
from imgtool.runtime.protocol import Answered, Item
from imgtool.types import Problem


class Flight(Struct, eq=False):
    """What is computed, for whom, and what has come of it. The first request is the one whose figures it counts in.

    ``alone`` says that it is computed whatever other processes are doing.
    """

    number: int
    key: str
    thumbnail_key: str
    ref: ImageRef | None
    content: bytes | None
    page: int
    tasks: tuple[str, ...]
    known: dict[str, StoredAnswer]
    caller: Hashable
    tally: Tally
    requests: list[PageRequest] = []
    in_hand: bool = False
    alone: bool = False
    image: ImageFacts | None = None
    answers: dict[str, StoredAnswer] = {}
    fresh: dict[str, Choice] = {}
    failures: dict[str, Problem] = {}
    error: Problem | None = None
    pages: int = 1

    def priority(self) -> int:
        """The highest of those who wait for it."""
        return max((request.priority for request in self.requests), default=0)

    def record_keys(self) -> list[str]:
        """The keys of the records that its answers go into."""
        return [self.key, *([self.thumbnail_key] if THUMBNAIL in self.tasks else [])]

    def item(self) -> Item:
        """What the pool is asked."""
        known = {task: bytes(answer.value) for task, answer in self.known.items() if task not in self.tasks}
        item = Item(
            id=self.number,
            path=b"",
            page=self.page,
            tasks=self.tasks,
            content=self.content,
            known=known,
            sha256=self.key.partition("#")[0],
            priority=self.priority(),
        )
        if self.ref is None:
            return item
        ref = self.ref
        return structs.replace(
            item,
            path=os.fsencode(ref.path),
            size=ref.size,
            mtime_ns=ref.mtime_ns,
            just_changed=not ref.is_settled,
            content=None,
        )

    def take(self, answered: Answered, choice: Choice) -> StoredAnswer:
        """Note an answer; ``choice`` is who gave it."""
        answer = StoredAnswer(
            value=msgspec.Raw(answered.value),
            engine=choice.spec.name,
            model=choice.probe.model,
            model_version=choice.probe.model_version,
            backend=choice.spec.backend,
            seconds=round(answered.seconds, 6),
            stored_at=time.time(),
        )
        self.answers[answered.task] = answer
        self.fresh[answered.task] = choice
        self.failures.pop(answered.task, None)
        return answer

    def give(self, request: PageRequest) -> list[str]:
        """Give a request what was found so far; returns the tasks of which it did not know that yet."""
        request.image = request.image or self.image
        request.pages = max(request.pages, self.pages)
        request.error = request.error or self.error
        given = []
        for task in request.tasks:
            if task in request.answers:
                continue
            if task in self.answers:
                request.take(task, self.answers[task])
                given.append(task)
            elif task in self.failures and task not in request.failures:
                request.failures[task] = self.failures[task]
                given.append(task)
        return given

    def updates(self, plan: Plan) -> list[Update]:
        """What the store should learn: fresh answers, and failures that are the image's own."""
        failures = {plan.chosen[task].fingerprint: problem for task, problem in self.failures.items()}
        if self.error is not None:
            failures[DECODE_FAILURE] = self.error
        # A model that could not be loaded says nothing about the image.
        failures = {key: problem for key, problem in failures.items() if problem.code != "model_load_failed"}
        answers = {
            self.fresh[t].fingerprint: a for t, a in self.answers.items() if t != THUMBNAIL and self._is_whole(t, plan)
        }
        tasks = {choice.fingerprint: task for task, choice in self.fresh.items()}
        updates = [Update(key=self.key, image=self.image, answers=answers, failures=failures, tasks=tasks)]
        if THUMBNAIL in self.answers:
            pictures = {self.fresh[THUMBNAIL].fingerprint: self.answers[THUMBNAIL]}
            updates.append(Update(key=self.thumbnail_key, image=self.image, answers=pictures, failures={}, tasks=tasks))
        return updates

    def _is_whole(self, task: str, plan: Plan) -> bool:
        """Whether the analyzer has read what its fingerprint says that it reads: without that it answers otherwise.
        What failed is missing, and a stand-in may read what was not asked for."""
        reads = {earlier.value for earlier in self.fresh[task].spec.after} & plan.chosen.keys()
        return reads <= self.answers.keys() | self.known.keys()
